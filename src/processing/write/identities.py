"""What the log knows of an event's identity before it is stored: a repetition, or a conflict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ingestion.log.port import VALIDATED, Record
from processing.transformations.routing import Router
from quality.verdict import Accepted, Rejected


@dataclass(frozen=True, slots=True)
class Known:
    """An event was accepted under the identity before.

    Attributes:
        offset: Where in `validated`.
        conflict: The verdict on the event that comes now, if it is another one.
    """

    offset: int
    conflict: Rejected | None


class IdentityLog(Protocol):
    """A log that can be asked for identities."""

    def find_identity(self, identity: bytes) -> int | None:
        """Return where in `validated` the identity was first accepted, or None."""
        ...

    def read_offsets(self, topic: str, offsets: Iterable[int]) -> Sequence[Record]:
        """Return the records at *offsets*, in offset order, without those that do not exist."""
        ...


def known(log: IdentityLog, router: Router, verdict: Accepted) -> Known | None:
    """Return what is known of the identity of an event that the gate accepts; None if nothing."""
    offset = log.find_identity(verdict.identity)
    if offset is None:
        return None
    return compared(verdict, offset, firsts(log, [offset]), router)


def firsts(log: IdentityLog, offsets: Iterable[int]) -> Mapping[int, Record]:
    """Return the records at *offsets*, by offset."""
    return {record.offset: record for record in log.read_offsets(VALIDATED, offsets)}


def compared(
    verdict: Accepted, offset: int, records: Mapping[int, Record], router: Router
) -> Known:
    """Compare an event with the first one of its identity, if its record is among *records*."""
    first = records.get(offset)
    return Known(offset, None if first is None else router.conflict(first, verdict.event))
