"""Open Semantic Interchange 1.0: metrics, their dimensions and the rows they are computed from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from agentflow.contracts.model import EventContract, MetricContract
from agentflow.contracts.registry import Registry, key_of
from agentflow.contracts.scope import full_scope
from agentflow.errors import ContractError, ExpressionError
from agentflow.events import EventRef
from agentflow.events.table import ENVELOPE, slug
from agentflow.export.ansi import ansi, identifier
from agentflow.export.documents import Document
from agentflow.export.quotient import Term, rounded
from agentflow.export.rows import effective_rows, united_rows
from agentflow.expressions import Aggregate, ExpressionType, infer, parse_metric
from agentflow.expressions.aggregates import AGGREGATES, StateRead, is_counted
from agentflow.expressions.nodes import (
    AggregateInput,
    aggregates,
    events_of,
)
from agentflow.wording import quoted

_ENVELOPE_DIMENSIONS = {"tenant": False, "occurred_at": True}


def osi_model(registry: Registry, metrics: Iterable[MetricContract]) -> Document:
    """Return a document with one semantic model over *metrics* and the datasets they read."""
    chosen = sorted(metrics, key=lambda metric: (metric.name, metric.version))
    translated = [_Translation(registry, metric) for metric in chosen]
    used = sorted({ref for translation in translated for ref in translation.reads})
    dimensions = {name for metric in chosen for name in metric.dimensions}
    datasets = [_dataset(registry, registry.events[ref], dimensions) for ref in used]
    for translation in translated:
        datasets += translation.datasets
    return {
        "semantic_model": [
            {
                "name": "agentflow",
                "description": "Business metrics moved by events, generated from their contracts.",
                "ai_context": {
                    "instructions": (
                        "Group and filter a metric only by the dimensions it lists. Never add"
                        " values of different currencies. Time is occurred_at, UTC, in half-open"
                        " windows."
                    )
                },
                "datasets": datasets,
                "metrics": [translation.metric() for translation in translated],
            }
        ]
    }


def _dataset(registry: Registry, contract: EventContract, dimensions: set[str]) -> Document:
    fields = [
        _field(column.name, column.description, time=_ENVELOPE_DIMENSIONS.get(column.name))
        for column in ENVELOPE
    ]
    for name, field in contract.fields.items():
        entry = _field(name, field.description, time=False if name in dimensions else None)
        if notes := {"unit": field.unit, "pii": field.pii or None}:
            entry |= _extension({key: value for key, value in notes.items() if value})
        fields.append(entry)
    for name, text in contract.derived.items():
        fields.append(_field(name, f"Derived: {text}", time=False if name in dimensions else None))
    return {
        "name": slug(contract.ref),
        "source": effective_rows(registry, contract),
        "primary_key": [column.name for column in ENVELOPE if column.key],
        "description": contract.description,
        "fields": fields,
        **_extension({"contract": str(contract.ref), "owner": contract.owner}),
    }


def _field(name: str, description: str, *, time: bool | None) -> Document:
    """A column; `time` is None when it is not a dimension."""
    entry: Document = {"name": name, "expression": _sql(identifier(name))}
    if time is not None:
        entry["dimension"] = {"is_time": time}
    if description:
        entry["description"] = description
    return entry


class _Translation:
    """One metric on its way to ANSI SQL, with the datasets that only it needs."""

    def __init__(self, registry: Registry, metric: MetricContract) -> None:
        self._registry = registry
        self._metric = metric
        self._pins = {ref.type: ref for ref in metric.refs}
        self._scopes = {name: full_scope(registry.events[ref]) for name, ref in self._pins.items()}
        self._node = parse_metric(metric.value, events=self._pins.keys())
        self._refuse_two_versions()
        united = [found for found in aggregates(self._node) if _spans_datasets(found)]
        self._united = {
            aggregate: f"{metric.name}_v{metric.version}_items_{index}"
            for index, aggregate in enumerate(united, start=1)
        }

    def _refuse_two_versions(self) -> None:
        """Refuse what the expression cannot say: a name in it is one dataset.

        Raises:
            ContractError: The metric reads two versions of an event.
        """
        versions = Counter(ref.type for ref in self._metric.refs)
        twice = [name for name in events_of(self._node) if versions[name] > 1]
        if twice:
            metric = self._metric
            raise ContractError(
                f'metric "{metric.name}@{metric.version}" cannot be exported as SQL: '
                f"it reads several versions of event {quoted(twice[0])}",
                hint="Export the other metrics by their names.",
            )

    @property
    def reads(self) -> tuple[EventRef, ...]:
        """The event types in the expression; corrections reach it through their rows."""
        return tuple(self._pins[name] for name in events_of(self._node))

    @property
    def datasets(self) -> list[Document]:
        """The unions that count distinct across event types."""
        sources = {
            name: effective_rows(self._registry, self._registry.events[ref])
            for name, ref in self._pins.items()
        }
        columns = ("tenant", "occurred_at", "item", *self._metric.dimensions)
        return [
            {
                "name": name,
                "source": united_rows(
                    aggregate,
                    sources=sources,
                    scopes=self._scopes,
                    dimensions=self._metric.dimensions,
                ),
                "description": f"What {self._metric.name} counts, from all of its event types.",
                "fields": [
                    _field(column, "", time=None if column == "item" else column == "occurred_at")
                    for column in columns
                ],
            }
            for aggregate, name in self._united.items()
        ]

    def metric(self) -> Document:
        """The metric of the model; other versions than the default one carry their version."""
        metric = self._metric
        newest = self._registry.metric(metric.name).version == metric.version
        notes: Document = {
            "contract": f"{metric.name}@{metric.version}",
            "status": metric.status,
            "owner": metric.owner,
            "unit": metric.unit,
            "dimensions": list(metric.dimensions),
            "windows": list(metric.windows),
            "moved_by": list(metric.moved_by),
            "value": metric.value,
        }
        if fingerprint := self._registry.fingerprints.get(key_of(metric)):
            notes["fingerprint"] = fingerprint
        return {
            "name": metric.name if newest else f"{metric.name}_v{metric.version}",
            "expression": _sql(self._rounded()),
            "description": metric.description,
            **_extension(notes),
        }

    def _rounded(self) -> str:
        try:
            return rounded(self._node, scale=self._metric.scale, aggregate=self._aggregate)
        except ExpressionError as error:
            metric = self._metric
            raise ContractError(
                f'metric "{metric.name}@{metric.version}" cannot be exported as SQL: {error}',
                hint=error.hint,
            ) from error

    def _aggregate(self, aggregate: Aggregate) -> Term:
        return Term(self._written(aggregate), self._type(aggregate))

    def _type(self, aggregate: Aggregate) -> ExpressionType:
        taken, *_ = aggregate.inputs
        if is_counted(aggregate.kind) or taken.value is None:
            return ExpressionType("integer")
        return infer(taken.value, self._scopes[taken.event])

    def _written(self, aggregate: Aggregate) -> str:
        if aggregate in self._united:
            return f"COUNT(DISTINCT {self._united[aggregate]}.item)"
        values = [self._value(aggregate, taken) for taken in aggregate.inputs]
        kept = AGGREGATES[aggregate.kind].meaning
        assert isinstance(kept, StateRead)  # noqa: S101 - formulas are spelled out before
        added = " + ".join(kept.ansi.format(value=value, q=aggregate.q) for value in values)
        return f"({added})" if len(values) > 1 else added

    def _value(self, aggregate: Aggregate, taken: AggregateInput) -> str:
        table = slug(self._pins[taken.event])
        scope = self._scopes[taken.event]
        value = ansi(taken.value, scope=scope, table=table) if taken.value else f"{table}.event_id"
        if aggregate.where is None:
            return value
        where = ansi(aggregate.where, scope=scope, table=table)
        return f"CASE WHEN {where} THEN {value} END"


def _spans_datasets(aggregate: Aggregate) -> bool:
    form = AGGREGATES[aggregate.kind].form
    return form == "distinct values" and len(aggregate.inputs) > 1


def _sql(expression: str) -> Document:
    return {"dialects": [{"dialect": "ANSI_SQL", "expression": expression}]}


def _extension(notes: Document) -> Document:
    """What the standard has no place for, as its one extension point: JSON inside a string."""
    if not notes:
        return {}
    return {"custom_extensions": [{"vendor_name": "COMMON", "data": json.dumps(notes)}]}
