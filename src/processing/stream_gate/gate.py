"""The loop of the gate: read raw records, judge them, store what becomes of them, read on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Condition
from typing import Final

import structlog

from agentflow.errors import AgentFlowError
from agentflow.supervision import Supervisor
from ingestion.gate.port import GateBus, GateProgress, Settlement, SupersededError
from ingestion.log.port import Record
from processing.transformations.stream import (
    Identities,
    StreamGate,
    StreamOutput,
    StreamRecord,
)

log = structlog.get_logger()

AT_ONCE: Final = 500
"""Records of one commit: small enough that nothing waits long behind it."""

_FOLLOWING_SECONDS: Final = 0.5
"""How often a gate that does not lead asks whether it may."""


class GateThread:
    """Judges in a thread of its own; whatever it raises, it is started again and shown.

    Delivery: each raw record is answered for once, across kill -9 and a second gate: outcomes,
    identities and progress are one commit. Order: of each raw partition.

    Attributes:
        judged: How many raw records were.
        at_once: Most records of a partition in one commit.
    """

    def __init__(
        self, bus: GateBus, gate: StreamGate, *, raw_topic: str, supervisor: Supervisor
    ) -> None:
        self._bus = bus
        self._gate = gate
        self._raw_topic = raw_topic
        self._clock = supervisor.clock
        self._timers = supervisor.timers
        self._changed = Condition()
        self._stopping = False
        self._leads = False
        self.judged = 0
        self.at_once = AT_ONCE
        self._thread = supervisor.thread("gate", "stream", self._run)

    @property
    def leads(self) -> bool:
        """Whether this gate is the one that works; another one may be."""
        return self._leads

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Finish the commit under way and end; blocks."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.stop()

    def _run(self) -> None:
        progress: GateProgress | None = None
        while not self._stopping:
            try:
                if not self._lead():
                    progress = None
                    self._pause(_FOLLOWING_SECONDS)
                    continue
                progress = self._bus.progress() if progress is None else progress
                progress = self.judge(progress)
            except SupersededError:
                log.warning("gate.superseded")
                progress = None
            except AgentFlowError as error:
                self._thread.activity.failed(error, expected=True)
                progress = None  # a commit whose answer was lost may have been stored
                self._pause(_FOLLOWING_SECONDS)
            else:
                self._thread.activity.well()
        if self._leads:
            self._bus.resign()

    def _lead(self) -> bool:
        leads = self._bus.lead()
        if leads != self._leads:
            log.info("gate.leads" if leads else "gate.waits")
        self._leads = leads
        if not leads:
            self._thread.activity.well()
        return leads

    def judge(self, progress: GateProgress) -> GateProgress:
        """Judge what comes next, at most `at_once` of each partition; return how far it is then.

        Raises:
            SupersededError: Another gate was faster.
            UnavailableError: The commit may have been stored, or not.
        """
        records = self._bus.read(progress.positions, limit=self.at_once)
        if not records:
            return progress
        arrived_us = self._clock.now_us()
        outputs = [output for record in records for output in self._outputs(record, arrived_us)]
        known = self._bus.known({o.identity for o in outputs if o.identity is not None})
        settlement = settled(self._gate, records, outputs, known)
        reached = self._bus.commit(progress, settlement)
        self.judged += len(records)
        return reached

    def _outputs(self, record: Record, arrived_us: int) -> Sequence[StreamOutput]:
        """Judge a record that arrives now: its producer may have written any time."""
        headers = {name: value.encode() for name, value in record.headers.items()}
        return self._gate.outputs(
            StreamRecord(
                self._raw_topic,
                record.partition,
                record.offset,
                arrived_us,
                record.key,
                record.value,
                headers,
            )
        )

    def _pause(self, seconds: float) -> None:
        due = self._timers.seconds() + seconds
        with self._changed:
            while not self._stopping and self._timers.seconds() < due:
                self._timers.wait(self._changed, due)


def settled(
    gate: StreamGate,
    records: Sequence[Record],
    outputs: Sequence[StreamOutput],
    known: Mapping[bytes, bytes],
) -> Settlement:
    """Decide what becomes of a batch, given the identities that were counted before."""
    identities = Identities(gate)
    identities.known = dict(known)
    outcomes = [identities.settled(output) for output in outputs]
    fresh = {
        identity: content or b""
        for identity, content in identities.known.items()
        if identity not in known
    }
    positions: dict[int, int] = {}
    for record in records:
        positions[record.partition] = max(positions.get(record.partition, 0), record.offset + 1)
    return Settlement([(each.topic, each.record) for each in outcomes], fresh, positions)
