"""One Debezium record, of any connector and with or without its schema, becomes one `RowChange`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import cast

import msgspec

from agentflow.wording import quoted
from ingestion.cdc.change import (
    Ignored,
    Malformed,
    Operation,
    RowChange,
    RowImage,
    Scalar,
    TopicRecord,
)
from ingestion.cdc.schemas import PayloadSchema, described
from ingestion.cdc.unavailable import filled

MAX_SIZE_BYTES = 4 * 1024 * 1024
_OPERATIONS: Mapping[str, Operation] = {
    "c": "insert",
    "r": "snapshot",
    "u": "update",
    "d": "delete",
    "t": "truncate",
}
_LIVE = (None, False, "false")
_HINT = "Only topics that Debezium writes may be read as changes."
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})(?:\.|\Z)")
_ORDER_SURVIVES_RESTARTS_FROM = (3, 7)
_FILE = re.compile(r"\.([0-9]{1,9})\Z")


class _Unreadable(Exception):  # noqa: N818 - never leaves this module
    """The record is not what Debezium writes."""


def _exact(text: str) -> Decimal | None:
    return Decimal(text)


_decode: Callable[[bytes], object] = msgspec.json.Decoder(float_hook=_exact).decode


def normalise(record: TopicRecord) -> RowChange | Ignored | Malformed:
    """Return what a record means; total, whatever its bytes are."""
    try:
        return _normalised(record)
    except _Unreadable as error:
        return Malformed("cdc_malformed", str(error), _HINT)
    except RecursionError:
        return Malformed("cdc_malformed", "is nested too deeply", _HINT)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Malformed("cdc_malformed", "is not JSON", _HINT)
    except (ArithmeticError, ValueError, OverflowError):
        return Malformed("cdc_malformed", "holds a number that is none", _HINT)


def _normalised(record: TopicRecord) -> RowChange | Ignored:
    if record.value is None:
        return Ignored("tombstone")
    if len(record.value) > MAX_SIZE_BYTES:
        raise _Unreadable(f"is longer than {MAX_SIZE_BYTES} bytes")
    document = _decode(record.value)
    payload, schema = described(document)
    if payload is None and schema is not None:
        return Ignored("tombstone")
    if not isinstance(payload, dict):
        raise _Unreadable("is not an object")
    if "op" in payload:
        return _change(payload, schema, record)
    return _about_the_source(payload)


def _about_the_source(payload: Mapping[str, Scalar]) -> RowChange | Ignored:
    if payload.get("status") in {"BEGIN", "END"} and "id" in payload:
        return Ignored("transaction")
    if payload.keys() <= {"ts_ms", "ts_us", "ts_ns"}:
        return Ignored("heartbeat")
    if "ddl" in payload and "source" in payload:
        return _schema_change(payload) or Ignored("schema_change")
    raise _Unreadable("is neither a change nor anything else that Debezium writes")


def _change(
    payload: Mapping[str, Scalar], schema: PayloadSchema | None, record: TopicRecord
) -> RowChange | Ignored:
    if payload["op"] == "m":
        return Ignored("message")
    operation = _OPERATIONS.get(str(payload["op"]))
    if operation is None:
        raise _Unreadable("has an operation that is unknown")
    source = _struct(payload.get("source"), "source")
    if operation == "insert" and source.get("snapshot") not in _LIVE:
        operation = "snapshot"
    before, after = _row(payload.get("before"), "before"), _row(payload.get("after"), "after")
    if after is None and operation in {"insert", "update", "snapshot"}:
        raise _Unreadable(f'has no "after", which an operation {payload["op"]} must have')
    connector, database, table = _place(source)
    after, unavailable = filled(after, before)
    headers = dict(record.headers)
    return RowChange(
        connector=connector,
        server=_text(source, "name"),
        database=database,
        table=table,
        operation=operation,
        key=None if record.key is None else _key(record.key),
        before=_typed(before, schema, "before"),
        after=_typed(after, schema, "after"),
        position=_position(source, connector, snapshot=operation == "snapshot")
        + _order(payload, source),
        occurred_us=_occurred_us(source, payload),
        transaction=_transaction(source, payload),
        unavailable=unavailable,
        moved_to=_header_key(headers.get("__debezium.newkey")),
        moved_from=_header_key(headers.get("__debezium.oldkey")),
    )


def _schema_change(payload: Mapping[str, Scalar]) -> RowChange | None:
    """Return the change of one table's columns, if there was one while the source is streamed."""
    source = _struct(payload.get("source"), "source")
    changes = payload.get("tableChanges")
    if source.get("snapshot") not in _LIVE or not isinstance(changes, list) or len(changes) != 1:
        return None
    table = _struct(_struct(changes[0], "tableChanges").get("table") or {}, "table")
    listed = table.get("columns") or []
    names = tuple(
        str(column.get("name"))
        for column in (listed if isinstance(listed, list) else [])
        if isinstance(column, dict)
    )
    connector, database, place = _place(source)
    return RowChange(
        connector=connector,
        server=_text(source, "name"),
        database=database,
        table=place,
        operation="schema_change",
        key=None,
        before=None,
        after=None,
        position=_position(source, connector, snapshot=False),
        occurred_us=_occurred_us(source, payload),
        columns=names,
    )


def _row(value: Scalar, part: str) -> RowImage | None:
    return None if value is None else _struct(value, part)


def _typed(row: RowImage | None, schema: PayloadSchema | None, part: str) -> RowImage | None:
    return row if row is None or schema is None else schema.row(part, row)


def _key(key: bytes) -> RowImage:
    document = _decode(key)
    payload, schema = described(document)
    row = _struct(payload, "key")
    return row if schema is None else schema.row(None, row)


def _header_key(value: bytes | None) -> RowImage | None:
    return None if value is None else _key(value)


def _place(source: Mapping[str, Scalar]) -> tuple[str, str, str]:
    connector, database = _text(source, "connector"), str(source.get("db") or "")
    inside = source.get("schema") if connector == "postgresql" else database
    return connector, database, f"{inside}.{source.get('table')}"


def _position(source: Mapping[str, Scalar], connector: str, *, snapshot: bool) -> str:
    """Return text that sorts like the position; a snapshot's rows may come without one."""
    if connector == "postgresql":
        lsn = source.get("lsn")
        return f"{_whole(0 if lsn is None and snapshot else lsn, 'lsn'):020d}"
    file = _FILE.search(str(source.get("file") or (".0" if snapshot else "")))
    if file is None:
        raise _Unreadable("has no binlog position")
    at, row = _whole(source.get("pos"), "pos"), _whole(source.get("row") or 0, "row")
    return f"{int(file[1]):09d}.{at:014d}.{row:06d}"


def _order(payload: Mapping[str, Scalar], source: Mapping[str, Scalar]) -> str:
    """Return what tells changes at one position apart: their order within the transaction.

    A compressed transaction is one event of the binlog, and rows that PostgreSQL inserts together
    are one record of its log. Debezium tells the order with `provide.transaction.metadata`. Before
    3.7 it counts from 1 again where a restart continues within a transaction (debezium/dbz#633): a
    change delivered again would have another order, and be another event. That order is not read.
    """
    block = payload.get("transaction")
    if not isinstance(block, dict) or block.get("total_order") is None:
        return ""
    version = _VERSION.match(str(source.get("version")))
    if version is None or (int(version[1]), int(version[2])) < _ORDER_SURVIVES_RESTARTS_FROM:
        return ""
    return f".{_whole(block['total_order'], 'total_order'):012d}"


def _occurred_us(source: Mapping[str, Scalar], payload: Mapping[str, Scalar]) -> int:
    if source.get("ts_us") is not None:
        return _whole(source["ts_us"], "ts_us")
    milliseconds = source.get("ts_ms") or payload.get("ts_ms")
    return _whole(milliseconds, "ts_ms") * 1000


def _transaction(source: Mapping[str, Scalar], payload: Mapping[str, Scalar]) -> str | None:
    """Return the transaction's id; PostgreSQL's is followed by a position that differs by event."""
    block = payload.get("transaction")
    if isinstance(block, dict) and isinstance(block.get("id"), str):
        name = cast("str", block["id"])
        return name.partition(":")[0] if source.get("connector") == "postgresql" else name
    told = source.get("txId") if source.get("txId") is not None else source.get("gtid")
    return None if told is None else str(told)


def _struct(value: Scalar | object, what: str) -> dict[str, Scalar]:
    if not isinstance(value, dict):
        raise _Unreadable(f"{quoted(what)} is not an object")
    return cast("dict[str, Scalar]", value)


def _text(source: Mapping[str, Scalar], name: str) -> str:
    value = source.get(name)
    if not isinstance(value, str) or not value:
        raise _Unreadable(f"the source says no {quoted(name)}")
    return value


def _whole(value: Scalar, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise _Unreadable(f"{quoted(name)} of the source is not a whole number")
    return value
