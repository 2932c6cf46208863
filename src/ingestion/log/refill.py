"""Put records back at the offsets they once had, after the file that held them was lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ingestion.log import schema
from ingestion.log.chunks import encode_chunks
from ingestion.log.digests import DigestIndex
from ingestion.log.port import NewRecord

REFILL: Final = "refill"
"""The consumer whose position is not 0 while a log lacks records that may exist elsewhere."""

Pairs = list[tuple[bytes, int]]


class OffsetRecord(msgspec.Struct, frozen=True, gc=False):
    """A record that had an offset before; for `validated` with its identity and its links."""

    offset: int
    record: NewRecord
    identity: bytes | None = None
    links: tuple[bytes, ...] = ()


def missing(
    connection: sqlite3.Connection, topic: str, placed: Sequence[OffsetRecord]
) -> Sequence[OffsetRecord]:
    """Return those of *placed*, which are ordered by offset, whose offsets the topic lacks."""
    spans: Sequence[tuple[int, int]] = connection.execute(
        f"SELECT first_offset, first_offset + count FROM {schema.table(topic)} "  # noqa: S608 - names only
        "WHERE first_offset + count > ? AND first_offset <= ? ORDER BY first_offset",
        (placed[0].offset, placed[-1].offset),
    ).fetchall()
    if not spans:
        return placed
    found: list[OffsetRecord] = []
    number = 0
    for item in placed:
        while number < len(spans) and spans[number][1] <= item.offset:
            number += 1
        if number == len(spans) or item.offset < spans[number][0]:
            found.append(item)
    return found


def insert(connection: sqlite3.Connection, topic: str, placed: Sequence[OffsetRecord]) -> None:
    """Write chunks; runs in the caller's transaction."""
    for run in _runs(placed):
        chunks = encode_chunks(
            run[0].offset,
            [item.record for item in run],
            identities=[item.identity for item in run if item.identity is not None],
            links=links_of(run),
        )
        for chunk in chunks:
            schema.insert_chunk(connection, topic, chunk)


def identities_of(placed: Sequence[OffsetRecord]) -> Pairs:
    """Return (identity, offset) of every record that has one."""
    return [(item.identity, item.offset) for item in placed if item.identity is not None]


def links_of(placed: Sequence[OffsetRecord]) -> Pairs:
    """Return (link, offset) of every record, by offset."""
    return [(link, item.offset) for item in placed for link in dict.fromkeys(item.links)]


def index_pairs(connection: sqlite3.Connection, index: DigestIndex, pairs: Pairs) -> Pairs:
    """Write what belongs below the index's merge markers; return the rest, to be staged.

    Opening stages from the chunks only what lies at or above a slice's marker: what is put back
    below it must be in the table, or it would be found until the next start and never again.
    """
    markers = index.resume(connection)
    index.insert(connection, [pair for pair in pairs if pair[1] < markers[pair[0][0]]])
    return [pair for pair in pairs if pair[1] >= markers[pair[0][0]]]


def _runs(placed: Sequence[OffsetRecord]) -> Iterator[Sequence[OffsetRecord]]:
    start = 0
    for number in range(1, len(placed) + 1):
        if number == len(placed) or placed[number].offset != placed[number - 1].offset + 1:
            yield placed[start:number]
            start = number
