"""The lake job as SQL text: from the topics to one Iceberg table for each event version.

Pure: made from the contracts' layouts and the job's settings, and read by nothing but Flink.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from agentflow.events.table import NAMESPACE
from agentflow.expressions.sql import quote_text
from processing.flink.lake_slots import slots_of
from processing.transformations.layout import (
    DEAD_LETTER_TABLE,
    DEAD_LETTERS,
    ENVELOPE,
    PROGRESS_TABLE,
    UNREAD_TABLE,
    LakeColumn,
    LakeColumnType,
    Layout,
    progress_columns,
)

_FETCH_BYTES: Final = 256 << 10
_FETCH_WAIT_MS: Final = 500
"""How much the broker gathers before it answers, and how long it may: the next commit is far."""

DECODE: Final = "decode_event"
"""Name of the Python function: (record, type, version) → one row, see `lake_decode`."""

_TYPES: Final = {
    "string": "STRING",
    "long": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamptz": "TIMESTAMP_LTZ(6)",
    "date": "DATE",
}


@dataclass(frozen=True, slots=True)
class LakeJob:
    """What a lake job is told.

    Attributes:
        bootstrap: Kafka's addresses.
        prefix: Of the names of its topics.
        catalog: Address of the REST catalog.
        checkpoint_seconds: How often the lake is committed.
        identities_hours: How long an identity is remembered after it was seen.
        isolation: Which records of the topics count, in Kafka's words.
        kafka: Further properties of the consumers, for security.
    """

    bootstrap: str
    catalog: str
    warehouse: str
    prefix: str = "agentflow"
    endpoint: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    region: str = "us-east-1"
    token: str = field(default="", repr=False)
    checkpoint_seconds: float = 10
    identities_hours: int = 24
    isolation: str = "read_committed"
    kafka: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The job's name, and its consumers' group."""
        return f"{self.prefix}-lake"


def sql_type(kind: LakeColumnType) -> str:
    """Return Flink's name of a column's type."""
    if kind.name == "decimal":
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _TYPES[kind.name]


def definitions(job: LakeJob) -> list[str]:
    """Return the statements that name the topics, the catalog, and each event's place."""
    first = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    unnamed = "CAST(CAST(log_offset AS STRING) AS BYTES)"
    arguments = f"content, {_header('type')}, {_header('version')}"
    place = ", ".join(
        f"COALESCE({_header(name)}, {default})"
        for name, default in (
            ("raw_topic", "''"),
            ("raw_partition", "''"),
            ("raw_offset", "CAST(log_offset AS STRING)"),
        )
    )
    return [
        _catalog(job),
        _topic(job, "validated"),
        _topic(job, "dead_letters"),
        _view(
            "decoded",
            f"{DECODE}({arguments}) AS e, log_offset, PROCTIME() AS moment FROM validated",
        ),
        # Flagged, not dropped: the progress counts records that go nowhere as well
        _view(
            "counted",
            f"e, log_offset, COUNT(*) OVER (PARTITION BY COALESCE(e.`identity`, {unnamed})"
            f" ORDER BY moment {first}) AS times FROM decoded",
        ),
        _view(
            "events",
            "e, log_offset, PROCTIME() AS moment,"
            " CASE WHEN times = 1 THEN e.`place` END AS place FROM counted",
        ),
        _view("letters_timed", "*, PROCTIME() AS moment FROM dead_letters"),
        _view(
            "letters_counted",
            f"content, headers, arrived, log_offset, COUNT(*) OVER (PARTITION BY {place}"
            f" ORDER BY moment {first}) AS times FROM letters_timed",
        ),
        _view("letters", "*, PROCTIME() AS moment FROM letters_counted"),
    ]


def _view(name: str, selected: str) -> str:
    return f"CREATE TEMPORARY VIEW {name} AS SELECT {selected}"


def written_tables(layouts: Iterable[Layout]) -> list[tuple[str, str]]:
    """Return namespace and name of every table the job writes to."""
    events = [(NAMESPACE, layout.table) for layout in layouts]
    return [*events, UNREAD_TABLE, DEAD_LETTER_TABLE, PROGRESS_TABLE]


def insertions(layouts: Sequence[Layout]) -> list[str]:
    """Return the statements that fill the tables; together they are one job."""
    return [
        *(_insert_events(layout) for layout in layouts),
        _INSERT_UNREAD,
        _insert_letters(),
        _insert_progress(layouts),
    ]


def _insert_events(layout: Layout) -> str:
    envelope = [
        _cast("log_offset" if name == "log_offset" else f"e.`{name}`", column)
        for column in ENVELOPE
        for name in [column.name]
    ]
    slots = slots_of(layout)
    fields = [_cast(f"e.`{slots[column.name]}`", column) for column in layout.fields]
    columns = ", ".join(f"`{column.name}`" for column in layout.columns)
    values = ", ".join((*envelope, *fields))
    return (
        f"INSERT INTO lake.events.{layout.table} ({columns}) SELECT {values} FROM events"
        f" WHERE place = '{layout.table}'"
    )


_INSERT_UNREAD: Final = (
    "INSERT INTO lake.agentflow.unread (log_offset, `table`, detail, record)"
    " SELECT log_offset, COALESCE(e.`belongs`, ''), COALESCE(e.`problem`, ''),"
    " COALESCE(e.`record`, '')"
    " FROM events WHERE place = 'unread'"
)


def _insert_letters() -> str:
    values = {
        "tenant": f"COALESCE({_header('tenant')}, '')",
        "received_at": "CAST(arrived AS TIMESTAMP_LTZ(6))",
        "log_offset": "log_offset",
        "reason": f"COALESCE({_header('reason')}, 'unknown')",
        "type": _header("type"),
        "event_id": _header("event_id"),
        "raw_offset": f"TRY_CAST({_header('raw_offset')} AS BIGINT)",
        "detail": "DECODE(content, 'UTF-8')",
    }
    columns = ", ".join(f"`{column.name}`" for column in DEAD_LETTERS)
    chosen = ", ".join(values[column.name] for column in DEAD_LETTERS)
    return (
        f"INSERT INTO lake.agentflow.dead_letters ({columns}) SELECT {chosen} FROM letters"
        " WHERE times = 1"
    )


def _insert_progress(layouts: Iterable[Layout]) -> str:
    """Every second, the last offset taken in, and the last one that went to each table.

    A row is sent before the barrier of a checkpoint with all it counts; see `lake.coverage`.
    """
    names = [column.name for column in progress_columns(layouts)]
    chosen = {
        "validated": "MAX(log_offset)",
        "unread_rows": "MAX(CASE WHEN place = 'unread' THEN log_offset END)",
    }
    nothing = "CAST(NULL AS BIGINT)"
    apart = ("dead_letters", "dead_letters_rows")
    of_events = [nothing if name in apart else chosen.get(name, _last_of(name)) for name in names]
    of_letters = {
        "dead_letters": "MAX(log_offset)",
        "dead_letters_rows": "MAX(CASE WHEN times = 1 THEN log_offset END)",
    }
    columns = ", ".join(f"`{name}`" for name in names)
    return (
        f"INSERT INTO lake.agentflow.progress ({columns})"
        f" SELECT {', '.join(of_events)} FROM {_seconds('events')}"
        f" UNION ALL SELECT {', '.join(of_letters.get(name, nothing) for name in names)}"
        f" FROM {_seconds('letters')}"
    )


def _last_of(place: str) -> str:
    return f"MAX(CASE WHEN place = '{place}' THEN log_offset END)"


def _seconds(view: str) -> str:
    return (
        f"TABLE(TUMBLE(TABLE {view}, DESCRIPTOR(moment), INTERVAL '1' SECOND))"
        " GROUP BY window_start, window_end"
    )


def _cast(expression: str, column: LakeColumn) -> str:
    """Instants, decimals and dates leave Python as text, which is exact."""
    match column.type.name:
        case "timestamptz" | "decimal" | "date":
            return f"CAST({expression} AS {sql_type(column.type)})"
        case _:
            return expression


def _catalog(job: LakeJob) -> str:
    return _with(
        "CREATE CATALOG lake",
        {
            "type": "iceberg",
            "catalog-type": "rest",
            "uri": job.catalog,
            "warehouse": job.warehouse,
            "token": job.token,
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "s3.endpoint": job.endpoint,
            "s3.path-style-access": "true" if job.endpoint else "",
            "s3.access-key-id": job.access_key,
            "s3.secret-access-key": job.secret_key,
            "client.region": job.region,
            "cache-enabled": "false",
        },
    )


def _topic(job: LakeJob, topic: str) -> str:
    return _with(
        f"CREATE TEMPORARY TABLE {topic} (content BYTES,"
        " headers MAP<STRING, BYTES> METADATA VIRTUAL,"
        " log_offset BIGINT METADATA FROM 'offset' VIRTUAL,"
        " arrived TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL)",
        {
            "connector": "kafka",
            "topic": f"{job.prefix}.{topic}",
            "properties.bootstrap.servers": job.bootstrap,
            "properties.group.id": job.name,
            "properties.isolation.level": job.isolation,
            "properties.auto.offset.reset": "earliest",
            "properties.fetch.min.bytes": str(_FETCH_BYTES),
            "properties.fetch.max.wait.ms": str(_FETCH_WAIT_MS),
            "scan.startup.mode": "earliest-offset",
            "value.format": "raw",
            **{f"properties.{key}": value for key, value in job.kafka.items()},
        },
    )


def _header(name: str) -> str:
    return f"DECODE(headers['{name}'], 'UTF-8')"


def _with(statement: str, options: dict[str, str]) -> str:
    return f"{statement} WITH ({', '.join(_options(options))})"


def _options(options: dict[str, str]) -> Iterator[str]:
    for key, value in options.items():
        if value:
            yield f"{quote_text(key)} = {quote_text(value)}"
