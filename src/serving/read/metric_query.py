"""Validated questions: parameters as people write them, checked against the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from agentflow.contracts import Registry
from agentflow.contracts.model import EventContract
from agentflow.dimension_values import nearest, read_value
from agentflow.errors import ParameterError, UnknownDimensionError, UnknownWindowError
from agentflow.metrics import MetricPlan
from agentflow.spelling import BOOLEAN_HINT, integer_hint
from agentflow.suggestions import meant, nearest_and
from agentflow.wording import quoted
from processing.definitions import Definitions
from serving.read.group_pages import MAX_GROUPS, PAGE_GROUPS, GroupCursors

_MOST_LISTED: Final = 20
_MOST_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """A question about one metric that can be answered.

    Attributes:
        where: Dimension → wanted value, in the dimension's own type; None asks for absent.
        by: Dimensions to group by; the currency is added where money would else be mixed.
        limit: How many groups an answer holds at most.
        after: The group behind which they begin; None begins with the first.
    """

    plan: MetricPlan
    window: str
    where: Mapping[str, object]
    by: tuple[str, ...]
    limit: int = PAGE_GROUPS
    after: tuple[object, ...] | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What tells this question from others, as a hashable value."""
        where = tuple(sorted(self.where.items(), key=lambda item: item[0]))
        return (self.plan.id, self.window, where, self.by, self.limit, self.after)

    @property
    def listing(self) -> tuple[str, ...]:
        """What a cursor of its groups is bound to: all but the version and the size of a page."""
        where = sorted(self.where.items(), key=lambda item: item[0])
        return (self.plan.contract.name, self.window, json.dumps(where), *self.by)


def check_query(  # noqa: PLR0913 - each is one part of a question
    definitions: Definitions,
    name: str,
    *,
    version: int | None = None,
    window: str | None = None,
    where: Mapping[str, str] | None = None,
    by: tuple[str, ...] = (),
    limit: int | None = None,
    cursor: str | None = None,
    cursors: GroupCursors | None = None,
) -> MetricQuery:
    """Check a question against its contract.

    Raises:
        UnknownContractError: There is no such metric or version.
        UnknownWindowError: The metric does not declare the window.
        UnknownDimensionError: The metric does not declare a dimension that is asked for.
        ParameterError: A value does not fit its dimension's type.
        CursorError: *cursor* was given to another tenant, or with the answer to another question.
    """
    contract = definitions.registry.metric(name, version)
    plan = definitions.plans[(contract.name, contract.version)]
    chosen = window if window is not None else plan.windows[0].name
    if plan.window(chosen) is None:
        raise UnknownWindowError(
            f"metric {quoted(contract.name)} has no window {quoted(chosen)}",
            hint=f"Its windows: {', '.join(contract.windows)}.",
        )
    for dimension in (*(where or {}), *by):
        _require_dimension(plan, dimension)
    typed = {
        key: wanted_value(plan, definitions.registry, key, text)
        for key, text in (where or {}).items()
    }
    groups = tuple(dict.fromkeys(by))
    if plan.currency is not None and plan.currency not in {*typed, *groups}:
        groups = (*groups, plan.currency)
    if not groups and (limit is not None or cursor is not None):
        raise ParameterError(
            '"limit" and "cursor" are about groups, and the question has none',
            hint="Pass by=… with them.",
        )
    query = MetricQuery(plan, chosen, typed, groups, _page_size(limit))
    if cursor is None or cursors is None:
        return query
    return replace(query, after=cursors.read(cursor, query.listing))


def _page_size(limit: int | None) -> int:
    if limit is None:
        return PAGE_GROUPS
    if not 1 <= limit <= MAX_GROUPS:
        raise ParameterError(
            f'parameter "limit" is not between 1 and {MAX_GROUPS}',
            hint="It is how many groups an answer holds; next_cursor leads to the others.",
        )
    return limit


def _require_dimension(plan: MetricPlan, name: str) -> None:
    if name in plan.dimensions:
        return
    known = ", ".join(plan.dimensions) or "none"
    raise UnknownDimensionError(
        f"metric {quoted(plan.contract.name)} has no dimension {quoted(name)}",
        hint=nearest_and(name, plan.dimensions, f"Its dimensions: {known}."),
    )


def wanted_value(plan: MetricPlan, registry: Registry, dimension: str, text: str) -> object:
    """Return the value that a parameter asks for, in the dimension's own type; None for absent.

    Raises:
        ParameterError: The text is not a value of the type, or not one the contracts allow.
    """
    kind = next(iter(plan.scopes.values()))[dimension].kind
    try:
        value = read_value(kind, text)
    except ValueError:
        article = "an" if kind == "integer" else "a"
        raise ParameterError(
            f"dimension {quoted(dimension)} is {article} {kind}, {quoted(_short(text))} is not one",
            hint=integer_hint(text) if kind == "integer" else _HINTS[kind],
        ) from None
    allowed = allowed_values(plan, registry, dimension)
    if value is not None and allowed is not None and value not in allowed:
        guess = meant([str(each) for each in nearest(value, allowed)])
        more = ", …" if len(allowed) > _MOST_LISTED else ""
        raise ParameterError(
            f"dimension {quoted(dimension)} has no value {quoted(_short(text))}",
            hint=f"{guess} Its values: {', '.join(allowed[:_MOST_LISTED])}{more}.".lstrip(),
        )
    return value


def allowed_values(plan: MetricPlan, registry: Registry, dimension: str) -> tuple[str, ...] | None:
    """Return the only values a dimension can have by the contracts; None when it is open.

    Those are the enums of the events that are counted, and of those that replace the field.
    """
    allowed: dict[str, None] = {}
    for ref in plan.contract.refs:
        contract = registry.events[ref]
        if ref not in plan.scopes and not _replaces(contract, dimension):
            continue
        field = contract.fields.get(dimension)
        if field is None or field.enum is None:
            return None
        allowed.update(dict.fromkeys(field.enum))
    return tuple(allowed)


def _replaces(contract: EventContract, dimension: str) -> bool:
    correction = contract.corrects
    return (
        correction is not None and correction.effect == "replace" and dimension in contract.fields
    )


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


_HINTS = {
    "string": 'A text in double quotes is read as JSON: "" is the empty text.',
    "boolean": BOOLEAN_HINT,
}
