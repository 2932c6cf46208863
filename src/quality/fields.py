"""What is wrong with the value of one field, worded so that its sender can fix it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from agentflow.contracts import FieldContract
from agentflow.suggestions import nearest_or_all
from agentflow.wording import quoted
from quality import codes
from quality.formats import (
    INTEGER_DIGITS,
    canonical_decimal,
    decimal_form,
    instant_us,
    iso_date,
    searcher,
)
from quality.shape import integer_bounds, wire_field
from quality.verdict import Violation

Judged: TypeAlias = tuple[object, list[Violation]]
"""The value as the platform holds it, and what is wrong with it; None when anything is."""
Complain: TypeAlias = Callable[[str, str, str | None], Judged]
"""Takes code, message and hint."""

_LONGEST_NAME = 80
_LONGEST_DECIMAL = 64
_KINDS = {"{": "an object", "[": "a list", '"': "text", "t": "a boolean", "f": "a boolean"}
_WANTED = {
    "string": "text",
    "integer": "an integer",
    "decimal": "a decimal",
    "number": "a number",
    "boolean": "true or false",
    "timestamp": "text with an instant",
    "date": "text with a day",
}


def judge_field(name: str, field: FieldContract, written: msgspec.Raw) -> Judged:
    """Judge one value by the same strict type the quick way uses."""

    def complain(code: str, message: str, hint: str | None = None) -> Judged:
        return None, [Violation(code, pointer(name), f"field {quoted(name)} {message}", hint)]

    text = bytes(written)
    if text == b"null":
        if field.required:
            return complain(codes.FIELD_MISSING, "is required and must not be null")
        return None, []
    kind = kind_of(text)
    accepts = _accepted_kinds(field)
    if kind not in accepts:
        hint = 'Send it in quotes, such as "12.50".' if field.type == "decimal" else None
        return complain(codes.TYPE_WRONG, f"must be {_WANTED[field.type]}, not {kind}", hint)
    if kind == "text" and field.type != "decimal":
        return _text(field, _decoded(text), complain)
    if field.type == "decimal":
        return _decimal(field, _decoded(text) if kind == "text" else text.decode(), complain)
    return _plain(field, text, complain)


def missing(name: str, field: FieldContract) -> Violation:
    """Complain of a required field that is not there."""
    hint = f"Add it: {_WANTED[field.type]}." + (
        f" {field.description}" if field.description else ""
    )
    return Violation(codes.FIELD_MISSING, pointer(name), f"field {quoted(name)} is missing", hint)


def unknown(name: str, *, known: list[str], derived: bool) -> Violation:
    """Complain of a field the contract does not have."""
    hint = nearest_or_all(name, known)
    if derived:
        hint = "It is computed here; leave it out."
    return Violation(
        codes.FIELD_UNKNOWN, pointer(name), f"field {quoted(shortened(name))} is unknown", hint
    )


def pointer(name: str) -> str:
    """Return the JSON pointer of a field of the data.

    >>> pointer("a/b~c")
    '/data/a~1b~0c'
    """
    return "/data/" + escaped(shortened(name))


def escaped(name: str) -> str:
    """Return a member's name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def shortened(name: str) -> str:
    """Return a name a message can hold."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def kind_of(text: bytes) -> str:
    """Name the kind of a JSON value.

    >>> kind_of(b"[1]"), kind_of(b"-1")
    ('a list', 'a number')
    """
    return "null" if text == b"null" else _KINDS.get(chr(text[0]), "a number")


def _accepted_kinds(field: FieldContract) -> tuple[str, ...]:
    match field.type:
        case "decimal":
            return ("text", "a number")
        case "integer" | "number":
            return ("a number",)
        case "boolean":
            return ("a boolean",)
        case _:
            return ("text",)


def _decoded(text: bytes) -> str:
    return msgspec.json.decode(text, type=str)


def _text(field: FieldContract, text: str, complain: Complain) -> Judged:
    if field.type == "timestamp":
        instant = instant_us(text)
        if instant is None:
            hint = "Send RFC 3339 with a zone, such as 2026-11-21T09:20:00Z."
            return complain(codes.TIMESTAMP_INVALID, "is not an instant", hint)
        return instant, []
    if field.type == "date":
        if not iso_date(text):
            return complain(codes.DATE_INVALID, "is not a day", "Send YYYY-MM-DD.")
        return text, []
    return _string(field, text, complain)


def _string(field: FieldContract, value: str, complain: Complain) -> Judged:
    found: list[Violation] = []
    if "\0" in value:
        found += complain(codes.NUL_CHARACTER, "must not hold the NUL character", None)[1]
    if field.enum:
        if value not in field.enum:
            hint = f"Known here: {', '.join(field.enum)}."
            if not field.pii:
                hint = nearest_or_all(value, list(field.enum))
            found += complain(codes.NOT_IN_ENUM, "is not one of its values", hint)[1]
        return (None, found) if found else (value, [])
    low, high = field.min_length or 0, field.max_length
    if len(value) < low or (high is not None and len(value) > high):
        wanted = f"{low} to {high}" if high is not None else f"at least {low}"
        found += complain(codes.LENGTH_WRONG, f"must be {wanted} characters long", None)[1]
    if field.pattern is not None and searcher(field.pattern)(value) is None:
        found += complain(
            codes.PATTERN_MISMATCH, "does not match its pattern", f"Match {field.pattern}."
        )[1]
    return (None, found) if found else (value, [])


def _decimal(field: FieldContract, text: str, complain: Complain) -> Judged:
    scale = field.scale or 0
    if decimal_form(scale)(text) is None:
        if len(text) <= _LONGEST_DECIMAL and re.fullmatch(r"-?[0-9]{1,18}\.[0-9]+", text):
            message = f"has more than {scale} digits after the point"
            return complain(codes.SCALE_EXCEEDED, message, "Round it before sending.")
        return complain(
            codes.DECIMAL_INVALID,
            f"is not a decimal of at most {INTEGER_DIGITS} digits before the point",
            'Send digits with a point, such as "12.50": no exponent, no plus, no separators.',
        )
    value = canonical_decimal(text, scale)
    low, high = field.minimum, field.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        return complain(codes.OUT_OF_BOUNDS, _bounds(low, high), None)
    return value, []


def _plain(field: FieldContract, text: bytes, complain: Complain) -> Judged:
    try:
        return msgspec.json.decode(text, type=wire_field(field)), []
    except msgspec.ValidationError:
        if field.type == "integer" and any(sign in text for sign in b".eE"):
            return complain(codes.TYPE_WRONG, "must be an integer, without point or exponent", None)
        low: object = field.minimum
        high: object = field.maximum
        if field.type == "integer":
            low, high = integer_bounds(field)
        return complain(codes.OUT_OF_BOUNDS, _bounds(low, high), None)


def _bounds(low: object, high: object) -> str:
    if low is None and high is None:
        return "is too large for a number"
    if low is None or high is None:
        return f"must be at least {low}" if high is None else f"must be at most {high}"
    return f"must be between {low} and {high}"
