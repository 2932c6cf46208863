"""A mapping at work: one row in, its events out, as a pure function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from math import isfinite
from typing import TypeAlias

import msgspec

from agentflow.clock import to_rfc3339
from agentflow.events import UNMAPPED, EventRef, canonical_json
from agentflow.expressions import infer, parse_scalar
from agentflow.wording import quoted
from ingestion.replay.cells import Cell, CellError, CellValue
from ingestion.replay.shape import EventMapping, MappingContract
from ingestion.replay.values import Step, Tables, Values, evaluated, rendered, scope_of, steps_of

_encode = msgspec.json.Encoder(decimal_format="string").encode
_Compiled: TypeAlias = Callable[[Values], "tuple[int, bytes] | None"]


@dataclass(frozen=True, slots=True)
class Mapped:
    """One event of a row, as CloudEvents JSON."""

    occurred_us: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A row, or a part of one, that became no event.

    Attributes:
        value: What is sent instead: an event no contract names, so that the row waits among the
            dead letters with its cells and its problem.
    """

    problem: str
    value: bytes


@dataclass(frozen=True, slots=True)
class RowMapping:
    """A compiled mapping. Made by `read_mappings`, which checks it against the contracts."""

    contract: MappingContract
    headers: tuple[str, ...]
    _steps: tuple[Step, ...] = field(repr=False)
    _events: tuple[_Compiled, ...] = field(repr=False)

    @classmethod
    def of(cls, contract: MappingContract, tables: Tables) -> RowMapping:
        """Compile a mapping whose expressions are known to be sound.

        Raises:
            ExpressionError: They are not.
        """
        headers = tuple(column.header or name for name, column in contract.columns.items())
        events = tuple(_event(event, contract) for event in contract.events)
        return cls(contract, headers, steps_of(contract, tables), events)

    def apply(self, row: Mapping[str, Cell], number: int) -> tuple[Mapped | Unmapped, ...]:
        """Return the events of a row, in the order of the mapping; at most one is `Unmapped`.

        Args:
            row: Column name in the file → cell; a column that is not there is null.
            number: Which row it is, from 1, for messages.
        """
        values: Values = {}
        if self.contract.row_number is not None:
            values[self.contract.row_number] = number
        try:
            for step in self._steps:
                step(row, values)
        except CellError as error:
            return (self.unmapped(str(error), row, number),)
        outcomes: list[Mapped | Unmapped] = []
        problems: list[str] = []
        for event in self._events:
            try:
                mapped = event(values)
            except CellError as error:
                problems.append(str(error))
                continue
            if mapped is not None:
                outcomes.append(Mapped(*mapped))
        if not outcomes and not problems and self.contract.unclaimed == "report":
            problems.append("no event of the mapping wants this row")
        if problems:
            outcomes.append(self.unmapped("; ".join(problems), row, number))
        return tuple(outcomes)

    def unmapped(self, problem: str, row: Mapping[str, Cell], number: int) -> Unmapped:
        """Describe a row that cannot be mapped. The same row always gives the same bytes."""
        return unmapped(self.contract.name, problem, row, number, source=self.contract.source)


def unmapped(
    name: str, problem: str, row: Mapping[str, Cell], number: int, *, source: str
) -> Unmapped:
    """Wrap a row in an event of type `<name>.unmapped`, which no contract may have.

    The gate refuses it as `row_unmapped`, with the problem. Its id is its number and its cells: the
    same row of a second run is the same dead letter, rows of other files with this number are not.
    """
    cells = {_readable(header): _plain(cell) for header, cell in row.items()}
    content = sha256(canonical_json(cells)).hexdigest()[:32]
    document = {
        "specversion": "1.0",
        "id": f"row {number}:{content}",
        "source": source,
        "type": f"{name}{UNMAPPED}",
        "subject": f"row {number}",
        "data": {"row": number, "problem": _readable(problem), "cells": cells},
    }
    return Unmapped(problem, _encode(document))


def _plain(cell: object) -> object:
    if isinstance(cell, bool | int | None) or (isinstance(cell, float) and isfinite(cell)):
        return cell
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    if isinstance(cell, list | dict):
        return _readable(_encode(cell).decode())
    return _readable(str(cell))


def _readable(text: str) -> str:
    """Undecodable bytes of a file come in as lone surrogates, which JSON cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def _event(event: EventMapping, mapping: MappingContract) -> _Compiled:
    scope = scope_of(mapping)
    when = None if event.when is None else evaluated(parse_scalar(event.when), scope)
    make_id = rendered(event.id)
    make_subject = rendered(event.subject) if event.subject is not None else None
    data = [_field(name, text, mapping) for name, text in event.data.items()]
    ref = EventRef.parse(event.type)
    head = {"specversion": "1.0", "source": mapping.source, "type": ref.type}
    if "@" in event.type:
        head["dataversion"] = str(ref.version)

    def compiled(values: Values) -> tuple[int, bytes] | None:
        if when is not None and when(values) is not True:
            return None
        occurred_us, event_id = values[event.time], make_id(values)
        if not isinstance(occurred_us, int):
            raise CellError(f"{ref.type}: its time {quoted(event.time)} is empty")
        if event_id is None:
            raise CellError(f"{ref.type}: a part of its id {quoted(event.id)} is empty")
        document: dict[str, object] = {**head, "id": event_id, "time": to_rfc3339(occurred_us)}
        if make_subject is not None and (subject := make_subject(values)) is not None:
            document["subject"] = subject
        document["data"] = {name: value for name, of in data if (value := of(values)) is not None}
        try:
            return occurred_us, _encode(document)
        except UnicodeEncodeError:
            raise CellError(f"{ref.type}: the row holds bytes that are not UTF-8") from None

    return compiled


def _field(
    name: str, text: str, mapping: MappingContract
) -> tuple[str, Callable[[Values], CellValue]]:
    scope = scope_of(mapping)
    node = parse_scalar(text)
    value = evaluated(node, scope)
    match infer(node, scope).kind:
        case "timestamp":
            return name, lambda values: _instant_text(value(values))
        case "decimal":
            return name, lambda values: _decimal_text(value(values))
        case _:
            return name, value


def _instant_text(value: CellValue) -> str | None:
    return to_rfc3339(value) if isinstance(value, int) else None


def _decimal_text(value: CellValue) -> str | None:
    return format(value, "f") if isinstance(value, Decimal) else None
