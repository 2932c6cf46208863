"""An index from 16-byte digests to offsets that costs a commit almost nothing.

Digests are random, so writing each into a B-tree at once rewrites one page per digest. The index
keeps the newest digests in memory (the chunks hold them durably) and merges them into the table
one slice of the key space at a time, in key order, inside a commit that happens anyway. Each slice
notes up to which offset it was merged; opening stages what came after.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final

from ingestion.log.chunks import DIGEST_BYTES
from ingestion.log.schema import SERIES

SLICES: Final = 256
"""A slice is the first byte of the digest."""


class DigestIndex:
    """Digest → offsets of one topic, newest part in memory, the rest in *table*.

    Thread-safety: `staged` and `stored` may be called from any thread; all else by the one writer.
    Calling `staged` before `stored` never misses an entry that was committed before.
    """

    def __init__(self, name: str, table: str, *, staged_limit: int) -> None:
        self.name = name
        self._table = table
        self._limit = staged_limit
        # One offset is a plain int: a quarter of a list's memory, and nothing for the collector.
        self._slices: list[dict[bytes, int | list[int]]] = [{} for _ in range(SLICES)]
        self._staged = 0
        self._next = 0
        self._merging: list[int] = []
        self._on_disk = False

    def __len__(self) -> int:
        """Count the entries in memory."""
        return self._staged

    def stage(self, entries: Iterable[tuple[bytes, int]]) -> None:
        """Take entries that are committed in a chunk; a pair must not come twice."""
        slices = self._slices
        count = 0
        for digest, offset in entries:
            part = slices[digest[0]]
            known = part.setdefault(digest, offset)
            count += 1
            if known is not offset:
                if isinstance(known, list):
                    known.append(offset)
                else:
                    part[digest] = [known, offset]
        self._staged += count

    def staged(self, digest: bytes) -> Sequence[int]:
        """Return the offsets that are in memory, ascending."""
        return _listed(self._slices[digest[0]].get(digest, ()))

    def stored(
        self, connection: sqlite3.Connection, digests: Sequence[bytes]
    ) -> Iterator[tuple[bytes, int]]:
        """Yield (digest, offset) pairs from the table for those of *digests* that have any."""
        if not self._on_disk:
            return
        ordered = sorted(digests)
        for start in range(0, len(ordered), SERIES):
            part = ordered[start : start + SERIES]
            # One statement for all of them: the interpreter lock is handed over once.
            yield from connection.execute(
                f"""
                SELECT digest, offset FROM series CROSS JOIN {self._table}
                ON digest = substr(:digests, 1 + {DIGEST_BYTES} * i, {DIGEST_BYTES})
                WHERE i < :count
                """,  # noqa: S608 - the table is a constant of this package
                {"digests": b"".join(part), "count": len(part)},
            )

    def offsets(
        self, connection: sqlite3.Connection, digests: Sequence[bytes]
    ) -> Mapping[bytes, list[int]]:
        """Return all offsets of each digest, ascending, without those that have none."""
        found: dict[bytes, set[int]] = {}
        for digest in digests:
            if offsets := self.staged(digest):
                found.setdefault(digest, set()).update(offsets)
        for digest, offset in self.stored(connection, digests):
            found.setdefault(digest, set()).add(offset)
        return {digest: sorted(offsets) for digest, offsets in found.items()}

    def merge_some(self, connection: sqlite3.Connection, *, upto: int) -> None:
        """Merge slices until the rest is under the limit; call `merged` once that is committed.

        *upto* is the topic's end: everything staged lies before it.
        """
        left = self._staged
        while left > self._limit and len(self._merging) < SLICES:
            left -= self._merge_next(connection, upto=upto)

    def merge_all(self, connection: sqlite3.Connection, *, upto: int) -> None:
        """Merge everything; call `merged` once that is committed."""
        while len(self._merging) < SLICES:
            self._merge_next(connection, upto=upto)

    def _merge_next(self, connection: sqlite3.Connection, *, upto: int) -> int:
        part = (self._next + len(self._merging)) % SLICES
        count = self.insert(
            connection,
            (
                (digest, offset)
                for digest, offsets in self._slices[part].items()
                for offset in _listed(offsets)
            ),
        )
        connection.execute(
            "INSERT OR REPLACE INTO merged (digest_index, slice, upto) VALUES (?, ?, ?)",
            (self.name, part, upto),
        )
        self._merging.append(part)
        return count

    def insert(self, connection: sqlite3.Connection, pairs: Iterable[tuple[bytes, int]]) -> int:
        """Write (digest, offset) pairs to the table, sorted, and return how many there were."""
        ordered = sorted(pairs)
        if ordered:
            connection.execute(
                f"""
                INSERT OR IGNORE INTO {self._table} (digest, offset)
                SELECT substr(:digests, 1 + {DIGEST_BYTES} * key, {DIGEST_BYTES}), value
                FROM json_each(:offsets)
                """,  # noqa: S608 - the table is a constant of this package
                {
                    "digests": b"".join(map(itemgetter(0), ordered)),
                    "offsets": json.dumps(list(map(itemgetter(1), ordered))),
                },
            )
            self._on_disk = True
        return len(ordered)

    def merged(self) -> None:
        """Drop from memory what the committed transaction merged."""
        for part in self._merging:
            self._staged -= sum(len(_listed(known)) for known in self._slices[part].values())
            self._slices[part] = {}
        self._next = (self._next + len(self._merging)) % SLICES
        self._merging = []

    def not_merged(self) -> None:
        """Keep everything: the transaction was rolled back."""
        self._merging = []

    def resume(self, connection: sqlite3.Connection) -> list[int]:
        """Return per slice the offset below which everything is in the table, and go on there."""
        markers = [0] * SLICES
        rows = connection.execute(
            "SELECT slice, upto FROM merged WHERE digest_index = ?", (self.name,)
        )
        for part, upto in rows:
            markers[part] = upto
        self._next = markers.index(min(markers))
        stored = connection.execute(f"SELECT 1 FROM {self._table} LIMIT 1")  # noqa: S608 - a constant
        self._on_disk = stored.fetchone() is not None
        return markers

    def clear(self, connection: sqlite3.Connection) -> None:
        """Empty the table and forget what was merged; runs in the caller's transaction."""
        connection.execute(f"DELETE FROM {self._table}")  # noqa: S608 - a constant
        connection.execute("DELETE FROM merged WHERE digest_index = ?", (self.name,))

    def table_equals(
        self, connection: sqlite3.Connection, expected: Collection[tuple[bytes, int]]
    ) -> bool:
        """Tell whether the table holds exactly the *expected* pairs."""
        rows = connection.execute(f"SELECT digest, offset FROM {self._table} ORDER BY 1, 2")  # noqa: S608 - a constant
        return rows.fetchall() == sorted(expected)


def _listed(known: int | Sequence[int]) -> Sequence[int]:
    return (known,) if isinstance(known, int) else known
