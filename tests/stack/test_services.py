"""Every service survives `kill -9` with its addresses and data, and can be used again.

Kafka has `test_kafka`; Flink is killed with each of its jobs in `test_gate`, `test_sessions` and
`test_lake_job`.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog

from stack.probe import http_json
from stack.services import Connect, IcebergRest, MariaDb, Postgres, Redis

pytestmark = pytest.mark.xdist_group("stack")


def test_postgres_keeps_committed_rows(postgres: Postgres) -> None:
    """Rows, and logical decoding, which change data capture needs."""
    postgres.execute("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1), (2)")

    postgres.kill()
    postgres.restart()

    assert postgres.execute("SELECT count(*) FROM kept").strip() == "2"
    assert postgres.execute("SHOW wal_level").strip() == "logical"


def test_mariadb_keeps_committed_rows(mariadb: MariaDb) -> None:
    """Rows, and a binary log of whole rows, which change data capture needs."""
    mariadb.execute("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1), (2)")

    mariadb.kill()
    mariadb.restart()

    assert mariadb.execute("SELECT count(*) FROM kept").strip() == "2"
    assert mariadb.execute("SELECT @@binlog_format, @@log_bin").split() == ["ROW", "1"]


def test_redis_keeps_what_it_answered(redis: Redis) -> None:
    """The append-only file is written before the answer leaves."""
    assert _redis(redis, "SET kept 7") == "+OK\r\n"

    redis.kill()
    redis.restart()

    assert _redis(redis, "GET kept") == "$1\r\n7\r\n"


def _redis(redis: Redis, command: str) -> str:
    with socket.create_connection(("127.0.0.1", redis.port()), timeout=10) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(100).decode()


def test_catalog_and_store_keep_a_table(iceberg_rest: IcebergRest) -> None:
    """A table written through the catalog into the store is read after both were killed."""
    catalog = load_catalog("stack", **iceberg_rest.client)
    catalog.create_namespace("rig")
    rows = pa.table({"amount": [1, 2, 3]})
    catalog.create_table("rig.kept", rows.schema).append(rows)

    iceberg_rest.kill()
    iceberg_rest.s3.kill()
    iceberg_rest.s3.restart()
    iceberg_rest.restart()

    again = load_catalog("stack", **iceberg_rest.client)
    assert again.load_table("rig.kept").scan().to_arrow().equals(rows)


def test_catalog_and_store_listen_on_loopback_only(iceberg_rest: IcebergRest) -> None:
    """The fixture's own main does not: whoever shares the network could read and drop tables."""
    ports = {iceberg_rest.port(), iceberg_rest.s3.port()}
    listening = {}
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            local, state = (line.split()[column] for column in (1, 3))
            address, _, port = local.rpartition(":")
            if state == "0A" and int(port, 16) in ports:
                listening[int(port, 16)] = address

    assert set(listening) == ports
    assert {address[-8:] for address in listening.values()} == {"0100007F"}


def test_connect_offers_both_connectors_after_a_kill(connect: Connect) -> None:
    """The worker joins its group again, although the old one has not left it."""
    connect.kill()
    connect.restart()

    plugins = {each["class"].rpartition(".")[2] for each in _get(connect, "connector-plugins")}
    assert {"PostgresConnector", "MariaDbConnector"} <= plugins


def _get(connect: Connect, path: str) -> list[dict[str, str]]:
    answer: list[dict[str, str]] = http_json(f"{connect.url}/{path}")
    return answer
