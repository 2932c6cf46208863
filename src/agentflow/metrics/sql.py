"""Emit a metric as DuckDB SQL over the lake: the same numbers, computed in one pass from events.

The query reads one view per event version, named like the event (`"order.created@1"`), with columns
`tenant`, `source`, `event_id`, `occurred_us`, `ingested_us`, `log_offset` and the fields. Values
are bound; names are quoted and contract literals escaped. Corrections are applied here, with no
help from the live engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from agentflow.contracts.model import EventContract
from agentflow.events import EventRef
from agentflow.expressions.nodes import Number, fields_of
from agentflow.expressions.sql import literal, quote_name, scalar_sql
from agentflow.metrics.arithmetic import DIVISION_SCALE
from agentflow.metrics.effective import effective_events, indented, select
from agentflow.metrics.plan import Atom, AtomInput, AtomRead, Computed, MetricPlan, Reading
from agentflow.metrics.state import SIGNIFICANT_BITS

MACROS = f"""
CREATE OR REPLACE MACRO agentflow_scaled(value) AS
  CAST(CAST(value AS DECIMAL(38, {DIVISION_SCALE})) * 1000000000 AS HUGEINT);
CREATE OR REPLACE MACRO agentflow_divide(numerator, denominator) AS
  CASE
    WHEN agentflow_scaled(denominator) = 0 THEN NULL
    ELSE CAST(
      CASE WHEN (agentflow_scaled(numerator) < 0) <> (agentflow_scaled(denominator) < 0)
        THEN -1 ELSE 1 END
      * ((2 * abs(agentflow_scaled(numerator)) * 1000000000::HUGEINT
          + abs(agentflow_scaled(denominator)))
         // (2 * abs(agentflow_scaled(denominator))))
      AS DECIMAL(38, 0)) * 0.000000001::DECIMAL({DIVISION_SCALE + 1}, {DIVISION_SCALE})
  END;
CREATE OR REPLACE MACRO agentflow_coarse(unscaled) AS
  sign(unscaled) * ((abs(unscaled)
    >> greatest(length(ltrim(bin(abs(unscaled)), '0')) - {SIGNIFICANT_BITS}, 0)::BIGINT)
    << greatest(length(ltrim(bin(abs(unscaled)), '0')) - {SIGNIFICANT_BITS}, 0)::BIGINT);
CREATE OR REPLACE MACRO agentflow_hash(value) AS
  CAST('0x' || right(md5(value), 8) AS UBIGINT);
"""
"""Functions the emitted SQL calls; run once per connection. Arithmetic as in arithmetic.py."""


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
        coarse: Atoms (by index) to round to significant bits: those a live answer has rounded.
        levels: Sampling level of distinct atoms (by index), where a live answer has sampled.
    """

    tenant: str
    start_us: int | None = None
    end_us: int | None = None
    by: tuple[str, ...] = ()
    where: Mapping[str, object] = field(default_factory=dict)
    grain_us: int | None = None
    up_to_offset: int | None = None
    ingested_before_us: int | None = None
    coarse: frozenset[int] = frozenset()
    levels: Mapping[int, int] = field(default_factory=dict)


def metric_query(
    plan: MetricPlan, question: Question, *, events: Mapping[EventRef, EventContract]
) -> Query:
    """Return SQL whose rows are `bucket_us` (with a grain), the `by` dimensions, value, events."""
    emitter = _Emitter(plan, question, events)
    return emitter.query()


_NEWEST = "MAX(ingested_us) AS newest_us"


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
        value = self._reading(self._plan.reading)
        kind = "HUGEINT" if self._plan.whole else f"DECIMAL(38, {self._plan.scale})"
        outputs = [f"CAST({value} AS {kind}) AS value", "COUNT(DISTINCT log_offset) AS events"]
        return outputs if self._question.grain_us is None else [*outputs, _NEWEST]

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
        envelope = ["occurred_us", "log_offset"]
        if self._question.grain_us is not None:
            envelope.append("ingested_us")
        effective = effective_events(
            ref, events=self._events, used=used, known=self._cut(), envelope=envelope
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
            columns += [
                f"occurred_us - (occurred_us % {grain} + {grain}) % {grain} AS bucket_us",
                "ingested_us",
            ]
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

    # -- aggregates and arithmetic

    def _reading(self, node: Reading) -> str:
        match node:
            case Number(value=value):
                return literal(value)
            case Computed(operator="/", left=left, right=right):
                return f"agentflow_divide({self._reading(left)}, {self._reading(right)})"
            case Computed(operator=operator, left=left, right=right):
                return f"({self._reading(left)} {operator} {self._reading(right)})"
            case AtomRead():
                return self._atom(node)

    def _atom(self, read: AtomRead) -> str:
        atom, column = self._plan.atoms[read.atom], f"a{read.atom}"
        match atom.kind:
            case "sum":
                return f"CAST(COALESCE(SUM({column}), 0) AS DECIMAL(38, {atom.scale}))"
            case "count":
                return f"CAST(COUNT({column}) AS DECIMAL(38, 0))"
            case "distinct":
                return self._distinct(read.atom, column)
            case "multiset":
                return self._multiset(read, atom, column)

    def _distinct(self, index: int, column: str) -> str:
        level = self._question.levels.get(index, 0)
        if level == 0:
            return f"CAST(COUNT(DISTINCT {column}) AS DECIMAL(38, 0))"
        sampled = f"agentflow_hash({column}) % {1 << level} = 0"
        counted = f"COUNT(DISTINCT {column}) FILTER (WHERE {sampled})"
        return f"CAST({counted} * {1 << level} AS DECIMAL(38, 0))"

    def _multiset(self, read: AtomRead, atom: Atom, column: str) -> str:
        value = column
        if read.atom in self._question.coarse:
            value = f"agentflow_coarse(CAST({column} * {10**atom.scale} AS HUGEINT))"
            value = f"CAST({value} AS DECIMAL(38, 0))"
            if atom.scale:
                one = f"DECIMAL({atom.scale + 1}, {atom.scale})"
                value = f"({value} * CAST({Decimal(1).scaleb(-atom.scale):f} AS {one}))"
        if read.kind != "quantile":
            return f"{read.kind.upper()}({value})"
        numerator, denominator = read.q
        rank = f"(({numerator} * COUNT({column}) + {denominator - 1}) // {denominator})"
        return f"list_sort(list({value}) FILTER (WHERE {column} IS NOT NULL))[{rank}]"


def _effective_name(ref: EventRef) -> str:
    return quote_name(f"effective {ref}")
