"""One form for every connector, whatever the record looks like."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.contracts.tables import ColumnType
from ingestion.cdc import Ignored, Malformed, RowChange, TopicRecord, normalise
from ingestion.cdc.change import RowImage
from ingestion.cdc.columns import column_value
from ingestion.cdc.normalise import MAX_SIZE_BYTES
from tests.ingestion.cdc.records import TYPES, Logical, change_of, recorded, render, row

KINDS = {
    "pg.public.customers": [
        "insert", "update", "delete", "tombstone", "insert", "delete", "tombstone",
        "insert", "insert", "insert", "update",
    ],
    "pg.public.orders": ["snapshot", "insert", "update", "delete", "tombstone", "insert"],
    "pgx.public.customers": ["insert", "update", "truncate"],
    "pgx.public.toast": ["insert", "update"],
    "pgx.transaction": ["transaction"] * 8,
    "maria.shop.orders": [
        "snapshot", "insert", "update", "delete", "tombstone", "insert", "delete", "tombstone",
        "insert",
    ],
    "my.shop.orders": [
        "snapshot", "insert", "update", "delete", "tombstone", "insert", "delete", "tombstone",
        "insert",
    ],
    "maria": ["schema_change", "schema_change", "schema_change"],
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_what_was_recorded_is_known(name: str) -> None:
    """Every sort of record that Debezium wrote on this stack."""
    found = [normalise(record) for record in recorded(name)]

    kinds = [
        each.operation if isinstance(each, RowChange) else getattr(each, "kind", "malformed")
        for each in found
    ]
    assert kinds == KINDS[name]


def test_both_forms_of_a_record_are_one_change() -> None:
    """The same two statements were captured with and without schemas."""
    bare = [change_of(record) for record in recorded("pg.public.customers")[-2:]]
    described = [change_of(record) for record in recorded("pgx.public.customers")[:2]]

    for one, other in zip(bare, described, strict=True):
        assert (one.after, one.key, one.position, one.occurred_us, one.transaction) == (
            other.after, other.key, other.position.partition(".")[0], other.occurred_us,
            other.transaction,
        )  # fmt: skip


def test_a_key_change_is_two_halves_at_one_position() -> None:
    """The position alone cannot name an event."""
    changes = [normalise(record) for record in recorded("pg.public.customers")]
    gone, come = changes[2], changes[4]

    assert isinstance(gone, RowChange)
    assert isinstance(come, RowChange)
    assert gone.position == come.position
    assert (gone.key, gone.moved_to) == ({"id": 1}, {"id": 2})
    assert (come.key, come.moved_from) == ({"id": 2}, {"id": 1})


def test_what_was_not_sent_is_named() -> None:
    """A large value that did not change is left out by PostgreSQL."""
    change = change_of(recorded("pgx.public.toast")[1])

    assert change.unavailable == ("body",)
    assert change.after == {"id": 1, "body": None, "v": 1}


def test_what_was_not_sent_is_taken_from_the_row_as_it_was() -> None:
    """With REPLICA IDENTITY FULL nothing is missing."""
    change = Logical("u", 1, row(1, note="long"), row(1, note="__debezium_unavailable_value"))

    found = change_of(render(change, connector="postgresql"))

    assert found.unavailable == ()
    assert (found.after or {})["note"] == "long"


def test_positions_sort_like_the_source() -> None:
    """As text, in both engines."""
    for name in ("pg.public.customers", "maria.shop.orders", "my.shop.orders"):
        changes = [each for each in map(normalise, recorded(name)) if isinstance(each, RowChange)]
        positions = [each.position for each in changes]
        assert positions == sorted(positions)


instants = st.integers(0, 4_102_444_800_000).map(lambda millis: millis * 1000)
rows = st.builds(
    row,
    st.just(7),
    st.decimals(-(10**9), 10**9, places=2, allow_nan=False).map(lambda number: f"{number:.2f}"),
    paid=st.booleans(),
    at=instants,
    local=instants,
    day=st.integers(0, 40_000),
    raw=st.binary(max_size=9),
    note=st.text(max_size=20) | st.none(),
    doc=st.dictionaries(st.text("ab", max_size=3), st.integers(-9, 9) | st.none(), max_size=3),
)


def canonical(found: RowImage | None, *, schemas: bool) -> RowImage | None:
    """Read a row the way a source contract of that database declares its columns."""
    if found is None:
        return None
    types: dict[str, ColumnType] = dict(TYPES)  # type: ignore[arg-type]
    types["local"] = "timestamp" if schemas else "timestamp_micros"
    return {name: column_value(value, types[name]) for name, value in found.items()}


@settings(max_examples=150, deadline=None)
@given(op=st.sampled_from("crud"), before=rows, after=rows, schemas=st.booleans())
def test_a_change_is_the_same_from_postgresql_and_mariadb(
    op: str,
    before: RowImage,
    after: RowImage,
    schemas: bool,  # noqa: FBT001 - drawn
) -> None:
    """Decimals, booleans, instants, days, bytes and JSON."""
    logical = Logical(op, 7, before if op in "ud" else None, None if op == "d" else after)

    pair = [
        change_of(render(logical, connector=connector, schemas=schemas))
        for connector in ("postgresql", "mariadb")
    ]

    one, other = (
        (
            change.operation,
            change.table,
            change.key,
            canonical(change.before, schemas=schemas),
            canonical(change.after, schemas=schemas),
            change.occurred_us,
            change.transaction,
        )
        for change in pair
    )
    assert one == other
    told = after if op != "d" else before
    assert (one[4] or one[3] or {})["amount"] == str(told["amount"])


@pytest.mark.parametrize(
    ("encoded", "scale", "text"),
    [("A/I=", 2, "10.10"), ("/w==", 2, "-0.01"), ("AA==", 0, "0"), ("AQ==", -2, "100")],
)
def test_decimals_as_bytes_are_exact_text(encoded: str, scale: int, text: str) -> None:
    """`decimal.handling.mode=precise`, for people who did not take our configuration."""
    name = "org.apache.kafka.connect.data.Decimal"
    column = {"field": "x", "type": "bytes", "name": name, "parameters": {"scale": str(scale)}}
    payload = json.loads(render(Logical("c", 1, None, row(1)), connector="mariadb").value or b"")
    payload["after"] = {"x": encoded}
    schema = {"fields": [{"field": "after", "fields": [column]}]}
    value = json.dumps({"schema": schema, "payload": payload}).encode()

    assert change_of(TopicRecord("t", b'{"x":1}', value)).after == {"x": text}


POISON = [
    b"", b"null", b"[]", b"1", b"{", b"\xff\xfe", b'{"op":"c"}', b'{"op":"x","source":{}}',
    b'{"op":"c","source":{"connector":"postgresql","name":"s","lsn":-1},"after":{}}',
    b'{"op":"u","source":{"connector":"mariadb","name":"s","file":"x"},"after":{}}',
    b'{"op":"c","source":[],"after":{}}', b"[" * 100_000, b'{"a":' * 50_000,
    b'{"op":"c","after":{"x":1e999999999999},"source":{"connector":"postgresql"}}',
    b'{"schema":{},"payload":7}', b" " * (5 * 1024 * 1024),
]  # fmt: skip


@pytest.mark.parametrize("value", POISON, ids=range(len(POISON)))
def test_poison_is_named_and_never_raises(value: bytes) -> None:
    """One bad record costs one record."""
    assert isinstance(normalise(TopicRecord("s.d.t", b"{}", value)), Malformed)


def test_a_record_has_a_size() -> None:
    """A change of 5 MiB would be decoded, converted and kept by everyone who reads it."""
    record = render(Logical("c", 1, None, row(1)), connector="mariadb")
    longest = (record.value or b"").ljust(MAX_SIZE_BYTES)

    assert isinstance(normalise(TopicRecord("s.d.t", record.key, longest)), RowChange)
    found = normalise(TopicRecord("s.d.t", record.key, longest + b" "))
    assert isinstance(found, Malformed)
    assert "is longer than 4194304 bytes" in found.message


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_mutated_records_never_raise(data: st.DataObject) -> None:
    """Bytes that nearly are what Debezium writes."""
    names = data.draw(st.sampled_from(sorted(KINDS)))
    record = data.draw(st.sampled_from(recorded(names)))
    value = bytearray(record.value or b"{}")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value) - 1))
        value[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        value = value or bytearray(b"{")
    key = data.draw(st.none() | st.binary(max_size=8) | st.just(record.key))

    found = normalise(TopicRecord(record.topic, key, bytes(value), record.headers))

    assert isinstance(found, RowChange | Ignored | Malformed)


def test_a_tombstone_is_not_an_empty_value() -> None:
    """`if message:` is false for it in some clients."""
    assert normalise(TopicRecord("t", b"{}", None)) == Ignored("tombstone")
    assert normalise(TopicRecord("t", b"{}", b'{"ts_ms":1}')) == Ignored("heartbeat")
