"""From records of the stream to what a replica stores; records that cannot be read are passed over.

The stream is written by a job of ours, but other programs may write to a topic by mistake. One such
record must not stop a follower, which has no other topic to send it to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Final

import msgspec

from agentflow.clock import from_datetime
from agentflow.contracts import Registry
from agentflow.errors import AgentFlowError
from agentflow.events import Event, EventRef, identity_key
from ingestion.log.port import DEAD_LETTERS, DUPLICATES, VALIDATED, NewRecord, Record
from ingestion.log.refill import OffsetRecord
from ingestion.stream.port import partition_name
from processing.follow.accounting import Accounts
from processing.transformations.dead_letter import DeadLetter, identity_of
from processing.transformations.links import Linker
from quality.gate import Gate

REMEMBERED_LETTERS: Final = 20_000
"""Newest dead letters by which one that comes again is known: more than a job repeats."""


@dataclass(slots=True)
class Unpacked:
    """What a handful of records holds.

    Attributes:
        events: (offset, event) of the accepted ones whose contract is in force.
        letters: (identity, offset) of dead letters that hold all that arrived.
        unreadable: How many were passed over.
    """

    validated: list[OffsetRecord] = field(default_factory=list)
    dead_letters: list[OffsetRecord] = field(default_factory=list)
    events: list[tuple[int, Event]] = field(default_factory=list)
    letters: list[tuple[bytes, int]] = field(default_factory=list)
    duplicates: int = 0
    unreadable: int = 0
    positions: dict[str, int] = field(default_factory=dict)


class Letters:
    """Recognizes dead letters that a job repeats after its own restart. Bounded."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def new(self, record: NewRecord) -> bool:
        """Tell whether a dead letter comes for the first time, and remember it."""
        headers = record.headers
        origin = (headers.get(name, "") for name in ("raw_topic", "raw_partition", "raw_offset"))
        text = "\0".join(origin).encode() + b"\0" + record.value
        name = blake2b(text, digest_size=16).digest()
        if name in self._known:
            return False
        self._known[name] = None
        if len(self._known) > REMEMBERED_LETTERS:
            self._known.popitem(last=False)
        return True

    def remember(self, records: Iterable[Record]) -> None:
        """Take in those a replica holds, oldest first."""
        for record in records:
            self.new(NewRecord(record.key, record.value, record.headers, record.timestamp_us))


class Unpacker:
    """Unpacks by one set of contracts; belongs to the follower's thread."""

    def __init__(
        self, registry: Registry, gate: Gate, accounts: Accounts, letters: Letters
    ) -> None:
        self._gate = gate
        self._links = Linker(registry).links
        self._accounts = accounts
        self._letters = letters

    def unpack(self, records: Sequence[Record]) -> Unpacked:
        """Return what *records* hold; the accounts take note of the raw records they answer for."""
        found = Unpacked()
        for record in records:
            found.positions[record.topic] = record.offset + 1
            try:
                self._take(record, found)
            except (LookupError, ValueError, AgentFlowError, msgspec.MsgspecError):
                found.unreadable += 1
            self._account(record)
        return found

    def _take(self, record: Record, found: Unpacked) -> None:
        if record.topic == VALIDATED:
            self._accepted(record, found)
        elif record.topic == DEAD_LETTERS:
            held = msgspec.json.decode(record.value, type=DeadLetter)
            letter = _letter(record, held)
            if self._letters.new(letter):
                found.dead_letters.append(OffsetRecord(record.offset, letter))
                if (identity := identity_of(held)) is not None:
                    found.letters.append((identity, record.offset))
        elif record.topic == DUPLICATES:
            found.duplicates += 1

    def _accepted(self, record: Record, found: Unpacked) -> None:
        headers = record.headers
        ref = EventRef(headers["type"], int(headers["version"]))
        if not self._gate.knows(ref):
            # A contract that is not in force here: kept for the day it is, under a name of its own.
            name = blake2b(b"%d\0" % record.offset + record.value, digest_size=16).digest()
            found.validated.append(
                OffsetRecord(record.offset, _new(record, record.timestamp_us), name)
            )
            return
        event = self._gate.decode(ref, record.value)
        identity = identity_key(event.tenant, event.source, event.id)
        stored = _new(record, event.ingested_us)
        found.validated.append(OffsetRecord(record.offset, stored, identity, self._links(event)))
        found.events.append((record.offset, event))

    def _account(self, record: Record) -> None:
        headers = record.headers
        try:
            partition = partition_name(headers["raw_topic"], int(headers["raw_partition"]))
            offset = int(headers["raw_offset"])
        except (LookupError, ValueError):
            return
        if 0 <= offset < 1 << 62:
            self._accounts.add(partition, offset)


def _new(record: Record, timestamp_us: int) -> NewRecord:
    return NewRecord(record.key, record.value, record.headers, timestamp_us)


def _letter(record: Record, letter: DeadLetter) -> NewRecord:
    """Return a dead letter with the instant its event arrived; the broker's has no microseconds."""
    record.headers["tenant"], record.headers["reason"]
    received_at = datetime.fromisoformat(letter.received_at)
    return _new(record, from_datetime(received_at))
