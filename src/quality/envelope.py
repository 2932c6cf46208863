"""The CloudEvents 1.0 attributes around an event's data, read strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec

MAX_SIZE_BYTES: Final = 1024 * 1024
MAX_ATTRIBUTE_LENGTH: Final = 1024
UNKNOWN_SOURCE: Final = "urn:agentflow:unknown"

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ATTRIBUTE_LENGTH)]
Version = (
    Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,8}\Z")]
    | Annotated[int, msgspec.Meta(ge=1, le=999_999_999)]
)


class Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The attributes the platform reads, and the data still as bytes."""

    type: Text
    data: msgspec.Raw
    id: Text | None = None
    source: Text | None = None
    time: str | None = None
    subject: Text | None = None
    correlationid: Text | None = None
    tenant: str | None = None
    specversion: Literal["1.0"] | None = None
    datacontenttype: str | None = None
    dataversion: Version | None = None
    dataschema: Text | None = None
    traceparent: Text | None = None
    tracestate: Text | None = None


class OpenEnvelope(Envelope, forbid_unknown_fields=False, gc=False):
    """The same, with extension attributes around it."""


ATTRIBUTES: Final[Mapping[str, object]] = {
    field.name: field.type for field in msgspec.structs.fields(Envelope)
}


class Timed(msgspec.Struct, gc=False):
    """The one attribute that tells a stated event time from the instant of arrival."""

    time: str | None = None


decode_time = msgspec.json.Decoder(Timed).decode
decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_open = msgspec.json.Decoder(OpenEnvelope).decode
_decode_extension = msgspec.json.Decoder(str | int | float | bool | None).decode
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,20}")
_NOT_EXTENSIONS = frozenset({"data_base64"})


def decode_extended(value: bytes) -> Envelope | None:
    """Read an envelope that may have extension attributes; None when one of them is not legal."""
    for name, extension in decode_members(value).items():
        if name not in ATTRIBUTES and not (legal_name(name) and legal_extension(extension)):
            return None
    return _decode_open(value)


def legal_name(name: str) -> bool:
    """Tell whether CloudEvents allows an extension of that name."""
    return _EXTENSION_NAME.fullmatch(name) is not None and name not in _NOT_EXTENSIONS


def legal_extension(value: msgspec.Raw) -> bool:
    """Tell whether an extension's value is a scalar without NUL."""
    try:
        decoded = _decode_extension(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not (isinstance(decoded, str) and "\0" in decoded)


@lru_cache(maxsize=256)
def json_content(content_type: str) -> bool:
    """Tell whether a media type is JSON.

    >>> json_content("application/json; charset=utf-8"), json_content("text/plain")
    (True, False)
    """
    media = content_type.partition(";")[0].strip().lower()
    return media in {"application/json", "text/json"} or (
        media.startswith("application/") and media.endswith("+json")
    )
