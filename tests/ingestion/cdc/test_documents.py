"""What a change becomes: the events of its source contract, with ids that redelivery repeats."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.lint import load
from ingestion.cdc import Refusal, RowChange, Sources, TopicRecord, documents, normalise, tenant_of
from quality import Accepted, Gate
from tests.ingestion.cdc.packs import load_pack
from tests.ingestion.cdc.records import Logical, change_of, recorded, render, row

ROOT = Path(__file__).parents[3]
NOW_US = 1_795_242_396_000_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_pack(tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="module")
def sources(registry: Registry) -> Sources:
    return Sources(registry)


@pytest.fixture(scope="module")
def shop() -> Sources:
    return Sources(load(ROOT / "contracts"))


@pytest.fixture(scope="module")
def bank() -> Sources:
    return Sources(load(ROOT / "examples" / "pgbench" / "contracts"))


def made(change: RowChange, sources: Sources) -> list[dict[str, Any]]:
    found = documents(change, sources)
    assert not isinstance(found, Refusal), found
    return [json.loads(document) for document in found]


def refused(change: RowChange, sources: Sources) -> Refusal:
    found = documents(change, sources)
    assert isinstance(found, Refusal), found
    return found


def pg(op: str, before: object, after: object, **more: Any) -> RowChange:  # noqa: ANN401
    return change_of(render(Logical(op, 7, before, after, **more), connector="postgresql"))  # type: ignore[arg-type]


def test_postgresql_and_mariadb_make_equal_events(registry: Registry, sources: Sources) -> None:
    """But for where they say they come from."""
    gate = Gate(registry)
    for op, before, after in (("c", None, row(7)), ("u", row(7), row(7, "2.50"))):
        logical = Logical(op, 7, before, after)
        one, other = (
            made(change_of(render(logical, connector=connector, server=server)), sources)[0]
            for connector, server in (("postgresql", "s"), ("mariadb", "m"))
        )

        for document in (one, other):
            verdict = gate.judge(RawEvent(json.dumps(document).encode(), "default", NOW_US))
            assert isinstance(verdict, Accepted), verdict
            document["data"].pop("position")
        assert one["data"] == other["data"]
        assert (one["time"], one["type"]) == (other["time"], other["type"])


def test_redelivery_repeats_the_id_and_nothing_else_does(sources: Sources) -> None:
    """139 of 600 records came twice after a kill of Connect."""
    changes = [
        pg("c", None, row(7)),
        pg("u", None, row(7), order=2),
        pg("u", None, row(7), order=3),
        pg("d", row(7), None, order=3),
        change_of(render(Logical("c", 8, None, row(8), order=3), connector="postgresql")),
    ]

    first = [made(change, sources)[0]["id"] for change in changes]
    again = [made(change, sources)[0]["id"] for change in changes]

    assert first == again
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("connector", ["postgresql", "mysql"])
def test_changes_at_one_position_are_told_apart_by_their_order(
    sources: Sources, connector: str
) -> None:
    """A compressed transaction is one event of the binlog: the second change was a duplicate."""
    there, back = (row(7), row(7, "2.50")), (row(7, "2.50"), row(7))

    changes = [
        change_of(
            render(Logical("u", 7, *images, order=5, in_transaction=order), connector=connector)
        )
        for order, images in enumerate((there, back, there, back), 1)
    ]

    events = [document for change in changes for document in made(change, sources)]
    assert len({event["id"] for event in events}) == len(events) == 4
    positions = [change.position for change in changes]
    assert positions == sorted(positions)
    plain = change_of(render(Logical("u", 7, *there, order=5), connector=connector))
    assert [change.position.rpartition(".")[0] for change in changes] == [plain.position] * 4


def test_what_is_delivered_again_after_a_kill_is_one_event(bank: Sources) -> None:
    """Debezium 3.5, recorded: it went on within a transaction, and counted anew."""
    records = recorded("pgbench.again")
    orders = [json.loads(each.value or b"")["transaction"]["total_order"] for each in records]
    assert orders == [150, 152, 154, 156, 1, 3, 5, 7]

    found = [made(change_of(each), bank) for each in records]

    assert found[:4] == found[4:]
    assert len({event["id"] for (event,) in found}) == 4


def test_equal_rows_of_one_copy_are_told_apart_from_the_version_on_that_keeps_their_order(
    bank: Sources,
) -> None:
    """Recorded with Debezium 3.7, killed nine times: no order of 9,798 changed."""
    records = recorded("pgbench.copied")
    earlier = [
        TopicRecord(
            each.topic, each.key, (each.value or b"").replace(b"3.7.0.Alpha2", b"3.6.1.Final"), ()
        )
        for each in records
    ]

    told, untold = (
        {event["id"] for each in found for event in made(change_of(each), bank)}
        for found in (records, earlier)
    )

    assert (len(told), len(untold)) == (3, 1)


@pytest.mark.parametrize(
    ("version", "told"),
    [("3.6.1.Final", False), ("2.10.0.Final", False), ("3.7.0.Alpha1", True), ("3.10.0", True),
     ("4.0.0", True), ("", False), ("new", False), (None, False)],
)  # fmt: skip
@pytest.mark.parametrize("connector", ["postgresql", "mysql", "mariadb"])
def test_an_order_is_read_where_a_restart_keeps_it(
    connector: str,
    version: str | None,
    told: bool,  # noqa: FBT001 - parametrized
) -> None:
    change = Logical("c", 7, None, row(7), in_transaction=2, version=version)

    position = change_of(render(change, connector=connector)).position

    assert position.endswith(".000000000002") == told


def test_a_key_change_takes_the_old_row_back_and_writes_the_new_one(bank: Sources) -> None:
    """As recorded: both halves have one position."""
    records = recorded("pg.public.customers")
    renamed = [
        replace(change_of(records[index]), server="pgbench", table="public.pgbench_branches")
        for index in (2, 4)
    ]
    halves = [
        replace(
            change,
            key={"bid": (change.key or {})["id"]},
            before={"bid": 1} if change.before else None,
            after={"bid": 2, "bbalance": 5} if change.after else None,
        )
        for change in renamed
    ]

    gone, come = (made(half, bank)[0] for half in halves)

    assert (gone["type"], gone["data"]["branch_id"]) == ("branch.deleted", 1)
    assert (come["type"], come["data"]["branch_id"]) == ("branch.written", 2)
    assert gone["data"]["position"] == come["data"]["position"]
    assert gone["id"] != come["id"]


def test_a_snapshot_sorts_before_what_is_streamed(sources: Sources) -> None:
    """Its position may be greater than that of a change that committed while it was read."""
    seen = made(pg("r", None, row(7), order=100, snapshot=True), sources)[0]
    streamed = made(pg("u", None, row(7), order=90), sources)[0]

    assert seen["data"]["position"] < streamed["data"]["position"]


def test_null_is_left_out_and_overwrites(sources: Sources) -> None:
    """The version without the value is the newest; there is nothing to keep."""
    document = made(pg("u", None, row(7, note=None), order=2), sources)[0]

    assert "note" not in document["data"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: pg("t", None, None), "cdc_truncated"),
        (lambda: replace(pg("c", None, row(7)), table="d.other"), "cdc_table_unknown"),
        (lambda: pg("c", None, {"id": 7,  **_without("note")}), "cdc_schema_mismatch"),
        (lambda: pg("c", None, row(7, day="x")), "cdc_schema_mismatch"),
        (lambda: pg("c", None, row(7, paid=2)), "cdc_schema_mismatch"),
        (lambda: pg("c", None, row(7, "1.0") | {"amount": "NaN"}), "cdc_schema_mismatch"),
        (
            lambda: pg("u", None, row(7, note="__debezium_unavailable_value")),
            "cdc_value_unavailable",
        ),
        (lambda: replace(pg("d", None, None), key=None), "cdc_schema_mismatch"),
        (
            lambda: replace(pg("t", None, None), operation="schema_change", columns=("id",)),
            "cdc_schema_mismatch",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_a_dead_letter(
    change: Callable[[], RowChange],
    reason: str,
    sources: Sources,
) -> None:
    """With a reason, a hint and the source it came from; never a wrong number."""
    refusal = refused(change(), sources)

    verdict = refusal.rejected()
    assert (refusal.reason, verdict.reason) == (reason, reason)
    assert refusal.hint
    assert verdict.violations[0].message == refusal.message


def _without(column: str) -> dict[str, object]:
    return {name: value for name, value in row(7).items() if name != column} | {"at": None}


def test_facts_are_the_same_from_a_snapshot_and_a_stream(shop: Sources) -> None:
    """A row that was placed before the connector came and one seen again are one order."""
    order = {
        "order_id": "o1", "amount": "9.90", "currency": "EUR", "user_id": None, "country": "DE",
        "channel": "web", "product_id": None, "quantity": None, "price": None, "status": "new",
        "placed_at": "2026-11-21T04:00:00.123456Z",
    }  # fmt: skip
    base = replace(
        pg("c", None, row(7)), server="shop", table="public.orders", key={"order_id": "o1"}
    )
    streamed = replace(base, after=order)
    seen = replace(base, after=order, operation="snapshot", position="9" * 20)
    paid = replace(streamed, operation="update", after={**order, "status": "paid"})
    off = replace(paid, before={**order, "status": "paid"}, after={**order, "status": "cancelled"})

    (one,), (other,) = made(streamed, shop), made(seen, shop)
    assert one == other
    assert one["time"] == "2026-11-21T04:00:00.123456Z"
    assert [each["data"].get("status") for each in made(paid, shop)] == ["paid"]
    assert [each["type"] for each in made(off, shop)] == ["order.updated", "order.cancelled"]
    unlisted = replace(paid, after={**order, "status": "lost"})
    assert refused(unlisted, shop).reason == "cdc_value_unlisted"


def test_what_was_not_sent_does_not_overwrite_a_fact(shop: Sources) -> None:
    """An update that replaces fields leaves out what did not change."""
    change = replace(
        pg("u", None, row(7)),
        server="warehouse", table="shop.products", key={"product_id": "p"},
        unavailable=("name",),
        after={
            "product_id": "p", "name": None, "category": "shoes", "price": "1.00",
            "currency": "EUR", "status": "active", "available_from": 20778, "weight_kg": 1,
        },
    )  # fmt: skip

    data = made(change, shop)[0]["data"]

    assert "name" not in data
    assert data["available_from"] == "2026-11-21"


def test_rows_without_a_key_are_told_apart_by_position_and_content() -> None:
    """The history of pgbench."""
    sources = Sources(load(ROOT / "examples" / "pgbench" / "contracts"))
    line = {"tid": 1, "bid": 1, "aid": 3, "delta": -5, "mtime": 1, "filler": None}
    base = replace(
        pg("c", None, row(7)), server="pgbench", table="public.pgbench_history", key=None
    )

    ids = [
        made(replace(base, after=line | {"delta": delta}, position=f"{at:020d}"), sources)[0]["id"]
        for delta, at in ((-5, 1), (-5, 2), (6, 2), (-5, 1))
    ]

    assert len(set(ids)) == 3
    seen = replace(base, after=line, operation="snapshot")
    assert refused(seen, sources).reason == "cdc_snapshot_without_key"
    gone = replace(base, after=None, before=None, operation="delete")
    assert refused(gone, sources).reason == "cdc_row_without_key"


def test_documents_say_whose_they_are(sources: Sources) -> None:
    """The job judges each under the tenant that its source says."""
    found = documents(pg("c", None, row(7)), sources)

    assert not isinstance(found, Refusal)
    assert tenant_of(found[0]) == "default"
    assert sources.topics == ("m.d.t", "s.d.t")
    assert sources.tenant("s.d.t") == "default"


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_row_makes_it_raise(sources: Sources, data: st.DataObject) -> None:
    """Whatever a table holds by now."""
    scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just("NaN")
    values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2), max_leaves=3)
    columns = st.sampled_from(["id", "amount", "paid", "at", "local", "day", "doc", "x"])
    after = data.draw(st.dictionaries(columns, values))
    change = pg("c", None, row(7))
    key = data.draw(st.none() | st.dictionaries(columns, values, max_size=2))

    found = documents(replace(change, after={**(change.after or {}), **after}, key=key), sources)

    assert isinstance(found, Refusal | list)


def test_every_recorded_change_has_an_answer(shop: Sources) -> None:
    """Tables nobody reads are named, too."""
    for name in ("pg.public.orders", "maria.shop.orders", "pgx.public.toast"):
        for record in recorded(name):
            found = normalise(TopicRecord(record.topic, record.key, record.value, record.headers))
            if isinstance(found, RowChange):
                assert refused(found, shop).reason == "cdc_table_unknown"
