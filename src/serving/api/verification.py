"""`GET /v1/verify`: every live number against its recompute from the lake, a page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Annotated, Any, Final

import msgspec
from pydantic import Field
from starlette.requests import Request

from processing.verification.checks import Check, Compared
from processing.verification.proofs import proofs, windows_of
from serving.access.scopes import Scope
from serving.api.context import Context, realm_of, respond, tenant_of
from serving.api.resource import Resource
from serving.http.replies import Reply
from serving.read.answer_document import rendered

MAX_PAGE: Final = 1_000
PAGE_SECONDS: Final = 25.0
"""A page ends with the check during which this is over; the next one has a cursor."""


class CheckedWindow(msgspec.Struct, frozen=True):
    """One number, live and recomputed: that of a window, or of a cell that differs.

    `cells` is how many numbers by dimensions were compared for it, `differing` how many of them
    are not equal. Where it could not be computed again, `equal` is null, as nothing was compared,
    `live` is the number where it is known, and `reason` says why.
    """

    window: str
    dimensions: dict[str, Any]
    live: int | str | None
    recomputed: int | str | None
    equal: bool | None
    cells: int
    differing: int
    seconds: float
    reason: str | None


class CheckedMetric(msgspec.Struct, frozen=True):
    """One metric, live against recomputed.

    `equal` is false where a number differs, and null where none does but not all were compared.
    """

    metric: str
    version: int
    equal: bool | None
    numbers: int
    seconds: float
    windows: list[CheckedWindow]


class VerificationShape(msgspec.Struct, frozen=True):
    """Whether every live number of this page equals its recompute from the lake.

    `done` of `checks` are behind it; without `next_cursor` it is the last page. `failed` checks
    could not be done.
    """

    verified: bool
    checked_at: str
    token: str
    numbers: int
    failed: int
    done: int
    checks: int
    metrics: list[CheckedMetric]
    seconds: float
    next_cursor: str | None


resource = Resource("operation")


@resource.get(
    "/v1/verify",
    VerificationShape,
    "storage_failed",
    "cursor_invalid",
    "parameter_invalid",
    scope=Scope.METRICS_READ,
)
async def verify(
    context: Context,
    request: Request,
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Field(max_length=64)] = None,
) -> Reply:
    """Recompute everything and compare."""
    platform, tenant = context.platform, tenant_of(request)
    platform.require_ready()
    question = ("verify", realm_of(request), platform.epoch)
    done = context.cursors.read(cursor, *question) or 0
    token, checked_at, started = platform.tokens.now(), context.now(), perf_counter()
    await asyncio.to_thread(platform.verification.flush_lake, platform.engine.next_offset)
    shown = context.registry_of(request).metrics
    plans = {metric: plan for metric, plan in platform.engine.plans.items() if metric in shown}
    windows = windows_of(plans, [tenant])
    checks: list[Check] = []
    async for check in proofs(platform.verification, windows[done : done + limit]):
        checks.append(check)
        if perf_counter() - started > PAGE_SECONDS:
            break
    done += len(checks)
    return respond(
        VerificationShape(
            verified=all(check.equal for check in checks),
            checked_at=checked_at,
            token=token,
            numbers=sum(check.numbers for check in checks),
            failed=sum(check.failure is not None for check in checks),
            done=done,
            checks=len(windows),
            metrics=by_metric(checks),
            seconds=round(perf_counter() - started, 3),
            next_cursor=(context.cursors.write(done, *question) if done < len(windows) else None),
        )
    )


def by_metric(checks: Sequence[Check]) -> list[CheckedMetric]:
    """Return the checks grouped by metric."""
    grouped: dict[tuple[str, int], list[Check]] = {}
    for check in checks:
        grouped.setdefault(check.cut.plan.id, []).append(check)
    return [
        CheckedMetric(
            metric=name,
            version=version,
            equal=_all_equal(found),
            numbers=sum(check.numbers for check in found),
            seconds=round(sum(check.seconds for check in found), 3),
            windows=[window for check in found for window in _windows(check)],
        )
        for (name, version), found in grouped.items()
    ]


def _all_equal(checks: Sequence[Check]) -> bool | None:
    """Return whether all numbers are equal; None where none differs, but some was not compared."""
    if any(not check.equal and check.failure is None for check in checks):
        return False
    return None if any(check.failure is not None for check in checks) else True


def _windows(check: Check) -> Iterator[CheckedWindow]:
    """Yield the number of the window, or one for each currency, and what differs in its cells."""
    seconds = round(check.seconds, 3)
    if not check.totals:  # it failed before anything was measured
        yield CheckedWindow(
            window=check.cut.window,
            dimensions={},
            live=None,
            recomputed=None,
            equal=None,
            cells=check.numbers,
            differing=check.differing,
            seconds=seconds,
            reason=check.failure,
        )
    for total in check.totals:
        yield _compared(check, total, cells=check.numbers, differing=check.differing)
    for one in check.differences:
        yield _compared(check, one, cells=1, differing=1)


def _compared(check: Check, one: Compared, *, cells: int, differing: int) -> CheckedWindow:
    return CheckedWindow(
        window=check.cut.window,
        dimensions=dict(one.dimensions),
        live=rendered(one.live),
        recomputed=rendered(one.recomputed),
        equal=None if check.failure is not None else one.equal,
        cells=cells,
        differing=differing,
        seconds=round(check.seconds, 3),
        reason=check.failure,
    )
