"""Queries for the rows that metrics count: accepted events with their corrections applied."""

# ruff: noqa: S608 - names and literals come from checked contracts, nothing from a request
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agentflow.contracts.fold import NEWEST, NEWEST_VERSION, Fold, fold_of
from agentflow.contracts.model import EventContract, Supersession
from agentflow.contracts.registry import Registry
from agentflow.contracts.scope import declared_scope
from agentflow.events.table import ENVELOPE, NAMESPACE, slug
from agentflow.export.ansi import ansi, identifier
from agentflow.expressions import Scope, parse_scalar
from agentflow.expressions.nodes import Aggregate, AggregateInput

_LAST_ONE = f"ORDER BY {', '.join(f'c.{name} DESC' for name in NEWEST)} FETCH FIRST 1 ROW ONLY"


def effective_rows(registry: Registry, contract: EventContract) -> str:
    """Return the table of an event type, or the query that corrects it: its fold, as ANSI SQL.

    Derived fields follow what they are computed from.
    """
    table = _table(contract)
    fold = fold_of(contract, registry.events.values())
    if contract.supersedes is not None:
        return _newest_versions(contract, contract.supersedes, fold)
    if not fold.retractions and not fold.replacements:
        return table
    amended, scope = _amended_rows(contract, fold), declared_scope(contract)
    derived = "".join(
        f", {ansi(parse_scalar(text), scope=scope, table='r')} AS {identifier(name)}"
        for name, text in contract.derived.items()
    )
    return f"SELECT r.*{derived} FROM ({amended}) AS r" if derived else amended


def united_rows(
    aggregate: Aggregate,
    *,
    sources: dict[str, str],
    scopes: Mapping[str, Scope],
    dimensions: Iterable[str],
) -> str:
    """Return one query over every input of an aggregate, for counting distinct across event types.

    Args:
        aggregate: The aggregate, with more than one input.
        sources: What each event name's rows are read from.
        scopes: The types of each event name's fields.
        dimensions: Columns to keep beside the counted value, which is called `item`.
    """
    kept = [identifier(name) for name in dimensions]

    def part(taken: AggregateInput) -> str:
        scope = scopes[taken.event]
        value = ansi(taken.value, scope=scope) if taken.value else "event_id"
        where = f" WHERE {ansi(aggregate.where, scope=scope)}" if aggregate.where else ""
        shown = ", ".join(["tenant", "occurred_at", f"{value} AS item", *kept])
        return f"SELECT {shown} FROM {from_clause(sources[taken.event])}{where}"

    return " UNION ALL ".join(part(taken) for taken in aggregate.inputs)


def from_clause(source: str) -> str:
    """Return a source as it stands after FROM: a query needs parentheses and a name."""
    return f"({source}) AS q" if " " in source else source


def _amended_rows(contract: EventContract, fold: Fold) -> str:
    envelope = [f"e.{column.name}" for column in ENVELOPE]
    declared = [
        _replaced(name, fold.replacements[name])
        if name in fold.replacements
        else f"e.{identifier(name)}"
        for name in contract.fields
    ]
    kept = [f"NOT EXISTS (SELECT 1 FROM {_matching(each)})" for each in fold.retractions]
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    return f"SELECT {', '.join([*envelope, *declared])} FROM {_table(contract)} AS e{where}"


def _replaced(name: str, givers: Sequence[EventContract]) -> str:
    """Return a field as the newest correction that gives it left it, whichever its type."""
    column = identifier(name)
    if len(givers) == 1:
        source = f"{_matching(givers[0])} AND c.{column} IS NOT NULL"
    else:
        given = " UNION ALL ".join(_given(column, each) for each in givers)
        source = f"({given}) AS c WHERE c.tenant = e.tenant AND c.tie = e.{_key(givers[0])}"
    return f"COALESCE((SELECT c.{column} FROM {source} {_LAST_ONE}), e.{column}) AS {column}"


def _given(column: str, event: EventContract) -> str:
    columns = ", ".join(["tenant", f"{_key(event)} AS tie", *NEWEST, column])
    return f"SELECT {columns} FROM {_table(event)} WHERE {column} IS NOT NULL"


def _newest_versions(contract: EventContract, superseding: Supersession, fold: Fold) -> str:
    """Return the newest version of every row, of the rows that were not taken back since."""
    on, sequence = identifier(superseding.on), identifier(superseding.sequence)
    table = _table(contract)
    same = f"{table} AS c WHERE c.tenant = e.tenant AND c.{on} = e.{on}"
    conditions = [f"NOT EXISTS (SELECT 1 FROM {same} AND {_after((sequence, *NEWEST_VERSION))})"]
    conditions += [
        f"NOT EXISTS (SELECT 1 FROM {_matching(each)} AND c.{sequence} > e.{sequence})"
        for each in fold.retractions
    ]
    columns = [*(column.name for column in ENVELOPE), *map(identifier, contract.fields)]
    columns += [identifier(name) for name in contract.derived]
    listed = ", ".join(f"e.{column}" for column in columns)
    return f"SELECT {listed} FROM {table} AS e WHERE {' AND '.join(conditions)}"


def _after(names: Sequence[str]) -> str:
    """Return the condition that row `c` comes after row `e`, by one name after another."""
    first, *others = names
    after = f"c.{first} > e.{first}"
    return f"({after} OR (c.{first} = e.{first} AND {_after(others)}))" if others else after


def _matching(event: EventContract) -> str:
    """Return the corrections of row `e`, called `c`; keys are per tenant."""
    key = _key(event)
    return f"{_table(event)} AS c WHERE c.tenant = e.tenant AND c.{key} = e.{key}"


def _key(event: EventContract) -> str:
    return identifier(event.corrects.on) if event.corrects else ""


def _table(event: EventContract) -> str:
    return f"{NAMESPACE}.{slug(event.ref)}"
