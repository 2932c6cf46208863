"""A column's value is the source's text, or it is refused by name: never another value."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.tables import ColumnType
from ingestion.cdc.change import RowImage, Scalar
from ingestion.cdc.columns import column_value, field_value
from ingestion.cdc.temporal import ColumnValueError, misread_in_snapshot
from tests.ingestion.cdc.records import change_of, recorded

REFUSED = "refused"
POSTGRES: dict[str, ColumnType] = {
    "id": "integer", "t": "time", "ts": "timestamp_micros", "tsz": "timestamp", "d": "date",
    "iv": "string", "n": "decimal", "m": "decimal", "f": "number", "b": "boolean", "by": "bytes",
    "u": "string", "ia": "json", "ua": "json", "na": "json", "fa": "json", "ja": "json",
    "big": "integer",
}  # fmt: skip
UUID = "123e4567-e89b-12d3-a456-426655440000"
POSTGRES_ROWS: dict[int, dict[str, object]] = {
    1: {
        "t": "23:59:59.999999", "ts": "2026-11-21T06:00:00.123456Z",
        "tsz": "2026-11-21T04:00:00.123456Z", "d": "2026-11-21", "iv": "P1Y2M3DT4H5M6.789S",
        "n": "12345678901234567890.123456789", "m": "1.10", "f": 0.1, "b": True, "by": "AQI=",
        "u": UUID, "ia": "[1,2]", "ua": f'["{UUID}"]', "na": '["1.10"]', "fa": "[0.1]",
        "ja": '{"a":12345678901234567890.123456789}', "big": 2**63 - 1,
    },
    2: {
        "t": "24:00:00.000000", "ts": REFUSED, "tsz": REFUSED, "d": REFUSED,
        "iv": "P0Y-1M0DT0H0M0S", "n": "-0.0000000000000000000000000001", "m": "-1.10",
        "f": REFUSED, "b": False, "by": "", "ia": "[]", "ua": "[]", "na": "[]", "fa": "[]",
        "ja": "1.1", "big": -(2**63),
    },
    3: {
        "t": "00:00:00.000000", "ts": "0001-01-01T00:00:00.000000Z",
        "tsz": "0001-01-01T00:00:00.000000Z", "d": "0001-01-01", "iv": "P0Y0M0DT0H0M0S", "n": "0",
        "m": "0.00", "f": 1e300, "big": 0,
    },
    4: {
        "t": "12:00:00.000001", "ts": "9999-12-31T23:59:59.999999Z",
        "tsz": "9999-12-31T23:59:59.999999Z", "d": "9999-12-31", "n": "1" + "0" * 50,
        "m": "9999999999.99", "f": REFUSED,
    },
    5: {"ts": REFUSED, "tsz": REFUSED, "d": REFUSED, "n": "0." + "0" * 49 + "1"},
    6: {
        "ts": "1900-01-01T00:00:00.000000Z", "tsz": "1582-10-25T00:00:00.000000Z",
        "d": "1582-10-10", "n": REFUSED,
    },
    7: {"ts": REFUSED, "tsz": REFUSED, "d": REFUSED, "n": REFUSED},
}  # fmt: skip
MARIADB: dict[str, ColumnType] = {
    "id": "integer", "t": "time", "t6": "time", "dt": "timestamp_micros",
    "dt3": "timestamp_micros", "dt6": "timestamp_micros", "ts6": "timestamp", "d": "date",
    "y": "integer", "iu": "integer", "b": "integer", "n": "decimal", "f": "number",
    "bo": "boolean", "bi": "boolean", "vb": "bytes", "e": "string", "j": "json",
}  # fmt: skip
MARIADB_ROWS: dict[int, dict[str, object]] = {
    101: {
        "t": "23:59:59.000000", "t6": "23:59:59.999999", "dt": "2026-11-21T06:00:00.000000Z",
        "dt3": "2026-11-21T06:00:00.123000Z", "dt6": "2026-11-21T06:00:00.123456Z",
        "ts6": "2026-11-21T06:00:00.123456Z", "d": "2026-11-21", "y": 2026, "iu": 2**32 - 1,
        "b": -(2**63), "n": "9" * 35 + ".123456789012345678901234567890", "f": 0.1, "bo": True,
        "bi": True, "vb": "YWI=", "e": "a", "j": '{"a":12345678901234567890.123456789}',
    },
    102: {
        "t": "-01:00:00.000000", "t6": "-01:00:00.000001", "dt": "9999-12-31T23:59:59.000000Z",
        "dt3": "9999-12-31T23:59:59.999000Z", "dt6": "9999-12-31T23:59:59.999999Z",
        "ts6": "2038-01-19T03:14:07.999999Z", "d": "9999-12-31", "y": 1901, "iu": 0,
        "b": 2**63 - 1, "n": "-0." + "0" * 29 + "1", "f": 1e300, "bo": False, "bi": False,
        "vb": "", "e": "b", "j": "[]",
    },
    2**63 + 1: {
        "t": "26:30:00.000000", "t6": "838:59:59.999999", "dt": "1000-01-01T00:00:00.000000Z",
        "dt3": "0001-01-01T00:00:00.000000Z", "dt6": "1000-01-01T00:00:00.000001Z",
        "d": "0001-01-01", "y": 2155,
    },
    104: {
        "t": "-838:59:59.000000", "t6": "-838:59:59.999999", "dt": "1582-10-10T00:00:00.000000Z",
        "d": "1582-10-10",
    },
    2**64 - 2: {
        "t": "-00:00:01.000000", "t6": "-00:00:00.500000", "dt": "1900-01-01T00:00:00.000000Z",
        "d": "1900-01-01",
    },
}  # fmt: skip


def read(value: Scalar, kind: ColumnType) -> object:
    try:
        return column_value(value, kind)
    except ColumnValueError:
        return REFUSED


@pytest.mark.parametrize(
    ("name", "kinds", "rows", "first"),
    [
        ("pg.types", POSTGRES, {100 + key: row for key, row in POSTGRES_ROWS.items()}, 101),
        ("maria.types", MARIADB, MARIADB_ROWS, 101),
    ],
)
def test_every_type_over_its_whole_range_is_the_text_of_the_source(
    name: str,
    kinds: dict[str, ColumnType],
    rows: dict[int, dict[str, object]],
    first: int,
) -> None:
    """Recorded with the configuration that `connectors` writes: streamed changes."""
    changes = [change_of(record) for record in recorded(name)]
    streamed = [change for change in changes if change.operation == "insert"]
    assert (streamed[0].after or {})["id"] == first

    found = {}
    for change in streamed:
        row = change.after or {}
        values = {column: read(row[column], kinds[column]) for column in row if column != "id"}
        told = {column: value for column, value in values.items() if value is not None}
        found[column_value(row["id"], "integer")] = told

    assert found == rows


@pytest.mark.parametrize(("name", "kinds"), [("pg.types", POSTGRES), ("maria.types", MARIADB)])
def test_a_snapshot_says_the_same_as_the_stream_or_is_known_to_be_misread(
    name: str, kinds: dict[str, ColumnType]
) -> None:
    """The same rows were written before the connector came, and after."""

    def rows(operation: str) -> list[RowImage]:
        changes = [change_of(record) for record in recorded(name)]
        found = [each.after for each in changes if each.operation == operation and each.after]
        return sorted(found, key=lambda row: int(str(row["id"])))

    for seen, streamed in zip(rows("snapshot"), rows("insert"), strict=True):
        for column, kind in kinds.items():
            one, other = read(seen[column], kind), read(streamed[column], kind)
            if column != "id" and one not in (other, REFUSED):
                connector = "postgresql" if name == "pg.types" else "mariadb"
                assert misread_in_snapshot(str(one), day=kind == "date", connector=connector)


TIMES = st.integers(-(839 * 3_600_000_000 - 1), 839 * 3_600_000_000 - 1)


@given(TIMES)
def test_a_time_never_wraps_around(micros: int) -> None:
    """MariaDB's TIME is -838:59:59 to 838:59:59, PostgreSQL's ends at 24:00."""
    text = str(column_value(micros, "time"))

    sign, hours, minutes, seconds, fraction = (
        re.fullmatch(r"(-?)([0-9]{2,3}):([0-5][0-9]):([0-5][0-9])\.([0-9]{6})", text) or [""]
    ).groups()  # type: ignore[union-attr]
    told = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    told += timedelta(microseconds=int(fraction))
    assert (-told if sign else told) // timedelta(microseconds=1) == micros


UNITS: dict[ColumnType, tuple[int, int]] = {
    "timestamp_millis": (1000, 1),
    "timestamp_micros": (1, 1),
    "timestamp_nanos": (1, 1000),
}


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(list(UNITS)))
def test_an_instant_is_exact_or_refused(number: int, kind: ColumnType) -> None:
    """Infinity, the years before 1 and after 9999, and nanoseconds have no exact text here."""
    unit, per_unit = UNITS[kind]
    text = read(number, kind)

    exact, finer = divmod(number * unit, per_unit)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        instant = epoch + timedelta(microseconds=exact)
    except OverflowError:
        assert text == REFUSED
        return
    if finer:
        assert text == REFUSED
    else:
        assert datetime.fromisoformat(str(text)) == instant


@given(st.datetimes(), st.integers(0, 999))
def test_text_finer_than_a_microsecond_is_refused(instant: datetime, nanos: int) -> None:
    """Python would cut it off without a word."""
    text = f"{instant.isoformat(timespec='microseconds')}{nanos:03d}Z"

    found = read(text, "timestamp")

    assert (found == REFUSED) is (nanos != 0)


@given(st.dates(), st.datetimes())
def test_a_day_is_exact_and_an_instant_is_not_cut_to_one(day: date, instant: datetime) -> None:
    """As ISO text and as days since 1970."""
    assert column_value((day - date(1970, 1, 1)).days, "date") == day.isoformat()
    assert column_value(f"{day.isoformat()}Z", "date") == day.isoformat()
    assert read(instant.isoformat(), "date") == REFUSED


@given(st.integers(-(2**70), 2**70))
def test_a_whole_number_becomes_a_float_only_exactly(number: int) -> None:
    """2^53 + 1 is not 2^53."""
    exact = int(float(number)) == number

    assert read(number, "number") == (float(number) if exact else REFUSED)
    if exact:
        assert field_value(number, "number") == float(number)
    else:
        with pytest.raises(ColumnValueError, match="a float cannot hold exactly"):
            field_value(number, "number")
    assert column_value(number, "integer") == number
    assert column_value(number, "decimal") == str(number)


json_numbers = st.decimals(allow_nan=False, allow_infinity=False, places=12)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | json_numbers | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def written(document: Any) -> str:  # noqa: ANN401 - any JSON
    if isinstance(document, Decimal):
        return f"{document:f}"
    if isinstance(document, list):
        return f"[{','.join(map(written, document))}]"
    if isinstance(document, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{written(v)}" for k, v in document.items()) + "}"
    return json.dumps(document)


@given(documents)
def test_json_keeps_every_digit(document: Any) -> None:  # noqa: ANN401 - any JSON
    """A float has 17 of them, jsonb has as many as were written."""
    text = str(column_value(written(document), "json"))

    decoded = json.loads(text, parse_float=Decimal)
    assert decoded == json.loads(written(document), parse_float=Decimal)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (24 * 3600 * 10**6 * 36, "time"), ("infinity", "timestamp"), ("-infinity", "timestamp"),
        ("+10000-01-01T00:00:00Z", "timestamp"), ("+10000-01-01Z", "date"), ("2026-02-30", "date"),
        ("NaN", "decimal"), ("NAN", "decimal"), ("Infinity", "number"), ("1", "number"),
        (2, "boolean"), (1, "string"), (["a"], "string"), (1.5, "integer"), ("{", "json"),
        (1, "timestamp"),
        (True, "time"), ("25:00", "time"), ("", "date"), ("", "timestamp"),
    ],
)  # fmt: skip
def test_what_a_column_does_not_hold_is_refused(value: Scalar, kind: ColumnType) -> None:
    """Never guessed."""
    with pytest.raises(ColumnValueError):
        column_value(value, kind)
