"""Answers that live state cannot give: series, ranges, and what a metric was at an instant.

They are computed from the events themselves by DuckDB, over the lake and the tail of the log, so
they see everything that is visible now and cost time in proportion to the range.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import msgspec

from agentflow.clock import to_rfc3339
from agentflow.errors import ParameterError
from agentflow.metrics import parse_length
from agentflow.metrics.sql import QuerySpec
from agentflow.metrics.windows import BEGINNING_US
from processing.history import MetricRow
from processing.platform import Platform
from serving.read.answer import contract_document, since_ms
from serving.read.answer_document import AnswerShape, PastGroup, Point, rendered
from serving.read.cursors import Cursors
from serving.read.group_pages import GroupCursors, page
from serving.read.metric_query import MetricQuery
from serving.read.offsets import Offsets
from serving.read.query_string import require_past
from serving.read.series import Steps, Touched, closed_status, points, require_few
from serving.read.units import unit_of, unit_of_total
from serving.read.warnings import WarningDocument, truncated, unseen

EPOCH: Final = to_rfc3339(0)


class _Rows(Protocol):
    """Asks the history."""

    def __call__(self, *, by: tuple[str, ...], grain_us: int | None) -> Sequence[MetricRow]: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """What the history says of a question.

    Attributes:
        last: The last group of the page, if more come after it.
        unknown: Whether nothing that can move the metric was known at the instant.
    """

    total: MetricRow | None
    events: int
    currencies: set[object]
    groups: list[PastGroup]
    last: tuple[object, ...] | None
    left_out: int
    series: list[Point] | None
    touched: Touched
    known_from_us: int | None
    unknown: bool


@dataclass(frozen=True, slots=True)
class Span:
    """The range and the instant an answer is about; None is without bound.

    Attributes:
        now_us: Up to when anything can be known: `as_of_us`, else the clock.
        grain: The grain as it was asked for.
    """

    name: str | None
    start_us: int | None
    end_us: int | None
    as_of_us: int | None
    now_us: int
    grain: str | None = None
    steps: Steps | None = None


def span_of(
    query: MetricQuery,
    *,
    now_us: int,
    start_us: int | None,
    end_us: int | None,
    as_of_us: int | None,
    grain: str | None,
) -> Span:
    """Return what to compute.

    A window stands where it stood at *as_of_us*. A series needs a range with bounds.

    Raises:
        ParameterError: The series would be endless or too long.
        InstantRangeError: *as_of_us* is in the future.
        UnknownWindowError: The grain is not a length of time.
    """
    require_past("as_of", as_of_us, now_us=now_us)
    known_us = as_of_us if as_of_us is not None else now_us
    name: str | None = None
    if start_us is None:
        name = query.window
        window = query.plan.window(name)
        assert window is not None  # noqa: S101 - `check_query` has checked it
        start, end_us = window.bounds(known_us)
        start_us = None if start == BEGINNING_US else start
        end_us = None if start == BEGINNING_US else end_us
    steps: Steps | None = None
    if grain is not None:
        grain_us = parse_length(grain)
        if start_us is None or end_us is None:
            raise ParameterError(
                'a series needs a range, and the window "all" has none',
                hint="Pass start and end, or a bounded window.",
            )
        steps = Steps(start_us, end_us, grain_us, known_us)
        require_few(steps)
    return Span(name, start_us, end_us, as_of_us, known_us, grain, steps)


async def answer_past(
    platform: Platform,
    query: MetricQuery,
    tenant: str,
    span: Span,
    *,
    offsets: Offsets | None = None,
) -> AnswerShape:
    """Compute an answer in a thread; *offsets* are the numbers by which the tenant knows them.

    Raises:
        UnavailableError: It took too long, or the platform is not ready.
        StorageError: A file of the lake cannot be read.
    """
    platform.require_ready()
    # Everything the answer names is taken before it waits: contracts may change meanwhile.
    next_offset = platform.engine.next_offset
    token = platform.tokens.now()
    watermark_us = platform.engine.watermark_us.get(tenant)
    history, plan = platform.history, query.plan
    arrived_us = None
    if span.as_of_us is None:  # which event had come last by then is not looked up
        arrived_us = platform.engine.arrived_us(tenant, plan.contract.refs)
    contract = contract_document(plan, platform)
    emptied = platform.health.truncations.of(
        plan.contract, platform.registry, tenant, as_of_us=span.as_of_us
    )
    grain_us = None if span.steps is None else span.steps.grain_us

    def question(by: tuple[str, ...], grain_us: int | None) -> QuerySpec:
        return QuerySpec(
            tenant=tenant,
            start_us=span.start_us,
            end_us=span.end_us,
            by=by,
            where=query.where,
            grain_us=grain_us,
            up_to_offset=next_offset,
            ingested_before_us=span.as_of_us,
        )

    def rows(*, by: tuple[str, ...], grain_us: int | None) -> Sequence[MetricRow]:
        return history.answer(plan, question(by, grain_us))

    def found() -> _Found:
        groups, by = rows(by=query.by, grain_us=None), query.by
        series = rows(by=by, grain_us=grain_us) if grain_us is not None else ()
        total = _total(query, groups, rows)
        touched: Touched = {}
        if span.end_us is not None:  # what has no end never closes
            by = query.by if span.steps is not None else ()
            touched = history.touched(plan, question(by, grain_us))
        events = sum(row.events for row in groups)
        held = {row.dimensions: row for row in groups}
        # A series also shows groups that became empty again.
        named = held.keys() | {key for _, key in touched} if span.steps else held.keys()
        after, limit = query.after, query.limit
        keys, left_out = page(named, after=after, limit=limit) if query.by else ([()], 0)
        known_from_us, unknown = None, False
        if span.as_of_us is not None and not events:
            known_from_us = history.first_known_us(plan, tenant)
            unknown = known_from_us is None or span.as_of_us < known_from_us
        return _Found(
            total=total,
            events=events,
            currencies=_currencies(query, groups),
            groups=[_group(query, held[key]) for key in keys if key in held],
            last=keys[-1] if left_out else None,
            left_out=left_out,
            series=points(span.steps, keys, query, series, touched) if span.steps else None,
            touched=touched,
            known_from_us=known_from_us,
            unknown=unknown,
        )

    # Also what is made of the rows: there may be as many groups as a dimension has values.
    it = await asyncio.to_thread(found)
    shown = msgspec.UNSET if it.series is None else it.series
    cursors = GroupCursors(Cursors(platform.tokens.seal), tenant)
    return AnswerShape(
        metric=plan.contract.name,
        value=None if it.total is None else rendered(it.total.value),
        unit=unit_of_total(query, it.currencies),
        status="partial" if it.unknown or emptied else _status(span, it.series or (), it.touched),
        window={"name": span.name, "start": _text(span.start_us), "end": _text(span.end_us)},
        dimensions=dict(query.where),
        contract=contract,
        watermark=_text(watermark_us),
        token=token,
        events=it.events,
        exact=True,
        error_bound=0.0,
        causes=[],
        warnings=[
            *truncated(emptied, tenant, offsets or Offsets()),
            *([] if it.events else await _warnings(platform, query, tenant, span)),
        ],
        as_of=_text(span.as_of_us),
        known_from=_text(it.known_from_us) if it.unknown else None,
        grain=None if span.grain is None else {"length": span.grain, "aligned_to": EPOCH},
        groups=it.groups if query.by else msgspec.UNSET,
        left_out=it.left_out if query.by else msgspec.UNSET,
        next_cursor=None if it.last is None else cursors.write(query.listing, it.last),
        series=shown,
        age_ms=since_ms(max(it.touched.values(), default=None), span.now_us),
        source_idle_ms=since_ms(arrived_us, span.now_us),
    )


async def _warnings(
    platform: Platform, query: MetricQuery, tenant: str, span: Span
) -> list[WarningDocument]:
    """Look for what was asked for in live state, then in everything that was ever known by then.

    A value that a correction took away again was there once: it is not a typing mistake.
    """
    plan, registry, history = query.plan, platform.registry, platform.history
    await platform.refresh(plan.id, tenant)
    state = platform.engine.state(plan.id, tenant)
    if not unseen(plan, registry, query.where, state.values):
        return []

    def ever(dimension: str) -> set[object]:
        question = QuerySpec(tenant=tenant, by=(dimension,), ingested_before_us=span.as_of_us)
        return {key[0] for _, key in history.touched(plan, question)}

    return await asyncio.to_thread(unseen, plan, registry, query.where, ever)


def _total(query: MetricQuery, groups: Sequence[MetricRow], rows: _Rows) -> MetricRow | None:
    """Return the one number, or None where adding would mix currencies."""
    if not query.by:
        return groups[0] if groups else None
    if len(_currencies(query, groups)) > 1:
        return None
    found = rows(by=(), grain_us=None)
    return found[0] if found else None


def _currencies(query: MetricQuery, groups: Sequence[MetricRow]) -> set[object]:
    currency = query.plan.currency
    if currency is None or currency not in query.by:
        return set()
    position = query.by.index(currency)
    return {row.dimensions[position] for row in groups}


def _group(query: MetricQuery, row: MetricRow) -> PastGroup:
    dimensions = dict(zip(query.by, row.dimensions, strict=True))
    unit = unit_of(query.plan, {**query.where, **dimensions})
    return PastGroup(dimensions, rendered(row.value), unit, row.events)


def _status(span: Span, series: Sequence[Point], touched: Touched) -> Literal["fresh", "restated"]:
    """Tell whether the range, or a point of its series, changed after it had closed."""
    if any(point.status == "restated" for point in series):
        return "restated"
    return closed_status(span.end_us, max(touched.values(), default=None))


def _text(instant_us: int | None) -> str | None:
    return None if instant_us is None else to_rfc3339(instant_us)
