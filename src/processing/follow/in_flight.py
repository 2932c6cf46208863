"""Events that are on their way through the stream, by identity: sent and not yet settled."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush


class InFlight:
    """Recognizes an event that is sent again before the stream has decided about it.

    Of each identity it knows the content of the first event under way (`Gate.content`).

    Memory: one entry for each event under way, which back-pressure bounds.
    """

    def __init__(self) -> None:
        self._identities: dict[bytes, int] = {}
        self._contents: dict[bytes, bytes] = {}
        self._sent: dict[str, list[tuple[int, bytes]]] = {}

    def __len__(self) -> int:
        """Count the events under way."""
        return sum(map(len, self._sent.values()))

    def __contains__(self, identity: bytes) -> bool:
        """Tell whether an event of that identity is under way."""
        return identity in self._identities

    def content(self, identity: bytes) -> bytes | None:
        """Return the content of the first event of an identity under way; None when none is."""
        return self._contents.get(identity)

    def add(self, identity: bytes, content: bytes, *, partition: str, offset: int) -> None:
        """Remember an event that was stored at *offset* of a raw partition."""
        self._contents.setdefault(identity, content)
        self._identities[identity] = self._identities.get(identity, 0) + 1
        heappush(self._sent.setdefault(partition, []), (offset, identity))

    def settle(self, frontiers: Mapping[str, int]) -> None:
        """Forget what is visible now. Offsets of one partition may have been added out of order."""
        for partition, sent in self._sent.items():
            frontier = frontiers.get(partition, 0)
            while sent and sent[0][0] < frontier:
                self._drop(heappop(sent)[1])

    def _drop(self, identity: bytes) -> None:
        left = self._identities[identity] - 1
        if left:
            self._identities[identity] = left
        else:
            del self._identities[identity], self._contents[identity]
