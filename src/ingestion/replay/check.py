"""What can be known to be wrong with a mapping before a row is read, by line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from agentflow.contracts import EventContract, Registry, SourceFile
from agentflow.contracts.source import KeyPath
from agentflow.errors import ExpressionError, FileProblem, UnknownContractError
from agentflow.events import UNMAPPED, EventRef
from agentflow.expressions import ExpressionType, Scope, infer, parse_scalar
from agentflow.suggestions import did_you_mean
from agentflow.wording import quoted
from ingestion.replay.cells import EPOCH_UNITS_US, CellError
from ingestion.replay.instants import zone
from ingestion.replay.shape import EventMapping, MappingContract
from ingestion.replay.values import order_of, parts_of, reads_of, scope_of

_FITS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"string"}),
    "integer": frozenset({"integer"}),
    "decimal": frozenset({"integer", "decimal"}),
    "number": frozenset({"integer", "number"}),
    "boolean": frozenset({"boolean"}),
    "timestamp": frozenset({"timestamp"}),
    "date": frozenset({"date"}),
}
"""Type of an event's field → types of the values that may go there."""


def problems_of(
    mapping: MappingContract, source: SourceFile, registry: Registry
) -> Iterator[FileProblem]:
    """Find everything wrong with a mapping that has the right shape."""
    yield from _columns(mapping, source)
    yield from _named_values(mapping, source)
    scope = scope_of(mapping)
    for index, event in enumerate(mapping.events):
        yield from _event(event, source, ("events", index), scope)
        contract = _contract(event, registry)
        if isinstance(contract, EventContract):
            yield from _data(event, contract, source, ("events", index), scope)
        else:
            yield source.problem(("events", index, "type"), *contract)
    rejected = f"{mapping.name}{UNMAPPED}"
    if any(ref.type == rejected for ref in registry.events):
        hint = "Its rows that cannot be mapped need that name for themselves."
        yield source.problem(("name",), f"an event is called {quoted(rejected)}", hint)


def _columns(mapping: MappingContract, source: SourceFile) -> Iterator[FileProblem]:
    for name, column in mapping.columns.items():
        if column.zone is not None:
            yield from _zone(column.zone, source, ("columns", name, "zone"))
        known = column.format is None or column.format in {"rfc3339", *EPOCH_UNITS_US}
        if not known and "%" not in str(column.format):
            hint = f"Use a strptime pattern, rfc3339 or {', '.join(EPOCH_UNITS_US)}."
            path = ("columns", name, "format")
            yield source.problem(path, f"{quoted(column.format)} is not a format", hint)


def _named_values(mapping: MappingContract, source: SourceFile) -> Iterator[FileProblem]:
    scope = scope_of(mapping)
    reads = reads_of(mapping)
    sections: Mapping[str, Collection[str]] = {
        "texts": mapping.texts,
        "lookups": mapping.lookups,
        "instants": mapping.instants,
    }
    for section, names in sections.items():
        for name in names:
            for read in reads[name]:
                yield from _known(read, scope, source, (section, name))
    for name in sorted(reads.keys() - set(order_of(reads))):
        section = next(section for section, names in sections.items() if name in names)
        yield source.problem((section, name), f"{quoted(name)} needs itself to be computed")
    for name, instant in mapping.instants.items():
        wanted = {"after": "timestamp", "start": "timestamp", "plus": "integer"}
        for key, kind in wanted.items():
            read = getattr(instant, key)
            if read in scope and scope[read].kind != kind:
                message = f"{quoted(read)} is a {scope[read].kind}, `{key}` needs a {kind}"
                yield source.problem(("instants", name, key), message)
        if instant.zone is not None:
            yield from _zone(instant.zone, source, ("instants", name, "zone"))


def _zone(name: str, source: SourceFile, path: KeyPath) -> Iterator[FileProblem]:
    try:
        zone(name)
    except CellError as error:
        yield source.problem(path, str(error), "Zones are named like Europe/Berlin.")


def _known(name: str, scope: Scope, source: SourceFile, path: KeyPath) -> Iterator[FileProblem]:
    if name not in scope:
        hint = did_you_mean(name, scope) or f"Named: {', '.join(sorted(scope))}."
        yield source.problem(path, f"no column or value is named {quoted(name)}", hint)


def _event(
    event: EventMapping, source: SourceFile, path: KeyPath, scope: Scope
) -> Iterator[FileProblem]:
    for key, template in (("id", event.id), ("subject", event.subject or "")):
        for name in parts_of(template):
            yield from _known(name, scope, source, (*path, key))
    if not parts_of(event.id):
        hint = "Put what tells rows apart into it, in braces: {order_number}."
        yield source.problem((*path, "id"), "every row would give the same id", hint)
    yield from _known(event.time, scope, source, (*path, "time"))
    if event.time in scope and scope[event.time].kind != "timestamp":
        message = f"{quoted(event.time)} is a {scope[event.time].kind}, `time` needs a timestamp"
        yield source.problem((*path, "time"), message)
    if event.when is not None:
        kind = _kind(event.when, scope)
        if isinstance(kind, ExpressionError):
            yield source.problem((*path, "when"), str(kind), kind.hint)
        elif kind.kind != "boolean":
            yield source.problem((*path, "when"), f"a condition is boolean, this is {kind.kind}")


def _contract(event: EventMapping, registry: Registry) -> EventContract | tuple[str, str | None]:
    """Return the contract, or what to say about there being none."""
    name, at, version = event.type.partition("@")
    if at and not version.isdecimal():
        return (
            f"{quoted(event.type)} is not an event type",
            "Write order.created or order.created@1.",
        )
    try:
        return registry.event(name, EventRef.parse(event.type).version if at else None)
    except UnknownContractError as error:
        return str(error), error.hint


def _data(
    event: EventMapping, contract: EventContract, source: SourceFile, path: KeyPath, scope: Scope
) -> Iterator[FileProblem]:
    for name, field in contract.fields.items():
        if field.required and name not in event.data:
            message = (
                f"{quoted(contract.ref)} requires {quoted(name)}, which the mapping does not give"
            )
            yield source.problem((*path, "data"), message)
    for name, text in event.data.items():
        where = (*path, "data", name)
        if name not in contract.fields:
            hint = did_you_mean(name, contract.fields) or None
            yield source.problem(where, f"{quoted(contract.ref)} has no field {quoted(name)}", hint)
            continue
        value = _kind(text, scope)
        if isinstance(value, ExpressionError):
            yield source.problem(where, str(value), value.hint)
        elif value.kind not in _FITS[contract.fields[name].type] | {"null"}:
            wanted = contract.fields[name].type
            message = (
                f"{quoted(name)} of {quoted(contract.ref)} is a {wanted}, this is a {value.kind}"
            )
            yield source.problem(where, message)


def _kind(text: str, scope: Scope) -> ExpressionType | ExpressionError:
    try:
        return infer(parse_scalar(text), scope)
    except ExpressionError as error:
        return error
