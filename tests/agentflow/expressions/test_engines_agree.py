"""An expression means the same in Python and in DuckDB, on every value, null included."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache

import duckdb
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from agentflow.clock import to_datetime
from agentflow.expressions import ExpressionType, Node, Scope, infer, parse_scalar
from agentflow.expressions.nodes import (
    And,
    Arithmetic,
    Call,
    Case,
    Comparison,
    Constant,
    FieldReference,
    IsNull,
    Membership,
    Negative,
    Not,
    Or,
)
from agentflow.expressions.python import NAMESPACE, PythonEmitter
from agentflow.expressions.sql import quote_name, scalar_sql
from agentflow.metrics.arithmetic import EXACT

SCOPE: Scope = {
    "i": ExpressionType("integer"),
    "j": ExpressionType("integer", nullable=True),
    "d": ExpressionType("decimal", scale=2),
    "e": ExpressionType("decimal", scale=4, nullable=True),
    "s": ExpressionType("string"),
    "t": ExpressionType("string", nullable=True),
    "b": ExpressionType("boolean"),
    "c": ExpressionType("boolean", nullable=True),
    "at": ExpressionType("timestamp"),
    "until": ExpressionType("timestamp", nullable=True),
    "day": ExpressionType("date", nullable=True),
    "f": ExpressionType("number", nullable=True),
}
_SQL_TYPES = {
    "integer": "BIGINT",
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "number": "DOUBLE",
}
_LETTERS = "aA'é%_ 🙂\n\r\\\"{$;-"


def in_python(node: Node, row: Mapping[str, object]) -> object:
    emitter = PythonEmitter(SCOPE, field=lambda name: f"row[{name!r}]")
    namespace = dict(NAMESPACE)
    exec(f"def value(row): return {emitter.value_source(node)}", namespace)  # noqa: S102
    with decimal.localcontext(EXACT):
        return namespace["value"](row)  # type: ignore[operator]


def true_in_python(node: Node, row: Mapping[str, object]) -> object:
    emitter = PythonEmitter(SCOPE, field=lambda name: f"row[{name!r}]")
    namespace = dict(NAMESPACE)
    exec(f"def value(row): return {emitter.truth_source(node)}", namespace)  # noqa: S102
    with decimal.localcontext(EXACT):
        return namespace["value"](row)  # type: ignore[operator]


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def in_duckdb(database: duckdb.DuckDBPyConnection, node: Node, row: Mapping[str, object]) -> object:
    columns = ", ".join(
        f"CAST({_bound(name)} AS {_column_type(kind)}) AS {quote_name(name)}"
        for name, kind in SCOPE.items()
    )
    source = scalar_sql(node, field=quote_name, scope=SCOPE)
    shown = f"EPOCH_US({source})" if infer(node, SCOPE).kind == "timestamp" else source
    text = f"SELECT {shown} FROM (SELECT {columns})"
    bound = {
        name: to_datetime(value) if SCOPE[name].kind == "timestamp" and value is not None else value
        for name, value in row.items()
    }
    found = database.execute(text, bound).fetchall()
    value = found[0][0]
    return value.isoformat() if isinstance(value, date) else value


def _bound(name: str) -> str:
    return f"${name}"


def _column_type(kind: ExpressionType) -> str:
    return (
        f"DECIMAL({18 + kind.scale}, {kind.scale})"
        if kind.kind == "decimal"
        else _SQL_TYPES[kind.kind]
    )


def decimals(scale: int, digits: int = 9) -> st.SearchStrategy[Decimal]:
    bound = 10**digits
    return st.integers(-bound, bound).map(lambda whole: Decimal(whole).scaleb(-scale))


_instants = st.integers(-(10**15), 4 * 10**15)
_texts = st.text(_LETTERS, max_size=3)
_floats = st.sampled_from([0.0, 0.1, 0.5, -2.25, 1e9, 3.0, 9007199254740992.0])
ROWS = st.fixed_dictionaries(
    {
        "i": st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1),
        "j": st.none() | st.integers(-5, 5) | st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63)]),
        "d": decimals(2, 4) | decimals(2, 20),
        "e": st.none() | decimals(4, 5),
        "s": _texts,
        "t": st.none() | _texts,
        "b": st.booleans(),
        "c": st.none() | st.booleans(),
        "at": _instants,
        "until": st.none() | _instants,
        "day": st.none() | st.dates(date(1900, 1, 1), date(2100, 1, 1)).map(str),
        "f": st.none() | _floats,
    }
)


def _fields(kind: str) -> st.SearchStrategy[Node]:
    names = [name for name, found in SCOPE.items() if found.kind == kind]
    return st.sampled_from([FieldReference(name) for name in names])


_INTEGERS = st.integers(0, 6) | st.sampled_from([100_000, 2**31])
_DECIMALS = decimals(2, 4).map(abs) | decimals(8, 3).map(abs)


@lru_cache
def trees(kind: str, depth: int) -> st.SearchStrategy[Node]:
    """Return expressions of a kind; what comes out also type-checks as the language wants it."""
    leaves = _leaves(kind)
    if depth == 0:
        return leaves
    inner = lambda wanted: trees(wanted, depth - 1)  # noqa: E731
    same = inner(kind)
    options = [
        leaves,
        st.builds(lambda when, a, b: Case(((when, a),), b), inner("boolean"), same, same),
    ]
    options.append(st.builds(lambda a, b: Call("coalesce", (a, b)), same, same))
    if kind in {"integer", "decimal"}:
        # a product keeps the digits of both sides: two levels of them is what contracts need
        options.append(st.builds(Arithmetic, st.sampled_from("+-"), same, same))
        options.append(st.builds(Arithmetic, st.just("*"), leaves, _leaves("integer")))
        options.append(st.builds(Negative, same))
        options.append(st.builds(lambda a: Call("abs", (a,)), same))
    if kind == "decimal":
        options.append(st.builds(Arithmetic, st.sampled_from("+-"), inner("integer"), same))
        options.append(
            st.builds(
                lambda when, a, b: Case(((when, a),), b), inner("boolean"), inner("integer"), same
            )
        )
    if kind == "integer":
        options.append(st.builds(lambda a: Call("length", (a,)), inner("string")))
        options.append(st.builds(lambda a: Call("hour", (a,)), inner("timestamp")))
        between = lambda a, b: Call("milliseconds_between", (a, b))  # noqa: E731
        options.append(st.builds(between, inner("timestamp"), inner("timestamp")))
    if kind == "boolean":
        options += _conditions(inner)
    return st.one_of(options)


@lru_cache
def _leaves(kind: str) -> st.SearchStrategy[Node]:
    constants: dict[str, st.SearchStrategy[object]] = {
        "integer": _INTEGERS,
        "decimal": _DECIMALS,
        "string": _texts,
        "boolean": st.booleans(),
    }
    fields = _fields(kind)
    return fields | constants[kind].map(Constant) if kind in constants else fields  # type: ignore[arg-type]


def _conditions(inner: object) -> list[st.SearchStrategy[Node]]:
    assert callable(inner)
    operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    floating = st.builds(Arithmetic, st.sampled_from("+-*"), _leaves("number"), _leaves("integer"))
    numeric = inner("integer") | inner("decimal") | _leaves("number") | floating
    alike = [
        st.tuples(inner(kind), inner(kind)) for kind in ("string", "boolean", "timestamp", "date")
    ]
    pairs = st.one_of([st.tuples(numeric, numeric), *alike])
    texts = st.lists(_texts.map(Constant), min_size=1, max_size=3).map(tuple)
    numbers = st.lists((_INTEGERS | _DECIMALS).map(Constant), min_size=1, max_size=3).map(tuple)
    either = st.one_of(
        [inner(kind) for kind in ("string", "integer", "date", "timestamp", "boolean")]
    )
    return [
        st.builds(lambda o, p: Comparison(o, *p), operators, pairs),
        st.builds(And, inner("boolean"), inner("boolean")),
        st.builds(Or, inner("boolean"), inner("boolean")),
        st.builds(Not, inner("boolean")),
        st.builds(IsNull, either),
        st.builds(Membership, inner("string"), texts),
        st.builds(Membership, numeric, numbers),
        st.builds(
            lambda name, a, b: Call(name, (a, b)),
            st.sampled_from(["starts_with", "ends_with", "contains"]),
            inner("string"),
            inner("string"),
        ),
    ]


TREES = st.sampled_from(["integer", "decimal", "boolean", "string", "timestamp", "date"]).flatmap(
    lambda kind: trees(kind, 2)
)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(node=TREES, row=ROWS)
def test_an_expression_means_the_same_in_python_and_in_duckdb(
    database: duckdb.DuckDBPyConnection, node: Node, row: dict[str, object]
) -> None:
    """A metric is computed by both; a filter that differs on one null is a wrong number."""
    kind = infer(node, SCOPE)

    expected = in_python(node, row)

    try:
        found = in_duckdb(database, node, row)
    except (duckdb.ConversionException, duckdb.OutOfRangeException):
        huge = [row["i"], row["j"], row["d"]]
        if not any(isinstance(each, int | Decimal) and abs(each) > 10**9 for each in huge):
            raise
        reject()  # more than the 38 digits the language promises

    assert found == expected
    assert expected is not None or kind.nullable
    if kind.kind == "boolean":
        assert true_in_python(node, row) is (expected is True)


ZERO = {
    "i": 0, "j": None, "d": Decimal("0.00"), "e": None, "s": "", "t": None, "b": False, "c": None,
    "at": 0, "until": None, "day": None, "f": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "row", "value"),
    [
        ("d > 0.0000001", {"d": Decimal("0.01")}, True),
        ("i * 100000 * 100000", {"i": 1}, 10**10),
        ("100000 * 100000 > i", {}, True),
        ("i + i", {"i": 2**63 - 1}, 2**64 - 2),
        ("abs(i)", {"i": -(2**63)}, 2**63),
        ("-i", {"i": -(2**63)}, 2**63),
        ("f in (0.1, 7)", {"f": 0.1}, True),
        ("j > f", {"j": 2**53 + 1, "f": 9007199254740992.0}, False),
        ("f = 0.1", {"f": 0.1}, True),
        ("case when b then 1 else d end", {"b": True}, 1),
        ("coalesce(d * 1, 0.001)", {"d": Decimal("1.25")}, Decimal("1.25")),
        ("case when b then d * i else 0.001 end", {}, Decimal("0.001")),
        ("hour(at)", {"at": -1}, 23),
        ("milliseconds_between(at, until)", {"at": 0, "until": -1}, -1),
        ("milliseconds_between(at, until)", {"at": 0, "until": 999}, 0),
        ("t in ('a', 'b') or t is null", {}, True),
        ("not (t = 'a')", {}, None),
        ("c and false", {}, False),
        ("c or true", {}, True),
        ("length(s)", {"s": "é🙂"}, 2),
        ("contains(s, '%')", {"s": "a"}, False),
        ("s = 'it''s'", {"s": "it's"}, True),
    ],
)
def test_corners_of_the_language(
    database: duckdb.DuckDBPyConnection, text: str, row: dict[str, object], value: object
) -> None:
    """Each of these differed between two engines once, or is where they are known to differ."""
    node, full = parse_scalar(text), {**ZERO, **row}

    assert in_python(node, full) == value
    assert in_duckdb(database, node, full) == value
