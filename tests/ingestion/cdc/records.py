"""Debezium records: those that were recorded, and any change as each connector renders it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from agentflow.clock import to_rfc3339
from ingestion.cdc import RowChange, TopicRecord, normalise

RECORDED = Path(__file__).parents[2] / "golden" / "cdc"
Row = Mapping[str, object]


def recorded(name: str) -> list[TopicRecord]:
    """Return the records of a file, in order."""
    lines = (RECORDED / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [_record(json.loads(line)) for line in lines]


def _record(line: dict[str, object]) -> TopicRecord:
    def encoded(name: str) -> bytes | None:
        value = line[name]
        return None if value is None else str(value).encode()

    headers = [(name, str(value).encode()) for name, value in line["headers"]]  # type: ignore[attr-defined]
    return TopicRecord(str(line["topic"]), encoded("key"), encoded("value"), headers)


def change_of(record: TopicRecord) -> RowChange:
    change = normalise(record)
    assert isinstance(change, RowChange), change
    return change


@dataclass(frozen=True)
class Logical:
    """One change, as somebody who wrote the SQL would say it."""

    op: str
    key: int
    before: Row | None
    after: Row | None
    order: int = 1
    at_us: int = 1_795_242_396_000_000
    snapshot: bool = False
    headers: tuple[tuple[str, bytes], ...] = ()
    amount_scale: int = field(default=2, repr=False)
    in_transaction: int | None = None
    version: str | None = "3.7.0.Final"


TYPES = {
    "id": "integer",
    "amount": "decimal",
    "paid": "boolean",
    "at": "timestamp",
    "local": "timestamp_micros",
    "day": "date",
    "raw": "bytes",
    "note": "string",
    "doc": "json",
}


def _pg_row(row: Row | None) -> Row | None:
    if row is None:
        return None
    at, local, day = row["at"], row["local"], row["day"]
    return {
        **row,
        "amount": str(row["amount"]),
        "at": None if at is None else to_rfc3339(at),
        "local": local,
        "day": day,
        "raw": b64encode(row["raw"]).decode(),
        "doc": json.dumps(row["doc"]),
    }


def _maria_row(row: Row | None) -> Row | None:
    rendered = _pg_row(row)
    if row is None or rendered is None:
        return None
    paid = row["paid"]
    return {
        **rendered,
        "paid": None if paid is None else int(bool(paid)),
        "doc": json.dumps(row["doc"], separators=(",", ":")),
    }


def _schema(part: str) -> dict[str, object]:
    named = {
        "at": "io.debezium.time.ZonedTimestamp",
        "local": "io.debezium.time.MicroTimestamp",
        "day": "io.debezium.time.Date",
        "doc": "io.debezium.data.Json",
    }
    columns = [
        {"field": name, "type": "string", **({"name": named[name]} if name in named else {})}
        for name in TYPES
    ]
    if part == "key":
        return {"type": "struct", "fields": columns[:1]}
    return {"type": "struct", "field": part, "fields": columns}


def _enveloped(payload: object, *, schemas: bool, key: bool = False) -> bytes:
    if not schemas:
        return json.dumps(payload).encode()
    rows = [_schema(part) for part in ("before", "after")]
    schema = _schema("key") if key else {"type": "struct", "fields": rows}
    return json.dumps({"schema": schema, "payload": payload}).encode()


def render(
    change: Logical, *, connector: str, server: str = "s", table: str = "t", schemas: bool = False
) -> TopicRecord:
    """Return the record that a connector writes of a change."""
    maria = connector != "postgresql"
    row = _maria_row if maria else _pg_row
    place = {"db": "d", "table": table} if maria else {"db": "d", "schema": "d", "table": table}
    position: dict[str, object] = {"lsn": change.order, "txId": 7}
    if maria:
        position = {"file": "binlog.000001", "pos": change.order, "row": 0, "gtid": "7"}
    source = {
        "version": change.version,
        "connector": connector,
        "name": server,
        "ts_us": change.at_us,
        "snapshot": "true" if change.snapshot else "false",
        **place,
        **position,
    }
    payload = {
        "before": row(change.before),
        "after": row(change.after),
        "source": source,
        "transaction": _transaction(change),
        "op": change.op,
        "ts_ms": 1,
    }
    return TopicRecord(
        f"{server}.d.{table}",
        _enveloped({"id": change.key}, schemas=schemas, key=True),
        _enveloped(payload, schemas=schemas),
        change.headers,
    )


def _transaction(change: Logical) -> dict[str, object] | None:
    order = change.in_transaction
    return None if order is None else {"id": "7", "total_order": order, "data_collection_order": 1}


def row(key: int, amount: str = "1.00", **more: object) -> Row:
    plain: dict[str, object] = {
        "id": key,
        "amount": Decimal(amount),
        "paid": False,
        "at": 1_795_242_396_123_000,
        "local": 1_795_242_396_123_000,
        "day": 20778,
        "raw": b"\x01\x02",
        "note": "n",
        "doc": {"k": [1, 2]},
    }
    return {**plain, **more}
