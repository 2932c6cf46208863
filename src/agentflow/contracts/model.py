"""The shape of a contract: what the YAML under `contracts/` may say."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from agentflow.contracts.base import FieldName, Frozen, Name, Ref, Status
from agentflow.contracts.tables import SourceContract
from agentflow.events import EventRef

FieldType = Literal["string", "integer", "decimal", "number", "boolean", "timestamp", "date"]
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]*(ms|s|m|h|d)$")]

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def duration(text: str) -> timedelta:
    """Read a contract duration such as `250ms`, `5m` or `30d`.

    >>> duration("5m")
    datetime.timedelta(seconds=300)
    """
    digits = text.rstrip("smhd")
    return int(digits) * _UNITS[text[len(digits) :]]


class FieldContract(Frozen):
    """One field of an event.

    Attributes:
        scale: Digits kept after the point, for `decimal` only; more digits are refused.
        unit: A fixed unit (`ms`), or the name of a sibling string field that holds it (`currency`).
        minimum: Inclusive lower bound, for numeric types.
        maximum: Inclusive upper bound, for numeric types.
        pii: Personal data: masked in logs, dead-letter pages and exports.
    """

    type: FieldType
    required: bool = False
    description: str = ""
    scale: Annotated[int, Field(ge=0, le=9)] | None = None
    unit: str | None = None
    enum: tuple[str, ...] | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    min_length: Annotated[int, Field(ge=0)] | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    pattern: str | None = None
    pii: bool = False
    examples: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _constraints_fit_the_type(self) -> FieldContract:
        numeric = self.type in {"integer", "decimal", "number"}
        if self.type == "decimal" and self.scale is None:
            raise ValueError("a decimal field needs `scale`, the digits kept after the point")
        if self.scale is not None and self.type != "decimal":
            raise ValueError(f"`scale` is for decimal fields, this one is {self.type}")
        if not numeric and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"bounds are for numeric fields, this one is {self.type}")
        if self.type != "string" and (
            self.enum or self.pattern or self.min_length is not None or self.max_length is not None
        ):
            raise ValueError(f"enum, pattern and lengths are for strings, this one is {self.type}")
        return self


class Rule(Frozen):
    """A semantic rule: a boolean expression over the fields that must not be false."""

    name: FieldName
    check: str
    on_fail: Literal["reject", "warn"] = "reject"
    message: str = ""


class Lateness(Frozen):
    """How far event time may lie from arrival.

    Attributes:
        accept: An event older than this on arrival is quarantined as `too_late`.
        ahead: An event further than this in the future is quarantined as `too_early`.
    """

    accept: Duration = "30d"
    ahead: Duration = "5m"


class Correction(Frozen):
    """This event takes back or amends an earlier one of the same key, whatever comes first.

    Attributes:
        event: The event type that is corrected, `order.created@1`.
        on: The field, present in both, that ties them together.
        effect: `retract` uncounts it; `replace` overwrites the fields both share.
    """

    event: Ref
    on: FieldName
    effect: Literal["retract", "replace"]

    @property
    def ref(self) -> EventRef:
        """The corrected event type."""
        return EventRef.parse(self.event)


class Supersession(Frozen):
    """Every event of this type is a whole new version of a row: only the newest one counts.

    Attributes:
        on: The field that holds the row's key.
        sequence: The field by which versions, and what takes them back, are put in order: text or
            an integer that grows with the position in the source. Never event time, never arrival.
    """

    on: FieldName
    sequence: FieldName


class EventContract(Frozen):
    """What an event of one type and major version must look like.

    Attributes:
        key: The field whose value keeps order (and partitions); None means no order is promised.
        event_time: The data field that holds event time; None means CloudEvents `time`.
        derived: Fields added by the gate, as expressions over the declared fields.
    """

    kind: Literal["event"]
    name: Name
    version: Annotated[int, Field(ge=1)] = 1
    minor: Annotated[int, Field(ge=0)] = 0
    status: Status
    owner: str
    description: str
    key: FieldName | None = None
    event_time: FieldName | None = None
    fields: dict[FieldName, FieldContract]
    rules: tuple[Rule, ...] = ()
    derived: dict[FieldName, str] = Field(default={})
    lateness: Lateness = Lateness()
    compatibility: Literal["backward", "full", "none"] = "backward"
    corrects: Correction | None = None
    supersedes: Supersession | None = None
    sunset: str | None = None

    @property
    def ref(self) -> EventRef:
        """The name other contracts use for this one."""
        return EventRef(self.name, self.version)


class EntitySource(Frozen):
    """Which attributes one event type sets on an entity.

    Attributes:
        key: The event field that holds the entity's key.
        sets: Attribute name → event field name, or a literal written `'cancelled'`.
    """

    event: Ref
    key: FieldName
    sets: dict[FieldName, str] = Field(default={})

    @property
    def ref(self) -> EventRef:
        """The event type."""
        return EventRef.parse(self.event)


class Relation(Frozen):
    """A link from one entity to another, held in an attribute."""

    to: FieldName
    by: FieldName


class SessionWindow(Frozen):
    """An entity's events fall into sessions: a pause longer than the gap ends one."""

    gap: Duration

    @field_validator("gap")
    @classmethod
    def _sane(cls, gap: str) -> str:
        """A shorter pause is the network's, a longer one fills a job's memory for no use."""
        with suppress(OverflowError):
            if timedelta(seconds=1) <= duration(gap) <= timedelta(days=1):
                return gap
        raise ValueError(f"a gap is from 1s to 1d, not {gap}")

    @property
    def length(self) -> timedelta:
        """The gap."""
        return duration(self.gap)


class EntityContract(Frozen):
    """A thing events talk about; of each attribute the last value by event time wins.

    Attributes:
        session: How its events fall into sessions; None where it has none.
    """

    kind: Literal["entity"]
    name: FieldName
    version: Annotated[int, Field(ge=1)] = 1
    status: Status
    owner: str
    description: str
    key: FieldName
    sources: tuple[EntitySource, ...] = Field(min_length=1)
    relations: dict[FieldName, Relation] = Field(default={})
    session: SessionWindow | None = None
    sunset: str | None = None


class Freshness(Frozen):
    """The promise on age: at this percentile an event moves the metric within the duration."""

    p95: Duration


class MetricExample(Frozen):
    """An executable example: these events (in order), then these values over window `all`.

    Attributes:
        given: Each item is `{event name: {field: value, …}}`; reserved keys `time`, `id`, `tenant`.
        then: `{"currency=EUR": "10.00", "": "…"}`: dimension filter → expected value, or null.
    """

    name: str = ""
    given: tuple[dict[str, dict[str, object]], ...]
    then: dict[str, str | int | None]


class MetricContract(Frozen):
    """What a metric means, and which events move it.

    Attributes:
        value: The expression; see `docs/reference/metric-language.md`.
        moved_by: Event versions that move it; must equal what the expression implies.
        scale: Digits after the point in the answer; None means natural (6 when it divides).
        unit: `currency` (a dimension of that name), or fixed text such as `orders` or `ms`.
    """

    kind: Literal["metric"]
    name: FieldName
    version: Annotated[int, Field(ge=1)] = 1
    status: Status
    owner: str
    description: str
    unit: str
    value: str
    moved_by: tuple[Ref, ...] = Field(min_length=1)
    dimensions: tuple[FieldName, ...] = ()
    windows: tuple[str, ...] = Field(min_length=1)
    freshness: Freshness = Freshness(p95="250ms")
    scale: Annotated[int, Field(ge=0, le=9)] | None = None
    examples: tuple[MetricExample, ...] = ()
    tags: tuple[str, ...] = ()
    sunset: str | None = None

    @property
    def refs(self) -> tuple[EventRef, ...]:
        """The pinned event versions."""
        return tuple(EventRef.parse(text) for text in self.moved_by)


Contract = EventContract | EntityContract | MetricContract | SourceContract
