"""One thing that happened to one row, written down as an event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from agentflow.clock import to_rfc3339
from agentflow.contracts import SourceContract
from agentflow.contracts.tables import KEY, POSITION, ColumnTenant, ColumnValues, Emission
from agentflow.events import canonical_json
from agentflow.wording import quoted
from ingestion.cdc.change import RowChange, RowImage, Scalar
from ingestion.cdc.columns import Converted, column_value, field_value, literal_value
from ingestion.cdc.schemas import told
from ingestion.cdc.sources import CompiledEmission, SourceTable
from ingestion.cdc.temporal import ColumnValueError, misread_in_snapshot
from ingestion.cdc.unavailable import may_be_unsent

Means = Literal["insert", "update", "delete"]
FULL_IDENTITY = "Set REPLICA IDENTITY FULL; `agentflow connectors export` prints the statement."
TOGETHER = "Bring the source contract and the table together, then replay the dead letter."
_CALENDAR = frozenset(
    {"date", "timestamp", "timestamp_millis", "timestamp_micros", "timestamp_nanos"}
)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


class ChangeRefusedError(Exception):
    """A change may not become events; never leaves this package."""

    def __init__(self, reason: str, message: str, hint: str, pointer: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.hint = hint
        self.pointer = pointer


def column_of(name: str, row: RowImage, contract: SourceContract) -> Scalar:
    """Return what a record holds of a column.

    Raises:
        ChangeRefusedError: The row has no such column, or it is not what its schema says.
    """
    if name not in row:
        raise _mismatch(f"table {quoted(contract.table)} has no column {quoted(name)}", name)
    try:
        return row[name]
    except ColumnValueError as error:
        raise _mismatch(
            f"column {quoted(name)} of {quoted(contract.table)} {error}", name
        ) from error


def value_of(name: str, row: RowImage, contract: SourceContract) -> Converted:
    """Return what a column of a row holds, as the contract reads it.

    Raises:
        ChangeRefusedError: The row has no such column, or it holds something else.
    """
    held = column_of(name, row, contract)
    try:
        return column_value(held, contract.columns[name])
    except (ColumnValueError, ArithmeticError, ValueError) as error:
        raise _mismatch(
            f"column {quoted(name)} of {quoted(contract.table)} {error}", name
        ) from error


def _mismatch(message: str, column: str) -> ChangeRefusedError:
    return ChangeRefusedError("cdc_schema_mismatch", message, TOGETHER, f"/{column}")


@dataclass(frozen=True, slots=True)
class RowEvent:
    """One thing that happened to one row."""

    change: RowChange
    table: SourceTable
    means: Means
    key: RowImage | None
    row: RowImage

    @property
    def position(self) -> str:
        """Text that sorts in the order of the source; a snapshot is before all that is streamed."""
        streamed = "0" if self.change.operation == "snapshot" else "1"
        return f"{self.table.contract.epoch:04d}.{streamed}.{self.change.position}"

    def document(self, made: CompiledEmission) -> dict[str, object]:
        """Return the event that one emission makes of it."""
        contract = self.table.contract
        document: dict[str, object] = {
            "specversion": "1.0",
            "id": self._id(made),
            "source": self.table.place,
            "type": made.event.name,
            "dataversion": str(made.event.version),
            "time": self._time(made.emission),
            "tenant": self._tenant(contract),
        }
        data = {
            name: value
            for name, origin in made.emission.fields.items()
            if (value := self._field(name, origin, made)) is not None
        }
        if made.sequence is not None:
            data[made.sequence] = self.position
        document["data"] = data
        return document

    def value(self, name: str) -> Converted:
        """Return what a column of the row holds.

        Raises:
            ChangeRefusedError: No such column, not sent, or it holds something else.
        """
        if self.unsent(name):
            message = f"column {quoted(name)} did not change and was not sent"
            raise ChangeRefusedError("cdc_value_unavailable", message, FULL_IDENTITY, f"/{name}")
        value = value_of(name, self.row, self.table.contract)
        if self.change.operation == "snapshot" and isinstance(value, str):
            self._is_as_it_was(name, value)
        return value

    def differs(self, name: str, before: RowImage) -> bool:
        """Tell whether a column changed; what was not sent did not."""
        if self.unsent(name):
            return False
        return self.value(name) != value_of(name, before, self.table.contract)

    def unsent(self, name: str) -> bool:
        """Tell whether the value of a column was not sent because it did not change."""
        change = self.change
        if self.means == "delete":
            return False
        if name in change.unavailable:
            return True
        streamed = change.operation == "update" or change.moved_from is not None
        return (
            streamed
            and change.before is None
            and change.connector == "postgresql"
            and may_be_unsent(self.table.contract.columns[name])
            and column_of(name, self.row, self.table.contract) is None
        )

    def _is_as_it_was(self, name: str, value: str) -> None:
        kind, connector = self.table.contract.columns[name], self.change.connector
        if kind not in _CALENDAR:
            return
        if misread_in_snapshot(value, day=kind == "date", connector=connector):
            message = (
                f"column {quoted(name)} holds a time before 1582-10-25, which a snapshot may move"
            )
            hint = (
                "Leave the column out of the source contract, or update the row: a change is exact."
            )
            raise ChangeRefusedError("cdc_schema_mismatch", message, hint, f"/{name}")

    def _id(self, made: CompiledEmission) -> str:
        name = f"{made.event.name}@{made.event.version}"
        if self.key is None:
            content = sha256(canonical_json(_plain(told(self.row)))).hexdigest()[:32]
            return f"{self.position}:{self.means}:{content}:{name}"
        once = self.means == "insert" or made.emission.once
        if once and not made.versioned:
            return f"once:{_name(self.key)}:{name}"
        return f"{self.position}:{self.means}:{_name(self.key)}:{name}"

    def _time(self, emission: Emission) -> str:
        if emission.time is not None:
            value = self.value(emission.time)
            if value is not None:
                return str(value)
        return to_rfc3339(self.change.occurred_us)

    def _tenant(self, contract: SourceContract) -> str:
        if not isinstance(contract.tenant, ColumnTenant):
            return contract.tenant
        value = self.value(contract.tenant.column)
        if value is None or value == "":
            message = f"column {quoted(contract.tenant.column)} does not say the tenant"
            raise ChangeRefusedError(
                "cdc_schema_mismatch", message, FULL_IDENTITY, f"/{contract.tenant.column}"
            )
        return str(value)

    def _field(self, name: str, origin: str | ColumnValues, made: CompiledEmission) -> Converted:
        kind = made.event.fields[name].type
        if isinstance(origin, ColumnValues):
            return self._translated(origin, made)
        if origin == KEY:
            return _text(self.key)
        if origin == POSITION:
            return self.position
        if origin.startswith("'"):
            return literal_value(origin[1:-1], kind)
        try:
            return field_value(self._column(origin, made), kind)
        except ColumnValueError as error:
            table = self.table.contract.table
            raise _mismatch(
                f"column {quoted(origin)} of {quoted(table)} {error}", origin
            ) from error

    def _translated(self, origin: ColumnValues, made: CompiledEmission) -> Converted:
        value = self._column(origin.column, made)
        if value is None:
            return None
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        if text not in origin.values:
            message = (
                f"column {quoted(origin.column)} holds a value the source contract does not list"
            )
            hint = f'Add it to "values" of column {quoted(origin.column)}.'
            raise ChangeRefusedError("cdc_value_unlisted", message, hint, f"/{origin.column}")
        return origin.values[text]

    def _column(self, column: str, made: CompiledEmission) -> Converted:
        amends = self.means == "update" and not made.versioned
        if amends and self.unsent(column):
            return None  # what was not sent did not change, and must not overwrite
        return self.value(column)


def _text(key: RowImage | None) -> str | None:
    """Return a key as one text: its value, or a JSON list of them."""
    if key is None:
        return None
    values = [_plain(value) for value in key.values()]
    if len(values) == 1:
        return values[0] if isinstance(values[0], str) else str(values[0])
    return canonical_json(values).decode()


def _name(key: RowImage) -> str:
    text = _text(key) or ""
    return text if _PLAIN.match(text) else sha256(text.encode()).hexdigest()[:32]


def _plain(value: object) -> object:
    """Return a value that JSON can say, decimals as text."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
