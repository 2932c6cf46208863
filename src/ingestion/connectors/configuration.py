"""The configuration of one Debezium connector for each server that source contracts name. Pure.

Where a database is and who may read it is not part of a contract: the file holds references that
Kafka Connect resolves from its own environment (`${env:AGENTFLOW_SHOP_PASSWORD}`), never a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from agentflow.contracts import Registry, SourceContract
from agentflow.errors import ContractError
from agentflow.wording import quoted

_JSON = "org.apache.kafka.connect.json.JsonConverter"
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")
_COMMON: Mapping[str, str] = {
    "tasks.max": "1",
    "key.converter": _JSON,
    "key.converter.schemas.enable": "false",
    "value.converter": _JSON,
    "value.converter.schemas.enable": "false",
    # exact, and told without a unit to guess
    "decimal.handling.mode": "string",
    # written as base64 anyway; the mode "base64" has no marker for bytes that were not sent
    "binary.handling.mode": "bytes",
    # text of a time wraps around or is null outside a day, and infinity looks like a year
    "time.precision.mode": "microseconds",
    # a truncated table must become a dead letter, not silence
    "skipped.operations": "none",
    "tombstones.on.delete": "true",
    # from Debezium 3.7 on, changes at one position of the log are told apart by their order
    "provide.transaction.metadata": "true",
    # the default of 500 ms is most of the way from commit to answer; but the last millisecond of
    # each wait is a busy one, so shorter ones cost cores while tables are idle
    "poll.interval.ms": "40",
    # an idle table must not hold the log of a busy database
    "heartbeat.interval.ms": "10000",
    "topic.creation.default.partitions": "1",
    "topic.creation.default.replication.factor": "-1",
    "topic.creation.default.cleanup.policy": "delete",
    "errors.tolerance": "none",
}


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector as it should be.

    Attributes:
        statements: SQL that the database needs before the connector starts; safe to run again.
        keyless: Tables without a key on PostgreSQL, which refuses UPDATE and DELETE on them once
            they are captured, until its statement was run.
        environment: Variables the Connect worker must have.
    """

    name: str
    config: Mapping[str, str]
    statements: tuple[str, ...]
    keyless: tuple[str, ...] = ()

    @property
    def environment(self) -> tuple[str, ...]:
        """The variables that the configuration refers to, sorted."""
        found = (re.findall(r"\$\{env:(\w+)\}", value) for value in self.config.values())
        return tuple(sorted({name for names in found for name in names}))


def transaction_topics(registry: Registry) -> tuple[str, ...]:
    """Return the topics of transactions that connectors write beside the changes, sorted.

    Nothing reads them; a broker that makes no topics by use still needs them.
    """
    servers = {each.server for each in registry.tables.values() if each.status != "deprecated"}
    return tuple(f"{server}.transaction" for server in sorted(servers))


def connectors_of(
    registry: Registry, *, overrides: Mapping[str, str] | None = None
) -> tuple[Connector, ...]:
    """Return a connector for each server, sorted by name.

    Args:
        registry: The contracts in force; deprecated sources are not captured any more.
        overrides: `server.key` → value, for what a deployment wants otherwise.

    Raises:
        ContractError: A column is said to hold another unit of time than the connector writes.
    """
    servers: dict[str, list[SourceContract]] = {}
    for contract in registry.tables.values():
        if contract.status != "deprecated":
            servers.setdefault(contract.server, []).append(contract)
    return tuple(
        _connector(name, tables, overrides or {}) for name, tables in sorted(servers.items())
    )


def _connector(
    server: str, tables: Sequence[SourceContract], overrides: Mapping[str, str]
) -> Connector:
    postgres = tables[0].connector == "postgres"
    special = _postgres(server, tables) if postgres else _binlog(server, tables)
    changed = {
        key.removeprefix(f"{server}."): value
        for key, value in overrides.items()
        if key.startswith(f"{server}.")
    }
    if "time.precision.mode" not in changed:
        _units_agree(tables)
    config = {**_COMMON, **_access(server), **_snapshot(tables), **special, **changed}
    statements = _statements(tables[0].connector, tables)
    keyless = tuple(sorted(each.table for each in tables if postgres and not each.key))
    return Connector(f"agentflow-{server}", dict(sorted(config.items())), statements, keyless)


def _access(server: str) -> Mapping[str, str]:
    def reference(what: str) -> str:
        return f"${{env:AGENTFLOW_{server.upper()}_{what}}}"

    return {
        "topic.prefix": server,
        "database.hostname": reference("HOST"),
        "database.port": reference("PORT"),
        "database.user": reference("USER"),
        "database.password": reference("PASSWORD"),
    }


def _snapshot(tables: Sequence[SourceContract]) -> Mapping[str, str]:
    """Read the rows that are there, of the tables where they count."""
    counted = [each.table for each in tables if each.snapshot != "none"]
    if not counted:
        return {"snapshot.mode": "no_data"}
    if len(counted) == len(tables):
        return {"snapshot.mode": "initial"}
    listed = ",".join(map(re.escape, sorted(counted)))
    return {"snapshot.mode": "initial", "snapshot.include.collection.list": listed}


def _postgres(server: str, tables: Sequence[SourceContract]) -> Mapping[str, str]:
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.dbname": tables[0].database,
        # a number would count a month as 30.4375 days
        "interval.handling.mode": "string",
        "plugin.name": "pgoutput",
        "slot.name": f"agentflow_{server}",
        "publication.name": f"agentflow_{server}",
        "publication.autocreate.mode": "filtered",
        "table.include.list": _listed(tables),
    }


def _binlog(server: str, tables: Sequence[SourceContract]) -> Mapping[str, str]:
    kind = tables[0].connector
    name = {"mariadb": "MariaDb", "mysql": "MySql"}[kind]
    databases = sorted({each.table.partition(".")[0] for each in tables})
    return {
        "connector.class": f"io.debezium.connector.{kind}.{name}Connector",
        # a replica's id: stable, and unlikely to be another's
        "database.server.id": str(100_000 + crc32(server.encode()) % 900_000),
        "database.include.list": ",".join(map(re.escape, databases)),
        "table.include.list": _listed(tables),
        # without these, BIGINT UNSIGNED above 2^63 is negative
        "bigint.unsigned.handling.mode": "precise",
        "key.converter.decimal.format": "NUMERIC",
        "value.converter.decimal.format": "NUMERIC",
        # the year 1 is not 2001
        "enable.time.adjuster": "false",
        "include.schema.changes": "true",
        "schema.history.internal.kafka.bootstrap.servers": "${env:AGENTFLOW_KAFKA_BOOTSTRAP}",
        "schema.history.internal.kafka.topic": f"{server}.schema_history",
        "schema.history.internal.store.only.captured.tables.ddl": "true",
    }


def _listed(tables: Iterable[SourceContract]) -> str:
    """Return the tables; Debezium reads them as regular expressions."""
    return ",".join(re.escape(each.table) for each in sorted(tables, key=lambda each: each.table))


def _units_agree(tables: Iterable[SourceContract]) -> None:
    """Refuse columns whose numbers would be read by another unit than they are written in."""
    for each in tables:
        for name, kind in each.columns.items():
            if kind in {"timestamp_millis", "timestamp_nanos"}:
                message = f"column {quoted(name)} of source {quoted(each.name)} is {kind}"
                hint = "Say timestamp_micros, which the connector writes; text reads the same."
                raise ContractError(message, hint=hint)


def _statements(connector: str, tables: Iterable[SourceContract]) -> tuple[str, ...]:
    """Return what a server has to be told, or it writes down less than its tables' changes."""
    match connector:
        case "postgres":
            return tuple(_replica_identities(tables))
        case "mariadb":
            # Debezium 3.5 passes over row events that are packed, and says nothing.
            return ("SET GLOBAL log_bin_compress = OFF;",)
        case _:
            # Before Debezium 3.7 nothing tells the changes of a packed transaction apart.
            return ("SET GLOBAL binlog_transaction_compression = OFF;",)


def _replica_identities(tables: Iterable[SourceContract]) -> Iterator[str]:
    """Yield what lets PostgreSQL tell a row as it was, and what it did not send.

    Without a key and without it, PostgreSQL refuses the application's own UPDATE and DELETE as soon
    as the table is captured.
    """
    for each in sorted(tables, key=lambda each: each.table):
        if not each.key or each.emissions["update"] or each.emissions["delete"]:
            schema, _, table = each.table.partition(".")
            name = f"{_quoted(schema)}.{_quoted(table)}"
            yield f"ALTER TABLE {name} REPLICA IDENTITY FULL;"


def _quoted(name: str) -> str:
    if _PLAIN_NAME.match(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
