"""Rows out of CSV, JSON lines and Parquet files, one at a time, compressed or not."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import cast

import msgspec

from agentflow.errors import ParameterError
from agentflow.wording import quoted
from ingestion.replay.cells import Cell
from ingestion.replay.delimited import DelimitedRows
from ingestion.replay.files import MAX_LINE_BYTES, LongLine, OpenFile, lines_of
from ingestion.replay.port import BadRow, FileRow, RowReader
from ingestion.replay.shape import Delimited

TOO_LONG = f"the line is longer than {MAX_LINE_BYTES:,} bytes"


def rows_of(file: OpenFile, written: Delimited) -> RowReader:
    """Return the rows of an open file.

    Args:
        file: The file.
        written: How its cells are written, if it is a text of delimited cells.

    Raises:
        ParameterError: The file is not what its name says.
    """
    match file.format:
        case ".csv" | ".tsv":
            return DelimitedRows(file, written)
        case ".parquet":
            return _ParquetRows(file)
        case _:
            return _JsonRows(file)


class _JsonRows:
    """One JSON object to a line."""

    columns: tuple[str, ...] | None = None

    def __init__(self, file: OpenFile) -> None:
        self._file = file

    def __iter__(self) -> Iterator[FileRow | BadRow]:
        decode = msgspec.json.Decoder(dict[str, object], float_hook=Decimal).decode
        for number, line in lines_of(self._file):
            if isinstance(line, LongLine):
                yield BadRow(number, line.start.decode("utf-8", "backslashreplace"), TOO_LONG)
                continue
            try:
                yield FileRow(number, cast("dict[str, Cell]", decode(line)))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError):
                text = line.decode("utf-8", "backslashreplace")
                yield BadRow(number, text, "the line is not a JSON object")


class _ParquetRows:
    """Rows of a Parquet file, read batch by batch."""

    def __init__(self, file: OpenFile) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._file = file
        self._damage = (pa.ArrowException, OSError, ValueError)
        try:
            self._parquet = pq.ParquetFile(file.seekable())
        except (pa.ArrowException, OSError) as error:
            hint = "Was it copied whole? A Parquet file ends with its own description."
            raise ParameterError(
                f"file {quoted(file.path.name)} is not Parquet", hint=hint
            ) from error
        self.columns: tuple[str, ...] | None = tuple(self._parquet.schema_arrow.names)

    def __iter__(self) -> Iterator[FileRow | BadRow]:
        number = 0
        try:
            for batch in self._parquet.iter_batches(batch_size=4096):
                for row in batch.to_pylist():
                    number += 1
                    yield FileRow(number, row)
        except self._damage as error:
            problem = f"a column cannot be read after row {number:,}"
            hint = "The file is damaged, or holds times that are finer than a microsecond."
            raise self._file.error(problem, hint=hint) from error
