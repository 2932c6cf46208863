"""An answer as it is sent: one document for the present, the past, a series and a recompute."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec

from agentflow.metrics.arithmetic import ExactValue
from serving.read.causes import CauseDocument
from serving.read.warnings import WarningDocument

_ABSENT = msgspec.Meta(extra_json_schema={"default": None})
"""A member that only some answers have; one without it means the same as null."""


class PastGroup(msgspec.Struct, frozen=True):
    """One group of an answer about the past."""

    # And of a live one: the name and the sentence are promises of the OpenAPI document.

    dimensions: dict[str, Any]
    value: int | str | None
    unit: str | None
    events: int
    exact: bool = True
    error_bound: float = 0.0


class Point(msgspec.Struct, frozen=True):
    """One step of a series, for one group.

    Attributes:
        status: `restated` when it changed after it had closed.
        partial: The range cuts the step, or the step is not over yet.
    """

    start: str
    end: str
    value: int | str | None
    events: int
    status: str
    partial: bool
    dimensions: dict[str, Any]


class RecomputeShape(msgspec.Struct, frozen=True):
    """The same number, computed once more from the lake alone.

    Attributes:
        snapshots: Commits it was read from, of all tenants; null to a key without `operate`.
    """

    value: int | str | None
    equal: bool
    rows: int
    snapshots: dict[str, int] | None
    ms: float
    sql: str | None


class AnswerShape(msgspec.Struct, frozen=True, kw_only=True):
    """The value of a metric, with what it takes to trust it."""

    # Of an answer about the past: `as_of` and what follows from it. `known_from` is when the first
    # event that can move the metric came, if that was after `as_of`; `grain` is the length of the
    # steps of a series, and the instant they are aligned to.
    # `age_ms` and `source_idle_ms` of a live answer are filled in when it is sent.

    metric: str
    value: int | str | None
    unit: str | None
    status: str
    window: dict[str, str | None]
    dimensions: dict[str, Any]
    contract: dict[str, Any]
    watermark: str | None
    token: str
    events: int
    exact: bool
    error_bound: float
    causes: list[CauseDocument]
    warnings: list[WarningDocument]
    as_of: Annotated[str | msgspec.UnsetType | None, _ABSENT] = msgspec.UNSET
    known_from: Annotated[str | msgspec.UnsetType | None, _ABSENT] = msgspec.UNSET
    grain: Annotated[dict[str, Any] | msgspec.UnsetType | None, _ABSENT] = msgspec.UNSET
    groups: list[PastGroup] | msgspec.UnsetType = msgspec.UNSET
    left_out: int | msgspec.UnsetType = msgspec.UNSET
    next_cursor: str | None = None
    series: list[Point] | msgspec.UnsetType = msgspec.UNSET
    age_ms: int | None
    source_idle_ms: int | None
    recompute: RecomputeShape | msgspec.UnsetType = msgspec.UNSET


def rendered(value: ExactValue) -> int | str | None:
    """Render a value: integers as numbers, decimals as text that keeps every digit."""
    return f"{value:f}" if isinstance(value, Decimal) else value
