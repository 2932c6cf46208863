"""What all SQL about a metric shares: which events are known, which are in range, what each gives.

Values are bound as `$name` parameters, which are gathered while the parts of a query are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from agentflow.contracts.model import EventContract
from agentflow.events import EventRef
from agentflow.expressions.nodes import fields_of
from agentflow.expressions.sql import quote_name, scalar_sql
from agentflow.metrics.plan import Atom, AtomInput, MetricPlan


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """Text with `$name` parameters, and the event views it reads."""

    text: str
    parameters: Mapping[str, object]
    reads: tuple[EventRef, ...]


@dataclass(frozen=True, slots=True)
class QuerySpec:
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


class QueryBuilder:
    """One query about one metric while its SQL is written, with the parameters so far."""

    def __init__(
        self, plan: MetricPlan, spec: QuerySpec, events: Mapping[EventRef, EventContract]
    ) -> None:
        self.plan = plan
        self.spec = spec
        self.events = events
        self.parameters: dict[str, object] = {"tenant": spec.tenant}
        self.reads: dict[EventRef, None] = {}

    def query(self, text: str) -> SqlQuery:
        """Return the text with what was gathered."""
        return SqlQuery(text, self.parameters, tuple(self.reads))

    def known(self) -> list[str]:
        """Return the conditions on which events are known, corrections among them."""
        conditions = ["tenant = $tenant"]
        if self.spec.up_to_offset is not None:
            self.parameters["up_to_offset"] = self.spec.up_to_offset
            conditions.append("log_offset < $up_to_offset")
        if self.spec.ingested_before_us is not None:
            self.parameters["ingested_before"] = self.spec.ingested_before_us
            conditions.append("ingested_us <= $ingested_before")
        return conditions

    def range(self) -> list[str]:
        """Return the conditions on which an event is in the range."""
        conditions = []
        if self.spec.start_us is not None:
            self.parameters["start"] = self.spec.start_us
            conditions.append("occurred_us >= $start")
        if self.spec.end_us is not None:
            self.parameters["end"] = self.spec.end_us
            conditions.append("occurred_us < $end")
        return conditions

    def where(self) -> list[str]:
        """Return the conditions on which an event has the wanted values."""
        conditions = []
        for number, (name, value) in enumerate(sorted(self.spec.where.items())):
            if value is None:
                conditions.append(f"{quote_name(name)} IS NULL")
                continue
            self.parameters[f"where{number}"] = value
            conditions.append(f"{quote_name(name)} = $where{number}")
        return conditions

    def buckets(self) -> list[str]:
        """Return the column of the step that an event is in, if there are steps."""
        grain = self.spec.grain_us
        if grain is None:
            return []
        return [f"occurred_us - (occurred_us % {grain} + {grain}) % {grain} AS bucket_us"]

    def groups(self) -> list[str]:
        """Return the names of the columns that the rows are grouped by."""
        bucket = ["bucket_us"] if self.spec.grain_us is not None else []
        return bucket + [quote_name(name) for name in self.spec.by]

    def inputs(self, ref: EventRef) -> Iterator[tuple[int, AtomInput]]:
        """Yield what an event gives: the number of an atom, and how it is fed."""
        for index, atom in enumerate(self.plan.atoms):
            for item in atom.inputs:
                if item.ref == ref:
                    yield index, item

    def used(self, ref: EventRef) -> frozenset[str]:
        """Return the fields of an event that are read, declared and derived."""
        used = frozenset({*self.spec.by, *self.spec.where})
        for _, item in self.inputs(ref):
            used |= fields_of(item.value) | fields_of(item.where)
        return used

    def given(self, atom: Atom, item: AtomInput | None, ref: EventRef) -> str:
        """Return the value that an event gives to an atom; null where it gives none."""
        kind = {"count": "BIGINT", "distinct": "VARCHAR"}.get(
            atom.kind, f"DECIMAL(38, {atom.scale})"
        )
        if item is None:
            return f"CAST(NULL AS {kind})"
        scope = self.plan.scopes[ref]
        value = "1"
        if item.value is not None:
            value = scalar_sql(item.value, field=quote_name, scope=scope)
        if atom.kind == "count" and item.value is not None:
            value = f"CASE WHEN {value} IS NOT NULL THEN 1 END"
        if item.where is not None:
            condition = scalar_sql(item.where, field=quote_name, scope=scope)
            value = f"CASE WHEN {condition} THEN {value} END"
        return f"CAST({value} AS {kind})"
