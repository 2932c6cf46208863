"""Emit a metric as DuckDB SQL over the lake: the same numbers, computed in one pass from events.

A row holds what the metric reads of its atoms (`r0`, `r1`, …, in the order of `rows.reads`);
`rows.row_answer` computes the metric of them. A sum that can outgrow 128 bits comes in two parts.

The query reads one view per event version, named like the event (`"order.created@1"`), with columns
`tenant`, `source`, `event_id`, `occurred_us`, `ingested_us`, `log_offset` and the fields. Values
are bound; names are quoted and contract literals escaped. Corrections are applied here, with no
help from the live engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentflow.contracts.model import EventContract
from agentflow.events import EventRef
from agentflow.expressions.nodes import fields_of
from agentflow.expressions.reach import scalar_reach
from agentflow.expressions.sql import quote_name, scalar_sql
from agentflow.metrics.effective import effective_events, indented, select
from agentflow.metrics.plan import Atom, AtomInput, AtomRead, MetricPlan
from agentflow.metrics.rows import SUM_PART, reads

_ROOM = 28
"""Digits of a value that may be added up ten thousand million times within DuckDB's 38."""


@dataclass(frozen=True, slots=True)
class Query:
    """Text with `$name` parameters, and the event views it reads."""

    text: str
    parameters: Mapping[str, object]
    reads: tuple[EventRef, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What to compute.

    Attributes:
        start_us: Inclusive, on event time; None is the beginning.
        end_us: Exclusive.
        grain_us: Group by buckets of this length, aligned to the epoch; None for one number.
        up_to_offset: Only events whose log offset is below this; None for all.
        ingested_before_us: Only events ingested up to and including this instant (as-of).
    """

    tenant: str
    start_us: int | None = None
    end_us: int | None = None
    by: tuple[str, ...] = ()
    where: Mapping[str, object] = field(default_factory=dict)
    grain_us: int | None = None
    up_to_offset: int | None = None
    ingested_before_us: int | None = None


def metric_query(
    plan: MetricPlan, question: Question, *, events: Mapping[EventRef, EventContract]
) -> Query:
    """Return SQL whose rows are `bucket_us` (with a grain), the `by` dimensions, reads, events."""
    emitter = _Emitter(plan, question, events)
    return emitter.query()


class _Emitter:
    """Holds the parameters while the parts of one query are written."""

    def __init__(
        self, plan: MetricPlan, question: Question, events: Mapping[EventRef, EventContract]
    ) -> None:
        self._plan = plan
        self._question = question
        self._events = events
        self._parameters: dict[str, object] = {"tenant": question.tenant}
        self._reads: dict[EventRef, None] = {}

    def query(self) -> Query:
        effective = [self._effective(ref) for ref in self._plan.scopes]
        moved = "\nUNION ALL\n".join(self._contributions(ref) for ref in self._plan.scopes)
        groups = self._group_columns()
        lines = [
            "WITH",
            ",\n".join([*effective, f"moved AS (\n{indented(moved)}\n)"]),
            "SELECT",
            ",\n".join(f"  {column}" for column in [*groups, *self._outputs()]),
            "FROM moved",
        ]
        if groups:
            lines.append(f"GROUP BY {', '.join(groups)}")
            lines.append(f"ORDER BY {', '.join(groups)}")
        return Query("\n".join(lines), self._parameters, tuple(self._reads))

    def _group_columns(self) -> list[str]:
        bucket = ["bucket_us"] if self._question.grain_us is not None else []
        return bucket + [quote_name(name) for name in self._question.by]

    def _outputs(self) -> list[str]:
        found = enumerate(reads(self._plan.reading))
        outputs = [f"{self._atom(read)} AS r{number}" for number, read in found]
        outputs.append("COUNT(DISTINCT log_offset) AS events")
        return outputs

    # -- events, with corrections applied

    def _cut(self) -> tuple[str, ...]:
        """Conditions on which events are known, the same for base events and corrections."""
        conditions = ["tenant = $tenant"]
        if self._question.up_to_offset is not None:
            self._parameters["up_to_offset"] = self._question.up_to_offset
            conditions.append("log_offset < $up_to_offset")
        if self._question.ingested_before_us is not None:
            self._parameters["ingested_before"] = self._question.ingested_before_us
            conditions.append("ingested_us <= $ingested_before")
        return tuple(conditions)

    def _effective(self, ref: EventRef) -> str:
        """Return a CTE of the events of *ref* that still count, with the columns that are read."""
        items = [item for atom in self._plan.atoms for item in atom.inputs if item.ref == ref]
        used = frozenset[str]().union(*(fields_of(item.value) for item in items))
        used = used.union(self._question.by, self._question.where)
        used = used.union(*(fields_of(item.where) for item in items))
        effective = effective_events(
            ref,
            events=self._events,
            used=used,
            known=self._cut(),
            envelope=("occurred_us", "log_offset"),
        )
        self._reads.update(dict.fromkeys(effective.reads))
        return f"{_effective_name(ref)} AS (\n{indented(effective.text)}\n)"

    # -- what each event contributes

    def _contributions(self, ref: EventRef) -> str:
        inputs = [
            (index, item)
            for index, atom in enumerate(self._plan.atoms)
            for item in atom.inputs
            if item.ref == ref
        ]
        # an atom fed twice by one event type (distinct of two fields) needs a row for each
        turns: list[dict[int, AtomInput]] = []
        for index, item in inputs:
            turn = next((turn for turn in turns if index not in turn), None)
            if turn is None:
                turn = {}
                turns.append(turn)
            turn[index] = item
        return "\nUNION ALL\n".join(self._contribution(ref, turn) for turn in turns)

    def _contribution(self, ref: EventRef, chosen: Mapping[int, AtomInput]) -> str:
        columns = ["log_offset"]
        if self._question.grain_us is not None:
            grain = self._question.grain_us
            columns.append(
                f"occurred_us - (occurred_us % {grain} + {grain}) % {grain} AS bucket_us"
            )
        columns += [quote_name(name) for name in self._question.by]
        for index, atom in enumerate(self._plan.atoms):
            columns.append(f"{self._input(atom, chosen.get(index), ref)} AS a{index}")
        conditions = self._range()
        moving = " OR ".join(
            f"({self._input(self._plan.atoms[index], item, ref)}) IS NOT NULL"
            for index, item in chosen.items()
        )
        conditions.append(f"({moving})")
        return select(columns, _effective_name(ref), conditions)

    def _range(self) -> list[str]:
        conditions = []
        if self._question.start_us is not None:
            self._parameters["start"] = self._question.start_us
            conditions.append("occurred_us >= $start")
        if self._question.end_us is not None:
            self._parameters["end"] = self._question.end_us
            conditions.append("occurred_us < $end")
        for number, (name, value) in enumerate(sorted(self._question.where.items())):
            if value is None:
                conditions.append(f"{quote_name(name)} IS NULL")
                continue
            self._parameters[f"where{number}"] = value
            conditions.append(f"{quote_name(name)} = $where{number}")
        return conditions

    def _input(self, atom: Atom, item: AtomInput | None, ref: EventRef) -> str:
        kind = {"sum": f"DECIMAL(38, {atom.scale})", "count": "BIGINT", "distinct": "VARCHAR"}.get(
            atom.kind, f"DECIMAL(38, {atom.scale})"
        )
        if item is None:
            return f"CAST(NULL AS {kind})"
        scope = self._plan.scopes[ref]
        value = "1"
        if item.value is not None:
            value = scalar_sql(item.value, field=quote_name, scope=scope)
        if atom.kind == "count" and item.value is not None:
            value = f"CASE WHEN {value} IS NOT NULL THEN 1 END"
        if item.where is not None:
            condition = scalar_sql(item.where, field=quote_name, scope=scope)
            value = f"CASE WHEN {condition} THEN {value} END"
        return f"CAST({value} AS {kind})"

    # -- aggregates

    def _atom(self, read: AtomRead) -> str:
        atom, column = self._plan.atoms[read.atom], f"a{read.atom}"
        match atom.kind:
            case "sum":
                return self._sum(atom, column)
            case "count":
                return f"CAST(COUNT({column}) AS DECIMAL(38, 0))"
            case "distinct":
                return f"CAST(COUNT(DISTINCT {column}) AS DECIMAL(38, 0))"
            case "multiset":
                return self._multiset(read, column)

    def _sum(self, atom: Atom, column: str) -> str:
        if not self._wide(atom):
            return f"CAST(COALESCE(SUM({column}), 0) AS DECIMAL(38, {atom.scale}))"
        low = f"({column} % {SUM_PART})"
        high = f"CAST({column} - {low} AS HUGEINT) // {SUM_PART}"
        return (
            f"[CAST(COALESCE(SUM({high}), 0) AS DECIMAL(38, {atom.scale})),"
            f" CAST(COALESCE(SUM({low}), 0) AS DECIMAL(38, {atom.scale}))]"
        )

    def _wide(self, atom: Atom) -> bool:
        """Tell whether a sum of so many values may have more than 38 digits."""
        found = (
            scalar_reach(item.value, self._plan.scopes[item.ref])
            for item in atom.inputs
            if item.value is not None
        )
        return any(reach is not None and reach.digits > _ROOM for reach in found)

    def _multiset(self, read: AtomRead, column: str) -> str:
        if read.kind != "quantile":
            return f"{read.kind.upper()}({column})"
        numerator, denominator = read.q
        rank = f"(({numerator} * COUNT({column}) + {denominator - 1}) // {denominator})"
        return f"list_sort(list({column}) FILTER (WHERE {column} IS NOT NULL))[{rank}]"


def _effective_name(ref: EventRef) -> str:
    return quote_name(f"effective {ref}")
