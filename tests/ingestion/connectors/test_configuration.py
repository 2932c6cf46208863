"""Connectors follow from the source contracts, and hold no secret."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from agentflow.contracts import Registry
from agentflow.contracts.tables import ColumnType
from agentflow.errors import ContractError
from agentflow.lint import load
from agentflow_cli import main
from ingestion.connectors import connectors_of, diagnose, transaction_topics
from processing.transformations.stream import StreamGate
from tests.ingestion.cdc.packs import load_pack

ROOT = Path(__file__).parents[3]
PGBENCH = ROOT / "examples" / "pgbench" / "contracts"


@pytest.fixture(scope="module")
def shop() -> Registry:
    return load(ROOT / "contracts")


def test_one_connector_for_each_server(shop: Registry) -> None:
    """With the tables of that server, as the regular expressions Debezium takes."""
    found = {each.name: each for each in connectors_of(shop)}

    assert sorted(found) == ["agentflow-shop", "agentflow-warehouse"]
    assert found["agentflow-shop"].config["table.include.list"] == (
        r"public\.orders,public\.payments"
    )
    assert found["agentflow-shop"].statements == (
        "ALTER TABLE public.orders REPLICA IDENTITY FULL;",
        "ALTER TABLE public.payments REPLICA IDENTITY FULL;",
    )
    assert found["agentflow-warehouse"].statements == ("SET GLOBAL log_bin_compress = OFF;",)


def test_only_tables_whose_rows_count_are_in_the_snapshot() -> None:
    """Rows of a table without a key could not be told apart in it."""
    (connector,) = connectors_of(load(PGBENCH))

    assert connector.config["snapshot.mode"] == "initial"
    assert connector.config["snapshot.include.collection.list"] == r"public\.pgbench_branches"


def test_addresses_and_passwords_are_references(shop: Registry) -> None:
    """The file may be read by anybody."""
    for each in connectors_of(shop):
        for key in ("hostname", "port", "user", "password"):
            assert each.config[f"database.{key}"].startswith("${env:AGENTFLOW_")
        assert len(each.environment) >= 4


def test_a_table_without_a_key_gets_an_identity_before_it_is_captured() -> None:
    """PostgreSQL refuses the application's own DELETE from then on, if it has none."""
    (connector,) = connectors_of(load(PGBENCH))

    assert connector.statements == (
        "ALTER TABLE public.pgbench_branches REPLICA IDENTITY FULL;",
        "ALTER TABLE public.pgbench_history REPLICA IDENTITY FULL;",
    )


def test_types_that_the_default_would_alter_are_written_exactly(shop: Registry) -> None:
    """Recorded with these keys: `tests/golden/cdc/*.types.jsonl`."""
    postgres, binlog = (each.config for each in connectors_of(shop))

    for config in (postgres, binlog):
        assert config["time.precision.mode"] == "microseconds"
        assert config["binary.handling.mode"] == "bytes"
    assert postgres["interval.handling.mode"] == "string"
    assert binlog["bigint.unsigned.handling.mode"] == "precise"
    assert binlog["value.converter.decimal.format"] == "NUMERIC"
    assert binlog["enable.time.adjuster"] == "false"


def test_changes_at_one_position_are_told_apart_by_every_connector(shop: Registry) -> None:
    """Debezium tells the order within a transaction, and writes a topic that nothing reads."""
    connectors = connectors_of(shop)

    for each in connectors:
        assert each.config["provide.transaction.metadata"] == "true"
    topics = {f"{each.config['topic.prefix']}.transaction" for each in connectors}
    assert set(transaction_topics(shop)) == topics
    assert topics.isdisjoint(StreamGate(shop).change_topics)


def test_a_unit_that_the_connector_does_not_write_is_refused(tmp_path: Path) -> None:
    """A number of microseconds read as milliseconds is another day."""
    registry = load_pack(tmp_path)
    table = registry.tables["s.t", 1]
    columns: dict[str, ColumnType] = {**table.columns, "local": "timestamp_millis"}
    wrong = replace(registry, tables={("s.t", 1): table.model_copy(update={"columns": columns})})

    with pytest.raises(ContractError, match=r'column "local" of source "s\.t"') as caught:
        connectors_of(wrong)
    (connector,) = connectors_of(wrong, overrides={"s.time.precision.mode": "adaptive"})

    assert "timestamp_micros" in (caught.value.hint or "")
    assert connector.config["time.precision.mode"] == "adaptive"


def test_a_deployment_may_want_a_key_otherwise(shop: Registry) -> None:
    """Of one server only."""
    found = connectors_of(shop, overrides={"shop.slot.name": "other"})

    assert [each.config.get("slot.name") for each in found] == ["other", None]


def test_the_command_writes_files_and_prints_sql(tmp_path: Path) -> None:
    """What people review and hand to whoever runs Connect."""
    arguments = ["connectors", "export", "--contracts-dir", str(PGBENCH), "--out", str(tmp_path)]

    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "agentflow-pgbench.json").read_text())
    assert config["topic.prefix"] == "pgbench"
    assert "ALTER TABLE public.pgbench_branches REPLICA IDENTITY FULL;" in result.output


RUNNING = {"connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": "RUNNING"}]}


def _failed(trace: str) -> dict[str, object]:
    return {**RUNNING, "tasks": [{"id": 0, "state": "FAILED", "trace": trace}]}


@pytest.mark.parametrize(
    ("trace", "fix"),
    [
        ('a.B: x\nCaused by: org: ERROR: replication slot "s" does not exist', "raise `epoch`"),
        ("Caused by: requested WAL segment 00001 has already been removed", "raise `epoch`"),
        ("Caused by: Could not find first log file name in binary log index", "raise `epoch`"),
        ("Caused by: FATAL: password authentication failed for user", "AGENTFLOW_<SERVER>"),
        ("Caused by: Access denied for user", "AGENTFLOW_<SERVER>"),
        ("something else", "status --restart"),
    ],
)  # fmt: skip
def test_a_failed_task_is_named_with_what_mends_it(trace: str, fix: str) -> None:
    """A lost position cannot be mended by a restart."""
    (problem,) = diagnose("c", _failed(trace))

    assert (problem.part, problem.state) == ("task 0", "FAILED")
    assert fix in problem.fix
    assert "Caused by" not in problem.problem


def test_what_runs_ails_nothing_and_what_is_not_there_is_said() -> None:
    """Stopped and idle connectors are said as well."""
    assert diagnose("c", RUNNING) == ()
    assert [each.state for each in diagnose("c", None)] == ["MISSING"]
    assert [each.state for each in diagnose("c", RUNNING, placed=False)] == ["UNPLACED"]
    assert [each.state for each in diagnose("c", None, placed=False)] == ["MISSING"]
    paused = {**RUNNING, "connector": {"state": "PAUSED"}}
    assert "resume" in diagnose("c", paused)[0].fix
    assert diagnose("c", {"connector": {"state": "RUNNING"}, "tasks": []})[0].state == "UNASSIGNED"
