"""Big numbers have one value: in exported SQL, in a recompute, in live state and on paper."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentflow.contracts import EventContract, MetricContract, Registry
from agentflow.errors import ContractError
from agentflow.events import EventRef
from agentflow.export.osi import osi_model
from agentflow.metrics import (
    MetricPlan,
    MetricState,
    compile_cells,
    compile_movers,
    measure,
    plan_metric,
)
from agentflow.metrics.arithmetic import EXACT
from agentflow.metrics.rows import row_answer
from agentflow.metrics.sql import QuerySpec, metric_query

SALE = EventRef("sale", 1)
FIELDS = {"i": 0, "j": 0, "a": 2, "b": 9}
"""Two integers of 64 bits and two decimals of 18 digits before the point, with their places."""
COMMON = {"version": 1, "status": "approved", "owner": "tests", "description": "For tests."}
CONTRACT = EventContract.model_validate(
    {
        "kind": "event",
        "name": "sale",
        "fields": {
            name: {"type": "decimal", "scale": scale} if scale else {"type": "integer"}
            for name, scale in FIELDS.items()
        },
        **COMMON,
    }
)
EXTREME = 2**63 - 1
Row = dict[str, Fraction | None]
Paper = Callable[[list[Row]], Fraction | None]


@dataclass(frozen=True)
class Formula:
    """A formula as contracts write it, and as it is computed on paper."""

    text: str
    paper: Paper

    def __repr__(self) -> str:
        return self.text


def product(*names: str) -> Callable[[Row], Fraction | None]:
    def multiplied(row: Row) -> Fraction | None:
        found = Fraction(1)
        for name in names:
            if (value := row[name]) is None:
                return None
            found *= value
        return found

    return multiplied


def constant(text: str) -> Formula:
    return Formula(text, lambda _: Fraction(text))


def difference(row: Row) -> Fraction | None:
    if row["j"] is None:
        return None
    return (Fraction(1, 2) if row["i"] is None else row["i"]) - row["j"]


def over(value: Callable[[Row], Fraction | None], total: Callable[..., Fraction | None]) -> Paper:
    return lambda rows: total([found for row in rows if (found := value(row)) is not None])


def mean(values: Sequence[Fraction]) -> Fraction | None:
    return sum(values, Fraction()) / len(values) if values else None


def added(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction())


def greatest(values: Sequence[Fraction]) -> Fraction | None:
    return max(values, default=None)


ATOMS = [
    Formula("count(sale)", lambda rows: Fraction(len(rows))),
    *(Formula(f"sum(sale.{name})", over(product(name), added)) for name in FIELDS),
    *(Formula(f"avg(sale.{name})", over(product(name), mean)) for name in "ib"),
    *(Formula(f"max(sale.{name})", over(product(name), greatest)) for name in "ia"),
    *(
        Formula(f"sum(sale.{one} * sale.{other})", over(product(one, other), added))
        for one, other in ("ij", "ia", "ab")
    ),
    Formula("sum(coalesce(sale.i, 0.5) - sale.j)", over(difference, added)),
    Formula(
        "sum(abs(-sale.i))",
        over(lambda row: None if row["i"] is None else abs(row["i"]), added),
    ),
    *map(constant, ("7", "0.125", "1000000000")),
]


def combined(left: Formula, operator: str, right: Formula) -> Formula:
    def paper(rows: list[Row]) -> Fraction | None:
        a, b = left.paper(rows), right.paper(rows)
        if a is None or b is None or (operator == "/" and not b):
            return None
        return {"+": a + b, "-": a - b, "*": a * b, "/": b and a / b}[operator]

    return Formula(f"({left.text} {operator} {right.text})", paper)


FORMULAS = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.builds(combined, inner, st.sampled_from("+-*//"), inner),
    max_leaves=4,
).filter(lambda formula: "sale" in formula.text)


def sizes(most: int) -> st.SearchStrategy[int]:
    """Numbers of every length, and the greatest."""
    lengths = st.integers(0, most.bit_length()).flatmap(
        lambda bits: st.integers(-(2**bits), 2**bits)
    )
    found = st.one_of(lengths, st.sampled_from([most, -most, 2**53 + 1, 3, 7]))
    return found.map(lambda value: max(-most, min(most, value)))


def values(scale: int) -> st.SearchStrategy[Decimal | int]:
    if not scale:
        return sizes(EXTREME)
    return sizes(10 ** (18 + scale) - 1).map(lambda unscaled: Decimal(f"{unscaled}E-{scale}"))


ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | values(scale) for name, scale in FIELDS.items()}),
    min_size=1,
    max_size=3,
)


def of_pairs(*pairs: tuple[int, int]) -> list[dict[str, Any]]:
    return [{"i": i, "j": j, "a": None, "b": None} for i, j in pairs]


def named(text: str) -> Formula:
    return next(atom for atom in ATOMS if atom.text == text)


RATIO = combined(named("sum(sale.i)"), "/", named("sum(sale.j)"))


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """The rows as tables that exports read, and as the view that a recompute reads."""
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA events")
        columns = ", ".join(
            f"{name} {f'DECIMAL({18 + scale}, {scale})' if scale else 'BIGINT'}"
            for name, scale in FIELDS.items()
        )
        connection.execute(
            "CREATE TABLE events.sale_v1 (tenant VARCHAR, log_offset BIGINT, occurred_us BIGINT,"
            f" event_id VARCHAR, {columns})"
        )
        connection.execute('CREATE VIEW "sale@1" AS SELECT * FROM events.sale_v1')
        yield connection


def metric_of(formula: Formula, scale: int | None) -> MetricContract:
    return MetricContract.model_validate(
        {
            "kind": "metric",
            "name": "tested",
            "unit": "pieces",
            "value": formula.text,
            "moved_by": ["sale@1"],
            "dimensions": [],
            "windows": ["all"],
            "scale": scale,
            **COMMON,
        }
    )


@settings(max_examples=40, deadline=None)
@given(formula=FORMULAS, rows=ROWS, scale=st.none() | st.integers(0, 9))
@example(RATIO, of_pairs((30000000005, 3)), None)
@example(combined(RATIO, "*", named("1000000000")), of_pairs((50000000000005, 3)), 3)
@example(RATIO, of_pairs((1234567890123, 7)), None)
@example(RATIO, of_pairs((-EXTREME, 7)), 9)
@example(named("sum(sale.i * sale.j)"), of_pairs((4000000000, 4000000000)), None)
@example(named("avg(sale.i)"), of_pairs((EXTREME, 1), (EXTREME - 1, 1)), 9)
def test_a_number_is_the_same_everywhere_or_an_error(
    database: duckdb.DuckDBPyConnection,
    formula: Formula,
    rows: list[dict[str, Any]],
    scale: int | None,
) -> None:
    """DuckDB divides in floats: 30000000005 / 3 was 10000000001.666666 in exported SQL."""
    metric = metric_of(formula, scale)
    events = {SALE: CONTRACT}
    plan = plan_metric(metric, events=events)
    store(database, rows)

    paper = on_paper(formula, rows, plan.scale)
    assert live_value(plan, rows) == paper

    query = metric_query(plan, QuerySpec(tenant="t"), events=events)
    again = found(database, query.text, dict(query.parameters))
    assert again is None or row_answer(plan, again[:-1]) == paper

    exported = found(database, exported_sql(metric), {})
    assert exported is None or exported[0] == paper


def test_what_a_contract_usually_holds_is_answered(database: duckdb.DuckDBPyConnection) -> None:
    """An error is better than another number, and a number is better than an error."""
    rows = [
        {"i": EXTREME, "j": -EXTREME, "a": Decimal("9999999999999999.99"), "b": Decimal(7)},
        {"i": EXTREME - 3, "j": 5, "a": Decimal("-0.01"), "b": Decimal("999999999.999999999")},
    ]
    store(database, rows)
    ratios = [combined(top, "/", bottom) for top in ATOMS[:9] for bottom in ATOMS[:5]]

    for formula in (*ATOMS[:12], *ratios, combined(RATIO, "*", named("1000000000"))):
        answer = found(database, exported_sql(metric_of(formula, 6)), {})
        assert answer is not None, formula
        assert answer[0] == on_paper(formula, rows, 6), formula


def test_more_places_than_a_decimal_holds_are_refused_by_name() -> None:
    """The engine would refuse each question; the export says it once, and what would do."""
    formula = named("sum(sale.a * sale.b)")
    for _ in range(4):
        formula = combined(formula, "*", named("sum(sale.b)"))

    with pytest.raises(ContractError, match=r'metric "tested@1" cannot be exported.* 47 places'):
        exported_sql(metric_of(formula, 2))


def test_several_versions_of_an_event_are_refused_by_name() -> None:
    """A name in an expression is one dataset: the export once left a version out in silence."""
    both = {"moved_by": ("sale@1", "sale@2")}
    metric = metric_of(named("sum(sale.i)"), 2).model_copy(update=both)
    again = CONTRACT.model_copy(update={"version": 2})

    with pytest.raises(ContractError, match=r'"tested@1" cannot .* versions of event "sale"'):
        osi_model(Registry.of([CONTRACT, again, metric]), [metric])


def live_value(plan: MetricPlan, rows: list[dict[str, Any]]) -> object:
    state = MetricState(plan, compile_cells(plan), now_us=0)
    mover = compile_movers([plan])[SALE]
    with decimal.localcontext(EXACT):  # decimals as the engine adds them
        for row in rows:
            happening = SimpleNamespace(at_us=0, data=SimpleNamespace(**row), ref=SALE)
            mover.add(happening.data, 0, happening, (state,))
        state.refresh(0)
        return measure(plan, state.group("all", by=()).get(()) or state.merged(())).value


def store(database: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    database.execute("DELETE FROM events.sale_v1")
    for number, row in enumerate(rows):
        values = ["t", number, 0, str(number), *(row[name] for name in FIELDS)]
        database.execute("INSERT INTO events.sale_v1 VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def exported_sql(metric: MetricContract) -> str:
    document: Any = osi_model(Registry.of([CONTRACT, metric]), [metric])
    (item,) = document["semantic_model"][0]["metrics"]
    return f"SELECT {item['expression']['dialects'][0]['expression']} FROM events.sale_v1"


def found(
    database: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, object]
) -> tuple[Any, ...] | None:
    """Return the only row; None when it has more digits than the engine holds."""
    try:
        row = database.execute(sql, parameters).fetchone()
    except (duckdb.OutOfRangeException, duckdb.ConversionException):
        return None
    assert row is not None
    return row


def on_paper(formula: Formula, rows: list[dict[str, Any]], scale: int) -> Decimal | None:
    exact = formula.paper(
        [{name: None if v is None else Fraction(v) for name, v in row.items()} for row in rows]
    )
    if exact is None:
        return None
    whole = int(abs(exact) * 10**scale + Fraction(1, 2))
    return Decimal(f"{whole if exact >= 0 else -whole}E-{scale}")
