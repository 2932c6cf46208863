"""`agentflow topics` against a real broker: made, compared, mended, never shrunk."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agentflow.lint import load
from agentflow_cli import main
from ingestion.cdc import Sources
from ingestion.connectors import transaction_topics
from ingestion.kafka.admin import KafkaAdmin
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.topic_plan import Alter, Create
from ingestion.kafka.topics import CLEANUP, Topic
from stack.services import Kafka
from stack.topology import CONTRACTS

pytestmark = pytest.mark.xdist_group("stack")
Run = Callable[..., Result]


@pytest.fixture
def config(kafka: Kafka) -> KafkaConfig:
    return KafkaConfig(kafka.bootstrap, prefix=f"topics-{secrets.token_hex(4)}")


@pytest.fixture
def run(config: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command with the environment of a deployment."""
    monkeypatch.setenv("AGENTFLOW_KAFKA_BOOTSTRAP", config.bootstrap)
    monkeypatch.setenv("AGENTFLOW_KAFKA_PREFIX", config.prefix)

    def invoke(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, ["topics", *arguments], env=environment)

    return invoke


def json_of(result: Result) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(result.stdout)


def test_apply_makes_what_plan_shows(run: Run, config: KafkaConfig) -> None:
    """A fresh cluster: seen before, made once, nothing left, and harmless to repeat."""
    before = run("plan", "--json")
    made = run("apply")
    again = run("apply", "--json")

    assert before.exit_code == 2
    names = [change["topic"]["name"] for change in json_of(before)["changes"]]
    assert names[:5] == [
        f"{config.prefix}.{topic}"
        for topic in ("raw", "validated", "dead_letters", "duplicates", "sessions")
    ]
    registry = load(CONTRACTS)
    captured = {*Sources(registry).topics, *transaction_topics(registry)}
    assert set(names[5:]) <= captured  # another test of this broker may have made them
    assert (made.exit_code, len(made.stdout.splitlines())) == (0, len(names))
    assert captured <= {topic.name for topic in KafkaAdmin(config).find(captured)}
    assert (again.exit_code, json_of(again)["settled"], json_of(again)["applied"]) == (0, True, [])
    assert run("plan").exit_code == 0


def test_too_few_partitions_are_drift_until_somebody_decides(run: Run, config: KafkaConfig) -> None:
    """Named with the fix; `--grow` is the fix."""
    run("apply", AGENTFLOW_KAFKA_PARTITIONS="1")

    seen = run("plan")
    left = run("apply", "--json")
    grown = run("apply", "--grow")

    assert seen.exit_code == left.exit_code == 2
    assert f'topic "{config.prefix}.raw" has partitions 1, wanted 3' in seen.stdout
    assert "agentflow topics apply --grow" in seen.stdout
    assert [drift["found"] for drift in json_of(left)["drift"]] == [1]
    assert grown.exit_code == 0
    assert KafkaAdmin(config).partitions()[f"{config.prefix}.raw"] == 3


def test_partitions_are_never_taken_away(run: Run, config: KafkaConfig) -> None:
    """Fewer are wanted than there are: said, and left."""
    run("apply")

    result = run("apply", "--grow", "--json", AGENTFLOW_KAFKA_PARTITIONS="2")

    assert result.exit_code == 2
    (drift,) = json_of(result)["drift"]
    assert (drift["found"], drift["wanted"]) == (3, 2)
    assert KafkaAdmin(config).partitions()[f"{config.prefix}.raw"] == 3


def test_properties_somebody_changed_are_put_back(run: Run, config: KafkaConfig) -> None:
    """Compaction on a topic without keys loses events: it is undone, and nothing else is."""
    run("apply")
    name = f"{config.prefix}.raw"
    other = {CLEANUP: "compact", "segment.ms": "123456"}
    admin = KafkaAdmin(config)
    admin.apply([Alter(name, dict.fromkeys(other), other)])

    seen, mended = run("plan"), run("apply")

    assert f'alter "{name}": cleanup.policy compact to delete' in seen.stdout
    assert (seen.exit_code, mended.exit_code) == (2, 0)
    (found,) = admin.find([name])
    assert (found.config[CLEANUP], found.config["segment.ms"]) == ("delete", "123456")


def test_a_sequencer_in_two_parts_blocks(run: Run, config: KafkaConfig) -> None:
    """Somebody made the topic by hand."""
    admin = KafkaAdmin(config)
    admin.apply([Create(Topic(f"{config.prefix}.validated", 2, 1))])

    result = run("apply", "--json")

    assert result.exit_code == 2
    assert json_of(result)["blocked"] is True


def test_more_replicas_than_brokers_is_refused_by_the_cluster(run: Run) -> None:
    """Its reason is shown; nothing was made half."""
    result = run("apply", AGENTFLOW_KAFKA_REPLICATION="3")

    assert result.exit_code == 3
    assert "replication factor" in result.stderr.lower()


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_cluster_that_is_not_there_ends_the_command(run: Run, command: str) -> None:
    """Exit code 3 and what to check."""
    environment = {
        "AGENTFLOW_KAFKA_BOOTSTRAP": "127.0.0.1:9",
        "AGENTFLOW_KAFKA_TIMEOUT_SECONDS": "1",
    }

    result = run(command, "--json", **environment)

    assert result.exit_code == 3
    error = json.loads(result.stderr.splitlines()[-1])["error"]
    assert error["code"] == "unavailable"
    assert "AGENTFLOW_KAFKA_BOOTSTRAP" in error["hint"]
