"""Checks of single event fields: bounds that contradict, patterns that do not compile, units."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from keyword import iskeyword
from sys import float_info

from agentflow.contracts.model import EventContract, FieldContract
from agentflow.contracts.patterns import pattern_problem
from agentflow.contracts.scope import ENVELOPE_COLUMNS
from agentflow.errors import ExpressionError, FileProblem
from agentflow.expressions import parse_scalar
from agentflow.expressions.nodes import FieldReference
from agentflow.lint.context import LintContext
from agentflow.wording import quoted

_NUMERIC = frozenset({"integer", "decimal", "number"})
_MAX_INTEGER = 2**63 - 1
_MAX_WHOLE_DIGITS = 18
_GREATEST_FLOAT = Decimal(float_info.max)
_MAX_LENGTH = 2**31 - 1


def field_problems(event: EventContract, context: LintContext) -> Iterator[FileProblem]:
    """Yield what is wrong with the declared fields of an event."""
    for name, field in event.fields.items():
        if message := name_taken(name):
            yield context.problem("fields", name, message=message, hint="Give it another name.")
        yield from _bounds(name, field, context)
        yield from _text(name, field, context)
        yield from _unit(name, event, context)


def name_taken(name: str) -> str | None:
    """Return why no field can be called that, or None."""
    if _reserved(name):
        return f'"{name}" is a word of the expression language, not a field name'
    if name in ENVELOPE_COLUMNS:
        return f'"{name}" is a column that the lake adds to every event'
    return None


def _reserved(name: str) -> bool:
    """Tell whether a field of this name could not be spoken of in an expression."""
    try:
        return iskeyword(name) or not isinstance(parse_scalar(name), FieldReference)
    except ExpressionError:
        return True


def _bounds(name: str, field: FieldContract, context: LintContext) -> Iterator[FileProblem]:
    low, high = field.minimum, field.maximum
    if low is not None and high is not None and low > high:
        message = f'"{name}": minimum {low} is above maximum {high}, nothing would be accepted'
        yield context.problem("fields", name, "minimum", message=message)
    for key, bound in (("minimum", low), ("maximum", high)):
        if bound is not None and (misfit := _misfit(bound, field)):
            yield context.problem("fields", name, key, message=f'"{name}": {key} {bound} {misfit}')


def _misfit(bound: Decimal, field: FieldContract) -> str | None:
    places = max(0, -int(bound.normalize().as_tuple().exponent))
    if field.type == "integer":
        if places:
            return "is not a whole number, the field is"
        return "does not fit 64 bits" if abs(bound) > _MAX_INTEGER else None
    if field.type == "decimal":
        if places > (field.scale or 0):
            return f"has more than the {field.scale} digits the field keeps"
        return "has more than 18 digits" if abs(bound) >= 10**_MAX_WHOLE_DIGITS else None
    return "is more than a float holds" if abs(bound) > _GREATEST_FLOAT else None


def _text(name: str, field: FieldContract, context: LintContext) -> Iterator[FileProblem]:
    yield from _lengths(name, field, context)
    pattern = None
    if field.pattern is not None:
        found = pattern_problem(field.pattern, max_length=field.max_length)
        if found is None:
            pattern = re.compile(field.pattern, re.ASCII)
        else:
            message, hint = found
            yield context.problem(
                "fields", name, "pattern", message=f'"{name}": {message}', hint=hint
            )
    if field.enum is not None:
        yield from _enum(name, field, pattern, context)


def _lengths(name: str, field: FieldContract, context: LintContext) -> Iterator[FileProblem]:
    low, high = field.min_length, field.max_length
    if low is not None and high is not None and low > high:
        message = f'"{name}": min_length {low} is above max_length {high}'
        yield context.problem("fields", name, "min_length", message=message)
    for key, length in (("min_length", low), ("max_length", high)):
        if length is not None and length > _MAX_LENGTH:
            message = f'"{name}": {key} is more than {_MAX_LENGTH}'
            yield context.problem("fields", name, key, message=message)


def _enum(
    name: str, field: FieldContract, pattern: re.Pattern[str] | None, context: LintContext
) -> Iterator[FileProblem]:
    low, high, values = field.min_length or 0, field.max_length, field.enum or ()
    if not values:
        message = f'"{name}": enum is empty, nothing would be accepted'
        yield context.problem("fields", name, "enum", message=message)
    for index, value in enumerate(values):
        if value in values[:index]:
            message = f'"{name}": enum says {quoted(value)} twice'
            yield context.problem("fields", name, "enum", index, message=message)
        refused = (pattern is not None and not pattern.search(value)) or not (
            low <= len(value) <= (high if high is not None else len(value))
        )
        if refused:
            message = f'"{name}": enum value {quoted(value)} does not fit its own pattern or length'
            yield context.problem("fields", name, "enum", index, message=message)


def _unit(name: str, event: EventContract, context: LintContext) -> Iterator[FileProblem]:
    field = event.fields[name]
    if field.unit is None:
        return
    if field.type not in _NUMERIC:
        message = f'"{name}": a unit is for numbers, this one is {field.type}'
        yield context.problem("fields", name, "unit", message=message)
    holder = event.fields.get(field.unit)
    if holder is None and field.unit == "currency":
        message = f'"{name}": there is no field "currency" to hold its unit'
        hint = "Add a string field currency, or name the unit itself: EUR."
        yield context.problem("fields", name, "unit", message=message, hint=hint)
    if holder is None:
        return
    if holder.type != "string":
        message = f'"{name}": the field "{field.unit}" that holds its unit must be a string'
        yield context.problem("fields", name, "unit", message=message)
    if field.type == "number":
        message = f'"{name}": an amount with a varying unit must be a decimal or an integer'
        yield context.problem("fields", name, "type", message=message)
    if field.required and not holder.required:
        message = f'"{name}" is required, so "{field.unit}" that holds its unit must be too'
        yield context.problem("fields", field.unit, message=message, hint="Add required: true.")
