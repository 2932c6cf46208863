"""Answers that live state cannot give: series, ranges, and what a metric was at an instant.

They are computed from the events themselves by DuckDB, over the lake and the tail of the log, so
they see everything that is visible now and cost time in proportion to the range.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec

from agentflow.clock import to_rfc3339
from agentflow.errors import ParameterError
from agentflow.metrics import MetricPlan, parse_length
from agentflow.metrics.sql import Question
from agentflow.metrics.windows import BEGINNING_US
from processing.history import MetricRow
from processing.platform import Platform
from serving.answer import contract_document, wire
from serving.asked import Asked
from serving.warnings import WarningDocument, unseen

MAX_POINTS: Final = 10_000
MAX_ROWS: Final = 50_000
CLOSED_AFTER_US: Final = 60_000_000
"""A bucket counts as closed a minute after its end: what arrives later restates it."""


class PastGroup(msgspec.Struct, frozen=True):
    """One group of an answer about the past."""

    dimensions: dict[str, Any]
    value: int | str | None
    unit: str
    events: int
    exact: bool = True
    error_bound: float = 0.0


class Point(msgspec.Struct, frozen=True):
    """One step of a series, for one group."""

    start: str
    end: str
    value: int | str | None
    events: int
    status: str
    dimensions: dict[str, Any]


class PastAnswer(msgspec.Struct, frozen=True):
    """An answer computed from events; the members are those of a live one."""

    metric: str
    value: int | str | None
    unit: str
    status: str
    window: dict[str, str | None]
    dimensions: dict[str, Any]
    contract: dict[str, Any]
    watermark: str | None
    token: str
    events: int
    exact: bool
    error_bound: float
    causes: list[dict[str, Any]]
    warnings: list[WarningDocument]
    as_of: str | None
    groups: list[PastGroup] | msgspec.UnsetType = msgspec.UNSET
    series: list[Point] | msgspec.UnsetType = msgspec.UNSET
    age_ms: int | None = None


class _Rows(Protocol):
    """Asks the history."""

    def __call__(self, *, by: tuple[str, ...], grain_us: int | None) -> Sequence[MetricRow]: ...


@dataclass(frozen=True, slots=True)
class Span:
    """The range and the instant an answer is about; None is without bound."""

    name: str | None
    start_us: int | None
    end_us: int | None
    as_of_us: int | None
    grain_us: int | None


def span_of(
    asked: Asked,
    *,
    now_us: int,
    start_us: int | None,
    end_us: int | None,
    as_of_us: int | None,
    grain: str | None,
) -> Span:
    """Return what is to be computed.

    A window stands where it stood at *as_of_us*. A series needs a range with bounds.

    Raises:
        ParameterError: The series would be endless or too long.
        UnknownWindowError: The grain is no length of time.
    """
    grain_us = None if grain is None else parse_length(grain)
    name: str | None = None
    if start_us is None:
        name = asked.window
        window = asked.plan.window(name)
        assert window is not None  # noqa: S101 - `ask` has checked it
        start, end_us = window.bounds(as_of_us if as_of_us is not None else now_us)
        start_us = None if start == BEGINNING_US else start
        end_us = None if start == BEGINNING_US else end_us
    if grain_us is not None:
        _require_finite(start_us, end_us, grain_us)
    return Span(name, start_us, end_us, as_of_us, grain_us)


def _require_finite(start_us: int | None, end_us: int | None, grain_us: int) -> None:
    if start_us is None or end_us is None:
        raise ParameterError(
            'a series needs a range, and the window "all" has none',
            hint="Pass start and end, or a bounded window.",
        )
    if (end_us - start_us) // grain_us >= MAX_POINTS:
        raise ParameterError(
            f"the series would have more than {MAX_POINTS} points",
            hint="Take a longer grain or a shorter range.",
        )


async def answer_past(platform: Platform, asked: Asked, tenant: str, span: Span) -> PastAnswer:
    """Compute an answer in a thread.

    Raises:
        UnavailableError: It took too long, or the platform is not ready.
        StorageError: A file of the lake cannot be read.
    """
    platform.require_ready()
    next_offset = platform.engine.next_offset
    token = platform.token()
    watermark_us = platform.engine.watermark_us.get(tenant)

    def rows(*, by: tuple[str, ...], grain_us: int | None) -> Sequence[MetricRow]:
        question = Question(
            tenant=tenant,
            start_us=span.start_us,
            end_us=span.end_us,
            by=by,
            where=asked.where,
            grain_us=grain_us,
            up_to_offset=next_offset,
            ingested_before_us=span.as_of_us,
        )
        return platform.parts.history.answer(asked.plan, question)

    groups = await asyncio.to_thread(rows, by=asked.by, grain_us=None)
    series: Sequence[MetricRow] | None = None
    if span.grain_us is not None:
        series = await asyncio.to_thread(rows, by=asked.by, grain_us=span.grain_us)
    total = await _total(asked, groups, rows)
    plan = asked.plan
    events = sum(row.events for row in groups)
    shown = msgspec.UNSET if series is None else points(asked, span, series)
    return PastAnswer(
        metric=plan.contract.name,
        value=None if total is None else wire(total.value),
        unit=_total_unit(asked, groups),
        status=_status(shown),
        window={"name": span.name, "start": _text(span.start_us), "end": _text(span.end_us)},
        dimensions=dict(asked.where),
        contract=contract_document(plan, platform),
        watermark=_text(watermark_us),
        token=token,
        events=events,
        exact=True,
        error_bound=0.0,
        causes=[],
        warnings=[] if events else await _warnings(platform, asked, tenant, span),
        as_of=_text(span.as_of_us),
        groups=[_group(asked, row) for row in groups] if asked.by else msgspec.UNSET,
        series=shown,
    )


async def _warnings(
    platform: Platform, asked: Asked, tenant: str, span: Span
) -> list[WarningDocument]:
    """Look for what was asked for in live state, then in everything that was known then."""
    plan, registry = asked.plan, platform.registry
    state = platform.engine.read(plan.id, tenant, now_us=platform.clock.now_us())
    if not unseen(plan, registry, asked.where, state.values):
        return []

    def ever(dimension: str) -> set[object]:
        question = Question(tenant=tenant, by=(dimension,), ingested_before_us=span.as_of_us)
        return {row.dimensions[0] for row in platform.parts.history.answer(plan, question)}

    return await asyncio.to_thread(unseen, plan, registry, asked.where, ever)


async def _total(asked: Asked, groups: Sequence[MetricRow], rows: _Rows) -> MetricRow | None:
    """Return the one number, or None where adding would mix currencies."""
    if not asked.by:
        return groups[0] if groups else None
    if len(_currencies(asked, groups)) > 1:
        return None
    found = await asyncio.to_thread(rows, by=(), grain_us=None)
    return found[0] if found else None


def _currencies(asked: Asked, groups: Sequence[MetricRow]) -> set[object]:
    currency = asked.plan.currency
    if currency is None or currency not in asked.by:
        return set()
    position = asked.by.index(currency)
    return {row.dimensions[position] for row in groups}


def _total_unit(asked: Asked, groups: Sequence[MetricRow]) -> str:
    currencies = _currencies(asked, groups)
    if len(currencies) == 1:
        return str(next(iter(currencies)))
    return _unit(asked.plan, asked.where)


def _unit(plan: MetricPlan, dimensions: Mapping[str, object]) -> str:
    held = dimensions.get(plan.currency) if plan.currency is not None else None
    return plan.contract.unit if held is None else str(held)


def _group(asked: Asked, row: MetricRow) -> PastGroup:
    dimensions = dict(zip(asked.by, row.dimensions, strict=True))
    unit = _unit(asked.plan, {**asked.where, **dimensions})
    return PastGroup(dimensions, wire(row.value), unit, row.events)


def points(asked: Asked, span: Span, rows: Sequence[MetricRow]) -> list[Point]:
    """Return the points of a series in order; steps in which nothing happened are left out.

    Raises:
        ParameterError: There are too many for one answer.
    """
    if len(rows) > MAX_ROWS:
        raise ParameterError(
            f"the series has more than {MAX_ROWS} points in all its groups",
            hint="Ask for fewer groups, a longer grain or a shorter range.",
        )
    grain_us = span.grain_us or 0
    return [
        Point(
            start=to_rfc3339(row.bucket_us or 0),
            end=to_rfc3339((row.bucket_us or 0) + grain_us),
            value=wire(row.value),
            events=row.events,
            status=_point_status(row, grain_us),
            dimensions=dict(zip(asked.by, row.dimensions, strict=True)),
        )
        for row in rows
    ]


def _status(series: list[Point] | msgspec.UnsetType) -> Literal["fresh", "restated"]:
    shown = [] if series is msgspec.UNSET else series
    return "restated" if any(point.status == "restated" for point in shown) else "fresh"


def _point_status(row: MetricRow, grain_us: int) -> Literal["fresh", "restated"]:
    """Tell whether a point received events after it had closed."""
    closed_us = (row.bucket_us or 0) + grain_us + CLOSED_AFTER_US
    return "restated" if row.newest_us is not None and row.newest_us > closed_us else "fresh"


def _text(instant_us: int | None) -> str | None:
    return None if instant_us is None else to_rfc3339(instant_us)
