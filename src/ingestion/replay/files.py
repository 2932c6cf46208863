"""Opening a file: unpacked on the way, and measured before any of it is held."""

from __future__ import annotations

import gzip
import io
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Final, cast

from agentflow.errors import NotFoundError, ParameterError
from agentflow.wording import counted, quoted

MAX_LINE_BYTES: Final = 8 * 1024 * 1024
_FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_SHOWN_BYTES = 200
_DAMAGE = (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file being read.

    Attributes:
        format: Its suffix without that of a compression, for example `.csv`.
    """

    path: Path
    format: str
    content: IO[bytes]
    _raw: IO[bytes]
    _size_bytes: int

    def fraction(self) -> float:
        """Return how much of the file was read so far, from 0 to 1."""
        return min(self._raw.tell() / self._size_bytes, 1.0) if self._size_bytes else 1.0

    def error(self, problem: str, *, line: int | None = None, hint: str) -> ParameterError:
        """Return the error that ends the reading of this file."""
        where = f"file {quoted(self.path.name)}" + ("" if line is None else f", line {line}")
        return ParameterError(f"{where}: {problem}", hint=hint)

    def seekable(self) -> IO[bytes]:
        """Return the content so that it can be read from its end; unpacked it goes to disk."""
        if self.content is self._raw:
            return self.content
        whole = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115 - the caller reads on
        copyfileobj(self.content, whole, MAX_LINE_BYTES)
        whole.seek(0)
        return whole

    def close(self) -> None:
        """Close the file."""
        self.content.close()
        self._raw.close()


def open_file(path: Path) -> OpenFile:
    """Open a file for reading; `.gz` and a `.zip` with one member are unpacked on the way.

    Raises:
        NotFoundError: There is no such file.
        ParameterError: It is of a kind that cannot be replayed.
    """
    if path.is_dir():
        hint = "Name a file in it; several are replayed one after the other."
        raise ParameterError(f"{quoted(path)} is a directory, not a file", hint=hint)
    if path.exists() and not path.is_file():
        hint = "Write what it gives into a file and name that; replay reads it more than once."
        raise ParameterError(f"{quoted(path)} is a device or a pipe, not a file", hint=hint)
    if not path.is_file():
        raise NotFoundError(
            f"file {quoted(path)} does not exist", hint="Name a file that is there."
        )
    name = path.stem if path.suffix.lower() == ".gz" else path.name
    try:
        raw = path.open("rb")
    except OSError as error:
        raise ParameterError(f"file {quoted(path)} cannot be read: {error.strerror}") from error
    try:
        content: IO[bytes] = raw
        if path.suffix.lower() == ".zip":
            name, content = _member(path, raw)
        elif name != path.name:
            content = _checked(cast("IO[bytes]", gzip.GzipFile(fileobj=raw)), path)
        form = _format(name)
    except ParameterError:
        raw.close()
        raise
    return OpenFile(path, form, content, raw, path.stat().st_size)


@dataclass(frozen=True, slots=True)
class LongLine:
    """The beginning of a line that is longer than `MAX_LINE_BYTES`; the rest was passed over."""

    start: bytes


def lines_of(file: OpenFile) -> Iterator[tuple[int, bytes | LongLine]]:
    """Return the lines of a file with their numbers, without blank ones and line ends."""
    number = 0
    while line := file.content.readline(MAX_LINE_BYTES):
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) >= MAX_LINE_BYTES and not line.endswith(b"\n"):
            start = line[:_SHOWN_BYTES]
            while line and not line.endswith(b"\n"):
                line = file.content.readline(MAX_LINE_BYTES)
            yield number, LongLine(start)
        elif stripped := line.strip(b"\r\n"):
            yield number, stripped


def _format(name: str) -> str:
    form = Path(name).suffix.lower()
    if form not in _FORMATS:
        hint = f"It can be one of {', '.join(_FORMATS)}, also with .gz or .zip after it."
        raise ParameterError(f"file {quoted(name)} is of no kind that can be replayed", hint=hint)
    return form


def _member(path: Path, raw: IO[bytes]) -> tuple[str, IO[bytes]]:
    try:
        archive = zipfile.ZipFile(raw)
    except zipfile.BadZipFile as error:
        hint = "Pack it again, or replay the file that is in it."
        raise ParameterError(f"file {quoted(path.name)} is not a ZIP archive", hint=hint) from error
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if len(names) != 1:
        hint = "Replay them one by one."
        message = f"file {quoted(path.name)} holds {counted(len(names), 'file')}, one is needed"
        raise ParameterError(message, hint=hint)
    try:
        return names[0], _checked(archive.open(names[0]), path)
    except (RuntimeError, NotImplementedError) as error:
        hint = "Unpack it with the program that made it, and replay what is in it."
        raise ParameterError(
            f"file {quoted(path.name)} is packed in a way that is not read here", hint=hint
        ) from error


def _checked(content: IO[bytes], path: Path) -> IO[bytes]:
    return cast("IO[bytes]", io.BufferedReader(_Unpacked(content, path), 1 << 16))


class _Unpacked(io.RawIOBase):
    """What is unpacked; an archive that is cut off or damaged is an error, never an end."""

    def __init__(self, content: IO[bytes], path: Path) -> None:
        self._content = content
        self._path = path
        self._read_bytes = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Read some bytes."""
        try:
            found = self._content.read(len(buffer))
        except _DAMAGE as error:
            message = (
                f"file {quoted(self._path.name)} is cut off or damaged after "
                f"{self._read_bytes:,} unpacked bytes"
            )
            raise ParameterError(message, hint="Fetch it again, or pack it again.") from error
        buffer[: len(found)] = found
        self._read_bytes += len(found)
        return len(found)

    def close(self) -> None:
        """Close what is unpacked."""
        self._content.close()
        super().close()
