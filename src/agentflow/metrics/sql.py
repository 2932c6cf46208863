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

from agentflow.contracts.model import EventContract
from agentflow.events import EventRef
from agentflow.expressions.precision import scalar_precision
from agentflow.expressions.sql import quote_name
from agentflow.metrics.atoms import READERS, SqlColumn
from agentflow.metrics.effective import effective_events, indented, select
from agentflow.metrics.plan import Atom, AtomInput, AtomRead, MetricPlan
from agentflow.metrics.query import QueryBuilder, QuerySpec, SqlQuery
from agentflow.metrics.rows import reads

__all__ = ["QuerySpec", "SqlQuery", "metric_query"]

_ROOM = 28
"""Digits of a value that may be added up ten thousand million times within DuckDB's 38."""


def metric_query(
    plan: MetricPlan, spec: QuerySpec, *, events: Mapping[EventRef, EventContract]
) -> SqlQuery:
    """Return SQL whose rows are `bucket_us` (with a grain), the `by` dimensions, reads, events."""
    return _Emitter(QueryBuilder(plan, spec, events)).query()


class _Emitter:
    """Writes the parts of one query."""

    def __init__(self, builder: QueryBuilder) -> None:
        self._builder = builder
        self._plan = builder.plan

    def query(self) -> SqlQuery:
        effective = [self._effective(ref) for ref in self._plan.scopes]
        moved = "\nUNION ALL\n".join(self._contributions(ref) for ref in self._plan.scopes)
        groups = self._builder.groups()
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
        return self._builder.query("\n".join(lines))

    def _outputs(self) -> list[str]:
        found = enumerate(reads(self._plan.reading))
        outputs = [f"{self._atom(read)} AS r{number}" for number, read in found]
        outputs.append("COUNT(DISTINCT log_offset) AS events")
        return outputs

    # -- events, with corrections applied

    def _effective(self, ref: EventRef) -> str:
        """Return a CTE of the events of *ref* that still count, with the columns that are read."""
        effective = effective_events(
            ref,
            events=self._builder.events,
            used=self._builder.used(ref),
            known=self._builder.known(),
            envelope=("occurred_us", "log_offset"),
        )
        self._builder.reads.update(dict.fromkeys(effective.reads))
        return f"{_effective_name(ref)} AS (\n{indented(effective.text)}\n)"

    # -- what each event contributes

    def _contributions(self, ref: EventRef) -> str:
        # an atom fed twice by one event type (distinct of two fields) needs a row for each
        turns: list[dict[int, AtomInput]] = []
        for index, item in self._builder.inputs(ref):
            turn = next((turn for turn in turns if index not in turn), None)
            if turn is None:
                turn = {}
                turns.append(turn)
            turn[index] = item
        return "\nUNION ALL\n".join(self._contribution(ref, turn) for turn in turns)

    def _contribution(self, ref: EventRef, chosen: Mapping[int, AtomInput]) -> str:
        builder = self._builder
        columns = ["log_offset", *builder.buckets(), *map(quote_name, builder.spec.by)]
        for index, atom in enumerate(self._plan.atoms):
            columns.append(f"{builder.given(atom, chosen.get(index), ref)} AS a{index}")
        conditions = [*builder.range(), *builder.where()]
        moving = " OR ".join(
            f"({builder.given(self._plan.atoms[index], item, ref)}) IS NOT NULL"
            for index, item in chosen.items()
        )
        conditions.append(f"({moving})")
        return select(columns, _effective_name(ref), conditions)

    # -- aggregates

    def _atom(self, read: AtomRead) -> str:
        atom = self._plan.atoms[read.atom]
        column = SqlColumn(f"a{read.atom}", atom.scale, self._wide(atom))
        return READERS[read.kind].sql(column, read.q)

    def _wide(self, atom: Atom) -> bool:
        """Tell whether a sum of so many values may have more than 38 digits."""
        found = (
            scalar_precision(item.value, self._plan.scopes[item.ref])
            for item in atom.inputs
            if item.value is not None
        )
        return any(precision is not None and precision.digits > _ROOM for precision in found)


def _effective_name(ref: EventRef) -> str:
    return quote_name(f"effective {ref}")
