"""What the expression language accepts, and what it says about the rest."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import ExpressionError
from agentflow.expressions import ExpressionType, infer, parse_metric, parse_scalar
from agentflow.expressions.nodes import (
    Aggregate,
    AggregateInput,
    Arithmetic,
    Comparison,
    Constant,
    FieldReference,
    Not,
    Or,
    fields_of,
)
from agentflow.expressions.python import PythonEmitter
from agentflow.expressions.sql import quote_name, scalar_sql

EVENTS = {"order.created", "payment.refunded"}
SCOPE = {
    "amount": ExpressionType("decimal", scale=2),
    "pieces": ExpressionType("integer", nullable=True),
    "place": ExpressionType("string"),
    "weight": ExpressionType("number"),
}


def test_products_bind_before_sums_and_conditions_last() -> None:
    """As everybody learned it."""
    node = parse_scalar("a + b * c > 1 or not d = 'x'")

    product = Arithmetic("*", FieldReference("b"), FieldReference("c"))
    total = Arithmetic("+", FieldReference("a"), product)
    not_x = Not(Comparison("=", FieldReference("d"), Constant("x")))
    assert node == Or(Comparison(">", total, Constant(1)), not_x)


def test_between_holds_both_ends() -> None:
    """As in SQL."""
    assert parse_scalar("a between 1 and 2") == parse_scalar("a >= 1 and a <= 2")


def test_a_filter_may_leave_out_the_event() -> None:
    """It speaks of one event; the name would only repeat it."""
    text = "sum(order.created.amount) filter (where {}amount > 1.5)"

    bare = parse_metric(text.format(""), events=EVENTS)

    assert bare == parse_metric(text.format("order.created."), events=EVENTS)
    where = Comparison(">", FieldReference("amount"), Constant(Decimal("1.5")))
    inputs = (AggregateInput("order.created", FieldReference("amount")),)
    assert bare == Aggregate("sum", inputs, where)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a value but found the end"),
        ("amount >", "expected a value"),
        ("amount > 1 1", "expected the end"),
        ("amount / 2 > 1", "fields cannot be divided"),
        ("amount ! 1", "unexpected character"),
        ("payment.amount > 1", "is not a field of this event"),
        ("place in ('a', amount)", "expected a literal"),
        ("place in (null)", "expected a literal"),
        ("case else 1 end", 'expected "when"'),
        ("not", "expected a value"),
        ("(" * 70 + "1" + ")" * 70, "nested deeper"),
        ("not " * 70 + "a", "nested deeper"),
        ("a + " * 2000 + "1", "longer than"),
    ],
)
def test_what_does_not_parse_says_where_and_what(text: str, message: str) -> None:
    """The person who writes a contract sees no stack."""
    with pytest.raises(ExpressionError, match=message.replace("(", r"\(")):
        parse_scalar(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum(amount)", "must name its event"),
        ("sum(order.gone.amount)", 'event "order.gone" does not exist'),
        ("count(order.gone)", 'event "order.gone" does not exist'),
        ("sum(order.created.amount + payment.refunded.amount)", "cannot meet in one aggregate"),
        ("quantile(order.created.amount, 1)", "a quantile between 0 and 1"),
        ("median(order.created.amount)", "expected an aggregate or a number"),
        ("count(order.created) filter (order.created.amount > 1)", 'expected "where"'),
        ("count(order.created) +", "expected an aggregate or a number"),
    ],
)
def test_what_is_no_metric_says_where_and_what(text: str, message: str) -> None:
    """The same for the value of a metric."""
    with pytest.raises(ExpressionError, match=message.replace("(", r"\(")):
        parse_metric(text, events=EVENTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gone = 1", 'field "gone" does not exist'),
        ("place + 1", "cannot be computed with"),
        ("place > 1", "cannot be compared"),
        ("pieces = null", "null cannot be compared"),
        ("amount and true", "must be boolean"),
        ("case when pieces then 1 end", "must be boolean"),
        ("case when true then 1 else 'x' end", "differ in type"),
        ("length(amount)", "does not fit"),
        (" * ".join(["amount"] * 10), "the product keeps 20 digits, more than 18"),
        ("amount > 0.0000000000000000001", "keeps 19 digits, more than 18"),
        ("sqrt(amount)", 'function "sqrt" does not exist'),
    ],
)
def test_what_does_not_type_check_is_refused(text: str, message: str) -> None:
    """Before anything runs: lint and the compiler ask the same function."""
    with pytest.raises(ExpressionError, match=message.replace("(", r"\(")):
        infer(parse_scalar(text), SCOPE)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("amount * 1.25", ExpressionType("decimal", scale=4)),
        ("amount + pieces", ExpressionType("decimal", scale=2, nullable=True)),
        ("pieces * 2", ExpressionType("integer", nullable=True)),
        ("weight * pieces", ExpressionType("number", nullable=True)),
        ("coalesce(pieces, 1)", ExpressionType("integer")),
        ("coalesce(pieces, 1.5)", ExpressionType("decimal", scale=1)),
        ("case when true then 1 end", ExpressionType("integer", nullable=True)),
        ("pieces is null", ExpressionType("boolean")),
        ("pieces in (1, 2)", ExpressionType("boolean", nullable=True)),
    ],
)
def test_types_follow_from_the_fields(text: str, kind: ExpressionType) -> None:
    """Scale and nullability decide how exact an answer is and where null must be thought of."""
    assert infer(parse_scalar(text), SCOPE) == kind


@given(
    text=st.text(
        st.sampled_from("abz019.'()<>=!+-*/, \nandornotisnullcasewhenthenendbetween"), max_size=60
    )
)
def test_any_text_parses_or_is_refused_politely(text: str) -> None:
    """Contracts are written by people; nothing but our own error may come out."""
    with suppress(ExpressionError):
        fields_of(parse_scalar(text))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("place like 'B%'", "starts_with"),
        ("place == 'BER'", "one sign"),
        ("if(pieces > 1, 1, 0) = 1", "case when"),
        ("ifnull(pieces, 0) > 1", "coalesce"),
        ("pieces > 1 && pieces < 5", "Write and."),
        ('place = "BER"', "single quotes"),
        ("sum(pieces) > 1", "Aggregates stand outside"),
    ],
)
def test_what_other_languages_say_is_answered_with_what_this_one_says(text: str, hint: str) -> None:
    """People arrive with SQL, or a spreadsheet, in their fingers."""
    with pytest.raises(ExpressionError) as error:
        infer(parse_scalar(text), SCOPE)

    assert hint in (error.value.hint or "")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("count(*)", "Known events: order.created, payment.refunded."),
        ("count()", "Name the event to count"),
        ("revenue / count(order.created)", "A metric is made of events"),
        ("order.created.amount", "A metric is made of events"),
        ("median(order.created.amount)", "quantile(sale.amount, 0.5)"),
        ("if(count(order.created) > 0, 1, 0)", "case when sale.amount > 10 then 1 else 0 end"),
        ("case when order.created.a > 1 then 1 end", "case when sale.amount > 10 then 1 else"),
        ("count_if(order.created.a > 1)", "filter (where"),
        ("coalesce(sum(order.created.a), 0)", "inside: sum(coalesce("),
        ("sum(case order.created.a when 1 then 1 end)", "case when status = 'paid' then"),
        ("sum(order.created.a) where order.created.a > 1", "filter (where"),
        ("count(order.created.a)", "count(order.created) filter (where a is not null)"),
        ("count(order.created.a)", "count(distinct order.created.a) for its values"),
        ("sum(order.created)", "as in sum(order.created.amount)"),
        ("count(distinct order.created)", "Write event.field"),
        ("orders * 2", "write its value, count(order.created)"),
        ("2 * orders", "write its value, count(order.created)"),
        ("count(order.created) / orders", "write its value, count(order.created)"),
        ("sum(orders)", "write its value, count(order.created)"),
        ("count(orders)", "write its value, count(order.created)"),
        ("sum(orders.amount)", "write its value, count(order.created)"),
        ("sum(order.created.a) filter (where sum(order.created.a) > 1)", "stand outside"),
        ("count(order.created) filter (where count(order.created) > 1)", "stand outside"),
    ],
)
def test_a_metric_that_is_written_another_way_is_answered_with_a_hint(text: str, hint: str) -> None:
    """The most common first attempts."""
    with pytest.raises(ExpressionError) as error:
        parse_metric(text, events=EVENTS, metrics={"orders": "count(order.created)"})

    assert hint in (error.value.hint or "")


CHAINS = {
    "or": ("place = 'a'", " or place = 'a'"),
    "and": ("pieces > 1", " and pieces > 1"),
    "plus": ("pieces", " + pieces"),
    "not": ("not (place = 'a')", " or not (place = 'a')"),
    "case": ("case", " when pieces > 1 then pieces"),
    "nested": ("", "coalesce("),
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("length", [10, 30, 50, 58, 70, 76, 78, 80, 95, 120])
def test_what_parses_compiles_in_every_engine(chain: str, length: int) -> None:
    """Python nests brackets to 200 and recurses to 1,000: past lint, that ended `up`."""
    first, more = CHAINS[chain]
    text = first + more * length + {"case": " end"}.get(chain, "")
    if chain == "nested":
        text = more * length + "pieces" + ", 1)" * length

    try:
        node = parse_scalar(text)
    except ExpressionError:
        if length > 50:
            return
        raise

    infer(node, SCOPE)
    emitter = PythonEmitter(SCOPE, field=lambda name: f"d.{name}")
    source = emitter.value_source(node)
    compile(f"def f(d):\n  if ({source}) is not None and ({source}): pass\n", "f", "exec")
    columns = "CAST(1 AS BIGINT) AS pieces, 'a' AS place"
    query = f"SELECT {scalar_sql(node, field=quote_name, scope=SCOPE)} FROM (SELECT {columns})"
    duckdb.sql(query).fetchall()


@pytest.mark.parametrize("text", [" or ".join(["place = 'a'"] * 230), "+".join(["pieces"] * 570)])
def test_a_chain_that_no_engine_takes_is_refused_with_what_to_write(text: str) -> None:
    """It passed lint and stopped `up`."""
    with pytest.raises(ExpressionError, match="levels, more than 80") as error:
        parse_scalar(text)

    assert "x in ('a', 'b')" in (error.value.hint or "")


@pytest.mark.parametrize("number", ["9" * 39, "9" * 5000, "0." + "1" * 40])
def test_a_number_of_too_many_digits_is_refused(number: str) -> None:
    """Python stops at 4,300 digits, DuckDB at 38."""
    if len(number) < 4000:
        with pytest.raises(ExpressionError, match="more than 38 digits"):
            parse_scalar(f"amount > {number}")
    with pytest.raises(ExpressionError):
        parse_metric(f"{number} + count(order.created)", events=EVENTS)
