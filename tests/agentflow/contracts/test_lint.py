"""What must hold among contracts, each broken once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import UnknownWindowError
from agentflow.lint.metrics import RESERVED_DIMENSIONS, window_problem
from agentflow.metrics.windows import parse_window

if TYPE_CHECKING:
    from conftest import Pack


PAID = "events/order.paid.v1.yaml"
CHANGED = "events/order.changed.v1.yaml"
VOIDED = "events/order.voided.v1.yaml"
TAKINGS = "metrics/takings.v1.yaml"
ORDER = "entities/order.v1.yaml"

CHECK = 'rules: [{{name: r, check: "{}"}}]\nderived:'
BROKEN = [
    (PAID, "key: order_id", "key: orderid", '"orderid" is not a field of this event (Did you mean'),
    (PAID, "key: order_id", "key: weight", 'key "weight" must be a string or an integer'),
    (PAID, "key: order_id", "key: country", 'key "country" must be a required field'),
    (PAID, "key: order_id", "event_time: country", 'event_time "country" must be a timestamp'),
    (PAID, "minimum: 0}", "minimum: 5, maximum: 1}", "minimum 5 is above maximum 1"),
    (PAID, "minimum: 0}", "minimum: 0.001}", "has more than the 2 digits the field keeps"),
    (PAID, "country: {type: string}", 'country: {type: string, pattern: "["}', "does not compile"),
    (PAID, "country: {type: string}", 'country: {type: string, pattern: "(a+)+$"}', "linear time"),
    (PAID, "enum: [EUR, USD]", "enum: []", "enum is empty"),
    (PAID, "country: {type: string", f"country: {{type: string, max_length: {10**21}", "is more"),
    (PAID, "derived:", CHECK.format("currency = 'EURO'"), '"currency" is never "EURO"'),
    (PAID, "derived:", CHECK.format("currency in ('EUR', 'USDT')"), 'Did you mean "USD"?'),
    (PAID, "amount < 50", "currency = 'euro'", '"currency" is never "euro"'),
    (TAKINGS, "amount)", "amount) filter (where currency != 'EURO')", '"currency" is never "EURO"'),
    (TAKINGS, "order.paid.amount", "order.paid.amount" + " * amount" * 3, "64"),
    (TAKINGS, "amount)", "amount)" + " * sum(order.paid.amount)" * 9, "digits, more than 200"),
    (PAID, "enum: [EUR, USD]", "enum: [EUR, EUR]", 'enum says "EUR" twice'),
    (PAID, "enum: [EUR, USD]", "enum: [EUR], max_length: 2", "does not fit its own pattern"),
    (PAID, "country: {type: string}", "case: {type: string}", '"case" is a word of the expression'),
    (PAID, "country: {type: string}", "class: {type: string}", '"class" is a word of the'),
    (PAID, "country: {type: string}", "source: {type: string}", '"source" is a column that the'),
    (PAID, "size: case", "occurred_us: case", '"occurred_us" is a column that the lake'),
    (PAID, "currency: {type: string, required: true", "currency: {type: string", "must be too"),
    (PAID, "currency: {type: string, required: true, enum: [EUR, USD]}", "x: {type: string}", ""),
    (PAID, "size: case", "country: case", '"country" is both a field and derived'),
    (PAID, "amount < 50", "amounts < 50", 'field "amounts" does not exist'),
    (PAID, "amount < 50", "country < 50", "cannot be compared"),
    (PAID, "derived:", "rules: [{name: r, check: amount + 1}]\nderived:", "must be true or false"),
    (PAID, "derived:", "rules: [{name: r, check: amount >}]\nderived:", "expected a value"),
    (PAID, "derived:", "lateness: {accept: 99999999999d}\nderived:", "longer than time itself"),
    (PAID, "status: approved", "status: deprecated", 'deprecated without "sunset"'),
    (PAID, "owner: shop", 'owner: shop\nsunset: "2027-01-01"', '"sunset" is for deprecated'),
    (PAID, "owner: shop", "owner: ' '", '"owner" is empty'),
    (
        CHANGED,
        "event: order.paid@1",
        "event: order.settled@1",
        'event "order.settled@1" does not exist',
    ),
    (CHANGED, "event: order.paid@1", "event: order.voided@1", "is a correction itself"),
    (CHANGED, "on: order_id", "on: number", '"number" is not a field of "order.changed@1"'),
    (CHANGED, "scale: 2", "scale: 3", '"amount" must have the type, scale and unit it has'),
    (VOIDED, "effect: retract", "effect: replace", "so it replaces nothing"),
    (CHANGED, "fields:", "supersedes: {on: order_id, sequence: currency}\nfields:", "no versions"),
    (PAID, "derived:", "supersedes: {on: order, sequence: currency}\nderived:", '"order" is not a'),
    (PAID, "derived:", "supersedes: {on: order_id, sequence: amount}\nderived:", "it is decimal"),
    (PAID, "derived:", "supersedes: {on: order_id, sequence: email}\nderived:", "required field"),
    (PAID, "derived:", "supersedes: {on: order_id, sequence: order_id}\nderived:", "own sequence"),
    (TAKINGS, "order.paid.amount", "order.paid.amounts", 'field "amounts" does not exist'),
    (TAKINGS, "order.paid.amount", "order.settled.amount", 'event "order.settled" does not exist'),
    (TAKINGS, "order.paid.amount", "order.paid.weight", "sum is not for number values"),
    (TAKINGS, "sum(order.paid.amount)", "sum(order.paid.amount", 'expected ")"'),
    (TAKINGS, "amount)", "amount) filter (where country)", "a filter must be true or false"),
    (TAKINGS, "currency, country]", "country]", "which is not a dimension"),
    (TAKINGS, "unit: currency", "unit: EUR", 'so its unit is that and not "EUR"'),
    (TAKINGS, "unit: currency", "unit: EUR", "so its unit is that and not"),
    (TAKINGS, "amount)", "amount) + 1", "an amount and a plain number cannot be added"),
    (
        TAKINGS,
        "currency, country]",
        "currency, countries]",
        'dimension "countries" is not a field of',
    ),
    (TAKINGS, "currency, country]", "currency, email]", '"email" is personal data'),
    (TAKINGS, "currency, country]", "currency, amount]", "few values are needed"),
    (TAKINGS, "currency, country]", "currency, currency]", "is given twice"),
    (TAKINGS, "[5m, 1h", "[7x, 1h", 'window "7x" is not a window'),
    (TAKINGS, "[5m, 1h", "[125m, 1h", "is not a whole number of its 15m steps"),
    (TAKINGS, "order.changed@1, ", "", 'lacks "order.changed@1", which amends "order.paid@1"'),
    (TAKINGS, ", order.voided@1", "", 'lacks "order.voided@1", which takes back "order.paid@1"'),
    (TAKINGS, "order.paid@1, ", "", 'lacks "order.paid@1", which the value reads'),
    (TAKINGS, "{order.paid: {", "{order.settled: {", 'event "order.settled@1" does not exist'),
    (TAKINGS, "{order_id: A", "{orderid: A", '"orderid" is not a field of "order.paid@1"'),
    (TAKINGS, "{currency=EUR", "{size=small", "does not say dimension=value of a declared"),
    (ORDER, "event: order.paid@1", "event: order.paid@2", 'event "order.paid@2" does not exist'),
    (ORDER, "    key: order_id", "    key: id", '"id" is not a field of "order.paid@1"'),
    (ORDER, "amount: amount", "amount: amounts", '"amounts" is not a field of "order.paid@1"'),
    (
        ORDER,
        "sources:",
        "relations: {u: {to: user, by: status}}\nsources:",
        '"user" does not exist',
    ),
    (ORDER, "sources:", "relations: {u: {to: order, by: x}}\nsources:", 'no event sets "x"'),
]


@pytest.mark.parametrize(("file", "old", "new", "said"), BROKEN)
def test_what_does_not_fit_is_refused_at_its_file(
    pack: Pack, file: str, old: str, new: str, said: str
) -> None:
    """Each check exists because the mistake would otherwise surface as a wrong number."""
    pack.edit(file, old, new)

    found = pack.problems()

    assert any(each.startswith(f"{file}:") and said in each for each in found), found


def test_a_unit_of_currency_needs_the_dimension(pack: Pack) -> None:
    """Also where nothing is added: the answer could not say which currency it is in."""
    pack.edit(TAKINGS, "sum(order.paid.amount)", "count(order.paid)")
    pack.edit(TAKINGS, "currency, country]", "country]")

    assert any('unit "currency" needs a dimension' in problem for problem in pack.problems())


def test_known_events_are_events(pack: Pack) -> None:
    """The names of other broken files are no help to who counts."""
    pack.edit(TAKINGS, "sum(order.paid.amount)", "count(*)")
    pack.write("metrics/broken.yaml", "name: [")
    pack.write("entities/broken.v2.yaml", "name: [")

    (found,) = (each for each in pack.problems() if each.startswith(TAKINGS))

    assert "Name the event to count, as in count(order.changed)." in found
    assert "Known events: order.changed, order.paid, order.voided." in found


def test_a_metric_in_the_value_of_another_is_told_what_to_write(pack: Pack) -> None:
    """Its own value, of the newest version; of itself there is nothing to write."""
    takings = (pack.directory / TAKINGS).read_text()
    other = takings.replace("name: takings", "name: twice")
    pack.write("metrics/twice.v1.yaml", other.replace("sum(order.paid.amount)", "takings * 2"))

    (found,) = (each for each in pack.problems() if each.startswith("metrics/twice"))
    pack.edit(TAKINGS, "sum(order.paid.amount)", "2 * takings")
    (itself,) = (each for each in pack.problems() if each.startswith(TAKINGS))

    assert 'in place of "takings" write its value, sum(order.paid.amount).' in found
    assert "not of fields or metrics alone" in itself


@pytest.mark.parametrize("name", sorted(RESERVED_DIMENSIONS))
def test_no_dimension_has_the_name_of_a_query_parameter(pack: Pack, name: str) -> None:
    """The hint says what would have worked: a derived field."""
    pack.edit(PAID, "size: case", f"{name}: case")
    pack.edit(TAKINGS, "currency, country]", f"currency, {name}]")

    found = pack.problems()

    said = f'dimension "{name}" has the name of a query parameter (Derive a field'
    assert any(each.startswith(f"{TAKINGS}:") and said in each for each in found), found


def test_problems_stand_at_the_line_of_their_key(pack: Pack) -> None:
    """People click on file:line."""
    pack.edit(TAKINGS, "currency, country]", "currency, countries]")
    pack.edit(PAID, "amount < 50", "amounts < 50")

    lines = [each.split(": ")[0] for each in pack.problems()]

    assert lines == [
        f"{PAID}:{pack.line(PAID, 'amounts')}",
        f"{TAKINGS}:{pack.line(TAKINGS, 'countries')}",
    ]


def test_a_metric_may_count_two_major_versions_of_an_event(pack: Pack) -> None:
    """While producers move to version 2 the metric must not lose either."""
    text = (pack.directory / PAID).read_text().replace("version: 1", "version: 2")
    pack.write("events/order.paid.v2.yaml", text)
    pack.edit(TAKINGS, "order.paid@1", "order.paid@1, order.paid@2")

    assert pack.problems() == []


def test_a_replacement_moves_a_metric_through_a_derived_dimension(pack: Pack) -> None:
    """A changed amount moves an order to another size, so the count by size must follow."""
    pack.edit(TAKINGS, "sum(order.paid.amount)", "count(order.paid)")
    pack.edit(TAKINGS, "unit: currency", "unit: orders")
    pack.edit(TAKINGS, "[currency, country]", "[currency, size]")

    assert pack.problems() == []


def test_a_replacement_that_shares_nothing_with_a_metric_does_not_move_it(pack: Pack) -> None:
    """An event listed without need would evict answers that did not change."""
    pack.edit(TAKINGS, "sum(order.paid.amount)", "count(order.paid)")
    pack.edit(TAKINGS, "unit: currency", "unit: orders")
    pack.edit(TAKINGS, "[currency, country]", "[country]")
    pack.edit(TAKINGS, "then: {currency=EUR", "then: {country=DE")

    [problem] = pack.problems()
    assert problem == (
        f'{TAKINGS}:9: "moved_by" says "order.changed@1", which cannot move the value'
        " (Write moved_by: [order.paid@1, order.voided@1].)"
    )


@given(
    name=st.one_of(
        st.sampled_from(["all", "today", "", "5", "m", "0m", "401d", "90m", "\u0665m"]),
        st.builds(lambda n, unit: f"{n}{unit}", st.integers(0, 30_000), st.sampled_from("smhdx")),
    )
)
def test_lint_and_the_engine_know_the_same_windows(name: str) -> None:
    """Lint stands below the engine and cannot ask it."""
    try:
        parse_window(name)
        known = True
    except UnknownWindowError:
        known = False

    assert (window_problem(name) is None) == known


def test_rows_are_taken_back_by_position_and_never_amended(pack: Pack) -> None:
    """A correction that does not say which versions it means would take back the next one too."""
    pack.edit(PAID, "derived:", "supersedes: {on: order_id, sequence: currency}\nderived:")

    found = "\n".join(pack.problems())

    assert f'{CHANGED}:8: "order.paid@1" is replaced by its next version' in found
    assert f'{VOIDED}:9: "currency" must be a required field, as in "order.paid@1"' in found


def test_a_broken_file_hides_no_error_of_another(pack: Pack) -> None:
    """What is wrong is said at once, and what only follows from the broken file is not."""
    value = "sum(order.paid.amount)"
    pack.edit(PAID, "owner: shop", "owner: [")

    followed = pack.problems()
    pack.edit(TAKINGS, value, value + " +")
    both = pack.problems()

    assert [problem.partition(":")[0] for problem in followed] == [PAID]
    assert [problem.partition(":")[0] for problem in both] == [PAID, TAKINGS]
    assert "expected an aggregate or a number" in both[1]
