"""Which raw records are accounted for, whatever the order in which their outcomes arrive.

Each record of the raw topic ends as an accepted event, a dead letter or a duplicate, in one of
three topics that are read side by side. Offset *o* of a partition is covered once the outcomes of
all offsets up to *o* have arrived: a contiguous frontier, and the stretches seen ahead of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

MAX_STRETCHES: Final = 10_000
"""Most stretches kept ahead of a frontier; then the oldest hole is given up, and counted."""

FRONTIER: Final = "raw.frontier"
BASE: Final = "raw.base"
JUMPED: Final = "raw.jumped"
AHEAD: Final = "raw.ahead"
"""The consumers under whose names a replica stores the accounting beside its positions."""

AccountRow = tuple[str, str]
"""A stored position: consumer and topic."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Offsets before something that has arrived, whose own outcomes have not."""

    start: int
    stop: int


class Accounted:
    """The offsets of one raw partition whose outcomes have arrived.

    Attributes:
        base: Where the account begins; what lies before was settled elsewhere.
        frontier: Everything before it is accounted for.
        jumped: Offsets that were passed over because they do not exist, or for want of memory.
    """

    __slots__ = ("_starts", "_stops", "base", "frontier", "jumped")

    def __init__(
        self,
        base: int,
        *,
        frontier: int | None = None,
        jumped: int = 0,
        ahead: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.base = base
        self.frontier = base if frontier is None else frontier
        self.jumped = jumped
        ordered = sorted(ahead)
        self._starts = [start for start, _ in ordered]
        self._stops = [stop for _, stop in ordered]

    @property
    def ahead(self) -> list[tuple[int, int]]:
        """Return the stretches `[start, stop)` beyond the frontier, disjoint and in order."""
        return list(zip(self._starts, self._stops, strict=True))

    @property
    def count(self) -> int:
        """Return how many offsets are settled, those before the base included."""
        return self.frontier + sum(self._stops) - sum(self._starts)

    @property
    def hole(self) -> Hole | None:
        """Return the first gap, if anything has arrived behind one."""
        return Hole(self.frontier, self._starts[0]) if self._starts else None

    def missing(self, end: int) -> int:
        """Return how many offsets before *end* are not accounted for."""
        if end <= self.frontier:
            return 0
        seen = sum(
            min(stop, end) - start
            for start, stop in zip(self._starts, self._stops, strict=True)
            if start < end
        )
        return end - self.frontier - seen

    def add(self, offset: int) -> bool:
        """Account for *offset*; False when that was done before.

        An offset before the base is not accounted for here: whether it was seen is not known.
        """
        if offset < self.frontier:
            return offset < self.base
        if offset == self.frontier:
            self.frontier += 1
            self._join()
            return True
        index = bisect_right(self._starts, offset)
        if index and offset < self._stops[index - 1]:
            return False
        self._insert(index, offset)
        if len(self._starts) > MAX_STRETCHES:
            self.jump(self._starts[0])
        return True

    def _insert(self, index: int, offset: int) -> None:
        starts, stops = self._starts, self._stops
        left = index > 0 and stops[index - 1] == offset
        right = index < len(starts) and starts[index] == offset + 1
        if left and right:
            stops[index - 1] = stops[index]
            del starts[index], stops[index]
        elif left:
            stops[index - 1] = offset + 1
        elif right:
            starts[index] = offset
        else:
            starts.insert(index, offset)
            stops.insert(index, offset + 1)

    def jump(self, to: int) -> int:
        """Pass over the offsets before *to* that never came; return how many those are."""
        skipped = self.missing(to)
        if to > self.frontier:
            while self._starts and self._starts[0] < to:
                to = max(to, self._stops[0])
                del self._starts[0], self._stops[0]
            self.frontier = to
            self.jumped += skipped
            self._join()
        return skipped

    def _join(self) -> None:
        if self._starts and self._starts[0] == self.frontier:
            self.frontier = self._stops[0]
            del self._starts[0], self._stops[0]


class Accounts:
    """The accounts of every raw partition, named `<topic>/<partition>`, and what to store of them.

    With *from_start*, outcomes are read from the very first one: accounts begin at offset 0.
    Otherwise each begins where its first outcome is: what lies before is in the lake.
    """

    def __init__(self, *, from_start: bool) -> None:
        self._from_start = from_start
        self._partitions: dict[str, Accounted] = {}
        self._stored: dict[AccountRow, int] = {}
        self._touched: set[str] = set()

    def __iter__(self) -> Iterator[tuple[str, Accounted]]:
        """Yield every partition and its account."""
        return iter(self._partitions.items())

    def get(self, partition: str) -> Accounted | None:
        """Return the account of a partition, if it has one."""
        return self._partitions.get(partition)

    def add(self, partition: str, offset: int) -> bool:
        """Account for one raw record; False when that was done before."""
        account = self._partitions.get(partition)
        if account is None:
            account = self._partitions[partition] = Accounted(0 if self._from_start else offset)
        self._touched.add(partition)
        return account.add(offset)

    def jump(self, partition: str, to: int) -> int:
        """Pass over what does not exist before *to*; return how many offsets that is."""
        account = self._partitions.get(partition)
        if account is None:
            account = self._partitions[partition] = Accounted(0 if self._from_start else to)
        self._touched.add(partition)
        return account.jump(to)

    def frontiers(self) -> dict[str, int]:
        """Return the frontier of every partition."""
        return {partition: account.frontier for partition, account in self._partitions.items()}

    def changes(self) -> dict[AccountRow, int | None]:
        """Return what differs from what was stored last, None for what is gone, and call it stored.

        It must be stored, with the records it stands for or not at all.
        """
        changes: dict[AccountRow, int | None] = {}
        for partition in self._touched:
            fresh = _rows(partition, self._partitions[partition])
            mark = f"{partition}:"
            for row in [
                row for row in self._stored if _of(row, partition, mark) and row not in fresh
            ]:
                changes[row] = None
                del self._stored[row]
            for row, value in fresh.items():
                if self._stored.get(row) != value:
                    changes[row] = self._stored[row] = value
        self._touched.clear()
        return changes

    @classmethod
    def load(cls, rows: Mapping[AccountRow, int], *, from_start: bool) -> Accounts:
        """Return the accounts as they were stored."""
        accounts = cls(from_start=from_start)
        ahead: dict[str, list[tuple[int, int]]] = {}
        for (consumer, topic), stop in rows.items():
            if consumer == AHEAD:
                partition, _, start = topic.rpartition(":")
                ahead.setdefault(partition, []).append((int(start), stop))
        for (consumer, partition), frontier in rows.items():
            if consumer == FRONTIER:
                accounts._partitions[partition] = Accounted(
                    rows.get((BASE, partition), 0),
                    frontier=frontier,
                    jumped=rows.get((JUMPED, partition), 0),
                    ahead=ahead.get(partition, ()),
                )
        accounts._stored = {row: value for row, value in rows.items() if row[0] in _CONSUMERS}
        return accounts


_CONSUMERS: Final = (FRONTIER, BASE, JUMPED, AHEAD)


def _rows(partition: str, account: Accounted) -> dict[AccountRow, int]:
    rows = {(FRONTIER, partition): account.frontier}
    if account.base:
        rows[BASE, partition] = account.base
    if account.jumped:
        rows[JUMPED, partition] = account.jumped
    for start, stop in account.ahead:
        rows[AHEAD, f"{partition}:{start}"] = stop
    return rows


def _of(row: AccountRow, partition: str, mark: str) -> bool:
    return row[1] == partition or (row[0] == AHEAD and row[1].startswith(mark))
