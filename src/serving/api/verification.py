"""`GET /v1/verify`: every live number against its recompute from the lake."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from processing.verification import Check
from serving.answer import wire
from serving.api.context import Context, respond, tenant_of
from serving.api.operation import operation
from serving.api.shapes import CheckedMetric, CheckedWindow, VerificationShape


def router(context: Context) -> APIRouter:
    """Return the route."""
    routes = APIRouter(tags=["operation"])

    @routes.get(
        "/v1/verify",
        **operation("Recompute everything and compare", VerificationShape, "storage_failed"),
    )
    async def verify(request: Request) -> Response:
        token, checked_at, started = context.platform.token(), context.now(), perf_counter()
        checks = await context.platform.verify(tenant=tenant_of(request))
        metrics = by_metric(checks)
        return respond(
            VerificationShape(
                verified=all(check.equal for check in checks),
                checked_at=checked_at,
                token=token,
                numbers=sum(check.numbers for check in checks),
                metrics=metrics,
                seconds=round(perf_counter() - started, 3),
            )
        )

    return routes


def by_metric(checks: Sequence[Check]) -> list[CheckedMetric]:
    """Return the checks grouped by metric; windows that are equal are one entry each."""
    grouped: dict[tuple[str, int], list[Check]] = {}
    for check in checks:
        grouped.setdefault(check.cut.plan.id, []).append(check)
    return [
        CheckedMetric(
            metric=name,
            version=version,
            equal=all(check.equal for check in found),
            numbers=sum(check.numbers for check in found),
            windows=[window for check in found for window in _windows(check)],
        )
        for (name, version), found in grouped.items()
    ]


def _windows(check: Check) -> list[CheckedWindow]:
    window = check.cut.window
    if check.equal:
        return [CheckedWindow(window, {}, None, None, True)]  # noqa: FBT003 - a record
    return [
        CheckedWindow(
            window,
            dict(item.dimensions),
            wire(item.live),
            wire(item.recomputed),
            False,  # noqa: FBT003 - a record
        )
        for item in check.differences
    ]
