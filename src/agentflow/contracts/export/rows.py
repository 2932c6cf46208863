"""Queries for the rows that metrics count: accepted events with their corrections applied."""

# ruff: noqa: S608 - names and literals come from checked contracts, nothing from a request
from __future__ import annotations

from collections.abc import Iterable

from agentflow.contracts.export.ansi import ansi, identifier
from agentflow.contracts.export.tables import ENVELOPE, NAMESPACE, slug
from agentflow.contracts.model import Correction, EventContract, Supersession
from agentflow.contracts.registry import Registry
from agentflow.expressions import parse_scalar
from agentflow.expressions.nodes import Aggregate, AggregateInput

_LAST_ONE = "ORDER BY c.occurred_at DESC, c.event_id DESC FETCH FIRST 1 ROW ONLY"


def effective_rows(registry: Registry, contract: EventContract) -> str:
    """Return the table of an event type, or the query that corrects it.

    A retracted event is gone. A replaced field holds the last non-null value that an amending event
    gave it; derived fields follow, and event time stays.
    """
    table = f"{NAMESPACE}.{slug(contract.ref)}"
    corrections = registry.corrections_of(contract.ref)
    if contract.supersedes is not None:
        return _newest_versions(contract, contract.supersedes, corrections, table=table)
    if not corrections:
        return table
    amended = _amended_rows(contract, corrections)
    derived = "".join(
        f", {ansi(parse_scalar(text), table='r')} AS {identifier(name)}"
        for name, text in contract.derived.items()
    )
    return f"SELECT r.*{derived} FROM ({amended}) AS r" if derived else amended


def united_rows(aggregate: Aggregate, *, sources: dict[str, str], dimensions: Iterable[str]) -> str:
    """Return one query over every input of an aggregate, for counting distinct across event types.

    Args:
        aggregate: The aggregate, with more than one input.
        sources: What each event name's rows are read from.
        dimensions: Columns to keep beside the counted value, which is called `item`.
    """
    kept = [identifier(name) for name in dimensions]

    def part(taken: AggregateInput) -> str:
        value = ansi(taken.value) if taken.value else "event_id"
        where = f" WHERE {ansi(aggregate.where)}" if aggregate.where else ""
        shown = ", ".join(["tenant", "occurred_at", f"{value} AS item", *kept])
        return f"SELECT {shown} FROM {from_clause(sources[taken.event])}{where}"

    return " UNION ALL ".join(part(taken) for taken in aggregate.inputs)


def from_clause(source: str) -> str:
    """Return a source as it stands after FROM: a query needs parentheses and a name."""
    return f"({source}) AS q" if " " in source else source


def _amended_rows(contract: EventContract, corrections: Iterable[EventContract]) -> str:
    replaced: dict[str, str] = {}
    retracted = ""
    for event in corrections:
        correction = event.corrects
        if correction is None:
            continue
        matching = _matching(event, correction)
        if correction.effect == "retract":
            retracted += f" AND NOT EXISTS (SELECT 1 FROM {matching})"
            continue
        for name in _shared(contract, event, correction):
            column = identifier(name)
            last = f"(SELECT c.{column} FROM {matching} AND c.{column} IS NOT NULL {_LAST_ONE})"
            replaced[name] = f"COALESCE({last}, e.{column}) AS {column}"
    envelope = [f"e.{column.name}" for column in ENVELOPE]
    declared = [replaced.get(name, f"e.{identifier(name)}") for name in contract.fields]
    where = f" WHERE {retracted.removeprefix(' AND ')}" if retracted else ""
    table = f"{NAMESPACE}.{slug(contract.ref)}"
    return f"SELECT {', '.join([*envelope, *declared])} FROM {table} AS e{where}"


def _newest_versions(
    contract: EventContract,
    superseding: Supersession,
    corrections: Iterable[EventContract],
    *,
    table: str,
) -> str:
    """Return the newest version of every row, of the rows that were not taken back since."""
    on, sequence = identifier(superseding.on), identifier(superseding.sequence)
    newer = (
        f"SELECT 1 FROM {table} AS c WHERE c.tenant = e.tenant AND c.{on} = e.{on} "
        f"AND (c.{sequence} > e.{sequence} "
        f"OR (c.{sequence} = e.{sequence} AND c.event_id > e.event_id))"
    )
    conditions = [f"NOT EXISTS ({newer})"]
    for event in corrections:
        if event.corrects is not None:
            gone = (
                f"SELECT 1 FROM {_matching(event, event.corrects)} AND c.{sequence} > e.{sequence}"
            )
            conditions.append(f"NOT EXISTS ({gone})")
    columns = [*(column.name for column in ENVELOPE), *map(identifier, contract.fields)]
    columns += [identifier(name) for name in contract.derived]
    listed = ", ".join(f"e.{column}" for column in columns)
    return f"SELECT {listed} FROM {table} AS e WHERE {' AND '.join(conditions)}"


def _matching(event: EventContract, correction: Correction) -> str:
    """The corrections of row `e`, called `c`; keys are per tenant."""
    key = identifier(correction.on)
    table = f"{NAMESPACE}.{slug(event.ref)}"
    return f"{table} AS c WHERE c.tenant = e.tenant AND c.{key} = e.{key}"


def _shared(
    contract: EventContract, event: EventContract, correction: Correction
) -> tuple[str, ...]:
    return tuple(name for name in contract.fields if name in event.fields and name != correction.on)
