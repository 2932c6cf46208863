"""The types of an event's fields, as expressions see them."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword

from agentflow.contracts.model import EventContract, FieldContract
from agentflow.events import EventRef
from agentflow.events.table import ENVELOPE
from agentflow.expressions import ExpressionType, Scope, infer, parse_scalar

ENVELOPE_COLUMNS = frozenset(column.name for column in ENVELOPE) | {"occurred_us", "ingested_us"}
"""What every table and view of events has besides the fields: no field may be called that."""


def attribute_of(field: str) -> str:
    """Return the struct attribute that holds a field; words Python reserves get a trailing `_`.

    >>> attribute_of("amount"), attribute_of("from")
    ('amount', 'from_')
    """
    return f"{field}_" if iskeyword(field) else field


def field_type(field: FieldContract) -> ExpressionType:
    """Return the expression type of a declared field."""
    return ExpressionType(field.type, scale=field.scale or 0, nullable=not field.required)


def declared_scope(contract: EventContract) -> Scope:
    """Return the types of the fields a producer sends; rules and derived fields read these."""
    return {name: field_type(field) for name, field in contract.fields.items()}


def full_scope(contract: EventContract) -> Scope:
    """Return the types of declared and derived fields; metrics and entities read these.

    Raises:
        ExpressionError: If a derived field does not parse or type-check.
    """
    declared = declared_scope(contract)
    derived = {name: infer(parse_scalar(text), declared) for name, text in contract.derived.items()}
    return {**declared, **derived}


def sequence_of(contract: EventContract, events: Mapping[EventRef, EventContract]) -> str | None:
    """Return the field that puts versions of a row, or what takes them back, in order."""
    if contract.supersedes is not None:
        return contract.supersedes.sequence
    base = events.get(contract.corrects.ref) if contract.corrects else None
    return base.supersedes.sequence if base is not None and base.supersedes else None
