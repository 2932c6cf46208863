"""A file of the past as a stream of events; the main path of `agentflow replay`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import quote

import msgspec

from agentflow.clock import from_datetime
from agentflow.errors import ParameterError
from agentflow.suggestions import did_you_mean
from agentflow.wording import quoted
from ingestion.replay.files import LongLine, OpenFile, lines_of, open_file
from ingestion.replay.mapping import Mapped, RowMapping, unmapped
from ingestion.replay.ordering import RUN_LENGTH, Replayed, in_event_time
from ingestion.replay.port import BadRow, RowReader
from ingestion.replay.readers import TOO_LONG, rows_of

_REPORT_ROWS = 2_000
_SHOWN_COLUMNS = 30
_JSON_LINES = (".jsonl", ".ndjson")


Phase = Literal["sorting", "sending"]
Progress: TypeAlias = Callable[[Phase, float], None]
"""Takes in what is going on, and the fraction of it that is done, from 0 to 1."""


class _Envelope(msgspec.Struct):
    time: datetime | None = None


def replay(
    path: Path,
    mapping: RowMapping | None,
    *,
    ordered: bool = True,
    run_length: int = RUN_LENGTH,
    progress: Progress | None = None,
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
        progress: Told how far it is, now and then.

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
    if progress is not None and ordered:
        read = _Counted(events)
        told = _reported(read, file.fraction, "sorting", progress)
        events = in_event_time(told, run_length=run_length)
        sent = _Counted(events)
        events = _reported(sent, lambda: sent.number / max(read.number, 1), "sending", progress)
    elif progress is not None:
        events = _reported(events, file.fraction, "sending", progress)
    elif ordered:
        events = in_event_time(events, run_length=run_length)
    return _closing(events, file)


def _events(file: OpenFile, mapping: RowMapping | None) -> Iterator[Replayed]:
    if mapping is not None:
        rows = rows_of(file, mapping.contract.csv)
        _check_columns(file, rows, mapping)
        return _mapped(rows, mapping)
    if file.format in _JSON_LINES:
        return _as_they_are(file)
    hint = "Put one into mappings/ beside the contracts, or send JSON lines of CloudEvents."
    raise ParameterError(
        f"no mapping says what the rows of {quoted(file.path.name)} are", hint=hint
    )


def _closing(events: Iterator[Replayed], file: OpenFile) -> Iterator[Replayed]:
    try:
        yield from events
    finally:
        file.close()


def _check_columns(file: OpenFile, rows: RowReader, mapping: RowMapping) -> None:
    if rows.columns is None:
        return
    missing = [name for name in mapping.headers if name not in rows.columns]
    if missing:
        named = ", ".join(f"{quoted(name)}" for name in missing)
        raise file.error(f"it lacks the columns {named}", hint=_columns_hint(missing, rows.columns))


def _columns_hint(missing: Sequence[str], columns: Sequence[str]) -> str:
    """Say what the columns are, and what may be wrong with them."""
    if len(columns) == 1:
        for delimiter, name in ((";", '";"'), ("\t", '"\\t"'), ("|", '"|"'), (",", '","')):
            if delimiter in columns[0]:
                return (
                    f"Its first line looks separated otherwise: say `csv: {{delimiter: {name}}}`."
                )
    if {name.strip() for name in columns} >= set(missing):
        return "There are spaces around its column names: say `csv: {trim: true}`."
    listed = ", ".join(columns[:_SHOWN_COLUMNS]) + (", …" if len(columns) > _SHOWN_COLUMNS else "")
    near = did_you_mean(missing[0], columns, what="its column")
    return f"{near} Its columns: {listed}. Name one with `header`.".strip()


def _mapped(rows: RowReader, mapping: RowMapping) -> Iterator[Replayed]:
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
        if isinstance(line, LongLine):
            yield _too_long(file, line, number, before_us)
            continue
        try:
            moment = decode(line).time
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            moment = None
        if moment is not None and moment.tzinfo is not None:
            before_us = from_datetime(moment)
        yield Replayed(before_us, number, line)


def _too_long(file: OpenFile, line: LongLine, number: int, before_us: int) -> Replayed:
    text = line.start.decode("utf-8", "backslashreplace")
    name = f"urn:agentflow:file:{quote(file.path.name)}"
    bad = unmapped("line", TOO_LONG, {"text": text}, number, source=name)
    return Replayed(before_us, number, bad.value, bad.problem)


class _Counted:
    """Counts what passes."""

    def __init__(self, events: Iterator[Replayed]) -> None:
        self._events = events
        self.number = 0

    def __iter__(self) -> Iterator[Replayed]:
        for event in self._events:
            self.number += 1
            yield event


def _reported(
    events: Iterable[Replayed], fraction: Callable[[], float], phase: Phase, progress: Progress
) -> Iterator[Replayed]:
    for number, event in enumerate(events):
        if number % _REPORT_ROWS == 0:
            progress(phase, fraction())
        yield event
    progress(phase, 1.0)
