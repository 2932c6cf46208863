"""The slow way through an envelope: every attribute that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agentflow.events.binary import UNDECODED
from agentflow.suggestions import nearest_or_all
from agentflow.wording import quoted
from quality import codes
from quality.data import ENCODED
from quality.envelope import (
    ATTRIBUTES,
    MAX_ATTRIBUTE_LENGTH,
    json_content,
    legal_extension,
    legal_name,
)
from quality.fields import escaped, shortened
from quality.formats import instant_us
from quality.verdict import Violation

_NOT_DECODED: Final = b'{"%b":' % UNDECODED.encode()
_CLOSE_QUOTE: Final = "Close it; a quote that is part of the value is percent-encoded as %22."
_WRITE_UTF8: Final = "Write headers in UTF-8; over HTTP, percent-encode and quote them as it says."
_FIRST: Final = ("specversion", "datacontenttype", "tenant", "type", "dataversion")
_REFUSED: Final = {
    "specversion": (codes.SPECVERSION_UNSUPPORTED, "must be 1.0", "Send CloudEvents 1.0."),
    "dataversion": (
        codes.VERSION_UNKNOWN,
        "must be a major version",
        'Send a whole number from 1, such as "2".',
    ),
}


class Attributes(msgspec.Struct):
    """What could be read of an envelope, and what is wrong with the rest."""

    type: str | None = None
    id: str | None = None
    source: str | None = None
    subject: str | None = None
    correlation_id: str | None = None
    time_us: int | None = None
    version: int | None = None
    version_refused: bool = False
    violations: tuple[Violation, ...] = ()


def read_attributes(members: Mapping[str, msgspec.Raw], *, tenant: str) -> Attributes:
    """Read the attributes of an event sent by *tenant*."""
    found: list[Violation] = []
    values: dict[str, Any] = {}
    for name in (*_FIRST, *(name for name in ATTRIBUTES if name not in _FIRST)):
        if name in members and name != "data":
            values[name] = _value(name, members[name], found)
    if members.get("type") is None or bytes(members["type"]) == b"null":
        hint = "Name the event's contract, such as order.created."
        found.append(Violation(codes.TYPE_MISSING, "/type", 'attribute "type" is missing', hint))
    found += _contradictions(values, tenant=tenant)
    found += [_unknown(name) for name in members if not _known(name, members[name])]
    written = values.get("dataversion")
    time = values.get("time")
    return Attributes(
        type=values.get("type"),
        id=values.get("id"),
        source=values.get("source"),
        subject=values.get("subject"),
        correlation_id=values.get("correlationid"),
        time_us=None if time is None else instant_us(time),
        version=None if written is None else int(written),
        version_refused=any(violation.pointer == "/dataversion" for violation in found),
        violations=tuple(found),
    )


def _value(name: str, written: msgspec.Raw, found: list[Violation]) -> object:
    try:
        value: object = msgspec.json.decode(written, type=ATTRIBUTES[name])
    except msgspec.ValidationError:
        wanted = (
            codes.ATTRIBUTE_INVALID,
            "must be text"
            if name == "time"
            else f"must be text of 1 to {MAX_ATTRIBUTE_LENGTH} characters",
            None,
        )
        code, message, hint = _REFUSED.get(name, wanted)
        if bytes(written).startswith(_NOT_DECODED):
            code, (message, hint) = codes.ATTRIBUTE_INVALID, _undecoded(bytes(written))
        found.append(Violation(code, f"/{name}", f"attribute {quoted(name)} {message}", hint))
        return None
    if isinstance(value, str) and "\0" in value:
        message = f"attribute {quoted(name)} must not hold the NUL character"
        found.append(Violation(codes.NUL_CHARACTER, f"/{name}", message))
        return None
    return value


def _undecoded(written: bytes) -> tuple[str, str]:
    """Return why the value of a header stands for nothing, and what would have worked."""
    try:
        value = msgspec.json.decode(written, type=dict[str, bytes]).get(UNDECODED, b"")
    except msgspec.ValidationError:  # an object that was sent as such
        return "is not text in UTF-8", _WRITE_UTF8
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return f"is not text in UTF-8: it has the byte 0x{value[error.start]:02x}", _WRITE_UTF8
    return "begins with a double quote that is not closed", _CLOSE_QUOTE


def _contradictions(values: Mapping[str, Any], *, tenant: str) -> list[Violation]:
    found: list[Violation] = []
    content_type = values.get("datacontenttype")
    if content_type is not None and not json_content(content_type):
        message = 'attribute "datacontenttype" is not JSON'
        hint = "Send application/json."
        found.append(Violation(codes.CONTENT_TYPE_UNSUPPORTED, "/datacontenttype", message, hint))
    if values.get("tenant") not in {None, tenant}:
        message = 'attribute "tenant" is not the tenant of the API key'
        found.append(
            Violation(codes.TENANT_MISMATCH, "/tenant", message, "Leave the attribute out.")
        )
    if values.get("time") is not None and instant_us(values["time"]) is None:
        message = 'attribute "time" is not an instant'
        hint = "Send RFC 3339 with a zone, such as 2026-11-21T09:20:00Z."
        found.append(Violation(codes.TIMESTAMP_INVALID, "/time", message, hint))
    return found


def _known(name: str, written: msgspec.Raw) -> bool:
    return name in {*ATTRIBUTES, ENCODED} or (legal_name(name) and legal_extension(written))


def _unknown(name: str) -> Violation:
    place = "/" + escaped(shortened(name))
    if legal_name(name):
        message = f"extension attribute {quoted(name)} must be text, a number or a boolean"
        hint = "Put structured content into `data`."
    else:
        message = f"attribute {quoted(shortened(name))} is unknown"
        hint = f"{nearest_or_all(name, list(ATTRIBUTES))} Fields of the event belong into `data`."
    return Violation(codes.ATTRIBUTE_UNKNOWN, place, message, hint)
