"""JSON Schema (2020-12) of an event: its data alone, and the whole CloudEvent."""

from __future__ import annotations

from agentflow.contracts.model import EventContract, FieldContract
from agentflow.contracts.registry import Registry, key_of
from agentflow.events.table import slug
from agentflow.export.documents import Document, number

DIALECT = "https://json-schema.org/draft/2020-12/schema"
INSTANT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
EXTENSION = "^(?!data$)[a-z0-9]{1,20}$"  # `data` is spelled like an extension and is none
MAX_ATTRIBUTE_LENGTH = 1024
_DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_LONG = 2**63
_TYPES = {"integer": "integer", "number": "number", "boolean": "boolean"}


def json_schemas(registry: Registry, contract: EventContract) -> dict[str, Document]:
    """Return both schemas of an event by file name."""
    stem = f"{contract.name}.v{contract.version}"
    return {
        f"{stem}.data.schema.json": {
            "$schema": DIALECT,
            "$id": f"urn:agentflow:event:{contract.name}:{contract.version}:data",
            **data_schema(contract),
        },
        f"{stem}.schema.json": {
            "$schema": DIALECT,
            "$id": f"urn:agentflow:event:{contract.name}:{contract.version}",
            **cloudevent_schema(registry, contract),
        },
    }


def data_schema(contract: EventContract) -> Document:
    """Return the schema of `data`, self-contained so that it can stand inside other documents."""
    schema: Document = {
        "title": str(contract.ref),
        "description": contract.description,
        "type": "object",
        "properties": {name: field_schema(field) for name, field in contract.fields.items()},
        "required": [name for name, field in contract.fields.items() if field.required],
        "additionalProperties": False,
    }
    if contract.status == "deprecated":
        schema["deprecated"] = True
    if contract.rules:
        schema["x-agentflow-rules"] = [
            rule.model_dump(exclude_defaults=True) for rule in contract.rules
        ]
    return schema


def cloudevent_schema(registry: Registry, contract: EventContract) -> Document:
    """Return the schema of the event in CloudEvents 1.0 structured mode.

    The intake forgives more (it can make up `id`, `source` and `specversion`); this is what a
    producer that keeps to the standard sends.
    """
    text: Document = {"type": "string", "minLength": 1, "maxLength": MAX_ATTRIBUTE_LENGTH}
    required = ["specversion", "id", "source", "type", "data"]
    if registry.event(contract.name).version != contract.version:
        required.append("dataversion")  # without it the event is judged by another version
    return {
        "title": f"CloudEvent {contract.ref}",
        "description": contract.description,
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text,
            "source": {**text, "format": "uri-reference"},
            "type": {"const": contract.name},
            "time": {"type": "string", "format": "date-time", "pattern": INSTANT},
            "subject": text,
            "datacontenttype": {"const": "application/json"},
            "dataschema": {**text, "format": "uri"},
            "dataversion": {"enum": [contract.version, str(contract.version)]},
            "tenant": text,
            "traceparent": text,
            "tracestate": text,
            "correlationid": text,
            "data": data_schema(contract),
        },
        "patternProperties": {EXTENSION: {"type": ["string", "number", "boolean", "null"]}},
        "required": required,
        "additionalProperties": False,
        "x-agentflow": notes_on(registry, contract),
    }


def notes_on(registry: Registry, contract: EventContract) -> Document:
    """Return what a schema cannot say but a reader of it should know."""
    notes: Document = {
        "contract": str(contract.ref),
        "status": contract.status,
        "owner": contract.owner,
        "table": slug(contract.ref),
        "moves": [f"{metric.name}@{metric.version}" for metric in registry.moved_by(contract.ref)],
        "lateness": {"accept": contract.lateness.accept, "ahead": contract.lateness.ahead},
    }
    if contract.key:
        notes["key"] = contract.key
    if contract.event_time:
        notes["event_time"] = contract.event_time
    if contract.corrects:
        notes["corrects"] = contract.corrects.model_dump()
    if contract.supersedes:
        notes["supersedes"] = contract.supersedes.model_dump()
    if contract.sunset:
        notes["sunset"] = contract.sunset
    if fingerprint := registry.fingerprints.get(key_of(contract)):
        notes["fingerprint"] = fingerprint
    return notes


def field_schema(field: FieldContract) -> Document:
    """Return the schema of one field; an optional field may also be null."""
    schema = _shape(field)
    if not field.required:
        schema["type"] = [schema["type"], "null"]
        if field.enum:
            schema["enum"] = [*field.enum, None]
    if field.description:
        schema["description"] = field.description
    if field.examples and not field.pii:
        schema["examples"] = [example(field, text) for text in field.examples]
    if field.unit:
        schema["x-agentflow-unit"] = field.unit
    if field.pii:
        schema["x-agentflow-pii"] = True
    return schema


def example(field: FieldContract, text: str) -> object:
    """Return an example as JSON carries it: contracts write all of them as text."""
    match field.type:
        case "integer":
            return int(text)
        case "number":
            return float(text)
        case "boolean":
            return text == "true"
        case _:
            return text


def _shape(field: FieldContract) -> Document:
    match field.type:
        case "string":
            return _text(field)
        case "decimal":
            return _decimal(field)
        case "timestamp":
            return {"type": "string", "format": "date-time", "pattern": INSTANT}
        case "date":
            return {"type": "string", "format": "date", "pattern": _DAY}
        case _:
            return {"type": _TYPES[field.type], **_bounds(field)}


def _text(field: FieldContract) -> Document:
    constraints = {
        "enum": list(field.enum) if field.enum else None,
        "pattern": field.pattern,
        "minLength": field.min_length,
        "maxLength": field.max_length,
    }
    return {"type": "string", **{k: v for k, v in constraints.items() if v is not None}}


def _decimal(field: FieldContract) -> Document:
    """Exact numbers travel as text: a JSON number passes through floats in most readers."""
    fraction = rf"(\.[0-9]{{1,{field.scale}}})?" if field.scale else ""
    schema: Document = {"type": "string", "pattern": rf"^-?(0|[1-9][0-9]{{0,17}}){fraction}$"}
    if field.minimum is not None:
        schema["x-agentflow-minimum"] = str(field.minimum)
    if field.maximum is not None:
        schema["x-agentflow-maximum"] = str(field.maximum)
    return schema


def _bounds(field: FieldContract) -> Document:
    bounds: Document = {}
    if field.type == "integer":
        bounds = {"minimum": -_LONG, "maximum": _LONG - 1}
    if field.minimum is not None:
        bounds["minimum"] = number(field.minimum)
    if field.maximum is not None:
        bounds["maximum"] = number(field.maximum)
    return bounds
