"""Content codings of request bodies: gzip and zstd, read up to a limit and never further."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import zstandard

from agentflow.wording import quoted
from serving.http.problems import Problem
from serving.http.replies import Scope

ACCEPTED: Final = (b"accept-encoding", b"gzip, zstd")
"""Answers a coding that is not understood."""

_HEADER: Final = b"content-encoding"
_GZIP: Final = 16 + zlib.MAX_WBITS
_PIECE_BYTES: Final = 64 * 1024
# A zstd block of four bytes can stand for 128 KiB: as much as this goes beyond the limit at most.
_ZSTD_INPUT_BYTES: Final = 64
_ZSTD_WINDOW_BYTES: Final = 8 * 1024 * 1024
Pieces: TypeAlias = Callable[[bytes], Iterator[bytes]]


class _CutOffError(ValueError):
    """The body ends before its coding does."""


def coding_of(scope: Scope) -> Pieces | Problem | None:
    """Return what decodes the body of a request; None when it is not coded."""
    written = b",".join(value for name, value in scope["headers"] if name == _HEADER)
    names = [name.strip().lower() for name in written.split(b",") if name.strip()]
    named = [name for name in names if name != b"identity"]
    if not named:
        return None
    pieces = _CODINGS.get(named[0]) if len(named) == 1 else None
    if pieces is None:
        shown = ", ".join(name.decode("latin-1") for name in named)
        message = f"the content coding {quoted(shown)} is not understood"
        return Problem("content_coding_unsupported", message, "Send gzip, zstd or no coding.")
    return pieces


def decoded(body: bytes, pieces: Pieces, limit_bytes: int) -> bytes | Problem | None:
    """Return what a coded body holds; None when it is larger than *limit_bytes*."""
    found = bytearray()
    try:
        for piece in pieces(body):
            found += piece
            if len(found) > limit_bytes:
                return None
    except (zlib.error, zstandard.ZstdError, _CutOffError) as error:
        message = "the body is not what its content coding says"
        hint = "It is cut off." if isinstance(error, _CutOffError) else "Is it coded at all?"
        return Problem("content_coding_invalid", message, hint)
    return bytes(found)


def _gunzipped(body: bytes) -> Iterator[bytes]:
    rest = body
    while True:  # a file may have several members
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            piece = member.decompress(rest, _PIECE_BYTES)
            rest = member.unconsumed_tail
            yield piece
            if not piece and not rest and not member.eof:
                raise _CutOffError
        rest = member.unused_data
        if not rest:
            return


def _unzstd(body: bytes) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    frame = decompressor.decompressobj()
    start = 0
    while start < len(body):
        if frame.eof:
            frame = decompressor.decompressobj()
        part = body[start : start + _ZSTD_INPUT_BYTES]
        yield frame.decompress(part)
        start += len(part) - len(frame.unused_data)
    if not frame.eof:
        raise _CutOffError


_CODINGS: Final[dict[bytes, Pieces]] = {
    b"gzip": _gunzipped,
    b"x-gzip": _gunzipped,
    b"zstd": _unzstd,
}
