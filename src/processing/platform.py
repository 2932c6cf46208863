"""The running embedded platform: log, gate, live engine, lake and history in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import structlog

from agentflow.clock import Clock
from agentflow.contracts import Registry
from agentflow.errors import UnavailableError
from agentflow.events import RawEvent
from agentflow.metrics import MetricState
from agentflow.supervision import Supervisor, ended
from control_store.changelog.port import ChangelogStore
from control_store.changelog.recorder import ChangelogRecorder
from control_store.idempotency.port import IdempotencyStore
from control_store.keys.port import KeyDirectory, KeyStore
from control_store.store import ControlStore
from ingestion.cdc import Sources
from ingestion.log.port import DEAD_LETTERS, VALIDATED, CommitLog
from processing.dead_letters.triage import DeadLetters
from processing.definitions import Definitions
from processing.health import Health
from processing.health.truncations import Truncations
from processing.history import History
from processing.lake import LakeReader, LakeSync, Positions
from processing.lineage import AcceptedEvents, Lineage
from processing.live import LiveEngine, MetricId, Moved
from processing.live.groups import LoggedGroups
from processing.recovery.live_state import LiveState
from processing.recovery.opening import Recovery
from processing.recovery.rebuild import Progress, Rebuilt, no_progress
from processing.runtime.periodic import RETRY_EVERY, recurring, repeated
from processing.runtime.slices import SLICED_ABOVE, in_slices
from processing.verification.verifying import Verification
from processing.write.change_feed import ChangeFeed, VisibleChange
from processing.write.dry_run import DryRun, dry_run
from processing.write.identities import Known, known
from processing.write.issuing import Tokens
from processing.write.port import EventIntake, IntakeDependencies
from processing.write.results import EventResult
from quality.verdict import Accepted, Verdict

log = structlog.get_logger()

EXPIRE_EVERY = timedelta(hours=1)
TRUNCATIONS_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a platform is made of; built by `processing.wiring`."""

    data_dir: Path
    log: CommitLog
    control: ControlStore
    reader: LakeReader
    lake: LakeSync
    history: History
    engine: LiveEngine
    intake: Callable[[IntakeDependencies], EventIntake]
    close: Callable[[], None]
    recoveries: Sequence[Recovery]
    supervisor: Supervisor


class Platform:
    """Everything behind the API. Coroutines and the engine belong to one event loop.

    Attributes:
        ready: Whether live state is complete; until then `ingest` and reads are refused.
        rebuilt: Where the live state came from, once ready.
        health: How it and its parts are doing, and how its numbers may be read.
        tokens: Issues tokens of what is visible, and waits for what is not.
        verification: Compares live numbers with the lake.
        accepted: The accepted events, as the log holds them.
        changelog: The history of contracts.
        recorder: Adds to it, also later when it is away.
        idempotency: What was answered to requests with a key.
        keys: Stored API keys, as they are managed.
        key_directory: The same, as requests are checked against them.
        supervisor: What runs in the background.
        epoch: Names this run of the live state; entity tags do not outlive it.
    """

    def __init__(self, definitions: Definitions, parts: Parts, *, clock: Clock) -> None:
        self.definitions = definitions
        self.parts = parts
        self.clock = clock
        supervisor = parts.supervisor
        self.changes = ChangeFeed(supervisor.activity("change-feed", "live"))
        self.ready = False
        self.supervisor = supervisor
        self.accepted = AcceptedEvents(parts.log)
        self.changelog: ChangelogStore = parts.control.changelog
        self.idempotency: IdempotencyStore = parts.control.idempotency
        self.keys: KeyStore = parts.control.keys
        self.key_directory: KeyDirectory = parts.control.key_directory
        self.recorder = ChangelogRecorder(parts.control.changelog)
        self._started = False
        self._live = supervisor.activity("live-engine", "live")
        self._lost = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.rebuilt: Rebuilt | None = None
        self.epoch = f"{parts.log.log_id}:{clock.now_us()}"
        self._groups = LoggedGroups(parts.log, definitions.gate)
        self.engine = parts.engine
        self._state = LiveState(parts.engine, parts.log, parts.data_dir, clock)
        self.intake = parts.intake(
            IntakeDependencies(
                definitions,
                self.engine,
                parts.log,
                self.changes,
                clock,
                supervisor,
                self._lose_live_state,
            )
        )
        self.tokens = Tokens(self.intake.visibility)
        self.verification = Verification(self)
        self.dead_letters = DeadLetters(
            parts.log,
            parts.control.triage,
            self.ingest,
            self.judge_again,
            lambda: Sources(self.registry),
            clock=clock,
        )
        self.health = Health(
            self,
            log=parts.log,
            lake=parts.lake,
            truncations=Truncations(parts.log, parts.control.triage),
            supervisor=supervisor,
            recoveries=parts.recoveries,
            data_dir=parts.data_dir,
            clock=clock,
        )
        self.changes.subscribe(self._follow)

    # -- life

    async def start(self, *, progress: Progress = no_progress) -> Rebuilt:
        """Bring live state to the end of the log, then accept events and reads."""
        self.rebuilt = await asyncio.to_thread(
            self._state.rebuild, self.definitions, progress=progress
        )
        await asyncio.to_thread(self.health.truncations.refresh)
        self.parts.lake.start()
        self.parts.lake.notify(self._ends())
        await self.intake.start()
        supervisor = self.parts.supervisor
        self._tasks = [
            supervisor.task("live-rebuild", "live", self._rebuild_when_lost),
            repeated(
                supervisor, "idempotency-expiry", "control", self._expire_keys, every=EXPIRE_EVERY
            ),
            repeated(
                supervisor,
                "truncations",
                "control",
                self._look_at_control,
                every=TRUNCATIONS_EVERY,
            ),
            repeated(
                supervisor,
                "history-retry",
                "history",
                self._retry_history,
                every=RETRY_EVERY,
            ),
            recurring(
                supervisor, "change-feed-retry", "live", self.changes.retry, every=RETRY_EVERY
            ),
        ]
        self._started = self.ready = True
        log.info("platform.started", **_fields(self.rebuilt))
        return self.rebuilt

    def _retry_history(self) -> None:
        """Ask again what failed; another history takes over when contracts change."""
        self.history.retry()

    def _lose_live_state(self, error: BaseException) -> None:
        """Refuse reads and events until live state was rebuilt: it holds half of a batch."""
        self.ready = False
        self._live.failed(error)
        self._lost.set()

    async def _rebuild_when_lost(self) -> None:
        rebuilding = self.parts.supervisor.activity("live-rebuild", "live")
        while True:
            await self._lost.wait()
            async with self.intake.exclusive():
                self._state.clear(self.definitions)
                self.rebuilt = await asyncio.to_thread(self._state.rebuild, self.definitions)
                # Nothing that was prepared from the state before is answered again.
                self.definitions = replace(self.definitions)
                self.epoch = f"{self.parts.log.log_id}:{self.clock.now_us()}"
                self._lost.clear()
                self.intake.resume()
            rebuilding.well()
            self._live.well()
            self.ready = True
            log.info("platform.live_state_rebuilt", **_fields(self.rebuilt))

    def _expire_keys(self) -> None:
        with suppress(UnavailableError):  # shown already; the next hour is soon enough
            self.idempotency.expire(now_us=self.clock.now_us())

    def _look_at_control(self) -> None:
        self.parts.control.check()
        self.recorder.retry()
        self.health.truncations.refresh()

    def require_control(self) -> None:
        """Raise while the control store is away, before something is begun that needs it.

        Raises:
            UnavailableError: It does not answer.
            StorageError: It cannot be read.
        """
        self.parts.control.require()

    async def save_snapshot(self) -> None:
        """Write the live state as it is now to disk, while it moves on.

        Raises:
            UnavailableError: It could not be written.
        """
        await self._state.save(self.definitions)

    async def close(self) -> None:
        """Finish what was taken, bring the lake up to date, write a snapshot, release files."""
        whole, self.ready = self.ready, False
        try:
            await ended(self._tasks)
            await self.intake.close()
            if self._started:
                await asyncio.to_thread(self.parts.lake.close)
            if whole:
                self._state.save_last(self.definitions)
        finally:
            await asyncio.to_thread(self.parts.close)

    # -- writing

    async def ingest(self, raws: Sequence[RawEvent]) -> list[EventResult]:
        """Make *raws* durable and visible; see `Intake.ingest`.

        Raises:
            UnavailableError: The platform is starting or stopping.
            StorageError: Nothing was stored.
        """
        self.require_ready()
        return await self.intake.ingest(raws)

    def judge(self, raw: RawEvent) -> Verdict:
        """Return the gate's verdict, without any effect."""
        return self.definitions.gate.judge(raw)

    def judge_again(self, raw: RawEvent) -> Verdict:
        """Return the verdict on an event that would be sent once more, without any effect.

        Unlike the gate alone it knows identities: one that belongs to another event is a conflict.
        """
        verdict = self.judge(raw)
        before = self._known(verdict) if isinstance(verdict, Accepted) else None
        return verdict if before is None else before.conflict or verdict

    def _known(self, verdict: Accepted) -> Known | None:
        return known(self.parts.log, self.definitions.router, verdict)

    def dry_run(self, raw: RawEvent) -> DryRun:
        """Return what *raw* would move, and by how much, without any effect."""
        self.require_ready()
        return dry_run(
            raw,
            definitions=self.definitions,
            engine=self.engine,
            known=self._known,
            groups=self._groups,
            now_us=self.clock.now_us(),
        )

    def _follow(self, change: VisibleChange) -> None:
        del change
        self.parts.lake.notify(self._ends())

    def _ends(self) -> Positions:
        return Positions(self.parts.log.end(VALIDATED), self.parts.log.end(DEAD_LETTERS))

    # -- contracts

    def swap(
        self,
        definitions: Definitions,
        *,
        parts: Parts,
        backfilled: Mapping[str, Mapping[MetricId, MetricState]],
    ) -> None:
        """Put other contracts in force; only a publication does, exclusively.

        It is a move of every metric that is new, gone, or means something else.
        """
        before = self.definitions.meanings
        self._groups = LoggedGroups(parts.log, definitions.gate)
        self.engine.replace(
            list(definitions.plans.values()),
            kept=frozenset(
                metric
                for metric, meaning in definitions.meanings.items()
                if before.get(metric) == meaning
            ),
            corrections=definitions.corrections(self._groups),
            backfilled=backfilled,
        )
        self.intake.adopt(definitions)
        self.definitions, self.parts = definitions, parts
        self.epoch = f"{parts.log.log_id}:{self.clock.now_us()}"
        self._announce(
            metric
            for metric in before.keys() | definitions.meanings.keys()
            if before.get(metric) != definitions.meanings.get(metric)
        )

    def _announce(self, metrics: Iterable[MetricId]) -> None:
        changed, tenants = sorted(metrics), self.engine.tenants()
        moved = [
            Moved(tenant, metric, self.engine.state(metric, tenant).moves)
            if metric in self.engine.plans
            else Moved(tenant, metric, 0)
            for tenant in tenants
            for metric in changed
        ]
        nothing = self.parts.log.end(DEAD_LETTERS)
        self.changes.publish(
            VisibleChange(self.engine.next_offset, moved, (), dead_letters=range(nothing, nothing))
        )

    # -- reading

    @property
    def registry(self) -> Registry:
        """The contracts in force."""
        return self.definitions.registry

    def require_ready(self) -> None:
        """Raise while live state is not complete.

        Raises:
            UnavailableError: The platform is starting or stopping.
        """
        if not self.ready:
            raise UnavailableError(
                "the platform is rebuilding its live state",
                hint="Retry in a second; GET /v1/health/ready says when.",
            )

    @property
    def history(self) -> History:
        """Answers about the past, from the lake and the tail of the log."""
        return self.parts.history

    @property
    def lake(self) -> LakeSync:
        """What brings events to the lake."""
        return self.parts.lake

    @property
    def lineage(self) -> Lineage:
        """Where events are stored, and what the lake holds of a contract."""
        return Lineage(self.parts.log, self.parts.reader, self.parts.lake)

    async def refresh_large(self, tenant: str) -> None:
        """Bring those metrics of a tenant to this instant that have much to do.

        Raises:
            UnavailableError: The platform is starting or stopping.
        """
        self.require_ready()
        for metric in tuple(self.engine.plans):
            now_us = self.clock.now_us()
            if self.engine.laborious(metric, tenant, now_us=now_us, most=SLICED_ABOVE):
                await self.refresh(metric, tenant)

    async def refresh(self, metric: MetricId, tenant: str) -> None:
        """Bring a metric to this instant, while others are answered.

        What reads it then, before the loop turns again, finds nothing to do, or not much.

        Raises:
            UnavailableError: The platform is starting or stopping.
        """
        self.require_ready()
        await in_slices(self.engine.refreshing(metric, tenant, now_us=self.clock.now_us()))


def _fields(rebuilt: Rebuilt) -> dict[str, object]:
    return {"source": rebuilt.source, "events": rebuilt.events, "reason": rebuilt.reason}
