"""A change of a row becomes the events its source contract says: CloudEvents with fixed ids.

An id is made of the key, the operation, the event type and the position in the source, so a change
that is delivered twice is one event. An event that is not a version of a row (an order was placed)
is made by an insert or found by a snapshot, whichever comes first: its id has no position.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec

from agentflow.contracts import SourceContract
from agentflow.contracts.tables import Emission
from agentflow.wording import quoted
from ingestion.cdc.change import Refusal, RowChange, RowImage, Scalar
from ingestion.cdc.row_event import (
    FULL_IDENTITY,
    TOGETHER,
    ChangeRefusedError,
    Means,
    RowEvent,
    column_of,
)
from ingestion.cdc.sources import Sources, SourceTable
from ingestion.cdc.temporal import ColumnValueError

_encode = msgspec.json.Encoder().encode


def documents(change: RowChange, sources: Sources) -> Sequence[bytes] | Refusal:
    """Return the events a change becomes, none to several, or why it may not become any; total.

    Every document says its tenant; it is the tenant to judge it under (`tenant_of`).
    """
    table = sources.tables.get(f"{change.server}.{change.table}")
    if table is None:
        where = f"table {quoted(change.table)} of server {quoted(change.server)}"
        message = f"no source contract reads {where}"
        hint = "Add a source contract, or take the table out of the connector."
        return Refusal("cdc_table_unknown", message, hint)
    contract = table.contract
    tenant = contract.tenant if isinstance(contract.tenant, str) else None
    try:
        return [_encode(document) for document in _documents(change, table)]
    except ChangeRefusedError as refused:
        return Refusal(
            refused.reason, str(refused), refused.hint, tenant, table.place, refused.pointer
        )
    except (ColumnValueError, ArithmeticError, ValueError) as error:
        return Refusal("cdc_schema_mismatch", str(error), TOGETHER, tenant, table.place)
    except RecursionError:
        return Refusal("cdc_schema_mismatch", "nested too deeply", TOGETHER, tenant, table.place)


def of_any_age(change: RowChange, sources: Sources) -> bool:
    """Tell whether a change is never too late: rows of a snapshot, unless it is `recent`."""
    table = sources.tables.get(f"{change.server}.{change.table}")
    return (
        change.operation == "snapshot" and table is not None and table.contract.snapshot == "rows"
    )


def tenant_of(document: bytes) -> str:
    """Return the tenant that a document of `documents` says."""
    return msgspec.json.decode(document, type=_Owned).tenant


class _Owned(msgspec.Struct):
    tenant: str


def _documents(change: RowChange, table: SourceTable) -> Iterator[dict[str, object]]:
    contract = table.contract
    if change.operation == "truncate":
        message = f"table {quoted(contract.table)} was truncated: which rows are gone is not told"
        hint = "Delete rows instead, or raise `epoch` and take a new snapshot into a new metric."
        raise ChangeRefusedError("cdc_truncated", message, hint)
    if change.operation == "schema_change":
        _columns_are_there(change, contract)
        return
    for means, key, row, before in _meanings(change, contract):
        row_event = RowEvent(change, table, means, key, row)
        for made in table.makes[means]:
            if _wanted(made.emission, row_event, before):
                yield row_event.document(made)


def _columns_are_there(change: RowChange, contract: SourceContract) -> None:
    missing = sorted(contract.columns.keys() - set(change.columns or ()))
    if missing:
        message = f"table {quoted(contract.table)} lost column {quoted(missing[0])}"
        raise ChangeRefusedError("cdc_schema_mismatch", message, TOGETHER, f"/columns/{missing[0]}")


def _meanings(
    change: RowChange, contract: SourceContract
) -> Iterator[tuple[Means, RowImage | None, RowImage, RowImage | None]]:
    """Yield what happened to which key; an update that moves the contract's key is two things."""
    before, after = change.before, change.after
    if change.operation == "snapshot":
        if contract.snapshot == "none":
            if not contract.key:
                message = (
                    f"table {quoted(contract.table)} has no key, so its snapshot cannot be counted"
                )
                hint = "Set snapshot.mode=no_data, as `agentflow connectors export` does."
                raise ChangeRefusedError("cdc_snapshot_without_key", message, hint)
            return
        yield "insert", _key(change, after, contract), after or {}, None
    elif change.operation == "insert":
        yield "insert", _key(change, after, contract), after or {}, None
    elif change.operation == "delete":
        key = _key(change, before, contract)
        yield "delete", key, _with_key(before, key), None
    elif change.operation == "update":
        key = _key(change, after, contract)
        old = {} if before is None or key is None else _held(before, contract)
        if before is not None and key is not None and _moved(key, old):
            yield "delete", old, before, None
            yield "insert", key, after or {}, None
        else:
            yield "update", key, after or {}, before


def _moved(key: RowImage, before: RowImage) -> bool:
    return all(before.get(name) is not None for name in key) and any(
        before[name] != value for name, value in key.items()
    )


def _held(row: RowImage, contract: SourceContract) -> RowImage:
    """Return what a row says of the contract's key."""
    return {name: column_of(name, row, contract) for name in contract.key if name in row}


def _with_key(row: RowImage | None, key: RowImage | None) -> RowImage:
    """Return a row that has its key too; its own columns come first, and are not decoded."""
    if row is None or key is None or key.keys() <= row.keys():
        return (row if row is not None else key) or {}
    return ChainMap(cast("dict[str, Scalar]", row), cast("dict[str, Scalar]", key))


def _key(change: RowChange, row: RowImage | None, contract: SourceContract) -> RowImage | None:
    if not contract.key:
        if change.operation in {"update", "delete"}:
            message = f"a row of {quoted(contract.table)} changed, which has no key to tell which"
            raise ChangeRefusedError(
                "cdc_row_without_key", message, "Give the table a primary key."
            )
        return None
    told = {**_held(row or {}, contract), **_held(change.key or {}, contract)}
    missing = [name for name in contract.key if told.get(name) is None]
    if missing:
        message = (
            f"a change of {quoted(contract.table)} does not say key column {quoted(missing[0])}"
        )
        raise ChangeRefusedError("cdc_schema_mismatch", message, FULL_IDENTITY, f"/{missing[0]}")
    return {name: told[name] for name in contract.key}


def _wanted(emission: Emission, row_event: RowEvent, before: RowImage | None) -> bool:
    for name, values in emission.when.items():
        value = row_event.value(name)
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        if text not in values:
            return False
    if not emission.changed or before is None:
        return True
    return any(row_event.differs(name, before) for name in emission.changed)
