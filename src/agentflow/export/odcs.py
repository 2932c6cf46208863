"""Open Data Contract Standard 3.1: one data contract for the table of each event type."""

# ruff: noqa: S608 - names and literals come from checked contracts, nothing from a request
from __future__ import annotations

from agentflow.contracts.model import EventContract, FieldContract, Rule
from agentflow.contracts.registry import Registry
from agentflow.contracts.scope import declared_scope, full_scope
from agentflow.events.table import ENVELOPE, NAMESPACE, EnvelopeColumn, slug
from agentflow.export.ansi import ansi
from agentflow.export.avro import INTEGER_DIGITS
from agentflow.export.documents import Document, number
from agentflow.export.json_schema import example, notes_on
from agentflow.expressions import ExpressionType, parse_scalar
from agentflow.expressions.nodes import fields_of

VERSION = "v3.1.0"
_STATUS = {"proposed": "proposed", "approved": "active", "deprecated": "deprecated"}
_LOGICAL = {"decimal": "number", "null": "string"}
_WIDEST = 38  # a product has more digits than its factors
_PHYSICAL = {
    "string": "STRING",
    "null": "STRING",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
}
_SHOWN = ("key", "event_time", "lateness", "moves", "corrects", "supersedes", "fingerprint")


def odcs_contract(registry: Registry, contract: EventContract) -> Document:
    """Return the data contract of one event type's table."""
    notes = notes_on(registry, contract)
    document: Document = {
        "apiVersion": VERSION,
        "kind": "DataContract",
        "id": f"urn:agentflow:event:{contract.name}:{contract.version}",
        "name": str(contract.ref),
        "version": f"{contract.version}.{contract.minor}.0",
        "status": _STATUS[contract.status],
        "description": {
            "purpose": contract.description,
            "usage": "Accepted events, one row for each; an event id counts once.",
        },
        "schema": [_table(contract)],
        "team": {"name": contract.owner},
        "customProperties": [
            {"property": _camel(name), "value": notes[name]} for name in _SHOWN if name in notes
        ],
    }
    if contract.sunset:
        document["slaProperties"] = [{"property": "endOfLife", "value": contract.sunset}]
    return document


def _table(contract: EventContract) -> Document:
    scope = full_scope(contract)
    table: Document = {
        "name": slug(contract.ref),
        "physicalName": f"{NAMESPACE}.{slug(contract.ref)}",
        "logicalType": "object",
        "physicalType": "table",
        "description": contract.description,
        "dataGranularityDescription": "One accepted event.",
        "properties": [
            *(_envelope_column(column) for column in ENVELOPE),
            *(_declared_column(name, field) for name, field in contract.fields.items()),
            *(_derived_column(name, text, scope[name]) for name, text in contract.derived.items()),
        ],
    }
    if contract.rules:
        table["quality"] = [_rule_check(rule, contract) for rule in contract.rules]
    return table


def _envelope_column(column: EnvelopeColumn) -> Document:
    entry: Document = {
        "name": column.name,
        **_types(column.type),
        "description": column.description,
        "required": not column.nullable,
    }
    if column.key:
        entry |= {"primaryKey": True, "primaryKeyPosition": column.key}
    return entry


def _declared_column(name: str, field: FieldContract) -> Document:
    entry: Document = {"name": name, **_types(field.type, INTEGER_DIGITS, field.scale or 0)}
    if options := _options(field):
        entry["logicalTypeOptions"] = options
    if field.description:
        entry["description"] = field.description
    entry["required"] = field.required
    if field.pii:
        entry |= {"classification": "confidential", "tags": ["pii"]}
    elif field.examples:
        entry["examples"] = [example(field, text) for text in field.examples]
    if field.enum:
        entry["quality"] = [_enum_check(field.enum)]
    if field.unit:
        entry["customProperties"] = [{"property": "unit", "value": field.unit}]
    return entry


def _derived_column(name: str, text: str, kind: ExpressionType) -> Document:
    return {
        "name": name,
        **_types(kind.kind, _WIDEST - kind.scale, kind.scale),
        "required": not kind.nullable,
        "transformLogic": text,
        "transformDescription": "Computed on arrival from the event's own fields.",
        "transformSourceObjects": sorted(fields_of(parse_scalar(text))),
    }


def _types(kind: str, integer_digits: int = 0, scale: int = 0) -> Document:
    return {
        "logicalType": _LOGICAL.get(kind, kind),
        "physicalType": _PHYSICAL.get(kind, f"DECIMAL({integer_digits + scale}, {scale})"),
    }


def _options(field: FieldContract) -> Document:
    options: Document = {
        "minLength": field.min_length,
        "maxLength": field.max_length,
        "pattern": field.pattern,
        "minimum": None if field.minimum is None else number(field.minimum),
        "maximum": None if field.maximum is None else number(field.maximum),
        "timezone": True if field.type == "timestamp" else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _enum_check(allowed: tuple[str, ...]) -> Document:
    return {
        "name": "allowed_values",
        "type": "library",
        "metric": "invalidValues",
        "arguments": {"validValues": list(allowed)},
        "mustBe": 0,
        "dimension": "conformity",
    }


def _rule_check(rule: Rule, contract: EventContract) -> Document:
    """Return a rule as a query that finds the rows that break it; null breaks nothing."""
    check_sql = ansi(parse_scalar(rule.check), scope=declared_scope(contract))
    check: Document = {
        "name": rule.name,
        "type": "sql",
        "query": f"SELECT COUNT(*) FROM {NAMESPACE}.{slug(contract.ref)} WHERE NOT {check_sql}",
        "mustBe": 0,
        "dimension": "consistency",
        "severity": "error" if rule.on_fail == "reject" else "warning",
    }
    if rule.message:
        check["description"] = rule.message
    return check


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
