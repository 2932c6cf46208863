"""How keys and entries of the bus are called on the server, in one place.

The id of entry n of a stream is `0-<n + 1>`: Redis counts the second part by itself
(`XADD key 0-*`), keeps counting after old entries were trimmed, and does so under concurrent
writers. Offsets have no gaps, so a gap at the beginning of a read is what trimming took.
"""

from __future__ import annotations

from typing import Final

NEXT: Final = "0-*"
"""The id that lets the server count."""


def stream_key(prefix: str, topic: str, partition: int) -> str:
    """Return the key of the stream that holds a partition.

    >>> stream_key("agentflow", "raw", 2)
    'agentflow:raw:2'
    """
    return f"{prefix}:{topic}:{partition}"


def log_id_key(prefix: str) -> str:
    """Return the key of the log's name."""
    return f"{prefix}:log_id"


def lake_key(prefix: str) -> str:
    """Return the key of the name of the lake that the gate writes."""
    return f"{prefix}:lake"


def positions_key(prefix: str) -> str:
    """Return the key of the hash that holds the positions of all consumers."""
    return f"{prefix}:positions"


def reader_field(consumer: str, topic: str, partition: int) -> str:
    """Return the field of a consumer's position.

    >>> reader_field("gate", "raw", 2)
    'raw/2/gate'
    """
    return f"{topic}/{partition}/{consumer}"


def id_at(offset: int) -> str:
    """Return the id of the entry at *offset*.

    >>> id_at(0)
    '0-1'
    """
    return f"0-{offset + 1}"


def id_before(offset: int) -> str:
    """Return the id after which the entry at *offset* comes; reads begin behind an id."""
    return f"0-{offset}"


def offset_of(entry: bytes | str) -> int:
    """Return the offset of an id, whatever the driver was told to decode.

    >>> offset_of(b"0-1")
    0
    """
    text = entry.decode() if isinstance(entry, bytes) else entry
    return int(text.partition("-")[2]) - 1
