"""The named values of a row: compiled once from a mapping, computed for each row in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from agentflow.expressions import ExpressionType, Node, Scope
from agentflow.expressions.python import NAMESPACE, PythonEmitter
from agentflow.wording import quoted
from ingestion.replay.cells import Cell, CellError, CellValue, parser_of
from ingestion.replay.instants import UNITS_US, at, first_after
from ingestion.replay.shape import FileColumn, InstantColumn, MappingContract

Values: TypeAlias = dict[str, CellValue]
Step: TypeAlias = Callable[[Mapping[str, Cell], Values], None]
Tables: TypeAlias = Mapping[str, Mapping[str, str]]
"""Lookup name → its file's content."""
_PART = re.compile(r"\{([^{}]*)\}")


def parts_of(template: str) -> tuple[str, ...]:
    """Return the names a template uses.

    >>> parts_of("{carrier}{flight}")
    ('carrier', 'flight')
    """
    return tuple(_PART.findall(template))


def reads_of(mapping: MappingContract) -> dict[str, tuple[str, ...]]:
    """Return which named values each derived named value needs, in the order of the file."""
    reads: dict[str, tuple[str, ...]] = {}
    for name, template in mapping.texts.items():
        reads[name] = parts_of(template)
    for name, lookup in mapping.lookups.items():
        reads[name] = (lookup.key,)
    for name, instant in mapping.instants.items():
        templates = (*parts_of(instant.date or ""), *parts_of(instant.clock or ""))
        names = (instant.zone_from, instant.after, instant.start, instant.plus)
        reads[name] = (*templates, *(read for read in names if read is not None))
    return reads


def order_of(reads: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return names so that each follows what it needs; those in a circle are left out."""
    ordered: list[str] = []
    waiting = list(reads)
    while ready := [name for name in waiting if not set(reads[name]) & set(waiting)]:
        ordered += ready
        waiting = [name for name in waiting if name not in ready]
    return tuple(ordered)


def scope_of(mapping: MappingContract) -> Scope:
    """Return the types of all named values, as conditions and data see them."""
    scope = {
        name: ExpressionType(column.type, scale=column.scale or 0, nullable=True)
        for name, column in mapping.columns.items()
    }
    if mapping.row_number is not None:
        scope[mapping.row_number] = ExpressionType("integer")
    for name in (*mapping.texts, *mapping.lookups):
        scope[name] = ExpressionType("string", nullable=True)
    for name in mapping.instants:
        scope[name] = ExpressionType("timestamp", nullable=True)
    return scope


def steps_of(mapping: MappingContract, tables: Tables) -> tuple[Step, ...]:
    """Return the functions that fill in a row's named values, one after another."""
    steps = [_column(name, column, mapping) for name, column in mapping.columns.items()]
    for name in order_of(reads_of(mapping)):
        if name in mapping.texts:
            steps.append(_text(name, mapping.texts[name]))
        elif name in mapping.lookups:
            steps.append(_lookup(name, mapping.lookups[name].key, tables[name]))
        else:
            steps.append(_instant(name, mapping.instants[name]))
    return tuple(steps)


def rendered(template: str) -> Callable[[Values], str | None]:
    """Return the function that fills in a template; null when one of its parts is null."""
    names = parts_of(template)
    pattern = _PART.sub("%s", template.replace("%", "%%"))

    def render(values: Values) -> str | None:
        parts = tuple([values[name] for name in names])
        return None if None in parts else pattern % parts

    return render


def evaluated(node: Node, scope: Scope) -> Callable[[Values], CellValue]:
    """Return the compiled function of a checked expression over the named values."""
    source = PythonEmitter(scope, field=lambda name: f"v[{name!r}]").value_source(node)
    namespace = dict(NAMESPACE)
    compiled: Callable[[Values], CellValue] = eval(f"lambda v: {source}", namespace)  # noqa: S307 - emitted from a checked tree, never text of a file
    return compiled


def _column(name: str, column: FileColumn, mapping: MappingContract) -> Step:
    header = column.header or name
    parse = parser_of(column, mapping)

    def step(row: Mapping[str, Cell], values: Values) -> None:
        try:
            values[name] = parse(row.get(header))
        except CellError as error:
            raise CellError(f"column {quoted(header)}: {error}") from None

    return step


def _text(name: str, template: str) -> Step:
    render = rendered(template)

    def step(_row: Mapping[str, Cell], values: Values) -> None:
        values[name] = render(values)

    return step


def _lookup(name: str, key: str, table: Mapping[str, str]) -> Step:
    def step(_row: Mapping[str, Cell], values: Values) -> None:
        wanted = values[key]
        if wanted is None:
            values[name] = None
            return
        try:
            values[name] = table[str(wanted)]
        except KeyError:
            raise CellError(f"lookup {quoted(name)} does not know {quoted(wanted)}") from None

    return step


def _instant(name: str, instant: InstantColumn) -> Step:
    compute = _sum(instant) if instant.start is not None else _clock(instant)

    def step(_row: Mapping[str, Cell], values: Values) -> None:
        try:
            values[name] = compute(values)
        except CellError as error:
            raise CellError(f"instant {quoted(name)}: {error}") from None
        except (OverflowError, ValueError):
            raise CellError(f"instant {quoted(name)} is outside the years 1 to 9999") from None

    return step


def _sum(instant: InstantColumn) -> Callable[[Values], CellValue]:
    start, plus, unit_us = instant.start or "", instant.plus or "", UNITS_US[instant.unit]

    def compute(values: Values) -> CellValue:
        start_us, units = values[start], values[plus]
        if isinstance(start_us, int) and isinstance(units, int):
            return start_us + units * unit_us
        return None

    return compute


def _clock(instant: InstantColumn) -> Callable[[Values], CellValue]:
    clock = rendered(instant.clock or "")
    date = rendered(instant.date) if instant.date is not None else None
    zone_from, zone_name, after = instant.zone_from, instant.zone, instant.after or ""

    def compute(values: Values) -> CellValue:
        clock_text = clock(values)
        where = zone_name if zone_from is None else values[zone_from]
        if clock_text is None or where is None:
            return None
        if date is not None:
            date_text = date(values)
            return None if date_text is None else at(date_text, clock_text, str(where))
        start_us = values[after]
        return first_after(start_us, clock_text, str(where)) if isinstance(start_us, int) else None

    return compute
