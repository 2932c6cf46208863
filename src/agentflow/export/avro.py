"""Avro schema of an event's data: decimals are exact, instants are microseconds."""

from __future__ import annotations

from agentflow.contracts.model import EventContract, FieldContract
from agentflow.contracts.registry import Registry, key_of
from agentflow.events.table import slug
from agentflow.export.documents import Document

NAMESPACE = "agentflow.events"
INTEGER_DIGITS = 18
_TYPES: dict[str, object] = {
    # an enum stays a string: Avro symbols cannot hold every value, and readers of an older
    # schema break on a new symbol although the contract calls a wider enum compatible
    "string": "string",
    "integer": "long",
    "number": "double",
    "boolean": "boolean",
    "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
    "date": {"type": "int", "logicalType": "date"},
}


def avro_schema(registry: Registry, contract: EventContract) -> Document:
    """Return the record schema of an event's declared fields.

    Optional fields are unions with null that default to null, so that adding one stays readable in
    both directions.
    """
    schema: Document = {
        "type": "record",
        "name": slug(contract.ref),
        "namespace": NAMESPACE,
        "doc": contract.description,
        "fields": [_field(name, field) for name, field in contract.fields.items()],
        "agentflow.contract": str(contract.ref),
    }
    if fingerprint := registry.fingerprints.get(key_of(contract)):
        schema["agentflow.fingerprint"] = fingerprint
    return schema


def _field(name: str, field: FieldContract) -> Document:
    value = _type(field)
    entry: Document = {"name": name, "type": value if field.required else ["null", value]}
    if not field.required:
        entry["default"] = None
    if field.description:
        entry["doc"] = field.description
    if field.enum:
        entry["agentflow.enum"] = list(field.enum)
    if field.unit:
        entry["agentflow.unit"] = field.unit
    if field.pii:
        entry["agentflow.pii"] = True
    return entry


def _type(field: FieldContract) -> object:
    if field.type != "decimal":
        return _TYPES[field.type]
    scale = field.scale or 0
    return {
        "type": "bytes",
        "logicalType": "decimal",
        "precision": INTEGER_DIGITS + scale,
        "scale": scale,
    }
