"""Events in order of event time, however many: sorted runs on disk, merged while they are sent."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO

import msgspec

RUN_LENGTH = 100_000
"""Events sorted in memory at a time; 60 MB with events of 600 bytes."""
_LENGTH_BYTES = 4


class Replayed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event of a file, on its way out.

    Attributes:
        occurred_us: Event time; of a row without one, that of the row before it in the file.
        row: Row number in the file, from 1.
        problem: Why this is a row and not an event of it; None for events.
    """

    occurred_us: int
    row: int
    value: bytes
    problem: str | None = None


def in_event_time(
    events: Iterable[Replayed], *, run_length: int = RUN_LENGTH
) -> Iterator[Replayed]:
    """Sort by event time; events of the same instant keep the order of the file.

    Up to *run_length* events stay in memory, more go through unnamed temporary files, which vanish
    with the process.
    """
    with ExitStack() as stack:
        runs: list[IO[bytes]] = []
        last: list[Replayed] = []
        for event in events:
            if len(last) == run_length:
                runs.append(stack.enter_context(tempfile.TemporaryFile()))
                _write(sorted(last, key=_when), runs[-1])
                last = []
            last.append(event)
        last.sort(key=_when)
        yield from heapq.merge(*(_read(run) for run in runs), last, key=_when)


def _when(event: Replayed) -> int:
    return event.occurred_us


def _write(events: Iterable[Replayed], run: IO[bytes]) -> None:
    encode = msgspec.msgpack.Encoder().encode
    for event in events:
        blob = encode(event)
        run.write(len(blob).to_bytes(_LENGTH_BYTES, "big"))
        run.write(blob)
    run.seek(0)


def _read(run: IO[bytes]) -> Iterator[Replayed]:
    decode = msgspec.msgpack.Decoder(Replayed).decode
    while length := run.read(_LENGTH_BYTES):
        yield decode(run.read(int.from_bytes(length, "big")))
