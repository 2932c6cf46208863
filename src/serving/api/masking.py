"""What of a refused event may be shown: what its contract knows and does not call personal.

A field that no contract declares may hold anything, personal data too: its value is masked. In a
document that is not a JSON object nothing can be told apart: none of it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from agentflow.contracts import EventContract
from quality.envelope import ATTRIBUTES, decode_members
from quality.repetition import all_members

MASK: Final = "***"
_MASKED: Final = msgspec.Raw(msgspec.json.encode(MASK))
_DATA: Final = "data"
_encode = msgspec.json.Encoder().encode


def masked(raw: str, contract: EventContract | None) -> str | None:
    """Return a document with every value masked that may be personal; None if none can be told.

    >>> masked('{"id":"1","ip":"::1","data":{"name":"Ada"}}', None)
    '{"id":"1","ip":"***","data":{"name":"***"}}'
    """
    try:
        members = _members(raw.encode())
        shown = [(name, _attribute(name, value, contract)) for name, value in members]
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return raw if shown == members else bytes(_object(shown)).decode()


def _shown_fields(contract: EventContract | None) -> frozenset[str]:
    fields = {} if contract is None else contract.fields
    return frozenset(name for name, field in fields.items() if not field.pii)


def masked_data(data: Mapping[str, object], contract: EventContract | None) -> dict[str, object]:
    """Return the data of an accepted event with personal fields masked; derived ones are shown."""
    fields = {} if contract is None else contract.fields
    return {
        name: MASK if name in fields and fields[name].pii else value for name, value in data.items()
    }


def _attribute(name: str, value: msgspec.Raw, contract: EventContract | None) -> msgspec.Raw:
    if name == _DATA:
        return _data(value, contract)
    return value if name in ATTRIBUTES and _plain(value) else _mask(value)


def _data(value: msgspec.Raw, contract: EventContract | None) -> msgspec.Raw:
    if not bytes(value).startswith(b"{"):
        return _mask(value)
    shown = _shown_fields(contract)
    members = _members(bytes(value))
    kept = [
        (name, part if name in shown and _plain(part) else _mask(part)) for name, part in members
    ]
    return value if kept == members else _object(kept)


def _members(value: bytes) -> list[tuple[str, msgspec.Raw]]:
    """Return the members of an object; one that is there twice is shown twice."""
    decode_members(value)  # raises for what is not an object
    return [(name, msgspec.Raw(text.encode())) for name, text in all_members(value.decode())]


def _object(members: Iterable[tuple[str, msgspec.Raw]]) -> msgspec.Raw:
    return msgspec.Raw(b"{%b}" % b",".join(b"%b:%b" % (_encode(n), v) for n, v in members))


def _plain(value: msgspec.Raw) -> bool:
    """Tell whether a value is a scalar: what was sent in its place may hold anything."""
    return not bytes(value).startswith((b"{", b"["))


def _mask(value: msgspec.Raw) -> msgspec.Raw:
    return value if bytes(value) == b"null" else _MASKED
