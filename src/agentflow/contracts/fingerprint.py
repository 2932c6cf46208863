"""The hash of what a contract means, blind to how it is worded.

Covered are the things that change a number or a judgement. Description, owner, status, examples,
tags and freshness are not, nor are a metric's dimensions and windows, which are ways to look at it.
A metric's hash follows the derived fields, units and corrections it depends on into its events.
Keys left at their default are not hashed, so a key added to the language changes no hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from hashlib import sha256

from agentflow.contracts.model import Contract, EntityContract, EventContract, MetricContract
from agentflow.contracts.reads import Events, corrections, declared, parsed, value_reads
from agentflow.contracts.tables import SourceContract
from agentflow.errors import ExpressionError
from agentflow.events import canonical_json
from agentflow.expressions import parse_scalar

_WORDING = {"description", "examples", "owner", "status", "sunset", "tags", "message"}


def fingerprint(contract: Contract, events: Events) -> str:
    """Return `sha256:` and the hash of a contract's meaning among these events."""
    digest = sha256(canonical_json(meaning(contract, events))).hexdigest()
    return f"sha256:{digest}"


def meaning(contract: Contract, events: Events) -> Mapping[str, object]:
    """Return the document that is hashed; equal documents mean the same."""
    match contract:
        case EventContract():
            return _event(contract)
        case EntityContract():
            return _entity(contract)
        case SourceContract():
            return _worded_out(contract.model_dump(mode="json", exclude_defaults=True))
        case MetricContract():
            return _metric(contract, events)


def scalar_meaning(text: str) -> object:
    """Return an expression without its spaces, brackets and spelling; the text if it is broken."""
    try:
        return tree(parse_scalar(text))
    except ExpressionError:
        return text


def tree(node: object) -> object:
    """Render a syntax tree as nested lists, equal for equal meaning."""
    if is_dataclass(node) and not isinstance(node, type):
        return [type(node).__name__, *(tree(getattr(node, part.name)) for part in fields(node))]
    if isinstance(node, tuple):
        return [tree(item) for item in node]
    if isinstance(node, Decimal):
        return f"{node.normalize():f}"
    return node


def _event(event: EventContract) -> Mapping[str, object]:
    document = dict(_worded_out(event.model_dump(mode="json", exclude_defaults=True)))
    document["rules"] = {
        rule.name: [scalar_meaning(rule.check), rule.on_fail] for rule in event.rules
    }
    document["derived"] = {name: scalar_meaning(text) for name, text in event.derived.items()}
    document["fields"] = {name: field_meaning(event, name) for name in event.fields}
    return document


def _entity(entity: EntityContract) -> Mapping[str, object]:
    document = dict(_worded_out(entity.model_dump(mode="json", exclude_defaults=True)))
    if entity.session is not None:
        document["session"] = {"gap": entity.session.length.total_seconds()}
    return document


def field_meaning(event: EventContract, name: str) -> Mapping[str, object]:
    """Return what a declared field means and admits, without its wording."""
    field = event.fields[name]
    document = field.model_dump(
        mode="json", exclude={"description", "examples", "pii"}, exclude_defaults=True
    )
    for key in document.keys() & {"minimum", "maximum"}:
        document[key] = tree(getattr(field, key))
    if field.enum is not None:
        document["enum"] = sorted(field.enum)
    return document


def _metric(metric: MetricContract, events: Events) -> Mapping[str, object]:
    document: dict[str, object] = {
        "kind": "metric",
        "name": metric.name,
        "version": metric.version,
        "unit": metric.unit,
        "scale": metric.scale,
    }
    try:
        document["value"] = tree(parsed(metric, events))
        document["reads"] = {
            str(ref): _read(events[ref], named)
            for ref, named in value_reads(metric, events).items()
        }
        document["corrections"] = _corrections(metric, events)
    except (ExpressionError, ValueError):
        document["value"] = metric.value
    return document


def _read(event: EventContract, named: frozenset[str]) -> Mapping[str, object]:
    known = declared(named, event) & event.fields.keys()
    kept = ("type", "scale", "unit")
    superseding = event.supersedes
    newest = {} if superseding is None else {"supersedes": superseding.model_dump()}
    return {
        **newest,
        "fields": {
            name: {key: getattr(event.fields[name], key) for key in kept} for name in sorted(known)
        },
        "derived": {
            name: scalar_meaning(event.derived[name])
            for name in sorted(named & event.derived.keys())
        },
        "event_time": event.event_time,
    }


def _corrections(metric: MetricContract, events: Events) -> list[list[str]]:
    """Return how other events take back or amend what the value reads; dimensions do not count."""
    bare = metric.model_copy(update={"dimensions": ()})
    found = []
    for correcting, corrected in corrections(bare, events):
        correction = events[correcting].corrects
        if correction is not None:
            found.append([str(correcting), str(corrected), correction.on, correction.effect])
    return sorted(found)


def _worded_out(document: Mapping[str, object]) -> Mapping[str, object]:
    return {key: value for key, value in document.items() if key not in _WORDING}
