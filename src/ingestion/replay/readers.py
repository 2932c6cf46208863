"""Rows out of CSV, JSON lines and Parquet files, one at a time, compressed or not."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

import msgspec

from agentflow.errors import NotFoundError, ParameterError
from ingestion.replay.cells import Cell

MAX_LINE_BYTES = 8 * 1024 * 1024
_FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True, slots=True)
class Row:
    """One row, counted from 1 without any header line."""

    number: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class BadRow:
    """Something in the place of a row that is none."""

    number: int
    text: str
    problem: str


class Rows(Protocol):
    """The rows of one open file, in file order."""

    columns: tuple[str, ...] | None
    """Column names, when the format has them up front."""

    @abstractmethod
    def __iter__(self) -> Iterator[Row | BadRow]: ...


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
    if not path.is_file():
        raise NotFoundError(f'file "{path}" does not exist')
    name = path.stem if path.suffix.lower() == ".gz" else path.name
    raw = path.open("rb")
    try:
        if path.suffix.lower() == ".zip":
            name, content = _member(path, raw)
        else:
            content = raw if name == path.name else cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
        form = _format(name)
    except ParameterError:
        raw.close()
        raise
    return OpenFile(path, form, content, raw, path.stat().st_size)


def rows_of(file: OpenFile) -> Rows:
    """Return the rows of an open file.

    Raises:
        ParameterError: The file is not what its name says.
    """
    match file.format:
        case ".csv":
            return _CsvRows(file, delimiter=",")
        case ".tsv":
            return _CsvRows(file, delimiter="\t")
        case ".parquet":
            return _ParquetRows(file)
        case _:
            return _JsonRows(file)


def lines_of(file: OpenFile) -> Iterator[tuple[int, bytes]]:
    """Return the lines of a file with their numbers, without blank ones and line ends.

    A line longer than 8 MiB comes in pieces of that size: nothing of it is lost, nothing fits.
    """
    number = 0
    while line := file.content.readline(MAX_LINE_BYTES):
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if stripped := line.strip(b"\r\n"):
            yield number, stripped


def _format(name: str) -> str:
    form = Path(name).suffix.lower()
    if form not in _FORMATS:
        hint = f"It can be one of {', '.join(_FORMATS)}, also with .gz or .zip after it."
        raise ParameterError(f'file "{name}" is of no kind that can be replayed', hint=hint)
    return form


def _member(path: Path, raw: IO[bytes]) -> tuple[str, IO[bytes]]:
    try:
        archive = zipfile.ZipFile(raw)
    except zipfile.BadZipFile as error:
        raise ParameterError(f'file "{path.name}" is not a ZIP archive') from error
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if len(names) != 1:
        raise ParameterError(f'file "{path.name}" holds {len(names)} files, one is needed')
    return names[0], archive.open(names[0])


class _CsvRows:
    """Rows of delimited text; the first line names the columns."""

    def __init__(self, file: OpenFile, *, delimiter: str) -> None:
        text = io.TextIOWrapper(
            file.content, encoding="utf-8-sig", errors="surrogateescape", newline=""
        )
        self._reader = csv.reader(text, delimiter=delimiter)
        self.columns: tuple[str, ...] | None = tuple(next(self._reader, ()))
        if not self.columns:
            raise ParameterError(
                f'file "{file.path.name}" is empty, it needs a line of column names'
            )
        if len(set(self.columns)) < len(self.columns):
            raise ParameterError(f'file "{file.path.name}" names a column twice')

    def __iter__(self) -> Iterator[Row | BadRow]:
        columns = self.columns or ()
        number = 0
        while True:
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield BadRow(number, "", f"line {self._reader.line_num}: {error}")
                continue
            if not cells:
                continue
            number += 1
            if len(cells) == len(columns):
                yield Row(number, dict(zip(columns, cells, strict=True)))
            else:
                problem = f"row has {len(cells)} cells, the first line names {len(columns)} columns"
                yield BadRow(number, ",".join(cells), problem)


class _JsonRows:
    """One JSON object to a line."""

    columns: tuple[str, ...] | None = None

    def __init__(self, file: OpenFile) -> None:
        self._file = file

    def __iter__(self) -> Iterator[Row | BadRow]:
        decode = msgspec.json.Decoder(dict[str, object]).decode
        for number, line in lines_of(self._file):
            try:
                yield Row(number, cast("dict[str, Cell]", decode(line)))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                text = line.decode("utf-8", "backslashreplace")
                yield BadRow(number, text, f"line is not a JSON object: {error}")


class _ParquetRows:
    """Rows of a Parquet file, read batch by batch."""

    def __init__(self, file: OpenFile) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._parquet = pq.ParquetFile(_seekable(file))
        except (pa.ArrowException, OSError) as error:
            raise ParameterError(f'file "{file.path.name}" is not Parquet: {error}') from error
        self.columns: tuple[str, ...] | None = tuple(self._parquet.schema_arrow.names)

    def __iter__(self) -> Iterator[Row | BadRow]:
        batches = self._parquet.iter_batches(batch_size=4096)
        cells: Iterator[dict[str, Cell]] = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(cells, start=1):
            yield Row(number, row)


def _seekable(file: OpenFile) -> IO[bytes]:
    """Parquet is read from its end, which a compressed stream reaches only by unpacking."""
    if isinstance(file.content, io.BufferedReader):
        return file.content
    return io.BytesIO(file.content.read())
