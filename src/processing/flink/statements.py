"""The gate as SQL around one Python function: judge, deduplicate, route. Pure text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ingestion.log.port import DEAD_LETTERS, DUPLICATES, RAW, VALIDATED
from processing.flink.settings import JobSettings
from processing.flink.tables import sink_table, source_table

JUDGE: Final = "judge"
"""The function of an event's record: (value, topic, partition, offset, milliseconds, headers)."""

JUDGE_CHANGE: Final = "judge_change"
"""The function of a change's record: the key first; returns an array, it may mean many events."""

COLUMNS: Final = ("destination", "id", "record_key", "record_value", "headers", "ingested_ms")
"""What both functions return, in this order."""

_COLUMNS: Final = ", ".join(f"`{name}`" for name in COLUMNS)
_PLACE: Final = "`topic`, `partition`, `offset`"
_MILLISECONDS: Final = (
    "EXTRACT(EPOCH FROM `timestamp`) * 1000 + EXTRACT(MILLISECOND FROM `timestamp`)"
)
_RECEIPT: Final = ", ".join(
    f"'{name}', `headers`['{name}']"
    for name in ("tenant", "raw_topic", "raw_partition", "raw_offset")
)


@dataclass(frozen=True, slots=True)
class Statements:
    """A job as text, in the order of execution.

    Attributes:
        definitions: Tables and views.
        inserts: What runs, as one job.
    """

    definitions: tuple[str, ...]
    inserts: tuple[str, ...]


def gate_statements(settings: JobSettings) -> Statements:
    """Return the job that answers for every record of the raw topic and of the change topics."""
    kafka = settings.kafka
    group = f"{kafka.prefix}.gate"
    raw = kafka.topic_name(RAW)
    sources = [source_table("raw_records", [raw], kafka=kafka, group=group, keyed=False)]
    judged = [_JUDGED]
    if settings.change_topics:
        topics = settings.change_topics
        sources.append(source_table("changes", topics, kafka=kafka, group=group, keyed=True))
        judged.append(_JUDGED_CHANGES)
    sinks = [
        sink_table(topic, kafka.topic_name(topic), kafka=kafka)
        for topic in (VALIDATED, DEAD_LETTERS, DUPLICATES)
    ]
    views = (*_CALLS[: len(judged)], _view("judged", "\nUNION ALL\n".join(judged)), _COUNTED)
    return Statements((*sources, *sinks, *views), _inserts(nothing=len(judged) > 1))


def _view(name: str, query: str) -> str:
    return f"CREATE TEMPORARY VIEW `{name}` AS\n{query}"


_CALLS: Final = (
    _view(
        "raw_answers",
        f"SELECT `{JUDGE}`(`record_value`, {_PLACE}, {_MILLISECONDS}, `headers`) AS `answer`,"
        " `arrival`\nFROM `raw_records`",
    ),
    _view(
        "change_answers",
        f"SELECT `{JUDGE_CHANGE}`(`record_key`, `record_value`, {_PLACE}, {_MILLISECONDS},"
        " `headers`) AS `answers`, `arrival`\nFROM `changes`",
    ),
)
_JUDGED: Final = (
    "SELECT "
    + ", ".join(f"`raw_answers`.`answer`.`{name}` AS `{name}`" for name in COLUMNS)
    + ", `arrival`\nFROM `raw_answers`"
)
_JUDGED_CHANGES: Final = (
    f"SELECT {_COLUMNS}, `arrival`\nFROM `change_answers`\n"
    f"CROSS JOIN UNNEST(`answers`) AS `each`({_COLUMNS})"
)
# A count and not `ROW_NUMBER() = 1`: what comes after the first must not vanish, it is a receipt.
_COUNTED: Final = _view(
    "counted",
    f"SELECT {_COLUMNS}, COUNT(*) OVER (\n"
    "  PARTITION BY `id` ORDER BY `arrival` ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW\n"
    ") AS `seen`\nFROM `judged`\nWHERE `destination` = 'validated'",
)


def _inserts(*, nothing: bool) -> tuple[str, ...]:
    """Return where answers go; only changes may mean *nothing*, which needs a receipt too."""
    at = "TO_TIMESTAMP_LTZ(`ingested_ms`, 3)"
    whole = f"`record_key`, `record_value`, `headers`, {at}"
    receipt = f"`record_key`, `record_value`, MAP['identity', `id`, {_RECEIPT}], {at}"
    receipt = receipt.replace("`record_value`", "CAST(x'' AS BYTES)", 1)
    found = [
        f"INSERT INTO `{VALIDATED}`\nSELECT {whole}\nFROM `counted`\nWHERE `seen` = 1",
        f"INSERT INTO `{DUPLICATES}`\nSELECT {receipt}\nFROM `counted`\nWHERE `seen` > 1",
        _judged_to(DEAD_LETTERS, whole),
    ]
    if nothing:
        found.append(_judged_to(DUPLICATES, whole))
    return tuple(found)


def _judged_to(topic: str, columns: str) -> str:
    return (
        f"INSERT INTO `{topic}`\nSELECT {columns}\nFROM `judged`\nWHERE `destination` = '{topic}'"
    )
