"""The gate as SQL around one Python function: judge, deduplicate, route. Pure text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ingestion.log.port import DEAD_LETTERS, DUPLICATES, RAW, VALIDATED
from processing.flink.settings import GateSettings
from processing.flink.tables import sink_table, source_table

JUDGE: Final = "judge"
"""The function of an event's record: value, milliseconds, what it needs of the headers."""

CONFLICT: Final = "conflict_letter"
"""The function of an accepted event whose identity another one has: its dead letter."""

JUDGE_CHANGE: Final = "judge_change"
"""The function of a change's record: the key first; returns an array, it may mean many events."""

HEADERS: Final = ("type", "version", "tenant", "occurred_us", "reason", "event_id")
"""Headers of an answer that depend on the event; where it was in raw is known without Python."""

OF_CONFLICTS: Final = ("content", "document", "received_us")
"""Of an accepted event: what it says, as a number; and what its dead letter would be made of."""

COLUMNS: Final = (
    *("destination", "id", "record_key", "record_value"),
    *(*HEADERS, "ingested_ms"),
    *OF_CONFLICTS,
)
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
_ATTRIBUTES: Final = (
    "CASE WHEN ARRAY_CONTAINS(MAP_KEYS(`headers`), 'ce_type')"
    " OR ARRAY_CONTAINS(MAP_KEYS(`headers`), 'of_any_age') THEN JSON_STRING(`headers`) END"
)
"""All headers, of an event in binary mode or of any age: what it says of itself is among them."""

_SAME: Final = (
    "  PARTITION BY `id` ORDER BY `arrival` ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
)
_LATER_DOCUMENT: Final = "CASE WHEN `seen` > 1 THEN `document` END AS `document`"
"""Of the first of an identity nothing but its content is needed: its document does not travel."""

FANNED: Final = "fanned_changes"
"""The view of a change's answers, one to a row; the plan has to be cut behind it."""

RAW_JUDGED: Final = "judged_records"
"""The view of the answers to raw records."""

CHANGES: Final = "judged_changes"
"""What the cut calls it. Flink plans an UNNEST again for each topic that is written: without a cut,
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


def gate_statements(settings: GateSettings) -> Statements:
    """Return the job that answers for every record of the raw topic and of the change topics."""
    kafka, topics = settings.kafka, settings.change_topics
    group = settings.name
    raw = [kafka.topic_name(RAW)]
    changes: tuple[str, ...] = ()
    judged = [RAW_JUDGED]
    if topics:
        source = source_table("changes", topics, kafka=kafka, group=group, keyed=True)
        changes = (source, _CHANGE_ANSWERS, _FANNED)
        judged.append(CHANGES)
    definitions = (
        source_table("raw_records", raw, kafka=kafka, group=group, keyed=False),
        *(
            sink_table(topic, kafka.topic_name(topic), kafka=kafka)
            for topic in (VALIDATED, DEAD_LETTERS, DUPLICATES)
        ),
        _RAW_ANSWERS,
        _RAW_JUDGED,
        _counted(judged),
        _COMPARED,
        _CONFLICT_LETTERS,
        _CONFLICTS,
    )
    return Statements(changes, definitions, _inserts(judged))


def _view(name: str, query: str) -> str:
    return f"CREATE TEMPORARY VIEW `{name}` AS\n{query}"


_RAW_ANSWERS: Final = _view(
    "raw_answers",
    f"SELECT `{JUDGE}`(`record_value`, {_MILLISECONDS}, `headers`['tenant'],"
    f" `headers`['received_us'], {_ATTRIBUTES}) AS `answer`, {_PLACED}, `arrival`\n"
    "FROM `raw_records`",
)
_RAW_JUDGED: Final = _view(
    RAW_JUDGED,
    "SELECT "
    + ", ".join(f"`raw_answers`.`answer`.`{name}` AS `{name}`" for name in COLUMNS)
    + f", {', '.join(f'`{name}`' for name in _RAW_PLACE)}, `arrival`\nFROM `raw_answers`",
)
_CHANGE_ANSWERS: Final = _view(
    "change_answers",
    f"SELECT `{JUDGE_CHANGE}`(`record_key`, `record_value`, {_PLACE}, {_MILLISECONDS},"
    f" `headers`) AS `answers`, {_PLACED}\nFROM `changes`",
)
_COMPARED: Final = _view(
    "compared",
    f"SELECT {_ALL.replace('`document`', _LATER_DOCUMENT)}, `seen`,"
    f" FIRST_VALUE(`content`) OVER (\n{_SAME}\n) AS `first_content`\nFROM `counted`",
)
_CONFLICT_LETTERS: Final = _view(
    "conflict_letters",
    f"SELECT `{CONFLICT}`(`document`, `tenant`, `received_us`) AS `answer`,"
    f" {', '.join(f'`{name}`' for name in _RAW_PLACE)}\n"
    "FROM `compared`\nWHERE `seen` > 1 AND `content` <> `first_content`",
)
_CONFLICTS: Final = _view(
    "conflicts",
    "SELECT "
    + ", ".join(f"`conflict_letters`.`answer`.`{name}` AS `{name}`" for name in COLUMNS)
    + f", {', '.join(f'`{name}`' for name in _RAW_PLACE)}\nFROM `conflict_letters`",
)
_FANNED: Final = _view(
    FANNED,
    f"SELECT {_ALL}\nFROM `change_answers`\nCROSS JOIN UNNEST(`answers`) AS `each`({_ANSWER})",
)


def _of(judged: Sequence[str], topic: str) -> str:
    """Return the answers for one topic, whatever they came from.

    Each is filtered before the union: behind it nothing is chained, every record would travel.
    """
    answers = f"SELECT {_ALL}, `arrival` FROM `{{}}` WHERE `destination` = '{topic}'"  # noqa: S608
    return "\nUNION ALL\n".join(map(answers.format, judged))


def _counted(judged: Sequence[str]) -> str:
    # A count and not `ROW_NUMBER() = 1`: what comes after the first must leave a receipt.
    return _view(
        "counted",
        f"SELECT {_ALL}, `arrival`, COUNT(*) OVER (\n{_SAME}\n) AS `seen`\n"
        f"FROM (\n{_of(judged, VALIDATED)}\n)",
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


def _inserts(judged: Sequence[str]) -> tuple[str, ...]:
    """Return where answers go; only changes may mean nothing, which needs a receipt too."""
    at = "TO_TIMESTAMP_LTZ(`ingested_ms`, 3)"
    whole = "`record_key`, `record_value`"
    receipt = f"`record_key`, CAST(x'' AS BYTES), {_map('tenant', identity='`id`')}"
    accepted = _map("type", "version", "tenant", "occurred_us")
    letters, nothing = _of(judged, DEAD_LETTERS), _of(judged[1:], DUPLICATES)
    repeated = "`seen` > 1 AND `content` = `first_content`"
    found = [
        _insert(VALIDATED, f"{whole}, {accepted}, {at}", "`counted`\nWHERE `seen` = 1"),
        _insert(DUPLICATES, f"{receipt}, {at}", f"`compared`\nWHERE {repeated}"),
        _insert(DEAD_LETTERS, f"{whole}, {_letter_headers()}, {at}", f"(\n{letters}\n)"),
        _insert(DEAD_LETTERS, f"{whole}, {_letter_headers()}, {at}", "`conflicts`"),
    ]
    if nothing:
        found.append(_insert(DUPLICATES, f"{whole}, {_map('tenant')}, {at}", f"(\n{nothing}\n)"))
    return tuple(found)


def _insert(topic: str, columns: str, rows: str) -> str:
    return f"INSERT INTO `{topic}`\nSELECT {columns}\nFROM {rows}"
