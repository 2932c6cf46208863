"""Let many requests share one fsync: whatever arrives during a commit goes into the next one."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from agentflow.errors import AgentFlowError, StorageError, UnavailableError
from agentflow.events import RawEvent
from agentflow.supervision import Activity, Supervisor, reason_of
from ingestion.log.port import (
    RAW,
    Batch,
    CommitLog,
    Committed,
    DeadLettered,
    Disposition,
    Stored,
)

MAX_EVENTS: Final = 4_000
MAX_BYTES: Final = 8 << 20
_PROBE: Final = "log-retry"


class _Submission(NamedTuple):
    batch: Batch
    size_bytes: int
    done: asyncio.Future[Committed]


class GroupCommitter:
    """Commit batches of one event loop in one writer thread, in the order they were submitted.

    Delivery: `submit` returns once its events are durable and *on_committed* has seen them.
    Order: *on_committed* runs on the event loop, once per commit, in offset order, before any
    caller who submitted to it goes on. Thread-safety: none; call everything on the event loop.
    """

    def __init__(
        self,
        log: CommitLog,
        *,
        on_committed: Callable[[Batch, Committed], None] | None = None,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
        activity: Activity | None = None,
    ) -> None:
        self._log = log
        self._activity = activity or Supervisor().activity("log-writer", "log")
        self._on_committed = on_committed
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._waiting: deque[_Submission] = deque()
        self._backlog_events = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="log-writer")
        self._running: asyncio.Task[None] | None = None
        self._closed = False
        self._failed = False

    @property
    def backlog_events(self) -> int:
        """How many events were submitted and are not durable yet; the intake sheds load by it."""
        return self._backlog_events

    async def submit(self, batch: Batch) -> Committed:
        """Make *batch* durable, whole and in order, and return its part of the commit.

        A caller that is cancelled stops waiting; its events are stored nevertheless.

        Raises:
            StorageError: The commit that held this batch failed; nothing of it was stored.
            UnavailableError: The committer is closed, or stopped because *on_committed* failed.
        """
        if self._closed:
            raise UnavailableError("intake is closed", hint="Send to a running platform.")
        self._require_followed()
        loop = asyncio.get_running_loop()
        size_bytes = sum(len(raw.value) for raw in batch.raws)
        submission = _Submission(batch, size_bytes, loop.create_future())
        self._waiting.append(submission)
        self._backlog_events += len(batch.raws)
        if self._running is None:
            self._running = loop.create_task(self._run())
        return await submission.done

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = self._gather()
            batch = _joined(group)
            try:
                self._require_followed()
                committed = await loop.run_in_executor(self._writer, self._log.commit, batch)
                self._announce(batch, committed)
            except BaseException as error:  # noqa: BLE001 - each submitter gets it
                self._activity.failed(error, expected=isinstance(error, AgentFlowError))
                _fail(group, _raisable(error))
            else:
                self._activity.well()
                _resolve(group, committed)
            finally:
                self._backlog_events -= len(batch.raws)
        self._running = None

    def _gather(self) -> list[_Submission]:
        """Take the longest run of waiting submissions within the bounds, at least one."""
        group = [self._waiting.popleft()]
        events, size_bytes = len(group[0].batch.raws), group[0].size_bytes
        while self._waiting:
            following = self._waiting[0]
            events += len(following.batch.raws)
            size_bytes += following.size_bytes
            if events > self._max_events or size_bytes > self._max_bytes:
                break
            group.append(self._waiting.popleft())
        return group

    def _announce(self, batch: Batch, committed: Committed) -> None:
        if self._on_committed is None:
            return
        try:
            self._on_committed(batch, committed)
        except BaseException:
            self._failed = True
            raise

    async def retry(self) -> None:
        """Write something small, if the last commit failed: that it works is seen without events.

        On a disk that is full there may be room for that and not for a batch; how much is free is
        looked at elsewhere.
        """
        if self._closed or self._failed or self._activity.status.state != "failing":
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._writer, self._log.store_position, _PROBE, RAW, 0)
        except AgentFlowError as error:
            self._activity.failed(error, expected=True)
        else:
            self._activity.well()

    def resume(self) -> None:
        """Accept batches again: everything that was committed has been applied by others."""
        self._failed = False

    def _require_followed(self) -> None:
        """Accept nothing once live state has lost the log; reading the log again repairs that."""
        if self._failed:
            raise UnavailableError(
                "intake stopped: a committed batch could not be applied",
                hint="Send again in a second: live state is being rebuilt from what is stored.",
            )

    async def close(self) -> None:
        """Refuse new submissions, finish those that wait, stop the writer thread."""
        self._closed = True
        if self._running is not None:
            await self._running
        self._writer.shutdown()


def _joined(group: list[_Submission]) -> Batch:
    if len(group) == 1:
        return group[0].batch
    raws: list[RawEvent] = []
    dispositions: list[Disposition] = []
    for submission in group:
        raws += submission.batch.raws
        dispositions += submission.batch.dispositions
    return Batch(raws, dispositions)


def _resolve(group: list[_Submission], committed: Committed) -> None:
    start = 0
    raw, validated, dead = (
        committed.raw.start,
        committed.validated.start,
        committed.dead_letters.start,
    )
    for submission in group:
        stop = start + len(submission.batch.raws)
        outcomes = committed.outcomes[start:stop]
        kinds = Counter(map(type, outcomes))
        part = Committed(
            outcomes,
            range(raw, raw := raw + len(outcomes)),
            range(validated, validated := validated + kinds[Stored]),
            range(dead, dead := dead + kinds[DeadLettered]),
        )
        start = stop
        if not submission.done.done():
            submission.done.set_result(part)


def _raisable(error: BaseException) -> Exception:
    """Return what a request may raise: an exit or a cancellation of the writer is not its own."""
    if isinstance(error, Exception):
        return error
    failure = StorageError(f"the commit was cut off: {reason_of(error)}", hint="Send it again.")
    failure.__cause__ = error
    return failure


def _fail(group: list[_Submission], error: Exception) -> None:
    for submission in group:
        if not submission.done.done():
            submission.done.set_exception(error)
