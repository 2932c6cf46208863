"""Metrics over any stretch of time, computed from events by DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from agentflow.clock import from_datetime
from agentflow.contracts import Registry
from agentflow.errors import StorageError, UnavailableError, ValueTooLargeError
from agentflow.events import EventRef
from agentflow.metrics.arithmetic import ExactValue
from agentflow.metrics.plan import MetricPlan
from agentflow.metrics.restated import first_known_query, touched_query
from agentflow.metrics.rows import row_answer
from agentflow.metrics.sql import QuerySpec, metric_query
from agentflow.supervision import Activity, Supervisor
from ingestion.log.port import DEAD_LETTERS, LogSource
from processing.history.engine import ClosedError, Engine, QuerySession, QuestionError
from processing.history.tail import Tail
from processing.history.views import dead_letter_view, event_view
from processing.lake.reader import LakeReader, Slice
from processing.lake.rows import dead_letter_rows
from quality import Gate

_DEAD_LETTERS_BY_DAY: Final = """
SELECT
  epoch_us(received_at) // 86400000000 * 86400000000 AS day_us,
  reason,
  type,
  COUNT(*) AS count
FROM "dead letters"
WHERE tenant = $tenant
  AND epoch_us(received_at) >= $start
  AND epoch_us(received_at) < $end
GROUP BY ALL
ORDER BY day_us, reason, type NULLS FIRST
"""
_ALL_AT_ONCE: Final = 1_000_000
DEADLINE: Final = timedelta(seconds=30)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One number of an answer.

    Attributes:
        bucket_us: Start of the bucket, when the question has a grain.
        dimensions: Values of the dimensions the question groups by, in that order.
        value: As `agentflow.metrics.rows.row_answer` gives it: int, Decimal or None.
        events: How many events it is made of.
    """

    bucket_us: int | None
    dimensions: tuple[object, ...]
    value: ExactValue
    events: int


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """How many events of a type were refused for a reason on a day.

    Attributes:
        day_us: Midnight UTC of the day they arrived.
        type: None when it could not be read.
    """

    day_us: int
    reason: str
    type: str | None
    count: int


class History:
    """Answers questions from the lake and the log's tail. Safe to share by threads."""

    def __init__(  # noqa: PLR0913 - the last two are the engine's own
        self,
        lake: LakeReader,
        log: LogSource,
        *,
        gate: Gate,
        registry: Registry,
        activity: Activity | None = None,
        threads: int = 1,
        memory_limit_mib: int = 1024,
    ) -> None:
        """Start the engine.

        Args:
            lake: What is stored.
            log: Where the rest is read from.
            gate: Decodes the rest.
            registry: The contracts; corrections are found there.
            activity: Is told whether answers succeed; one that takes too long is not a failure.
            threads: DuckDB's own, for all queries together. One: the event loop that answers live
                reads needs the other core more than a series needs to be quick.
            memory_limit_mib: DuckDB's own, for all queries together.
        """
        self._activity = activity or Supervisor().activity("history", "history")
        self._again: Callable[[], object] | None = None
        self._lake = lake
        self._log = log
        self._registry = registry
        self._tail = Tail(log, lake=lake.lake, gate=gate)
        self._engine = Engine(
            lake.lake.directory, threads=threads, memory_limit_mib=memory_limit_mib
        )

    def answer(
        self,
        plan: MetricPlan,
        question: QuerySpec,
        *,
        tail: bool = True,
        deadline: timedelta = DEADLINE,
    ) -> list[MetricRow]:
        """Return the rows of *question*, ordered by bucket and dimensions.

        Without groups there is one row, even over nothing.

        Args:
            plan: The metric.
            question: What to compute; its offsets and instants cut what is known.
            tail: Read what the lake does not hold yet from the log; else the lake alone answers.
            deadline: Longest run of the query.

        Raises:
            UnavailableError: The query was interrupted at its deadline, or failed.
            StorageError: A file of the lake cannot be read.
            ValueTooLargeError: A number has more digits than a recompute holds; names the metric.
        """
        return list(self.rows(plan, question, tail=tail, deadline=deadline))

    def rows(
        self,
        plan: MetricPlan,
        question: QuerySpec,
        *,
        tail: bool = True,
        deadline: timedelta = DEADLINE,
    ) -> Iterator[MetricRow]:
        """Yield the rows of `answer` as they are fetched, a few at a time.

        A session is lent for as long as that takes: go through all of them, or close it.
        """
        query = metric_query(plan, question, events=self._registry.events)

        def again() -> None:
            for _ in self.rows(plan, question, tail=tail, deadline=deadline):
                pass

        with self._noted(again), self._engine.session() as session:
            held = self._slices(plan, question, query.reads)
            self._show(session, held, up_to=question.up_to_offset, tail=tail)
            try:
                for row in session.stream(query.text, query.parameters, deadline=deadline):
                    yield _row(plan, question, row)
            except ValueTooLargeError as error:
                message = f'metric "{plan.contract.name}" cannot be computed again: {error}'
                raise ValueTooLargeError(message, hint=error.hint) from error

    def touched(
        self, plan: MetricPlan, question: QuerySpec, *, deadline: timedelta = DEADLINE
    ) -> Mapping[tuple[int | None, tuple[object, ...]], int]:
        """Return when the numbers of *question* changed last, by bucket and dimensions.

        Cells that became empty again are among them.

        Raises:
            UnavailableError: The query was interrupted at its deadline, or failed.
            StorageError: A file of the lake cannot be read.
        """
        query = touched_query(plan, question, events=self._registry.events)
        again = partial(self.touched, plan, question, deadline=deadline)
        with self._noted(again), self._engine.session() as session:
            held = self._slices(plan, question, query.reads)
            self._show(session, held, up_to=question.up_to_offset, tail=True)
            rows = session.rows(query.text, query.parameters, deadline=deadline)
        found: dict[tuple[int | None, tuple[object, ...]], int] = {}
        for *groups, instant_us in rows:
            bucket = groups.pop(0) if question.grain_us is not None else None
            assert bucket is None or isinstance(bucket, int)  # noqa: S101 - from an integer
            if isinstance(instant_us, int):
                found[(bucket, tuple(map(_held, groups)))] = instant_us
        return found

    def first_known_us(self, plan: MetricPlan, tenant: str) -> int | None:
        """Return when the first event that can move a metric was ingested; None if none was.

        Raises:
            UnavailableError: The query was interrupted at its deadline, or failed.
            StorageError: A file of the lake cannot be read.
        """
        query = first_known_query(plan, tenant)
        with (
            self._noted(partial(self.first_known_us, plan, tenant)),
            self._engine.session() as session,
        ):
            held = self._lake.slices(query.reads)
            self._show(session, held, up_to=None, tail=True)
            ((first_us,),) = session.rows(query.text, query.parameters, deadline=DEADLINE)
        return first_us if isinstance(first_us, int) else None

    def dead_letters(
        self, tenant: str, *, start_us: int, end_us: int, tail: bool = True
    ) -> Sequence[DeadLetterCount]:
        """Count what was refused in a range of arrival, by day, reason and type.

        Raises:
            UnavailableError: The query was interrupted at its deadline, or failed.
            StorageError: A file of the lake cannot be read.
        """
        parameters = {"tenant": tenant, "start": start_us, "end": end_us}
        again = partial(self.dead_letters, tenant, start_us=start_us, end_us=end_us, tail=tail)
        with self._noted(again), self._engine.session() as session:
            held = self._lake.dead_letters(start_us=start_us, end_us=end_us)
            start = held.until
            fresh = self._log.read(DEAD_LETTERS, start=start, limit=_ALL_AT_ONCE) if tail else ()
            session.relation("tail of dead letters", dead_letter_rows(fresh))
            statement = dead_letter_view("dead letters", held=held, tail="tail of dead letters")
            session.view("dead letters", statement)
            rows = session.rows(_DEAD_LETTERS_BY_DAY, parameters, deadline=DEADLINE)
        return [DeadLetterCount(*row) for row in rows]  # type: ignore[arg-type]

    def retry(self) -> None:
        """Ask the question that failed last again, so that a fault that is over is not shown.

        Of a failure that another history had (one that was tried for a publication) it is not
        known which question it was: all events are counted. Nothing is raised; the status of
        the activity says how it went.
        """
        if self._activity.status.state != "failing":
            return
        try:
            (self._again or self._count)()
        except (StorageError, UnavailableError, ValueTooLargeError) as error:
            log.info("history.retried", reason=str(error))

    def _count(self) -> None:
        """Read every table of events."""
        with self._noted(self._count), self._engine.session() as session:
            held = self._lake.slices(list(self._registry.events))
            self._show(session, held, up_to=None, tail=False)
            for ref in held:
                session.rows(f'SELECT COUNT(*) FROM "{ref}"', {}, deadline=DEADLINE)  # noqa: S608

    @contextmanager
    def _noted(self, again: Callable[[], object]) -> Iterator[None]:
        """Tell the activity how a question fares; *again* asks it once more."""
        try:
            yield
        except (ClosedError, QuestionError):
            raise
        except (StorageError, UnavailableError) as error:
            self._again = again
            self._activity.failed(error, expected=True)
            raise
        self._again = None
        self._activity.well()

    def close(self) -> None:
        """Release the engine's memory."""
        self._engine.close()

    def _slices(
        self, plan: MetricPlan, question: QuerySpec, reads: Sequence[EventRef]
    ) -> Mapping[EventRef, Slice]:
        """Take all tables at one instant; only events that correct nothing are pruned by time.

        A correction counts in the window of what it corrects, however much later it came; so does
        a newer version of a row, which takes the older one out of its window.
        """
        events = self._registry.events
        timed = {
            ref
            for ref in reads
            if ref in plan.scopes
            and events[ref].corrects is None
            and events[ref].supersedes is None
        }
        return self._lake.slices(
            reads, start_us=question.start_us, end_us=question.end_us, timed=timed
        )

    def _show(
        self,
        session: QuerySession,
        held: Mapping[EventRef, Slice],
        *,
        up_to: int | None,
        tail: bool,
    ) -> None:
        starts = {ref: each.until for ref, each in held.items()}
        low = min((each.complete for each in held.values()), default=0)
        tail = tail and (up_to is None or up_to > low)
        fresh = self._tail.read(starts, low=low) if tail else {}
        for ref, each in held.items():
            name = f"tail of {ref}" if ref in fresh else None
            if name is not None:
                session.relation(name, fresh[ref])
            layout = self._lake.lake.layouts[ref]
            session.view(str(ref), event_view(ref, layout, held=each, tail=name))


def _row(plan: MetricPlan, question: QuerySpec, row: tuple[object, ...]) -> MetricRow:
    *found, events = row
    bucket = found.pop(0) if question.grain_us is not None else None
    groups, values = found[: len(question.by)], found[len(question.by) :]
    assert isinstance(events, int)  # noqa: S101 - a count
    assert bucket is None or isinstance(bucket, int)  # noqa: S101 - computed from an integer
    return MetricRow(bucket, tuple(map(_held, groups)), row_answer(plan, values), events)


def _held(value: object) -> object:
    """Return a dimension's value the way event data holds it."""
    if isinstance(value, datetime):
        return from_datetime(value)
    return value.isoformat() if isinstance(value, date) else value
