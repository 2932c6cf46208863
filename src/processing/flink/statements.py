"""The gate as SQL around one Python function: judge, deduplicate, route. Pure text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ingestion.log.port import DEAD_LETTERS, DUPLICATES, RAW, VALIDATED
from processing.flink.settings import JobSettings
from processing.flink.tables import sink_table, source_table

JUDGE: Final = "judge"
"""The function of a record that holds a whole event: value, place, milliseconds, two headers."""

JUDGE_BINARY: Final = "judge_binary"
"""The function of an event whose attributes are headers: value, place, milliseconds, headers."""

JUDGE_CHANGE: Final = "judge_change"
"""The function of a change's record: the key first; returns an array, it may mean many events."""

HEADERS: Final = ("type", "version", "tenant", "occurred_us", "reason", "event_id")
"""Headers of an answer that depend on the event; where it was in raw is known without Python."""

COLUMNS: Final = ("destination", "id", "record_key", "record_value", *HEADERS, "ingested_ms")
"""What the functions return, in this order."""

_RAW_PLACE: Final = ("raw_topic", "raw_partition", "raw_offset")
_ANSWER: Final = ", ".join(f"`{name}`" for name in COLUMNS)
_ALL: Final = ", ".join(f"`{name}`" for name in (*COLUMNS, *_RAW_PLACE))
_PLACE: Final = "`topic`, `partition`, `offset`"
_PLACED: Final = (
    "CAST(`topic` AS BYTES) AS `raw_topic`,"
    " CAST(CAST(`partition` AS STRING) AS BYTES) AS `raw_partition`,"
    " CAST(CAST(`offset` AS STRING) AS BYTES) AS `raw_offset`"
)
_MILLISECONDS: Final = (
    "EXTRACT(EPOCH FROM `timestamp`) * 1000 + EXTRACT(MILLISECOND FROM `timestamp`)"
)
_IS_BINARY: Final = "ARRAY_CONTAINS(MAP_KEYS(`headers`), 'ce_type')"

FANNED: Final = "fanned_changes"
"""The view of a change's answers, one to a row; the plan has to be cut behind it."""

CHANGES: Final = "judged_changes"
"""What the cut calls it. Flink plans an UNNEST anew for each topic that is written: without a cut,
validated and duplicates would count identities separately, and might disagree."""


@dataclass(frozen=True, slots=True)
class Statements:
    """A job as text, in the order of execution.

    Attributes:
        changes: Tables and views up to `FANNED`, which becomes `CHANGES`; may be empty.
        definitions: Tables and views.
        inserts: What runs, as one job.
    """

    changes: tuple[str, ...]
    definitions: tuple[str, ...]
    inserts: tuple[str, ...]


def gate_statements(settings: JobSettings) -> Statements:
    """Return the job that answers for every record of the raw topic and of the change topics."""
    kafka, topics = settings.kafka, settings.change_topics
    group = f"{kafka.prefix}.gate"
    raw = [kafka.topic_name(RAW)]
    changes: tuple[str, ...] = ()
    judged = _JUDGED
    if topics:
        source = source_table("changes", topics, kafka=kafka, group=group, keyed=True)
        changes = (source, _CHANGE_ANSWERS, _FANNED)
        judged = f"{_JUDGED}\nUNION ALL\nSELECT {_ALL}, `arrival`\nFROM `{CHANGES}`"
    definitions = (
        source_table("raw_records", raw, kafka=kafka, group=group, keyed=False),
        *(
            sink_table(topic, kafka.topic_name(topic), kafka=kafka)
            for topic in (VALIDATED, DEAD_LETTERS, DUPLICATES)
        ),
        _RAW_ANSWERS,
        _view("judged", judged),
        _COUNTED,
    )
    return Statements(changes, definitions, _inserts(nothing=bool(topics)))


def _view(name: str, query: str) -> str:
    return f"CREATE TEMPORARY VIEW `{name}` AS\n{query}"


def _answers(function: str, arguments: str, condition: str) -> str:
    return (
        f"SELECT `{function}`(`record_value`, {_PLACE}, {_MILLISECONDS}, {arguments}) AS `answer`,"
        f" {_PLACED}, `arrival`\nFROM `raw_records`\nWHERE {condition}"
    )


_RAW_ANSWERS: Final = _view(
    "raw_answers",
    _answers(JUDGE, "`headers`['tenant'], `headers`['received_us']", f"NOT {_IS_BINARY}")
    + "\nUNION ALL\n"
    + _answers(JUDGE_BINARY, "`headers`", _IS_BINARY),
)
_JUDGED: Final = (
    "SELECT "
    + ", ".join(f"`raw_answers`.`answer`.`{name}` AS `{name}`" for name in COLUMNS)
    + f", {', '.join(f'`{name}`' for name in _RAW_PLACE)}, `arrival`\nFROM `raw_answers`"
)
_CHANGE_ANSWERS: Final = _view(
    "change_answers",
    f"SELECT `{JUDGE_CHANGE}`(`record_key`, `record_value`, {_PLACE}, {_MILLISECONDS},"
    f" `headers`) AS `answers`, {_PLACED}\nFROM `changes`",
)
_FANNED: Final = _view(
    FANNED,
    f"SELECT {_ALL}\nFROM `change_answers`\nCROSS JOIN UNNEST(`answers`) AS `each`({_ANSWER})",
)
# A count and not `ROW_NUMBER() = 1`: what comes after the first must not vanish, it is a receipt.
_COUNTED: Final = _view(
    "counted",
    f"SELECT {_ALL}, COUNT(*) OVER (\n"
    "  PARTITION BY `id` ORDER BY `arrival` ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW\n"
    ") AS `seen`\nFROM `judged`\nWHERE `destination` = 'validated'",
)


def _map(*names: str, **others: str) -> str:
    """Return a map from names of headers to the columns called so, or to *others*."""
    columns = {**others, **{name: f"`{name}`" for name in (*names, *_RAW_PLACE)}}
    return "MAP[" + ", ".join(f"'{name}', {column}" for name, column in columns.items()) + "]"


def _letter_headers() -> str:
    """Return the headers of a dead letter; of some, type or id of the event are not known."""
    known = ("tenant", "reason")
    return (
        f"CASE WHEN `type` IS NULL AND `event_id` IS NULL THEN {_map(*known)}"
        f" WHEN `event_id` IS NULL THEN {_map(*known, 'type')}"
        f" WHEN `type` IS NULL THEN {_map(*known, 'event_id')}"
        f" ELSE {_map(*known, 'type', 'event_id')} END"
    )


def _inserts(*, nothing: bool) -> tuple[str, ...]:
    """Return where answers go; only changes may mean *nothing*, which needs a receipt too."""
    at = "TO_TIMESTAMP_LTZ(`ingested_ms`, 3)"
    whole = "`record_key`, `record_value`"
    receipt = f"`record_key`, CAST(x'' AS BYTES), {_map('tenant', identity='`id`')}"
    accepted = _map("type", "version", "tenant", "occurred_us")
    found = [
        _counted_to(VALIDATED, f"{whole}, {accepted}, {at}", "`seen` = 1"),
        _counted_to(DUPLICATES, f"{receipt}, {at}", "`seen` > 1"),
        _judged_to(DEAD_LETTERS, f"{whole}, {_letter_headers()}, {at}"),
    ]
    if nothing:
        found.append(_judged_to(DUPLICATES, f"{whole}, {_map('tenant')}, {at}"))
    return tuple(found)


def _counted_to(topic: str, columns: str, condition: str) -> str:
    return f"INSERT INTO `{topic}`\nSELECT {columns}\nFROM `counted`\nWHERE {condition}"


def _judged_to(topic: str, columns: str) -> str:
    return (
        f"INSERT INTO `{topic}`\nSELECT {columns}\nFROM `judged`\nWHERE `destination` = '{topic}'"
    )
