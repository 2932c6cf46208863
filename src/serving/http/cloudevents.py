"""From a request body to raw events: which bytes are one event, in every form CloudEvents has.

Nothing is judged here. An event that is not JSON, too large or too deep is still one raw event: the
gate says so in its dead letter, and its neighbours in the batch are not concerned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

import msgspec

from agentflow.events.binary import CONTENT_TYPE, fold, text_of

Mode = Literal["one", "array", "lines"]
MAX_EVENTS: Final = 10_000
_MODES: Final[dict[bytes, Mode]] = {
    b"application/json": "one",
    b"application/cloudevents+json": "one",
    b"application/cloudevents-batch+json": "array",
    b"application/x-ndjson": "lines",
    b"application/ndjson": "lines",
    b"application/jsonl": "lines",
}
MEDIA_TYPES: Final = tuple(sorted(name.decode() for name in _MODES))
_CONTENT: Final = b"content-type"
_PREFIX: Final = b"ce-"
_STRUCTURED: Final = b"application/cloudevents"
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SPACE: Final = b" \t\r\n"
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},"]', re.DOTALL)


class NotABatchError(ValueError):
    """The body is not an array whose items can be told apart."""


class TooManyEventsError(ValueError):
    """The body holds more than `MAX_EVENTS` events."""


class RepeatedHeaderError(ValueError):
    """A header that decides what the body means is there more than once."""


class MediaTypeError(ValueError):
    """The body has a media type that events do not come in."""


def binary_mode(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether the attributes are in headers and the body is the data alone.

    The content type decides first, as the HTTP binding says: beside the media type of a structured
    event, `ce-` headers mean nothing.
    """
    named = list(headers)
    if _media(content_type_of(named)).startswith(_STRUCTURED):
        return False
    return any(name.startswith(_PREFIX) for name, _ in named)


def content_type_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the content type of a request, if it says one.

    Raises:
        RepeatedHeaderError: It says two.
    """
    found = [value for name, value in headers if name == _CONTENT]
    if len(found) > 1:
        raise RepeatedHeaderError(_CONTENT.decode())
    return found[0] if found else None


def _media(content_type: bytes | None) -> bytes:
    return (content_type or b"application/json").partition(b";")[0].strip().lower()


def mode_of(content_type: bytes | None, body: bytes) -> Mode:
    """Return how to split *body*; plain JSON is told apart by its first character.

    Raises:
        MediaTypeError: Events do not come in that media type.
    """
    media = _media(content_type)
    mode = _MODES.get(media)
    if mode is None:
        raise MediaTypeError(media.decode("latin-1"))
    if media == b"application/json" and body.lstrip(_SPACE)[:1] == b"[":
        return "array"
    return mode


def split(mode: Mode, body: bytes) -> Sequence[bytes]:
    """Return the bytes of each event in *body*.

    Raises:
        NotABatchError: An array was promised, and it is not one.
        TooManyEventsError: There are more than `MAX_EVENTS`.
    """
    if mode == "one":
        return (body,)
    if mode == "lines":
        events: Sequence[bytes] = [line for line in body.split(b"\n") if line.strip(_SPACE)]
    else:
        events = _split_array(body)
    if len(events) > MAX_EVENTS:
        raise TooManyEventsError(len(events))
    return events


def _split_array(body: bytes) -> Sequence[bytes]:
    try:
        return [bytes(item) for item in _split(body)]
    except (msgspec.DecodeError, RecursionError):
        return split_leniently(body)


def split_leniently(body: bytes) -> Sequence[bytes]:
    """Split an array by its brackets alone: one item that is not JSON must not cost the others.

    Only used when the quick way gave up; it costs about 20 times as much for each byte.

    >>> split_leniently(b'[{"a": NaN}, {"b": "],"}]')
    [b'{"a": NaN}', b'{"b": "],"}']

    Raises:
        NotABatchError: The brackets do not say where the items are.
    """
    text = body.strip(_SPACE)
    if text[:1] != b"[" or text[-1:] != b"]":
        raise NotABatchError
    items: list[bytes] = []
    depth, start = 0, 1
    for token in _TOKENS.finditer(text):
        kind = token[0]
        if kind in b"[{":
            depth += 1
        elif kind in b"]}":
            depth -= 1
            if depth == 0:
                return _ended(items, text, start, token.end())
        elif kind == b'"':
            raise NotABatchError  # a quote that is never closed
        elif kind == b"," and depth == 1:
            items.append(_item(text[start : token.start()], items))
            start = token.end()
    raise NotABatchError


def _item(text: bytes, items: list[bytes]) -> bytes:
    item = text.strip(_SPACE)
    if not item:
        raise NotABatchError
    if len(items) >= MAX_EVENTS:
        raise TooManyEventsError(len(items) + 1)
    return item


def _ended(items: list[bytes], text: bytes, start: int, end: int) -> list[bytes]:
    if end != len(text):
        raise NotABatchError
    last = text[start : end - 1].strip(_SPACE)
    if last or items:
        items.append(_item(last, items))
    return items


def structured(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return the structured form of a binary mode event: attributes from `ce-` headers.

    Header values are unquoted and percent-decoded as the HTTP binding says. One that cannot be
    decoded, or a header that is there twice, makes a document that the gate refuses. So does a body
    that is not one JSON value: it is returned as it is, and cannot pose as attributes.
    """
    return fold(_attributes(headers), body)


def _attributes(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str | bytes]]:
    for name, value in headers:
        if name.startswith(_PREFIX):
            yield name[len(_PREFIX) :].decode("latin-1"), _text(value)
        elif name == _CONTENT:
            yield CONTENT_TYPE, text_of(value)


def _text(value: bytes) -> str | bytes:
    """Decode the value of an attribute; what was not written as it must be stays as it is."""
    plain = _unquoted(value)
    if plain is None or _BROKEN_ESCAPE.search(plain):
        return value
    return text_of(unquote_to_bytes(plain))


def _unquoted(value: bytes) -> bytes | None:
    """Take a quoted string out of its quotes; None when they are not closed."""
    if b'"' not in value:
        return value
    quoted = _QUOTED.fullmatch(value)
    return None if quoted is None else _ESCAPED.sub(rb"\1", quoted[1])
