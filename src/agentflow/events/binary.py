"""CloudEvents whose attributes travel beside their data: folded into one structured document.

Every binding (HTTP, Kafka) writes attributes into headers of its own; what they mean is the same.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Final

import msgspec

CONTENT_TYPE: Final = "datacontenttype"
"""The attribute that bindings write into the header `content-type`."""

UNDECODED: Final = "base64"
"""The one member of what stands for an attribute that could not be decoded."""

_one = msgspec.json.Decoder(msgspec.Raw).decode
_encode = msgspec.json.Encoder().encode


def text_of(value: bytes) -> str | bytes:
    r"""Decode the value of an attribute; bytes that are not UTF-8 stay as they are.

    >>> text_of(b"1"), text_of(b"\xfe")
    ('1', b'\xfe')
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _shown(value: str | bytes) -> str | dict[str, str]:
    return value if isinstance(value, str) else {UNDECODED: b64encode(value).decode()}


def fold(attributes: Iterable[tuple[str, str | bytes]], data: bytes) -> bytes:
    """Return the structured document of an event with these attributes, in their order.

    Bytes are an attribute that could not be decoded. No replacement may stand for them: two ids
    would become one. They are kept in Base64, in an object, which the gate refuses by its name.

    Data that is not one JSON value is returned as it is: the gate finds the same fault in it, and
    it cannot pose as attributes.

    >>> fold([("type", "order.created"), ("id", "1")], b'{"amount": "5.00"}')
    b'{"type":"order.created","id":"1","data":{"amount": "5.00"}}'
    >>> fold([("type", "order.created")], b'1, "type": "forged"')
    b'1, "type": "forged"'
    """
    try:
        _one(data)
    except (msgspec.DecodeError, RecursionError):
        return data
    members = [b"%b:%b" % (_encode(name), _encode(_shown(text))) for name, text in attributes]
    members.append(b'"data":%b' % data)
    return b"{%b}" % b",".join(members)
