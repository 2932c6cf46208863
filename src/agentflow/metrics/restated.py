"""Emit when numbers changed last: SQL beside that of the numbers themselves.

A number is touched when an event comes that counts in it, and when an event that counted in it is
taken back, replaced or superseded: both where it counted before and where it counts since. What is
known of a range after it has closed restates it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agentflow.contracts.fold import replaceable
from agentflow.contracts.model import EventContract
from agentflow.contracts.reads import declared
from agentflow.events import EventRef
from agentflow.expressions.nodes import fields_of
from agentflow.expressions.sql import quote_name, scalar_sql
from agentflow.metrics.effective import effective_events, indented, select
from agentflow.metrics.plan import AtomInput, MetricPlan
from agentflow.metrics.sql import Query, Question


def touched_query(
    plan: MetricPlan, question: Question, *, events: Mapping[EventRef, EventContract]
) -> Query:
    """Return SQL whose rows are `bucket_us` (with a grain), the `by` dimensions, `touched_us`.

    `touched_us` is when the newest event came that changed the number; null where none did.
    """
    return _Emitter(plan, question, events).query()


def first_known_query(plan: MetricPlan, tenant: str) -> Query:
    """Return SQL of one number: when the first event came that can move a metric; null if none."""
    reads = plan.contract.refs
    firsts = "\nUNION ALL\n".join(
        select(["MIN(ingested_us) AS first_us"], quote_name(str(ref)), ["tenant = $tenant"])
        for ref in reads
    )
    text = f"SELECT MIN(first_us) AS first_us\nFROM (\n{indented(firsts)}\n)"
    return Query(text, {"tenant": tenant}, reads)


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
        self._known = tuple(self._cut())

    def query(self) -> Query:
        steps: list[str] = []
        rows: list[str] = []
        for ref in self._plan.scopes:
            now, before = quote_name(f"effective {ref}"), quote_name(f"before {ref}")
            steps.append(f"{now} AS (\n{indented(self._effective(ref))}\n)")
            rows.append(self._rows(ref, now, "ingested_us"))
            changes = self._changes(ref)
            if not changes:
                continue
            changed = "\nUNION ALL\n".join(changes)
            steps.append(f"{before} AS (\n{indented(changed)}\n)")
            newest = select(["log_offset", "MAX(touched_us) AS touched_us"], before, ["TRUE"])
            rows.append(self._rows(ref, before, "touched_us"))
            joined = f"{now}\nJOIN (\n{indented(newest)}\nGROUP BY log_offset\n) USING (log_offset)"
            rows.append(self._rows(ref, joined, "touched_us"))
        moved = "\nUNION ALL\n".join(rows)
        steps.append(f"touched AS (\n{indented(moved)}\n)")
        bucket = ["bucket_us"] if self._question.grain_us is not None else []
        groups = bucket + [quote_name(name) for name in self._question.by]
        columns = ", ".join([*groups, "MAX(touched_us) AS touched_us"])
        grouped = f"\nGROUP BY {', '.join(groups)}" if groups else ""
        text = "WITH\n" + ",\n".join(steps) + f"\nSELECT {columns}\nFROM touched{grouped}"
        return Query(text, self._parameters, tuple(self._reads))

    def _cut(self) -> Iterable[str]:
        """Yield the conditions on which events are known, corrections among them."""
        yield "tenant = $tenant"
        if self._question.up_to_offset is not None:
            self._parameters["up_to_offset"] = self._question.up_to_offset
            yield "log_offset < $up_to_offset"
        if self._question.ingested_before_us is not None:
            self._parameters["ingested_before"] = self._question.ingested_before_us
            yield "ingested_us <= $ingested_before"

    def _effective(self, ref: EventRef) -> str:
        found = effective_events(
            ref,
            events=self._events,
            used=self._used(ref),
            known=self._known,
            envelope=("occurred_us", "log_offset", "ingested_us"),
        )
        self._reads.update(dict.fromkeys(found.reads))
        return found.text

    def _changes(self, ref: EventRef) -> list[str]:
        """Return SELECTs of events as they came, each with when something changed it."""
        contract = self._events[ref]
        changes = [
            self._correction(contract, each)
            for each in self._events.values()
            if each.corrects is not None
            and each.corrects.ref == ref
            and (each.corrects.effect == "retract" or self._replaced(contract, each))
        ]
        return [*changes, self._supersession(contract)] if contract.supersedes else changes

    def _replaced(self, contract: EventContract, correcting: EventContract) -> list[str]:
        roots = declared(self._used(contract.ref), contract)
        return [name for name in replaceable(correcting, contract) if name in roots]

    def _correction(self, contract: EventContract, correcting: EventContract) -> str:
        """A correction that came first is no change: the event never counted without it."""
        assert correcting.corrects is not None  # noqa: S101 - the caller has looked
        self._reads[correcting.ref] = None
        key = quote_name(correcting.corrects.on)
        conditions = [
            *(f"{alias}.{condition}" for alias in ("base", "later") for condition in self._known),
            "later.ingested_us >= base.ingested_us",
        ]
        if correcting.corrects.effect == "replace":
            names = [quote_name(name) for name in self._replaced(contract, correcting)]
            conditions.append(f"({' OR '.join(f'later.{name} IS NOT NULL' for name in names)})")
        if contract.supersedes is not None:
            sequence = quote_name(contract.supersedes.sequence)
            conditions.append(f"later.{sequence} > base.{sequence}")
        source = (
            f"{quote_name(str(contract.ref))} AS base"
            f"\nJOIN {quote_name(str(correcting.ref))} AS later ON later.{key} = base.{key}"
        )
        columns = [*self._columns(contract.ref, "base"), "later.ingested_us AS touched_us"]
        return select(columns, source, conditions)

    def _supersession(self, contract: EventContract) -> str:
        assert contract.supersedes is not None  # noqa: S101 - the caller has looked
        key, sequence = (
            quote_name(name) for name in (contract.supersedes.on, contract.supersedes.sequence)
        )
        later = (
            f"MAX(ingested_us) OVER (PARTITION BY {key} ORDER BY {sequence}, event_id, source "
            "ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS touched_us"
        )
        versions = select(["*", later], quote_name(str(contract.ref)), self._known)
        columns = [*self._columns(contract.ref, "base"), "base.touched_us"]
        return select(columns, f"(\n{indented(versions)}\n) AS base", ["touched_us IS NOT NULL"])

    def _columns(self, ref: EventRef, alias: str) -> list[str]:
        names = ["occurred_us", "log_offset", *map(quote_name, sorted(self._used(ref)))]
        return [f"{alias}.{name}" for name in names]

    def _rows(self, ref: EventRef, source: str, instant: str) -> str:
        columns = [f"{instant} AS touched_us", *map(quote_name, self._question.by)]
        if self._question.grain_us is not None:
            grain = self._question.grain_us
            columns.append(
                f"occurred_us - (occurred_us % {grain} + {grain}) % {grain} AS bucket_us"
            )
        return select(columns, source, [*self._range(), self._moving(ref)])

    def _range(self) -> Iterable[str]:
        if self._question.start_us is not None:
            self._parameters["start"] = self._question.start_us
            yield "occurred_us >= $start"
        if self._question.end_us is not None:
            self._parameters["end"] = self._question.end_us
            yield "occurred_us < $end"
        for number, (name, value) in enumerate(sorted(self._question.where.items())):
            if value is None:
                yield f"{quote_name(name)} IS NULL"
                continue
            self._parameters[f"where{number}"] = value
            yield f"{quote_name(name)} = $where{number}"

    # -- what of an event is read

    def _inputs(self, ref: EventRef) -> list[AtomInput]:
        return [item for atom in self._plan.atoms for item in atom.inputs if item.ref == ref]

    def _used(self, ref: EventRef) -> frozenset[str]:
        used = frozenset({*self._question.by, *self._question.where})
        for item in self._inputs(ref):
            used |= fields_of(item.value) | fields_of(item.where)
        return used

    def _moving(self, ref: EventRef) -> str:
        """Return the condition that an event moves the metric at all."""
        scope = self._plan.scopes[ref]
        alternatives = []
        for item in self._inputs(ref):
            parts = []
            if item.where is not None:
                parts.append(f"({scalar_sql(item.where, field=quote_name, scope=scope)})")
            if item.value is not None:
                parts.append(
                    f"({scalar_sql(item.value, field=quote_name, scope=scope)}) IS NOT NULL"
                )
            alternatives.append(" AND ".join(parts) or "TRUE")
        return f"({' OR '.join(f'({each})' for each in alternatives)})"
