"""CloudEvents whose attributes travel beside their data: folded into one structured document.

Every binding (HTTP, Kafka) writes attributes into headers of its own; what they mean is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

CONTENT_TYPE: Final = "datacontenttype"
"""The attribute that bindings write into the header `content-type`."""

_one = msgspec.json.Decoder(msgspec.Raw).decode
_encode = msgspec.json.Encoder().encode


def fold(attributes: Iterable[tuple[str, str]], data: bytes) -> bytes:
    """Return the structured document of an event with these attributes, in their order.

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
    members = [b"%b:%b" % (_encode(name), _encode(text)) for name, text in attributes]
    members.append(b'"data":%b' % data)
    return b"{%b}" % b",".join(members)
