"""A file of the past as a stream of events; the main path of `agentflow replay`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from agentflow.clock import from_datetime
from agentflow.errors import ParameterError
from ingestion.replay.mapping import Mapped, RowMapping
from ingestion.replay.ordering import RUN_LENGTH, Replayed, in_event_time
from ingestion.replay.readers import BadRow, OpenFile, Rows, lines_of, open_file, rows_of

_REPORT_ROWS = 2_000
_JSON_LINES = (".jsonl", ".ndjson")


class _Envelope(msgspec.Struct):
    time: datetime | None = None


def replay(
    path: Path,
    mapping: RowMapping | None,
    *,
    ordered: bool = True,
    run_length: int = RUN_LENGTH,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Replayed]:
    """Return the events of a file, each as CloudEvents JSON; every row comes out in some form.

    Without a mapping the file must be JSON lines, whose lines go out as they are. Reading the same
    file again gives the same bytes, so sending it twice counts it once.

    Args:
        path: CSV, TSV, JSON lines or Parquet, possibly `.gz` or `.zip`.
        mapping: How its rows become events; None when its lines are events already.
        ordered: By event time (the whole file is read before the first event comes out), or else
            in the order of the file.
        run_length: Events to sort in memory at a time.
        progress: Told the fraction of the file that was read, now and then.

    Raises:
        NotFoundError: There is no such file.
        ParameterError: It cannot be replayed, or lacks a column that the mapping needs.
    """
    file = open_file(path)
    try:
        events = _events(file, mapping)
    except BaseException:
        file.close()
        raise
    events = _reported(events, file, progress)
    return _closing(in_event_time(events, run_length=run_length) if ordered else events, file)


def _events(file: OpenFile, mapping: RowMapping | None) -> Iterator[Replayed]:
    if mapping is not None:
        rows = rows_of(file)
        _check_columns(file.path, rows, mapping)
        return _mapped(rows, mapping)
    if file.format in _JSON_LINES:
        return _as_they_are(file)
    hint = "Put one into mappings/ beside the contracts, or send JSON lines of CloudEvents."
    raise ParameterError(f'no mapping says what the rows of "{file.path.name}" are', hint=hint)


def _closing(events: Iterator[Replayed], file: OpenFile) -> Iterator[Replayed]:
    try:
        yield from events
    finally:
        file.close()


def _check_columns(path: Path, rows: Rows, mapping: RowMapping) -> None:
    missing = [name for name in mapping.headers if name not in (rows.columns or mapping.headers)]
    if missing:
        named = ", ".join(f'"{name}"' for name in missing)
        hint = f'Mapping "{mapping.contract.name}" reads them; the file has {rows.columns}.'
        raise ParameterError(f'file "{path.name}" lacks the columns {named}', hint=hint)


def _mapped(rows: Rows, mapping: RowMapping) -> Iterator[Replayed]:
    before_us = 0
    for row in rows:
        if isinstance(row, BadRow):
            bad = mapping.unmapped(row.problem, {"text": row.text}, row.number)
            yield Replayed(before_us, row.number, bad.value, bad.problem)
            continue
        for outcome in mapping.apply(row.cells, row.number):
            if isinstance(outcome, Mapped):
                before_us = outcome.occurred_us
                yield Replayed(before_us, row.number, outcome.value)
            else:
                yield Replayed(before_us, row.number, outcome.value, outcome.problem)


def _as_they_are(file: OpenFile) -> Iterator[Replayed]:
    """The gate judges lines; here only their order matters, so a broken one stays in its place."""
    decode = msgspec.json.Decoder(_Envelope).decode
    before_us = 0
    for number, line in lines_of(file):
        try:
            moment = decode(line).time
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            moment = None
        if moment is not None and moment.tzinfo is not None:
            before_us = from_datetime(moment)
        yield Replayed(before_us, number, line)


def _reported(
    events: Iterator[Replayed], file: OpenFile, progress: Callable[[float], None] | None
) -> Iterator[Replayed]:
    for number, event in enumerate(events):
        if progress is not None and number % _REPORT_ROWS == 0:
            progress(file.fraction())
        yield event
    if progress is not None:
        progress(1.0)
