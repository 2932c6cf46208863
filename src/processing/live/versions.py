"""The versions of one row, of which only the newest counts, unless it was taken back since.

Two comparisons by sequence make every order of arrival equal, so a row costs one event and one
number in memory however often it changes, and a row that comes back after it was taken back counts
again.
"""

from __future__ import annotations

from typing import Any

from agentflow.events import Event

_Age = tuple[Any, str, str]


class Versions:
    """The newest version of a row and the newest word that it is gone.

    Attributes:
        newest: The version with the greatest (sequence, id, source).
    """

    __slots__ = ("_age", "_gone", "newest")

    def __init__(self) -> None:
        self.newest: Event | None = None
        self._age: _Age | None = None
        self._gone: Any = None

    def add(self, event: Event, sequence: object) -> None:
        """Learn of a version."""
        age = (sequence, event.id, event.source)
        if self._age is None or self._age < age:
            self.newest, self._age = event, age

    def take_back(self, sequence: Any) -> None:  # noqa: ANN401 - text or integer, by contract
        """Learn that every version before *sequence* is gone."""
        if self._gone is None or self._gone < sequence:
            self._gone = sequence

    def effective(self) -> Event | None:
        """Return the version that counts, if one does."""
        if self._age is not None and self._gone is not None and self._gone > self._age[0]:
            return None
        return self.newest
