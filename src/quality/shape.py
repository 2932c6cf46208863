"""The two structs of an event's data: as it is on the wire, and as the platform holds it."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec

from agentflow.contracts import EventContract, FieldContract
from agentflow.contracts.scope import attribute_of, full_scope

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1
_MAX_NUMBER: Final = 1.7976931348623157e308
_HELD: Final[dict[str, type]] = {
    "string": str,
    "integer": int,
    "decimal": Decimal,
    "number": float,
    "boolean": bool,
    "timestamp": int,
    "date": str,
    "null": type(None),
}
TypeForm = Any  # what `msgspec` takes as a type; no static type covers unions and Annotated


def ordered_fields(contract: EventContract) -> tuple[str, ...]:
    """Return the declared fields, required ones first: the order of both structs."""
    return tuple(sorted(contract.fields, key=lambda name: not contract.fields[name].required))


def held_type(contract: EventContract) -> type[msgspec.Struct]:
    """Make the frozen struct of declared and derived fields; what is absent is None."""
    scope = full_scope(contract)
    fields: list[tuple[str, TypeForm] | tuple[str, TypeForm, TypeForm]] = []
    for name in (*ordered_fields(contract), *contract.derived):
        held: TypeForm = _HELD[scope[name].kind]
        if name in contract.fields and contract.fields[name].required:
            fields.append((attribute_of(name), held))
        else:
            fields.append((attribute_of(name), held | None, None))
    return msgspec.defstruct(
        _struct_name(contract),
        fields,
        frozen=True,
        gc=False,
        omit_defaults=True,
        rename=_written_names(contract),
    )


def wire_type(contract: EventContract) -> type[msgspec.Struct]:
    """Make the struct that decodes data strictly; decimals, instants and dates are still text."""
    fields: list[tuple[str, TypeForm] | tuple[str, TypeForm, TypeForm]] = []
    for name in ordered_fields(contract):
        field = contract.fields[name]
        wire = wire_field(field)
        if field.required:
            fields.append((attribute_of(name), wire))
        else:
            fields.append((attribute_of(name), wire | None, None))
    return msgspec.defstruct(
        f"{_struct_name(contract)}Wire",
        fields,
        gc=False,
        forbid_unknown_fields=True,
        rename=_written_names(contract),
    )


def wire_field(field: FieldContract) -> TypeForm:
    """Return the strict type of one field on the wire.

    Patterns are not part of it: a call from msgspec costs 0.4 us, from generated code 0.13.
    """
    match field.type:
        case "string":
            return _string(field)
        case "integer":
            low, high = integer_bounds(field)
            return Annotated[int, msgspec.Meta(ge=low, le=high)]
        case "number":
            low_number = -_MAX_NUMBER if field.minimum is None else float(field.minimum)
            high_number = _MAX_NUMBER if field.maximum is None else float(field.maximum)
            return Annotated[float, msgspec.Meta(ge=low_number, le=high_number)]
        case "boolean":
            return bool
        case "decimal":
            return str | int | float
        case "timestamp" | "date":
            return str


def integer_bounds(field: FieldContract) -> tuple[int, int]:
    """Return the inclusive bounds of an integer field; 64 bits at most."""
    low = MIN_INTEGER if field.minimum is None else math.ceil(field.minimum)
    high = MAX_INTEGER if field.maximum is None else math.floor(field.maximum)
    return max(low, MIN_INTEGER), min(high, MAX_INTEGER)


def _string(field: FieldContract) -> TypeForm:
    if field.enum:
        return Literal.__getitem__(field.enum)
    if field.min_length is None and field.max_length is None:
        return str
    return Annotated[str, msgspec.Meta(min_length=field.min_length, max_length=field.max_length)]


def _written_names(contract: EventContract) -> dict[str, str]:
    names = (*contract.fields, *contract.derived)
    return {attribute_of(name): name for name in names if attribute_of(name) != name}


def _struct_name(contract: EventContract) -> str:
    words = contract.name.replace(".", "_").split("_")
    return f"{''.join(word.capitalize() for word in words)}{contract.version}"
