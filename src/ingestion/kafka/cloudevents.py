"""CloudEvents in Kafka records: structured and binary mode, read and written as the binding says.

Pure, and without the driver: the job that reads `raw` elsewhere uses it too. Headers are pairs of a
name and UTF-8 bytes, as Kafka keeps them.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from agentflow.errors import ParameterError
from agentflow.events.binary import CONTENT_TYPE, fold, text_of

Header = tuple[str, bytes | str | None]
PREFIX: Final = "ce_"
_CONTENT: Final = "content-type"
_STRUCTURED: Final = "application/cloudevents"
_JSON: Final = "application/json"
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_attribute = msgspec.json.Decoder(str | bool | int).decode


def binary_mode(headers: Iterable[Header]) -> bool:
    """Tell whether the attributes are in headers and the value is the data alone.

    A `content-type` of structured mode decides; without it, the attribute no event can lack does.
    """
    found = False
    for name, value in headers:
        if name.lower() == _CONTENT and _text(value).lower().startswith(_STRUCTURED):
            return False
        found = found or name == "ce_type"
    return found


def structured(headers: Sequence[Header], value: bytes | None) -> bytes:
    """Return the document a record stands for, in either mode; empty for a tombstone.

    Binary mode gives exactly what HTTP's binary mode gives for the same attributes and data. A
    header that is not UTF-8 makes a document that the gate refuses.

    >>> structured([("ce_type", b"order.created")], b'{"amount": "5.00"}')
    b'{"type":"order.created","data":{"amount": "5.00"}}'
    >>> structured([("content-type", b"application/cloudevents+json")], b'{"type": "a"}')
    b'{"type": "a"}'
    """
    data = value or b""
    return fold(_attributes(headers), data) if binary_mode(headers) else data


def binary(document: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return the headers and the value of binary mode for a structured document.

    `structured` of them is the same document, with every attribute as text.

    Raises:
        ParameterError: It is not a JSON object, an attribute is not text, number or boolean, or its
            data cannot stand alone.
    """
    try:
        members = _decode(document)
        data = _data(members)
        named = [(name, _rendered(_attribute(text))) for name, text in members.items()]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise ParameterError(
            f"the document has no binary form: {error}",
            hint="Send a JSON object whose attributes are text, with its data under `data`.",
        ) from error
    headers = [
        (_CONTENT if name == CONTENT_TYPE else PREFIX + name, text.encode()) for name, text in named
    ]
    if CONTENT_TYPE not in members:
        headers.append((_CONTENT, _JSON.encode()))
    return headers, data


def _data(members: dict[str, msgspec.Raw]) -> bytes:
    """Take the data out of *members*: JSON as it is written, or the bytes of `data_base64`."""
    if "data" in members:
        return bytes(members.pop("data"))
    if "data_base64" in members:
        text = msgspec.json.decode(members.pop("data_base64"), type=str)
        return b64decode(text, validate=True)
    raise ValueError("there is no data")


def _rendered(value: str | bool | int) -> str:  # noqa: FBT001 - the types of CloudEvents
    """Write an attribute as the canonical text of its CloudEvents type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _attributes(headers: Iterable[Header]) -> Iterator[tuple[str, str | bytes]]:
    for name, value in headers:
        if name.startswith(PREFIX):
            yield name[len(PREFIX) :], _strict(value)
        elif name.lower() == _CONTENT:
            yield CONTENT_TYPE, _strict(value)


def _strict(value: bytes | str | None) -> str | bytes:
    return text_of(value) if isinstance(value, bytes) else value or ""


def _text(value: bytes | str | None) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value or ""
