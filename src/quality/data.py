"""Where the data of an event is: in `data`, or as Base64 in `data_base64`."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Final

import msgspec

from agentflow.wording import quoted
from quality import codes
from quality.envelope import decode_members
from quality.fields import kind_of, shortened
from quality.repetition import repeated_member
from quality.surrogates import lone_surrogate
from quality.verdict import Violation

ENCODED: Final = "data_base64"
_HINT: Final = "Put the event's fields into an object called `data`."
_text = msgspec.json.Decoder(str).decode
_one = msgspec.json.Decoder(msgspec.Raw).decode


def data_members(
    members: Mapping[str, msgspec.Raw], found: list[Violation]
) -> dict[str, msgspec.Raw] | None:
    """Return the members of an event's data; None, and why in *found*, when there are none."""
    written = members.get("data")
    if ENCODED in members:
        written = _decoded(members, found)
        if written is None:
            return None
    if written is None or bytes(written) == b"null":
        found.append(Violation(codes.DATA_MISSING, "/data", 'attribute "data" is missing', _HINT))
        return None
    if (kind := kind_of(bytes(written))) != "an object":
        message = f'attribute "data" must be an object, not {kind}'
        found.append(Violation(codes.TYPE_WRONG, "/data", message))
        return None
    return decode_members(written)


def _decoded(members: Mapping[str, msgspec.Raw], found: list[Violation]) -> msgspec.Raw | None:
    place = f"/{ENCODED}"
    if "data" in members:
        message = f'attribute {quoted(ENCODED)} is there beside "data"'
        found.append(Violation(codes.ATTRIBUTE_INVALID, place, message, "Send one of them."))
        return None
    try:
        data = b64decode(_text(members[ENCODED]), validate=True)
    except (msgspec.DecodeError, ValueError):
        message = f"attribute {quoted(ENCODED)} is not Base64"
        hint = "Send the JSON in `data`, or encode it as RFC 4648 says."
        found.append(Violation(codes.ATTRIBUTE_INVALID, place, message, hint))
        return None
    if (half := lone_surrogate(data)) is not None:
        message = f"attribute {quoted(ENCODED)} holds {half.escape}, one half of a surrogate pair"
        found.append(Violation(codes.MALFORMED_JSON, place, message, "Send both halves."))
        return None
    try:
        data.decode()
        written = _one(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = f"attribute {quoted(ENCODED)} holds no JSON in UTF-8"
        found.append(Violation(codes.MALFORMED_JSON, place, message, "Send the JSON in `data`."))
        return None
    if (pointer := repeated_member(b'{"data":%b}' % data)) is not None:
        message = f"member {quoted(shortened(pointer[1:]))} is there more than once"
        found.append(Violation(codes.MEMBER_REPEATED, place, message, "Send every member once."))
        return None
    return written
