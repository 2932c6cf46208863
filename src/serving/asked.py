"""Validated questions: parameters as people write them, checked against the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from agentflow.errors import ParameterError, UnknownDimensionError, UnknownWindowError
from agentflow.metrics import MetricPlan
from processing.definitions import Definitions


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about one metric that can be answered.

    Attributes:
        where: Dimension → wanted value, in the dimension's own type; None asks for absent.
        by: Dimensions to group by; the currency is added where money would else be mixed.
    """

    plan: MetricPlan
    window: str
    where: Mapping[str, object]
    by: tuple[str, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """What tells this question from others, as a hashable value."""
        where = tuple(sorted(self.where.items(), key=lambda item: item[0]))
        return (self.plan.id, self.window, where, self.by)


def ask(
    definitions: Definitions,
    name: str,
    *,
    version: int | None = None,
    window: str | None = None,
    where: Mapping[str, str] | None = None,
    by: tuple[str, ...] = (),
) -> Asked:
    """Check a question against its contract.

    Raises:
        UnknownContractError: There is no such metric or version.
        UnknownWindowError: The metric does not declare the window.
        UnknownDimensionError: The metric does not declare a dimension that is asked for.
        ParameterError: A value does not fit its dimension's type.
    """
    contract = definitions.registry.metric(name, version)
    plan = definitions.plans[(contract.name, contract.version)]
    chosen = window if window is not None else plan.windows[0].name
    if plan.window(chosen) is None:
        raise UnknownWindowError(
            f'metric "{name}" has no window "{chosen}"',
            hint=f"Its windows: {', '.join(contract.windows)}.",
        )
    for dimension in (*(where or {}), *by):
        _require_dimension(plan, dimension)
    typed = {key: typed_value(plan, key, text) for key, text in (where or {}).items()}
    groups = tuple(dict.fromkeys(by))
    if plan.currency is not None and plan.currency not in {*typed, *groups}:
        groups = (*groups, plan.currency)
    return Asked(plan, chosen, typed, groups)


def _require_dimension(plan: MetricPlan, name: str) -> None:
    if name in plan.dimensions:
        return
    close = get_close_matches(name, plan.dimensions, n=1)
    guess = f'Did you mean "{close[0]}"? ' if close else ""
    known = ", ".join(plan.dimensions) or "none"
    raise UnknownDimensionError(
        f'metric "{plan.contract.name}" has no dimension "{name}"',
        hint=f"{guess}Its dimensions: {known}.",
    )


def typed_value(plan: MetricPlan, dimension: str, text: str) -> object:
    """Return a dimension value in its own type; the empty text means absent.

    Raises:
        ParameterError: The text does not fit the type.
    """
    if text == "":
        return None
    kind = next(iter(plan.scopes.values()))[dimension].kind
    read = _READERS.get(kind)
    if read is None:
        return text
    try:
        return read(text)
    except (ValueError, KeyError):
        raise ParameterError(
            f'dimension "{dimension}" is a {kind}, "{text}" is none',
            hint=_HINTS[kind],
        ) from None


_READERS: dict[str, Callable[[str], object]] = {
    "integer": int,
    "boolean": lambda text: {"true": True, "false": False}[text],
}
_HINTS = {"integer": "Pass a whole number.", "boolean": "Pass true or false."}
