"""Change data from real databases, through real Debezium: numbers equal SELECT on the source."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from agentflow.lint import load
from agentflow_cli import main
from ingestion.cdc import Refusal, Sources, documents
from ingestion.connectors import ConnectClient, connectors_of, diagnose
from stack import install
from stack.probe import http_json
from stack.services import Connect, Kafka, MariaDb, Postgres
from tests.ingestion.cdc.packs import write_pack
from tests.ingestion.cdc.records import RECORDED, change_of, recorded
from tests.stack.capture import PATIENCE_SECONDS, Captured, Databases, count

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]
PGBENCH = Path(__file__).parents[2] / "examples" / "pgbench" / "contracts"
POSTGRES = """
CREATE SCHEMA d;
CREATE TABLE d.t (id int PRIMARY KEY, amount numeric(12,2) NOT NULL, paid boolean,
  at timestamptz, local timestamp, day date, raw bytea, note text, doc jsonb);
ALTER TABLE d.t REPLICA IDENTITY FULL;
ALTER TABLE d.t ALTER note SET STORAGE EXTERNAL;
"""
MARIADB = """
CREATE DATABASE d; USE d;
CREATE TABLE t (id int PRIMARY KEY, amount decimal(12,2) NOT NULL, paid boolean,
  at timestamp(6) NULL, local datetime(3), day date, raw varbinary(8), note longtext, doc json);
"""
INSERT = """
INSERT INTO d.t VALUES ({id}, {amount}, {paid}, '2026-11-21 06:00:00.123456',
  '2026-11-21 06:00:00.123', '2026-11-21', {raw}, '{note}', '{{"k": [1, 2]}}');
"""
COLUMNS = "id, amount, paid, at, local, day, raw, note, doc"
LARGE = "x" * 20_000


@pytest.fixture(scope="module")
def databases(
    kafka: Kafka, connect: Connect, postgres: Postgres, mariadb: MariaDb
) -> Iterator[Databases]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in connect.environment.items():
            patch.setenv(name, value)
        yield Databases(kafka, connect, postgres, mariadb)
    with closing(ConnectClient(connect.url)) as client:
        for name in http_json(f"{connect.url}/connectors"):
            client.stop(name)


def captured_by(databases: Databases, contracts: Path, *overrides: str) -> None:
    """Apply the connectors of a directory and wait until all of them run."""
    arguments = ["connectors", "apply", "--contracts-dir", str(contracts)]
    arguments += [word for each in overrides for word in ("--set", each)]
    result = CliRunner().invoke(main, [*arguments, "--connect-url", databases.connect.url])
    assert result.exit_code == 0, result.output
    client = ConnectClient(databases.connect.url)
    wanted = [each.name for each in connectors_of(load(contracts))]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while problems := [ill for name in wanted for ill in diagnose(name, client.status(name))]:
        assert time.monotonic() < deadline, problems
        assert all(ill.state != "FAILED" for ill in problems), problems
        time.sleep(0.2)
    client.close()


def statements(base: int, *, postgres: bool) -> str:
    """What somebody does to the table: the same on both."""
    raw = "'\\x0102'" if postgres else "x'0102'"

    def insert(row: int, amount: str, note: str = "n") -> str:
        return INSERT.format(id=base + row, amount=amount, paid="true", raw=raw, note=note)

    key = f"WHERE id = {base}"
    return "".join(
        [
            insert(3, "10.10"),
            insert(4, "0.01", LARGE),
            f"UPDATE d.t SET amount = 99.99, paid = false {key} + 3;",
            f"UPDATE d.t SET amount = 5.00, note = NULL {key} + 1;",
            f"UPDATE d.t SET amount = 2.00 {key} + 4;",
            "BEGIN;",
            f"UPDATE d.t SET amount = 1.00 {key} + 3;",
            f"UPDATE d.t SET amount = 7.77 {key} + 3;",
            "COMMIT;",
            f"DELETE FROM d.t {key} + 2;",
            insert(2, "-3.00"),
            f"UPDATE d.t SET id = {base} + 9 {key} + 1;",
            "ALTER TABLE d.t ADD COLUMN extra int;",
            f"UPDATE d.t SET extra = 1, amount = 8.00 {key} + 4;",
            insert(5, "1.00").replace("INTO d.t", f"INTO d.t ({COLUMNS})"),
            f"DELETE FROM d.t {key} + 5;",
        ]
    )  # fmt: skip


def snapshot(base: int, *, postgres: bool) -> str:
    raw = "'\\x0102'" if postgres else "x'0102'"
    return "".join(
        INSERT.format(id=base + row, amount="1.50", paid="true", raw=raw, note="old")
        for row in (1, 2)
    )


SELECT = "SELECT paid, sum(amount), count(*) FROM d.t GROUP BY paid"


def test_metrics_equal_select_on_both_databases(databases: Databases, tmp_path: Path) -> None:
    """Snapshot, stream, update, null, delete and again, key change, large values, new column."""
    contracts = write_pack(tmp_path / "contracts")
    registry = load(contracts)
    databases.postgres.execute("CREATE DATABASE d")
    databases.postgres.execute(POSTGRES + snapshot(0, postgres=True), database="d")
    databases.mariadb.execute(MARIADB + snapshot(1000, postgres=False))
    databases.mariadb.execute("SET GLOBAL log_bin_compress_min_len = 10")
    databases.mariadb.execute("SET GLOBAL log_bin_compress = ON")
    for connector in connectors_of(registry):  # nothing of MariaDB came, without what it says here
        if connector.name == "agentflow-m":
            databases.mariadb.execute("".join(connector.statements))
    described = [f"s.{part}.converter.schemas.enable=true" for part in ("key", "value")]
    captured_by(databases, contracts, *described)
    capture = Captured(databases.kafka, ["s.d.t", "m.d.t"])
    capture.until(lambda: len(capture.changes()) >= 4)

    databases.postgres.execute(statements(0, postgres=True), database="d")
    databases.mariadb.execute(statements(1000, postgres=False))

    def finished() -> bool:
        """The last statement of both has arrived: the row that came and went."""
        deleted = {
            (each.server, each.key["id"])
            for each in capture.changes()
            if each.operation == "delete" and each.key
        }
        return {("s", 5), ("m", 1005)} <= deleted

    capture.until(finished)
    counted = count(
        capture.records, registry, tmp_path / "platform", metrics={"total": "paid", "rows": "paid"}
    )

    expected: dict[object, tuple[Decimal, int]] = {}
    for text in (
        databases.postgres.execute(SELECT, database="d").replace("|", "\t"),
        databases.mariadb.execute(SELECT, database="d"),
    ):
        for line in text.splitlines():
            paid, total, rows = line.split("\t")
            known = expected.get(paid in {"t", "1"}, (Decimal(), 0))
            expected[paid in {"t", "1"}] = (known[0] + Decimal(total), known[1] + int(rows))
    assert {
        paid: (total, int(counted.numbers["rows"][paid][0]))
        for paid, (total, _) in counted.numbers["total"].items()
    } == expected
    assert counted.refused == []
    assert counted.equal
    _same_row_same_event(capture, Sources(registry))
    _what_breaks_is_a_dead_letter(databases, capture, Sources(registry))
    capture.close()


def _same_row_same_event(capture: Captured, sources: Sources) -> None:
    """Every type of column arrives as the same value from both."""
    data = []
    for server, key in (("s", 3), ("m", 1003)):
        change = next(
            each
            for each in capture.changes(f"{server}.d.t")
            if each.operation == "insert" and each.key == {"id": key}
        )
        found = documents(change, sources)
        assert not isinstance(found, Refusal), found
        document = json.loads(found[0])
        data.append(
            {name: document["data"][name] for name in document["data"].keys() - {"id", "position"}}
        )
        assert document["time"] == "2026-11-21T06:00:00.123456Z"
    assert data[0] == data[1]
    assert data[0]["amount"] == "10.10"
    assert data[0]["local"] == "2026-11-21T06:00:00.123000Z"


def _what_breaks_is_a_dead_letter(
    databases: Databases, capture: Captured, sources: Sources
) -> None:
    """A mapped column is dropped, and the table is truncated: nothing is counted wrong."""
    for execute in (databases.postgres.execute, databases.mariadb.execute):
        execute(
            "ALTER TABLE d.t DROP COLUMN note; UPDATE d.t SET amount = 0; TRUNCATE TABLE d.t;"
            "INSERT INTO d.t (id, amount) VALUES (77, 1);",
            database="d",
        )

    def servers(operation: str) -> list[str]:
        """Tell whose changes of this kind came, of the row that came last or of no row."""
        seen = [each for each in capture.changes() if each.operation == operation]
        return sorted(each.server for each in seen if each.key in (None, {"id": 77}))

    capture.until(lambda: servers("insert") == ["m", "s"])
    assert servers("truncate") == ["m", "s"]
    reasons = [documents(each, sources) for each in capture.changes()]
    refused = {each.reason for each in reasons if isinstance(each, Refusal)}

    assert refused == {"cdc_schema_mismatch", "cdc_truncated"}


TYPES = """
kind: source
name: {server}.types
status: approved
owner: tests
description: Every type over its whole range.
connector: {connector}
server: {server}
database: types
table: d.types
key: [id]
columns: {{id: integer, n: decimal}}
write: [{{event: thing.written@1, fields: {{id: id, amount: n}}}}]
"""
_ID = re.compile(r"^\(([0-9]+),", re.MULTILINE)


def test_every_type_is_still_written_as_it_was_recorded(
    databases: Databases, tmp_path: Path
) -> None:
    """With the configuration that `connectors` writes: what the laws of a column are tested on."""
    contracts = write_pack(tmp_path / "contracts")
    (contracts / "sources" / "s.yaml").write_text(
        TYPES.format(server="types_p", connector="postgres")
    )
    (contracts / "sources" / "m.yaml").write_text(
        TYPES.format(server="types_m", connector="mariadb")
    )
    databases.postgres.execute("CREATE DATABASE types")
    databases.postgres.execute("CREATE SCHEMA d", database="types")
    databases.mariadb.execute("CREATE DATABASE IF NOT EXISTS d")
    rows = {name: (RECORDED / f"{name}.types.sql").read_text() for name in ("pg", "maria")}
    databases.postgres.execute(rows["pg"], database="types")
    databases.mariadb.execute(rows["maria"])
    captured_by(databases, contracts)
    capture = Captured(databases.kafka, ["types_p.d.types", "types_m.d.types"])
    capture.until(lambda: len(capture.changes()) >= 12)

    again = {name: text[text.index("INSERT") :] for name, text in rows.items()}
    moved = iter([101, 102, 2**63 + 1, 104, 2**64 - 2])
    databases.postgres.execute(
        _ID.sub(lambda found: f"({100 + int(found[1])},", again["pg"]), database="types"
    )
    databases.mariadb.execute(
        "SET sql_mode='';" + _ID.sub(lambda _: f"({next(moved)},", again["maria"])
    )
    capture.until(lambda: len(capture.changes()) >= 24)
    capture.close()

    for name, topic in (("pg.types", "types_p.d.types"), ("maria.types", "types_m.d.types")):
        found = [each.after for each in capture.changes(topic)]
        assert found == [change_of(record).after for record in recorded(name)]


ROWS_OF_ONE_COPY = """
COPY pgbench_history (tid, bid, aid, delta, mtime) FROM PROGRAM
$$for delta in 5 6 7; do echo "1,1,1,$delta,$(date -u '+%F %T')"; done$$ (FORMAT csv)
"""
"""One record of the log: without a key, only what they hold tells them apart."""


def test_pgbench_equals_select_after_a_kill_of_connect(
    databases: Databases, tmp_path: Path
) -> None:
    """A workload nobody here wrote: its history has no key, its branches are one hot row each."""
    registry = load(PGBENCH)
    postgres = databases.postgres
    postgres.execute("CREATE DATABASE bench")
    pgbench = install.Program("pgbench", "postgresql-15", "/usr/lib/postgresql/15/bin").path
    install.run(
        [pgbench, "-i", "-q", "-s", "2", postgres.dsn("bench")], within=120, fix="See its log."
    )
    postgres.execute("ALTER TABLE pgbench_branches REPLICA IDENTITY FULL", database="bench")
    captured_by(databases, PGBENCH)
    topics = ["pgbench.public.pgbench_history", "pgbench.public.pgbench_branches"]
    capture = Captured(databases.kafka, topics)
    capture.until(lambda: len(capture.changes(topics[1])) >= 2)
    argv = [pgbench, "-n", "-c", "2", "-t", "300", "-R", "150", postgres.dsn("bench")]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as load_:
        capture.until(lambda: len(capture.changes(topics[0])) >= 150)
        databases.connect.kill()
        databases.connect.restart()
        assert load_.wait(timeout=PATIENCE_SECONDS) == 0
    postgres.execute(ROWS_OF_ONE_COPY, database="bench")

    lines = int(postgres.execute("SELECT count(*) FROM pgbench_history", database="bench"))
    capture.until(
        lambda: all(
            len({(each.position, str(each.after)) for each in capture.changes(topic)}) >= wanted
            for topic, wanted in zip(topics, (lines, lines - 1), strict=True)
        )
    )
    counted = count(
        capture.records, registry, tmp_path / "platform",
        metrics={"moved": "branch_id", "movements": "branch_id", "branch_balance": "branch_id"},
    )  # fmt: skip
    capture.close()

    def selected(sql: str) -> dict[object, Decimal]:
        rows = postgres.execute(sql, database="bench").splitlines()
        return {int(row.split("|")[0]): Decimal(row.split("|")[1]) for row in rows}

    history = "SELECT bid, {} FROM pgbench_history GROUP BY bid"
    live = {
        name: {key: value for key, (value, _) in cells.items()}
        for name, cells in counted.numbers.items()
    }
    assert lines == 603
    assert live["moved"] == selected(history.format("sum(delta)"))
    assert live["movements"] == selected(history.format("count(*)"))
    assert live["branch_balance"] == selected("SELECT bid, bbalance FROM pgbench_branches")
    assert counted.refused == []
    assert counted.equal
    print(f"{lines} transactions, {counted.duplicates} events came again after the kill")


def test_what_differs_and_what_fails_is_said(databases: Databases) -> None:
    """A changed key, a connector that is not there, and a slot that was lost."""
    client = ConnectClient(databases.connect.url)
    wanted = connectors_of(load(PGBENCH), overrides={"pgbench.poll.interval.ms": "20"})

    drift = client.drift(wanted)[0]
    missing = diagnose("agentflow-absent", client.status("agentflow-absent"))

    assert drift.differences == {"poll.interval.ms": ("40", "20")}
    assert [ill.state for ill in missing] == ["MISSING"]
    _lose_the_slot(databases, client)
    client.close()


def _lose_the_slot(databases: Databases, client: ConnectClient) -> None:
    """Somebody drops the slot while the connector is stopped: what happened since is lost."""
    name, slot = "agentflow-pgbench", "agentflow_pgbench"
    client.stop(name)
    drop = f"SELECT pg_drop_replication_slot('{slot}') FROM pg_replication_slots WHERE slot_name = '{slot}' AND NOT active"  # noqa: E501
    deadline = time.monotonic() + PATIENCE_SECONDS
    left = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{slot}'"
    while databases.postgres.execute(left).strip() != "0":
        assert time.monotonic() < deadline
        databases.postgres.execute(drop)
        time.sleep(0.2)
    databases.postgres.execute("UPDATE pgbench_branches SET bbalance = 0", database="bench")
    client.resume(name)
    while not (
        problems := [ill for ill in diagnose(name, client.status(name)) if ill.state == "FAILED"]
    ):
        assert time.monotonic() < deadline, client.status(name)
        time.sleep(0.2)

    assert "raise `epoch`" in problems[0].fix, problems
