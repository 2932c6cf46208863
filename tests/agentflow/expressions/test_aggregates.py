"""The table of aggregates: complete, the only list of them, and what the reference page says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import pytest

from agentflow.expressions import Aggregate, parse_metric
from agentflow.expressions.aggregates import (
    AGGREGATES,
    AggregateKind,
    ArgumentForm,
    AtomKind,
    Formula,
    ReadKind,
    StateRead,
)
from agentflow.expressions.nodes import divides
from agentflow.metrics import measure
from agentflow.metrics.atoms import ATOMS, READERS
from agentflow.metrics.plan import AtomRead
from tests.agentflow.metrics.conftest import Ledger

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metric-language.md"
ARGUMENTS: dict[ArgumentForm, str] = {
    "events": '"(" event { "," event } ")"',
    "distinct values": '"(" "distinct" scalar { "," scalar } ")"',
    "value": '"(" scalar ")"',
    "value and fraction": '"(" scalar "," number between 0 and 1 ")"',
}
WRITTEN: dict[ArgumentForm, str] = {
    "events": "{}(sale)",
    "distinct values": "{}(distinct sale.pieces)",
    "value": "{}(sale.pieces)",
    "value and fraction": "{}(sale.pieces, 0.5)",
}
EVERY = list(AGGREGATES)


def test_every_kind_has_its_row() -> None:
    """A kind without a row would fail only where a contract uses it."""
    assert set(AGGREGATES) == set(get_args(AggregateKind))
    assert set(ATOMS) == set(get_args(AtomKind))
    assert set(READERS) == set(get_args(ReadKind))


@pytest.mark.parametrize("kind", EVERY)
def test_the_reference_page_lists_every_aggregate(kind: AggregateKind) -> None:
    """The page is what people write contracts from; it says what the table says."""
    aggregate = AGGREGATES[kind]
    name = "count(distinct …)" if aggregate.form == "distinct values" else aggregate.name
    order = ["string", "integer", "decimal", "boolean"]
    takes = ", ".join(sorted(aggregate.takes, key=order.index)) or "events"
    page = PAGE.read_text(encoding="utf-8")
    grammar = [" ".join(line.split()) for line in page.splitlines()]

    assert f"| `{name}` | {takes} | `{_over_nothing(kind)}` |" in page
    line = f'"{aggregate.name}" {ARGUMENTS[aggregate.form]}'
    assert {f"| {line}", f"kind = {line}"} & set(grammar)


@pytest.mark.parametrize("kind", EVERY)
def test_every_aggregate_is_read_the_way_it_is_written(kind: AggregateKind) -> None:
    """The word and the form of its bracket lead back to the row they come from."""
    node = parse_metric(_written(kind), events={"sale"})

    assert isinstance(node, Aggregate)
    assert node.kind == kind


@pytest.mark.parametrize("kind", EVERY)
def test_a_formula_is_made_of_what_is_kept(kind: AggregateKind) -> None:
    """Exports spell a formula out once, so it cannot be made of formulas."""
    meaning = AGGREGATES[kind].meaning

    parts = [meaning.left, meaning.right] if isinstance(meaning, Formula) else [kind]

    assert all(isinstance(AGGREGATES[part].meaning, StateRead) for part in parts)


def test_an_unknown_read_is_never_taken_for_another() -> None:
    """It used to be the maximum, in silence."""
    ledger = Ledger("max(sale.pieces)")
    assert isinstance(ledger.plan.reading, AtomRead)
    reading = replace(ledger.plan.reading, kind=cast("ReadKind", "mode"))

    with pytest.raises(KeyError, match="mode"):
        measure(replace(ledger.plan, reading=reading), ledger.state.merged([]))


def test_an_unknown_kind_is_never_taken_for_another() -> None:
    """A kind that the table does not have is refused before anything is kept for it."""
    with pytest.raises(KeyError, match="mode"):
        divides(Aggregate(cast("AggregateKind", "mode"), ()))


def _over_nothing(kind: AggregateKind) -> str:
    ledger = Ledger(_written(kind))
    value = measure(ledger.plan, ledger.state.merged([])).value
    return "null" if value is None else str(value)


def _written(kind: AggregateKind) -> str:
    return WRITTEN[AGGREGATES[kind].form].format(AGGREGATES[kind].name)
