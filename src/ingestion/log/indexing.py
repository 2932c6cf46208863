"""Bring the digest indexes in line with the chunks they are derived from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

from ingestion.log import schema
from ingestion.log.chunks import CHUNK_RECORDS, unpack_digests, unpack_entries
from ingestion.log.digests import SLICES, DigestIndex
from ingestion.log.port import VALIDATED

IDENTITIES: Final = "identities"
LINKS: Final = "links"

REMEMBERED: Final = "remembered"
"""A topic of our own: its chunks hold identities of dead letters or from elsewhere, no records."""

_REBUILD_ENTRIES: Final = 500_000
"""Most entries to hold in memory while an index is made from the whole log."""

_Pairs = Iterable[tuple[bytes, int]]


def load(connection: sqlite3.Connection, index: DigestIndex) -> None:
    """Stage what no merge covers; when that is a lot (after a salvage), merge it on the way."""
    markers = index.resume(connection)
    if not any(markers):
        _insert_remembered(connection, index)
    for end, pairs in _chunks(connection, index, start=min(markers)):
        index.stage((digest, offset) for digest, offset in pairs if offset >= markers[digest[0]])
        if len(index) > _REBUILD_ENTRIES:
            connection.execute("BEGIN IMMEDIATE")
            index.merge_all(connection, upto=end)
            connection.execute("COMMIT")
            index.merged()
            markers = [end] * SLICES


def _insert_remembered(connection: sqlite3.Connection, index: DigestIndex) -> None:
    pairs = list(_remembered(connection, index))
    if pairs:
        connection.execute("BEGIN IMMEDIATE")
        index.insert(connection, pairs)
        connection.execute("COMMIT")


def repair(connection: sqlite3.Connection, index: DigestIndex) -> bool:
    """Compare the table with the chunks; empty it, for `load` to fill, and say so if they differ.

    SQLite's own check does not see a digest in which a bit flipped, and the event behind it would
    be counted a second time. Costs about a second per million entries.
    """
    markers = index.resume(connection)
    merged = (
        (digest, offset)
        for _, pairs in _chunks(connection, index, start=0)
        for digest, offset in pairs
        if offset < markers[digest[0]]
    )
    expected = {*merged, *_remembered(connection, index)}
    if index.table_equals(connection, expected):
        return False
    connection.execute("BEGIN IMMEDIATE")
    index.clear(connection)
    connection.execute("COMMIT")
    return True


def _chunks(
    connection: sqlite3.Connection, index: DigestIndex, *, start: int
) -> Iterator[tuple[int, _Pairs]]:
    """Yield (end offset, pairs) of every chunk that reaches beyond *start*."""
    column = "identities" if index.name == IDENTITIES else "links"
    rows = connection.execute(
        f"SELECT first_offset, count, {column} FROM {schema.table(VALIDATED)} "  # noqa: S608 - constants
        "WHERE first_offset > ? ORDER BY first_offset",
        (start - CHUNK_RECORDS,),
    )
    for first, size, packed in rows.fetchall():
        pairs = (
            unpack_digests(first, packed) if index.name == IDENTITIES else unpack_entries(packed)
        )
        yield first + size, pairs


def _remembered(connection: sqlite3.Connection, index: DigestIndex) -> Iterator[tuple[bytes, int]]:
    if index.name != IDENTITIES:
        return
    for (packed,) in connection.execute(f"SELECT links FROM {schema.table(REMEMBERED)}"):  # noqa: S608 - constant
        yield from unpack_entries(packed)
