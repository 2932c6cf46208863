"""The sessions as SQL around one Python function: keys, session windows, a topic. Pure text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from agentflow.contracts import EntityContract, Registry
from agentflow.errors import ParameterError
from agentflow.expressions.sql import quote_text
from ingestion.log.port import SESSIONS, VALIDATED
from processing.flink.session_keys import entities_with_sessions, key_columns
from processing.flink.settings import SessionSettings
from processing.flink.statements import Statements
from processing.flink.tables import sink_table, source_table

KEYS: Final = "session_keys"
"""Name of the Python function: (record, type, version) → one row, see `session_keys`."""

_MOMENT: Final = "TO_TIMESTAMP_LTZ(TRY_CAST({} AS BIGINT) / 1000, 3)"
_INSTANT: Final = "DATE_FORMAT(`{}`, 'yyyy-MM-dd''T''HH:mm:ss.SSS') || '000Z'"


def session_statements(settings: SessionSettings, registry: Registry) -> Statements:
    """Return the job that publishes each session once the watermark has passed its end.

    Raises:
        ParameterError: No entity has sessions.
    """
    entities = entities_with_sessions(registry)
    if not entities:
        raise ParameterError(
            "no entity has sessions", hint="Give an entity contract session: {gap: 30m}."
        )
    columns = key_columns(registry)
    kafka = settings.kafka
    source = source_table(
        "records",
        [kafka.topic_name(VALIDATED)],
        kafka=kafka,
        group=settings.name,
        keyed=False,
        also=(
            f"`moment` AS {_MOMENT.format(_header('occurred_us'))}",
            f"WATERMARK FOR `moment` AS `moment` - {interval(settings.out_of_order)}",
        ),
    )
    sink = sink_table(SESSIONS, kafka.topic_name(SESSIONS), kafka=kafka)
    views = [_activity(each.name, columns[each.name]) for each in entities]
    inserts = [_insert(each) for each in entities]
    return Statements((), (source, sink, _KEYED, *views), tuple(inserts))


def _header(name: str) -> str:
    return f"DECODE(`headers`['{name}'], 'UTF-8')"


_KEYED: Final = (
    "CREATE TEMPORARY VIEW `keyed` AS\n"
    f"SELECT `{KEYS}`(`record_value`, {_header('type')}, {_header('version')}) AS `of`, `moment`\n"
    "FROM `records`"
)


def _activity(entity: str, columns: Sequence[str]) -> str:
    """Return the view of an entity's events: whose, which, when."""
    parts = [
        f"SELECT `keyed`.`of`.`tenant` AS `tenant`, `keyed`.`of`.`{column}` AS `id`,"
        " `keyed`.`of`.`identity` AS `identity`, `moment`\n"
        f"FROM `keyed` WHERE `keyed`.`of`.`{column}` IS NOT NULL"
        for column in columns
    ]
    return f"CREATE TEMPORARY VIEW `of_{entity}` AS\n" + "\nUNION ALL\n".join(parts)


def _insert(entity: EntityContract) -> str:
    """Return what publishes an entity's sessions.

    Identities are counted inside the window, whose state ends with it: a copy has the time of the
    first, so it is in the same window while there is one, and late like it afterwards.
    """
    assert entity.session is not None  # noqa: S101 - only these are asked for
    named = f"'entity' VALUE {quote_text(entity.name)}, 'id' VALUE `id`"
    start = f"'start' VALUE {_INSTANT.format('window_start')}"
    end = f"'end' VALUE {_INSTANT.format('window_end')}"
    key = f"JSON_OBJECT('tenant' VALUE `tenant`, {named}, {start})"
    value = f"JSON_OBJECT({named}, {start}, {end}, 'events' VALUE COUNT(DISTINCT `identity`))"
    return (
        f"INSERT INTO `{SESSIONS}` (`record_key`, `record_value`, `headers`)\n"
        f"SELECT CAST({key} AS BYTES), CAST({value} AS BYTES),"
        " MAP['tenant', CAST(`tenant` AS BYTES)]\n"
        f"FROM TABLE(SESSION(TABLE `of_{entity.name}` PARTITION BY (`tenant`, `id`),"
        f" DESCRIPTOR(`moment`), {interval(entity.session.length)}))\n"
        "GROUP BY `window_start`, `window_end`, `tenant`, `id`"
    )


def interval(length: timedelta) -> str:
    """Write a length of time as SQL does.

    >>> interval(timedelta(minutes=30))
    "INTERVAL '0 00:30:00.000' DAY TO SECOND(3)"
    """
    seconds, microseconds = length.seconds, length.microseconds
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"INTERVAL '{length.days} {clock}.{microseconds // 1000:03}' DAY TO SECOND(3)"
