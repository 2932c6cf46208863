"""Checks of source contracts: that the changes of a table can become the events they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from agentflow.contracts.model import EventContract, FieldContract
from agentflow.contracts.scope import sequence_of
from agentflow.contracts.tables import (
    KEY,
    POSITION,
    ColumnTenant,
    ColumnValues,
    Emission,
    SourceContract,
)
from agentflow.errors import FileProblem
from agentflow.lint.context import LintContext
from agentflow.suggestions import nearest_or_all

_LITERAL = re.compile(r"'([^']*)'\Z")
_TEXT = frozenset({"string"})
CONVERTS: Mapping[str, frozenset[str]] = {
    "string": _TEXT,
    "bytes": _TEXT,
    "json": _TEXT,
    "time": _TEXT,
    "integer": frozenset({"string", "integer", "decimal", "number"}),
    "decimal": frozenset({"string", "decimal", "number"}),
    "number": frozenset({"number"}),
    "boolean": frozenset({"boolean"}),
    "date": frozenset({"string", "date"}),
    "timestamp": frozenset({"string", "timestamp"}),
}
"""Column type, of timestamps without their unit → field types it can become."""


def source_problems(source: SourceContract, context: LintContext) -> Iterator[FileProblem]:
    """Yield what is wrong with a source contract."""
    yield from context.lifetime(source.status, source.sunset)
    yield from _alone(source, context)
    for index, column in enumerate(source.key):
        yield from _known(column, source, context, "key", index)
    if isinstance(source.tenant, ColumnTenant):
        yield from _known(source.tenant.column, source, context, "tenant", "column")
    if not any(source.emissions.values()):
        hint = 'Say what a row becomes under "insert", or "write" if rows change.'
        yield context.problem(message="no change of this table becomes an event", hint=hint)
    if not source.key:
        yield from _keyless(source, context)
    for operation in ("write", "insert", "update", "delete"):
        emissions: tuple[Emission, ...] = getattr(source, operation)
        for index, emission in enumerate(emissions):
            yield from _emission(source, emission, context, (operation, index))


def _alone(source: SourceContract, context: LintContext) -> Iterator[FileProblem]:
    for other in context.registry.tables.values():
        if other.status == "deprecated" or source.status == "deprecated":
            continue
        if (other.name, other.version) < (source.name, source.version):
            if other.topic == source.topic:
                message = f'table "{source.table}" is read by "{other.name}@{other.version}" too'
                yield context.problem("table", message=message)
            elif other.server == source.server and _server(other) != _server(source):
                message = f'server "{source.server}" is another database for "{other.name}"'
                yield context.problem("server", message=message)


def _server(source: SourceContract) -> tuple[str, str]:
    return source.connector, source.database if source.connector == "postgres" else ""


def _keyless(source: SourceContract, context: LintContext) -> Iterator[FileProblem]:
    if source.snapshot != "none":
        message = "rows without a key cannot be told apart in a snapshot"
        hint = "Name the key columns, or write snapshot: none."
        yield context.problem("snapshot", message=message, hint=hint)
    for operation in ("write", "update", "delete"):
        if getattr(source, operation):
            message = f'"{operation}" needs a key: which row changed cannot be told without one'
            yield context.problem(operation, message=message)


def _known(
    column: str, source: SourceContract, context: LintContext, *path: str | int
) -> Iterator[FileProblem]:
    if column not in source.columns:
        message = f'"{column}" is not among the columns'
        hint = nearest_or_all(column, sorted(source.columns))
        yield context.problem(*path, message=message, hint=hint)


def _emission(
    source: SourceContract, emission: Emission, context: LintContext, path: tuple[str | int, ...]
) -> Iterator[FileProblem]:
    event = context.event(emission.ref)
    if event is None:
        yield from context.no_event(*path, "event", ref=emission.ref)
        return
    for name in (*emission.when, *emission.changed):
        yield from _known(name, source, context, *path)
    if emission.time is not None:
        yield from _known(emission.time, source, context, *path, "time")
        if not source.columns.get(emission.time, "timestamp").startswith("timestamp"):
            yield context.problem(*path, "time", message=f'"{emission.time}" is not a timestamp')
    sequence = sequence_of(event, context.registry.events)
    for name, origin in emission.fields.items():
        yield from _field(source, event, context, (*path, "fields", name), origin)
    for name, field in event.fields.items():
        if field.required and name not in emission.fields and name != sequence:
            message = f'"{event.ref}" requires "{name}", which comes from no column'
            yield context.problem(*path, "fields", message=message)
    if sequence is not None and (emission.when or emission.changed or emission.once):
        message = f'"{event.ref}" is a version of a row, so no change of the row may be left out'
        yield context.problem(*path, message=message, hint="Filter in the metric instead.")
    if event.supersedes is not None and path[0] == "insert" and source.key:
        message = f'"{event.ref}" is a version of a row, so an update must become one too'
        yield context.problem(*path, message=message, hint='Put it under "write".')


def _field(
    source: SourceContract,
    event: EventContract,
    context: LintContext,
    path: tuple[str | int, ...],
    origin: str | ColumnValues,
) -> Iterator[FileProblem]:
    name = str(path[-1])
    field = event.fields.get(name)
    if field is None:
        message = f'"{name}" is not a field of "{event.ref}"'
        yield context.problem(
            *path, message=message, hint=nearest_or_all(name, sorted(event.fields))
        )
        return
    kind = _kind(source, origin)
    if kind is None:
        column = origin.column if isinstance(origin, ColumnValues) else origin
        meant = nearest_or_all(column, sorted(source.columns))
        hint = f"{meant} A fixed value is written \"'{column}'\"."
        message = f'"{column}" is not among the columns'
        yield context.problem(*path, message=message, hint=hint)
    elif kind == "literal":
        yield from _literal(str(origin), field, context, path)
    elif field.type not in CONVERTS[kind]:
        message = f"a column of type {kind} cannot become a field of type {field.type}"
        yield context.problem(*path, message=message)


def _kind(source: SourceContract, origin: str | ColumnValues) -> str | None:
    """Return the column type a value comes from, without the unit of a timestamp."""
    if isinstance(origin, ColumnValues):
        return "string" if origin.column in source.columns else None
    if _LITERAL.match(origin):
        return "literal"
    if origin in {KEY, POSITION}:
        return "string"
    kind = source.columns.get(origin)
    return None if kind is None else kind.partition("_")[0]


def _literal(
    origin: str, field: FieldContract, context: LintContext, path: tuple[str | int, ...]
) -> Iterator[FileProblem]:
    text = origin[1:-1]
    fits = {
        "integer": re.fullmatch(r"-?[0-9]{1,18}", text),
        "decimal": re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]+)?", text),
        "boolean": re.fullmatch("true|false", text),
        "string": not field.enum or text in field.enum,
    }
    if not fits.get(field.type):
        yield context.problem(*path, message=f"{origin} is not a value of a {field.type} field")
