"""How far the lake has come in the log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Positions:
    """The next offset of each topic that the lake does not hold; everything before is in it.

    Attributes:
        validated: In the topic of accepted events.
        dead_letters: In the topic of refused ones.
    """

    validated: int = 0
    dead_letters: int = 0

    def reaches(self, other: Positions) -> bool:
        """Whether everything before *other* is covered."""
        return self.validated >= other.validated and self.dead_letters >= other.dead_letters

    def of(self, topic: str) -> int:
        """Return the offset in one of the two topics."""
        return self.dead_letters if topic == "dead_letters" else self.validated

    def joined(self, other: Positions) -> Positions:
        """Return the further of the two, for each topic."""
        return Positions(
            max(self.validated, other.validated), max(self.dead_letters, other.dead_letters)
        )
