"""What the server answers, as frozen values; members a newer server adds are ignored.

Numbers are exact: a decimal travels as a string and becomes a `Decimal`, an integer stays an `int`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

from agentflow_sdk._model import Model
from agentflow_sdk.problems import FieldError, Problem

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl
    import pyarrow as pa


def _exact(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("metric values travel as integers or strings, never as floats")  # noqa: TRY004
    return Decimal(value) if isinstance(value, str) else value


Number: TypeAlias = Annotated[Decimal | int, BeforeValidator(_exact)]
"""A metric's value: `int` for counts, `Decimal` for everything with digits after the point."""
Dimensions: TypeAlias = Mapping[str, str | int | bool | None]
Status: TypeAlias = Literal["fresh", "stale", "partial", "restated"]


class EventOutcome(Model):
    """What became of one event.

    Attributes:
        index: Its place among those that were sent, from 0.
        offset: Names its place in the log; of a duplicate, where it was first accepted. With API
            keys it is a number of the tenant's own, in no order.
        dead_letter: Names its place among the dead letters, when it was rejected.
        identified_by: What makes another event the same one: its source and id or, when it was
            sent without an id, its content.
    """

    index: int
    id: str | None
    type: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    offset: int | None = None
    dead_letter: int | None = None
    identified_by: Literal["id", "content"] | None = None
    warnings: tuple[FieldError, ...] = ()
    errors: tuple[FieldError, ...] = ()


class Receipt(Model):
    """What became of the events of one request.

    Attributes:
        token: Give it to a read as `wait=` and the read sees these events.
        events: One outcome each; of large batches only those that were not accepted.
    """

    token: str
    accepted: int
    duplicates: int
    rejected: int
    events: tuple[EventOutcome, ...] = ()

    @property
    def rejections(self) -> tuple[EventOutcome, ...]:
        """The events that broke their contract."""
        return tuple(event for event in self.events if event.status == "rejected")


class Window(Model):
    """A half-open UTC interval `[start, end)` on event time; both ends are None for `all`."""

    name: str | None = None
    start: datetime | None = None
    end: datetime | None = None


class ContractVersion(Model):
    """Which definition a number was computed by."""

    version: int
    fingerprint: str
    status: str


class Cause(Model):
    """An event that moved a number, and by how much.

    Attributes:
        moved: What it added to the cell and window asked for, in `unit`; None where that is not a
            sum of its events, or where it moved two currencies.
        unit: None where `moved` is of no one currency.
        lineage: Path and query of the request that follows the event.
    """

    event_id: str
    source: str | None = None
    type: str
    occurred_at: datetime
    moved: Number | None = None
    unit: str | None = None
    lineage: str | None = None
    offset: int | None = None


class AnswerWarning(Model):
    """What may be wrong with a question that was answered anyway.

    Attributes:
        code: `dimension_value_unseen`: no event has the value that was asked for;
            `source_truncated`: rows that are counted were deleted at once.
        parameter: The dimension, or the table.
        nearest: Values that were seen and may be meant, the nearest first.
    """

    code: str
    parameter: str | None = None
    message: str = ""
    hint: str | None = None
    nearest: tuple[int | str, ...] = ()


class Group(Model):
    """The value of one combination of dimensions."""

    dimensions: Dimensions
    value: Number | None
    unit: str | None = None
    events: int = 0
    exact: bool = True


class Point(Model):
    """The value of one step of a series.

    Attributes:
        status: `restated` when it changed after it had closed.
        partial: The range cuts the step, or the step is not over yet.
    """

    start: datetime
    end: datetime
    value: Number | None
    events: int = 0
    status: Status = "fresh"
    partial: bool = False
    dimensions: Dimensions = Field(default_factory=dict)


class Grain(Model):
    """How the steps of a series lie: their length, and an instant at which one begins."""

    length: str
    aligned_to: datetime


class Recompute(Model):
    """The same number, computed once more from the lake alone.

    Attributes:
        snapshots: Commits of the lake it was read from; None to a key without the scope `operate`.
    """

    value: Number | None = None
    equal: bool
    rows: int = 0
    snapshots: Mapping[str, int | str | None] | None = None
    ms: float = 0
    sql: str | None = None


class Answer(Model):
    """A metric's value, with what it takes to trust it.

    Attributes:
        value: None when there is nothing to compute it from, or when it differs by currency and
            none was asked for: see `groups`.
        status: `fresh`; `stale`: events have waited for longer than the freshness allows;
            `partial`: not all is known, while state is rebuilt or before the first event came
            (`known_from`); `restated`: the range changed after it had closed.
        age_ms: Since the newest event that moved this number came, in the cell and window asked;
            None when that is not known: none of the newest that moved the metric did.
        source_idle_ms: Since the newest event came that can move the metric, in whatever cell; a
            quiet source. None before any came.
        token: What the answer covers.
        events: How many events are in it.
        unit: Of `value`; the currency of money, None where it is of no one currency.
        left_out: How many groups come after those that are here; see `next_cursor`.
        next_cursor: Where they begin; None when there are no more.
        exact: False when the value is approximated by up to `error_bound`, a fraction. No
            aggregate of this version is.
    """

    metric: str
    value: Number | None
    unit: str | None = None
    status: Status
    window: Window = Window()
    dimensions: Dimensions = Field(default_factory=dict)
    contract: ContractVersion
    watermark: datetime | None = None
    age_ms: float | None = None
    source_idle_ms: float | None = None
    token: str | None = None
    events: int = 0
    exact: bool = True
    error_bound: float | None = None
    causes: tuple[Cause, ...] = ()
    warnings: tuple[AnswerWarning, ...] = ()
    groups: tuple[Group, ...] = ()
    left_out: int = 0
    next_cursor: str | None = None
    series: tuple[Point, ...] = ()
    as_of: datetime | None = None
    known_from: datetime | None = None
    grain: Grain | None = None
    recompute: Recompute | None = None

    def to_arrow(self) -> pa.Table:
        """Return the series, else the groups, else the one value, as rows; values stay exact.

        Raises:
            FramesMissingError: pyarrow is not installed.
        """
        from agentflow_sdk.frames import to_arrow

        return to_arrow(self)

    def to_polars(self) -> pl.DataFrame:
        """Return the rows of `to_arrow` as a polars frame.

        Raises:
            FramesMissingError: polars is not installed.
        """
        from agentflow_sdk.frames import to_polars

        return to_polars(self)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows of `to_arrow` as a pandas frame with Arrow types.

        Raises:
            FramesMissingError: pandas is not installed.
        """
        from agentflow_sdk.frames import to_pandas

        return to_pandas(self)


class Batch(Model):
    """Several answers of one moment.

    Attributes:
        answers: In the order asked; a question that could not be answered has its problem.
    """

    token: str
    as_of: datetime | None = None
    answers: tuple[Answer | Problem, ...]


class Move(Model):
    """How an event would move one metric."""

    metric: str
    version: int
    window: str | None = None
    dimensions: Dimensions = Field(default_factory=dict)
    before: Number | None = None
    after: Number | None = None
    moved: Number | None = None
    unit: str | None = None


class DryRun(Model):
    """What would happen if an event were sent.

    Attributes:
        event: The event with its derived fields.
        duplicate: An event of this identity was counted already; nothing would move.
    """

    accepted: bool
    errors: tuple[FieldError, ...] = ()
    warnings: tuple[FieldError, ...] = ()
    event: Mapping[str, Any] | None = None
    duplicate: bool = False
    moves: tuple[Move, ...] = ()


class SetBy(Model):
    """The event that an attribute has its value from."""

    event_id: str
    type: str
    occurred_at: datetime


class TimelineEntry(Model):
    """One event in the life of an entity."""

    event_id: str
    type: str
    occurred_at: datetime
    ingested_at: datetime | None = None
    offset: int | None = None
    data: Mapping[str, Any] = {}


class Session(Model):
    """Events of an entity with no pause longer than its contract's gap between them.

    Attributes:
        end: The last event and the gap; an event up to there still joins.
        duration_ms: From the first event to the last.
        open: The instant that was asked about, or else the platform's clock, is before `end`.
        attributes: What these events alone say.
    """

    start: datetime
    end: datetime
    events: int
    duration_ms: int
    open: bool
    attributes: Mapping[str, Any] = {}


class Entity(Model):
    """What is known of an entity.

    Attributes:
        sessions: Newest first; None when its contract names no gap.
        next_sessions_cursor: Where older sessions go on.
    """

    entity: str
    id: str
    attributes: Mapping[str, Any]
    set_by: Mapping[str, SetBy] = {}
    relations: Mapping[str, Any] = {}
    events: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    timeline: tuple[TimelineEntry, ...] = ()
    next_cursor: str | None = None
    sessions: tuple[Session, ...] | None = None
    next_sessions_cursor: str | None = None


class MetricWindow(Model):
    """A window a metric declares, and the step in which it advances."""

    name: str
    step: str | None = None


class Metric(Model):
    """What a metric means and how it may be asked."""

    name: str
    version: int
    status: str
    unit: str | None = None
    description: str = ""
    owner: str = ""
    windows: tuple[MetricWindow, ...] = ()
    dimensions: tuple[str, ...] = ()
    moved_by: tuple[str, ...] = ()
    freshness: Any = None
    fingerprint: str = ""
    tags: tuple[str, ...] = ()


class DeadLetter(Model):
    """An event that was not accepted, and why.

    Attributes:
        raw: What arrived, with what may be personal masked.
        raw_base64: What arrived, when it is not text; only where it is revealed.
        masked: Whether something that arrived is not shown.
        conflicts_with: The event that was accepted under the same identity, of an `id_conflict`.
    """

    offset: int
    received_at: datetime
    reason: str
    type: str | None = None
    event_id: str | None = None
    errors: tuple[FieldError, ...] = ()
    status: str = "open"
    raw: Any = None
    raw_base64: str | None = None
    masked: bool = False
    conflicts_with: Mapping[str, Any] | None = None


class DeadLetterPage(Model):
    """Some dead letters, and where the next ones begin.

    Attributes:
        counts: How many there are, by reason.
        open: How many of them are neither replayed nor discarded, by reason.
    """

    dead_letters: tuple[DeadLetter, ...]
    next_cursor: str | None = None
    counts: Mapping[str, int] = {}
    open: Mapping[str, int] = {}


class WindowCheck(Model):
    """One value, live and recomputed: that of a window, or of a cell that differs.

    Attributes:
        cells: How many values by dimensions were compared for it.
        differing: How many of them are not equal.
        equal: None where it could not be computed again, so that nothing was compared; `live` is
            then the value where it is known.
        reason: Why it could not be computed again; None when it was.
    """

    window: str
    dimensions: Dimensions = Field(default_factory=dict)
    live: Number | None = None
    recomputed: Number | None = None
    equal: bool | None
    cells: int = 0
    differing: int = 0
    seconds: float = 0
    reason: str | None = None


def _both(one: bool | None, other: bool | None) -> bool | None:  # noqa: FBT001 - two facts
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


class MetricCheck(Model):
    """One metric, live against recomputed.

    Attributes:
        equal: False where a value differs; None where none does, but not all were compared.
    """

    metric: str
    version: int
    tenant: str | None = None
    equal: bool | None
    numbers: int = 0
    seconds: float = 0
    windows: tuple[WindowCheck, ...] = ()

    def joined(self, other: MetricCheck) -> MetricCheck:
        """Return this check with the windows of the same metric that follow on another page."""
        changes = {
            "equal": _both(self.equal, other.equal),
            "numbers": self.numbers + other.numbers,
            "seconds": self.seconds + other.seconds,
            "windows": self.windows + other.windows,
        }
        return self.model_copy(update=changes)


class Verification(Model):
    """Whether every live number equals its recompute from the lake.

    Attributes:
        numbers: How many values were compared.
        failed: How many checks could not be done; each says its reason.
        done: How many of all `checks` are behind it: windows of metrics.
        next_cursor: Where the next page begins; None on the last one.
    """

    verified: bool
    checked_at: datetime
    token: str | None = None
    numbers: int = 0
    failed: int = 0
    done: int = 0
    checks: int = 0
    metrics: tuple[MetricCheck, ...] = ()
    seconds: float = Field(default=0)
    next_cursor: str | None = None

    def joined(self, page: Verification) -> Verification:
        """Return this verification with the page that follows it."""
        metrics = {(each.metric, each.version): each for each in self.metrics}
        for each in page.metrics:
            held = metrics.get((each.metric, each.version))
            metrics[each.metric, each.version] = each if held is None else held.joined(each)
        changes = {
            "verified": self.verified and page.verified,
            "numbers": self.numbers + page.numbers,
            "failed": self.failed + page.failed,
            "done": page.done,
            "metrics": tuple(metrics.values()),
            "seconds": self.seconds + page.seconds,
            "next_cursor": page.next_cursor,
        }
        return self.model_copy(update=changes)


class StreamedEvent(Model):
    """An accepted event, as it was recorded."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    type: str
    source: str = ""
    time: datetime | None = None
    data: Mapping[str, Any] = {}
