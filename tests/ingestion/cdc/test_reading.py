"""Only what a contract reads is decoded, and what was not sent is never taken for a value."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ingestion.cdc import Refusal, RowChange, Sources, TopicRecord, documents
from ingestion.cdc.schemas import told
from ingestion.cdc.unavailable import filled, unsent
from tests.ingestion.cdc.packs import load_pack
from tests.ingestion.cdc.records import Logical, change_of, recorded, render, row

INFINITY = 9_223_372_036_825_200_000
MICROS = "io.debezium.time.MicroTimestamp"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return Sources(load_pack(tmp_path_factory.mktemp("pack")))


def described(column: str, name: str, value: object) -> RowChange:
    """A change whose record came with its schema, with one more column, or another value of one."""
    record = render(Logical("c", 7, None, row(7)), connector="postgresql", schemas=True)
    document = json.loads(record.value or b"")
    for part in document["schema"]["fields"]:
        part["fields"] = [each for each in part["fields"] if each["field"] != column]
        part["fields"].append({"field": column, "type": "int64", "name": name})
    document["payload"]["after"][column] = value
    return change_of(TopicRecord(record.topic, record.key, json.dumps(document).encode()))


def test_a_column_nobody_reads_refuses_nothing(sources: Sources) -> None:
    """`infinity` in a column that no contract names refused the whole change."""
    found = documents(described("unread", MICROS, INFINITY), sources)

    assert not isinstance(found, Refusal), found


def test_a_fault_names_its_column(sources: Sources) -> None:
    """The one that is read."""
    found = documents(described("local", MICROS, INFINITY), sources)

    assert isinstance(found, Refusal)
    assert found.reason == "cdc_schema_mismatch"
    assert found.pointer == "/local"
    assert str(found.message) == (
        'column "local" of "d.t" holds an instant outside the years 1 to 9999'
    )


def test_every_column_of_a_row_without_a_key_counts_for_its_identity() -> None:
    """Also one that cannot be decoded: it is taken as the record holds it."""
    change = described("unread", MICROS, INFINITY)
    assert change.after is not None

    assert told(change.after)["unread"] == INFINITY
    assert told(change.after)["day"] == "2026-11-21"


def test_every_marker_of_an_unsent_value_is_known() -> None:
    """As PostgreSQL's types were recorded; those without a marker are null."""
    (change,) = [change_of(record) for record in recorded("pg.unsent")]

    marked = {"ia", "ba", "ua", "ta", "va", "da", "ja", "t", "by", "j", "jb", "x", "n", "ca", "hs"}
    unmarked = {"sa", "tsa", "tza", "tima", "na", "fa", "ra", "ineta"}
    unmarked |= {"bv", "oa", "i4ra"}
    assert marked <= set(change.unavailable)
    assert all((change.after or {})[name] is None for name in marked | unmarked)
    assert set(change.after or {}) - marked - unmarked - {"bya"} == {"id", "v"}


@pytest.mark.parametrize("value", [[], [None], ["a"], [95, 95], "", {}, 0, None, ["x", "y"]])
def test_a_value_that_was_sent_is_no_marker(value: object) -> None:
    """Arrays of one number or one text are common."""
    assert not unsent(value)  # type: ignore[arg-type]
    assert filled({"x": value}, None) == ({"x": value}, ())  # type: ignore[dict-item]


@pytest.mark.parametrize("column", ["doc", "raw"])
def test_a_null_that_may_be_an_unsent_value_is_refused(sources: Sources, column: str) -> None:
    """Debezium writes null for an array of numerics or bits that did not change."""
    plain = change_of(render(Logical("u", 7, None, row(7)), connector="postgresql"))
    hidden = replace(plain, after={**(plain.after or {}), column: None})
    known = replace(hidden, before=plain.after)
    elsewhere = replace(hidden, server="m", connector="mariadb")
    inserted = replace(hidden, operation="insert")

    found = documents(hidden, sources)

    assert isinstance(found, Refusal)
    assert (found.reason, found.pointer) == ("cdc_value_unavailable", f"/{column}")
    for change in (known, elsewhere, inserted):
        assert not isinstance(documents(change, sources), Refusal)


def test_the_new_half_of_a_key_change_may_lack_values_too(sources: Sources) -> None:
    """It is an insert to Debezium, and was an update to the database."""
    half = Logical(
        "c", 7, None, row(7, note="__debezium_unavailable_value"),
        headers=(("__debezium.oldkey", b'{"id":6}'),),
    )  # fmt: skip

    found = documents(change_of(render(half, connector="postgresql")), sources)

    assert isinstance(found, Refusal)
    assert (found.reason, found.pointer) == ("cdc_value_unavailable", "/note")


@pytest.mark.parametrize(
    ("connector", "local", "refused"),
    [
        ("postgresql", "1582-10-24T23:59:59Z", True),
        ("postgresql", "0001-01-01T00:00:00Z", True),
        ("postgresql", "1582-10-25T00:00:00Z", False),
        ("mariadb", "1582-10-20T00:00:00Z", True),
        ("mariadb", "1000-01-01T00:00:00Z", False),
    ],
)
def test_an_instant_that_a_snapshot_may_move_is_refused(
    connector: str,
    local: str,
    refused: bool,  # noqa: FBT001 - parametrized
    sources: Sources,
) -> None:
    """JDBC reads days before the calendar changed by another calendar; the stream is exact."""
    server = "s" if connector == "postgresql" else "m"
    logical = Logical("r", 7, None, row(7), snapshot=True)
    seen = change_of(render(logical, connector=connector, server=server))
    seen = replace(seen, after={**(seen.after or {}), "local": local})
    streamed = replace(seen, operation="insert")

    assert isinstance(documents(seen, sources), Refusal) is refused
    assert not isinstance(documents(streamed, sources), Refusal)
