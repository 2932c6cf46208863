"""Emit the events that still count: each as its corrections left it, with no help from live state.

The fold is `agentflow.contracts.fold`, written for DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentflow.contracts.fold import NEWEST, NEWEST_VERSION, fold_of
from agentflow.contracts.model import EventContract, Supersession
from agentflow.contracts.reads import declared
from agentflow.contracts.scope import declared_scope
from agentflow.events import EventRef
from agentflow.expressions import parse_scalar
from agentflow.expressions.sql import quote_name, scalar_sql

NEWEST_US = tuple(name.replace("occurred_at", "occurred_us") for name in NEWEST)  # as views have it
_KEY = "correction_key"


@dataclass(frozen=True, slots=True)
class EffectiveEvents:
    """A SELECT of the events that count, and the event views it reads."""

    text: str
    reads: tuple[EventRef, ...]


@dataclass(frozen=True, slots=True)
class _Replacing:
    """A correction that replaces fields which are read."""

    contract: EventContract
    fields: tuple[str, ...]


def effective_events(
    ref: EventRef,
    *,
    events: Mapping[EventRef, EventContract],
    used: frozenset[str],
    known: Sequence[str],
    envelope: Sequence[str] = ("occurred_us", "log_offset"),
) -> EffectiveEvents:
    """Return the events of *ref* with their *envelope* columns and the *used* fields.

    Args:
        ref: The event version.
        events: All contracts; those that correct *ref* are found there.
        used: Declared and derived fields that are read.
        known: Conditions on which events, and which corrections, are known.
        envelope: Columns that every view has, whatever its event.
    """
    contract = events[ref]
    fold = fold_of(contract, events.values())
    retracting = fold.retractions
    replaced = declared(used, contract) & fold.replacements.keys()
    givers = {giver.ref: giver for name in fold.replacements for giver in fold.replacements[name]}
    replacing = [
        _Replacing(giver, fields)
        for giver in givers.values()
        if (fields := tuple(n for n in fold.replacements if n in replaced & giver.fields.keys()))
    ]
    conditions = _of("base", known) + [
        f"NOT {_exists(each, f'r{number}', known, contract.supersedes)}"
        for number, each in enumerate(retracting)
    ]
    source = f"{quote_name(str(ref))} AS base"
    if contract.supersedes is not None:
        source = f"(\n{indented(_newest_versions(contract, contract.supersedes, known))}\n) AS base"
        conditions = conditions[len(known) :] or ["TRUE"]
    if replacing:
        source += f"\n{_newest(replacing, sorted(replaced), known)}"
    columns = [*_of("base", envelope), *current_columns(contract, used, replaced)]
    reads = (ref, *(each.ref for each in retracting), *(each.contract.ref for each in replacing))
    return EffectiveEvents(select(columns, source, conditions), tuple(dict.fromkeys(reads)))


def select(columns: Iterable[str], source: str, conditions: Iterable[str]) -> str:
    """Write a SELECT, one column and one condition on each line."""
    listed = ",\n".join(indented(column) for column in columns)
    return f"SELECT\n{listed}\nFROM {source}\nWHERE " + "\n  AND ".join(conditions)


def indented(text: str) -> str:
    """Move every line of *text* two places to the right."""
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _of(alias: str, conditions: Iterable[str]) -> list[str]:
    return [f"{alias}.{condition}" for condition in conditions]


def _newest_versions(
    contract: EventContract, superseding: Supersession, known: Sequence[str]
) -> str:
    """Return the newest known version of every row."""
    sequence = quote_name(superseding.sequence)
    order = ", ".join(f"{name} DESC" for name in (sequence, *NEWEST_VERSION))
    rank = f"ROW_NUMBER() OVER (PARTITION BY {quote_name(superseding.on)} ORDER BY {order})"
    return f"{select(['*'], quote_name(str(contract.ref)), known)}\nQUALIFY {rank} = 1"


def _exists(
    correcting: EventContract,
    alias: str,
    known: Sequence[str],
    superseding: Supersession | None,
) -> str:
    key = _key(correcting)
    conditions = [f"{alias}.{key} = base.{key}", *_of(alias, known)]
    if superseding is not None:
        sequence = quote_name(superseding.sequence)
        conditions.append(f"{alias}.{sequence} > base.{sequence}")
    found = select(["1"], f"{quote_name(str(correcting.ref))} AS {alias}", conditions)
    return f"EXISTS (\n{indented(indented(found))}\n  )"


def _newest(replacing: Sequence[_Replacing], fields: Sequence[str], known: Sequence[str]) -> str:
    """Return the join of the newest value of every replaced field; null where there is none."""
    carried = [
        select(
            [
                f"{_key(each.contract)} AS {_KEY}",
                *NEWEST_US,
                *map(quote_name, each.fields),
            ],
            quote_name(str(each.contract.ref)),
            known,
        )
        for each in replacing
    ]
    together = "\nUNION ALL BY NAME\n".join(carried)
    newest = [
        f"arg_max({quote_name(name)}, ({', '.join(NEWEST_US)})) AS {quote_name(name)}"
        for name in fields
    ]
    columns = ",\n".join(indented(column) for column in [_KEY, *newest])
    folded = f"SELECT\n{columns}\nFROM (\n{indented(together)}\n)\nGROUP BY {_KEY}"
    key = _key(replacing[0].contract)
    return f"LEFT JOIN (\n{indented(folded)}\n) AS newest ON newest.{_KEY} = base.{key}"


def _key(correcting: EventContract) -> str:
    return quote_name(correcting.corrects.on) if correcting.corrects else ""


def current_columns(
    contract: EventContract, used: frozenset[str], replaced: frozenset[str]
) -> list[str]:
    """Return the *used* fields of `base`, those that are *replaced* as `newest` has them."""
    current = _current(replaced)
    columns = [f"{current(name)} AS {quote_name(name)}" for name in contract.fields if name in used]
    for name, text in contract.derived.items():
        if name not in used:
            continue
        source = f"base.{quote_name(name)}"
        if declared(frozenset({name}), contract) & replaced:
            source = scalar_sql(parse_scalar(text), field=current, scope=declared_scope(contract))
        columns.append(f"{source} AS {quote_name(name)}")
    return columns


def _current(replaced: frozenset[str]) -> Callable[[str], str]:
    def current(name: str) -> str:
        column = quote_name(name)
        return f"COALESCE(newest.{column}, base.{column})" if name in replaced else f"base.{column}"

    return current
