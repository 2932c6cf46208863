"""What may be wrong with a question that can be answered: beside the number, never instead."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec

from agentflow.contracts import Registry
from agentflow.dimension_values import nearest, spelled
from agentflow.metrics import MetricPlan
from agentflow.suggestions import meant
from agentflow.wording import quoted
from ingestion.log.port import DEAD_LETTERS
from processing.health.truncations import Truncation
from serving.read.metric_query import allowed_values
from serving.read.offsets import Offsets

_MOST_SHOWN = 80
_NO_VALUES = "No event has any value there yet."


class WarningDocument(msgspec.Struct, frozen=True):
    """A warning on the wire.

    Attributes:
        code: `dimension_value_unseen`: no event has the value that was asked for;
            `source_truncated`: rows that are counted were deleted at once.
        parameter: The dimension, or the table.
        nearest: Values that were seen and may be meant, the nearest first.
    """

    code: str
    parameter: str
    message: str
    hint: str
    nearest: list[str | int]


def truncated(
    truncation: Truncation | None, tenant: str, offsets: Offsets
) -> list[WarningDocument]:
    """Return a warning of a table that was emptied, while what was counted of it still counts.

    Args:
        truncation: What was found, if anything.
        tenant: Who is told; its dead letter is named to whom it belongs.
        offsets: The numbers by which the tenant knows dead letters.
    """
    if truncation is None:
        return []
    table = truncation.place.removeprefix("/cdc/")
    message = f"table {quoted(table)} was truncated; its rows are still counted"
    hint = "Compare with SELECT; once metric and table agree again, its dead letter is discarded."
    if truncation.tenant == tenant:
        number = offsets.shown(tenant, DEAD_LETTERS, truncation.dead_letter)
        hint = f"Compare with SELECT; discard dead letter {number} once they agree again."
    return [WarningDocument("source_truncated", table, message, hint, [])]


def unseen(
    plan: MetricPlan,
    registry: Registry,
    where: Mapping[str, object],
    seen: Callable[[str], Collection[object]],
    departed: Callable[[str], Collection[object]] = lambda _: (),
) -> list[WarningDocument]:
    """Return a warning for each wanted value that no event has, absence and conditions among them.

    A value that an enum declares is not a typing mistake: its zero is a real zero.

    Args:
        plan: The metric.
        registry: The contracts.
        where: What was asked for.
        seen: Returns the values of a dimension that events have.
        departed: Returns values that events had: they were corrected, or are out of all windows.
    """
    return [
        _unseen(plan, name, value, values)
        for name, value in where.items()
        if (value is None or allowed_values(plan, registry, name) is None)
        and value not in (values := seen(name))
        and value not in departed(name)
    ]


def _unseen(
    plan: MetricPlan, dimension: str, value: object, seen: Collection[object]
) -> WarningDocument:
    like = () if value is None or isinstance(value, bool) else nearest(value, seen)
    close = [each for each in like if isinstance(each, str | int)]
    hint = meant([spelled(each) for each in close])
    if not hint and any(each is not None for each in seen):
        hint = f"GET /v1/metrics/{plan.contract.name}?by={dimension} lists the values there are."
    text = spelled(value)
    shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    has = f"comes without {dimension}" if value is None else f"has {dimension} {quoted(shown)}"
    message = f"no event of metric {quoted(plan.contract.name)} {has}"
    return WarningDocument("dimension_value_unseen", dimension, message, hint or _NO_VALUES, close)
