"""One view per event version over Parquet files and the log's tail: text, made from contracts."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow.events import EventRef
from agentflow.expressions.sql import quote_name, quote_text
from processing.lake.columns import DEAD_LETTERS, LakeColumn, Layout
from processing.lake.reader import Slice


def event_view(ref: EventRef, layout: Layout, *, held: Slice, tail: str | None) -> str:
    """Return the statement that makes the view `"order.created@1"`.

    Files are read by Iceberg field id: a column that an older file lacks is null there, and no file
    has to be opened to learn what it has.

    Args:
        ref: The event version; the view has its name.
        layout: Its columns.
        held: The files of its table; none is fine.
        tail: Name of a relation with the same columns, for what the files do not hold yet.
    """
    columns = layout.columns
    parts = [_select(columns, _parquet(columns, held))] if held.files else []
    if tail is not None:
        parts.append(_select(columns, quote_name(tail)))
    if not parts:
        parts.append(f"{_nothing(columns)} WHERE false")
    body = "\nUNION ALL\n".join(parts)
    return f"CREATE OR REPLACE TEMP VIEW {quote_name(str(ref))} AS\n{body}"


def dead_letter_view(name: str, *, held: Slice, tail: str) -> str:
    """Return the statement that makes a view of dead letters, as they are stored."""
    names = ", ".join(quote_name(column.name) for column in DEAD_LETTERS)
    parts = [f"SELECT {names}\nFROM {_parquet(DEAD_LETTERS, held)}"] if held.files else []
    parts.append(f"SELECT {names}\nFROM {quote_name(tail)}")
    body = "\nUNION ALL\n".join(parts)
    return f"CREATE OR REPLACE TEMP VIEW {quote_name(name)} AS\n{body}"


def sql_type(column: LakeColumn) -> str:
    """Return DuckDB's name of a column's type."""
    return _SQL_TYPES.get(str(column.type)) or str(column.type).upper().replace(" ", "")


_SQL_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamptz": "TIMESTAMPTZ",
    "date": "DATE",
}


def _select(columns: Sequence[LakeColumn], source: str) -> str:
    return f"SELECT {', '.join(_shown(column) for column in columns)}\nFROM {source}"


def _nothing(columns: Sequence[LakeColumn]) -> str:
    source = ", ".join(_null(column) for column in columns)
    return f"SELECT {', '.join(_shown(column) for column in columns)}\nFROM (SELECT {source})"


def _null(column: LakeColumn) -> str:
    return f"CAST(NULL AS {sql_type(column)}) AS {quote_name(column.name)}"


def _shown(column: LakeColumn) -> str:
    """The two instants of the envelope are whole microseconds in a view; the rest is as stored."""
    match column.name:
        case "occurred_at":
            return "epoch_us(occurred_at) AS occurred_us"
        case "ingested_at":
            return "epoch_us(ingested_at) AS ingested_us"
        case name:
            return quote_name(name)


def _parquet(columns: Sequence[LakeColumn], held: Slice) -> str:
    paths = ", ".join(quote_text(file.path) for file in held.files)
    schema = ", ".join(
        f"{held.field_ids[column.name]}: {{name: {quote_text(column.name)},"
        f" type: {quote_text(sql_type(column))}, default_value: NULL}}"
        for column in columns
    )
    read = f"read_parquet([{paths}], schema = MAP {{{schema}}})"
    # Two writers store equal rows of a record: its offset tells that they are one
    once = f"(SELECT DISTINCT ON (log_offset) * FROM {read})"  # noqa: S608 - paths are quoted
    return once if held.repeated else read
