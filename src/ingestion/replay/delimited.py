"""Rows of CSV and TSV files. What is not CSV ends the reading: nothing after it can be trusted."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Final

from agentflow.wording import counted, quoted
from ingestion.replay.files import MAX_LINE_BYTES, OpenFile
from ingestion.replay.port import BadRow, FileRow
from ingestion.replay.shape import Delimited

_QUOTED_HINT: Final = "Close the quote, double it, or say `csv: {quote: none}` in the mapping."
_PROBLEMS: Final = {
    "unexpected end of data": "a quoted cell that begins here never closes",
    "field larger": f"a cell that begins here is longer than {csv.field_size_limit():,} characters",
    "expected after": "a quoted cell goes on after its closing quote",
    "new-line character": "a line ends with a carriage return alone",
}
_ENCODINGS: Final = {"utf-8": "utf-8-sig"}


_UNREADABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What no text holds: NUL, and bytes that could not be decoded."""


class DelimitedRows:
    """Rows of delimited text, in bounded memory; numbered from 1 without the header line.

    Raises:
        ParameterError: Here, or while it is read: the text is not CSV as the mapping says it is.
    """

    def __init__(self, file: OpenFile, written: Delimited) -> None:
        self._file = file
        self._trim = written.trim
        delimiter = written.delimiter or ("\t" if file.format == ".tsv" else ",")
        self._lines = _Lines(file, written.encoding)
        if written.quote == "none":
            self._reader = csv.reader(
                self._lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True
            )
        else:
            self._reader = csv.reader(
                self._lines, delimiter=delimiter, quotechar=written.quote, strict=True
            )
        names = written.header or tuple(self._record() or ())
        if not names:
            hint = "Or name them in the mapping: `csv: {header: […]}`."
            raise file.error("it is empty and needs a line of column names", hint=hint)
        self.columns: tuple[str, ...] | None = names
        if any(_UNREADABLE.search(name) for name in names):
            hint = "Say how it is written: `csv: {encoding: …}` in the mapping, or unpack it first."
            raise file.error(f"it is not text in {written.encoding}", line=1, hint=hint)
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            listed = ", ".join(f"{quoted(name)}" for name in sorted(twice))
            hint = "Give each column a name of its own, with `csv: {header: […]}` if need be."
            raise file.error(f"columns {listed} are named twice", line=1, hint=hint)

    def __iter__(self) -> Iterator[FileRow | BadRow]:
        columns = self.columns or ()
        number = 0
        while (cells := self._record()) is not None:
            if not cells:
                continue
            number += 1
            if len(cells) == len(columns):
                yield FileRow(number, dict(zip(columns, cells, strict=True)))
            else:
                line = self._reader.line_num
                found, wanted = counted(len(cells), "cell"), counted(len(columns), "column")
                problem = f"line {line} has {found} for {wanted}"
                yield BadRow(number, self._reader.dialect.delimiter.join(cells), problem)

    def _record(self) -> Sequence[str] | None:
        """Return the cells of the next record; None at the end of the file."""
        begins = self._reader.line_num + 1
        try:
            cells = next(self._reader)
        except StopIteration:
            return None
        except csv.Error as error:
            problem = next(
                (words for known, words in _PROBLEMS.items() if known in str(error)),
                "the text is not CSV",
            )
            raise self._file.error(problem, line=begins, hint=_QUOTED_HINT) from error
        return [cell.strip() for cell in cells] if self._trim else cells


class _Lines:
    """The lines of a text, none of them longer than fits."""

    def __init__(self, file: OpenFile, encoding: str) -> None:
        self._file = file
        self._number = 0
        # bytes that are not UTF-8 cost their row, not the file; other encodings say so at once
        errors = "surrogateescape" if encoding == "utf-8" else "strict"
        name = _ENCODINGS.get(encoding, encoding)
        self._text = io.TextIOWrapper(file.content, encoding=name, errors=errors, newline="")
        self._encoding = encoding

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self._number += 1
        try:
            line = self._text.readline(MAX_LINE_BYTES)
        except UnicodeError as error:
            hint = "Say how it is written: `csv: {encoding: …}` in the mapping."
            problem = f"the text is not {self._encoding}"
            raise self._file.error(problem, line=self._number, hint=hint) from error
        if not line:
            raise StopIteration
        if len(line) >= MAX_LINE_BYTES and not line.endswith(("\n", "\r")):
            hint = "Look at that line: is this a CSV file?"
            problem = f"it is longer than {MAX_LINE_BYTES:,} characters"
            raise self._file.error(problem, line=self._number, hint=hint)
        return line
