"""The job as text: what is asked of Flink, without Flink."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agentflow.contracts import Registry
from agentflow.contracts.model import SessionWindow
from agentflow.errors import ParameterError
from agentflow.lint import load
from ingestion.kafka.config import KafkaConfig
from processing.flink.bundle import pack, unpack
from processing.flink.options import options
from processing.flink.session_sql import session_statements
from processing.flink.settings import GateSettings, SessionSettings
from processing.flink.statements import CHANGES, gate_statements
from processing.flink.tables import security

KAFKA = KafkaConfig("broker:9092", prefix="shop")
SHOP = Path("contracts")
CONTRACTS = Path(__file__).parents[2] / "golden" / "contracts"


def test_an_identity_is_counted_in_one_place() -> None:
    """Two counts of one identity might disagree about which record was the first."""
    text = "\n".join(gate_statements(GateSettings(KAFKA)).definitions)

    assert text.count("COUNT(*) OVER") == 1


def test_what_is_counted_needs_no_content() -> None:
    """The count's state is that of earlier versions, whose checkpoints know no contents."""
    definitions = gate_statements(GateSettings(KAFKA)).definitions

    counted = next(each for each in definitions if "VIEW `counted`" in each)
    compared = next(each for each in definitions if "VIEW `compared`" in each)
    assert "FIRST_VALUE" not in counted
    assert "FIRST_VALUE(`content`) OVER" in compared
    assert compared.endswith("FROM `counted`")


def test_every_answer_has_a_topic() -> None:
    """In = accepted + dead letters + duplicates: no row of a verdict is filtered away."""
    found = gate_statements(GateSettings(KAFKA))
    inserts = found.inserts

    assert [each.partition("\n")[0] for each in inserts] == [
        "INSERT INTO `validated`",
        "INSERT INTO `duplicates`",
        "INSERT INTO `dead_letters`",
        "INSERT INTO `dead_letters`",
    ]
    assert "`seen` = 1" in inserts[0]
    assert "`seen` > 1 AND `content` = `first_content`" in inserts[1]
    conflicts = next(each for each in found.definitions if "VIEW `conflict_letters`" in each)
    assert "`seen` > 1 AND `content` <> `first_content`" in conflicts


def test_changes_are_judged_only_where_there_are_sources() -> None:
    """A job without source contracts has no second source that could fail."""
    without = gate_statements(GateSettings(KAFKA))
    with_changes = gate_statements(GateSettings(KAFKA, change_topics=("pg.public.orders",)))

    assert without.changes == ()
    assert CHANGES not in "".join(without.definitions)
    assert CHANGES in "".join(with_changes.definitions)
    assert "'topic-pattern' = 'pg\\.public\\.orders'" in with_changes.changes[0]


def test_sinks_take_the_largest_dead_letter() -> None:
    """A record that the producer refuses fails the job, at the same record, for ever."""
    validated = gate_statements(GateSettings(KAFKA)).definitions[1]

    assert "'properties.max.request.size' = '8454144'" in validated
    assert "'properties.linger.ms' = '1'" in validated
    assert "'sink.delivery-guarantee' = 'at-least-once'" in validated


def test_a_password_cannot_leave_its_quotes(tmp_path: Path) -> None:
    """It ends up inside Java's quotes inside SQL's."""
    authority = tmp_path / "ca.pem"
    authority.touch()
    secure = KafkaConfig(
        "broker:9092",
        security_protocol="sasl_ssl",
        sasl_user="o'neil",
        sasl_password='a"; b\\',  # noqa: S106 - of nobody
        ca_file=authority,
    )

    found = security(secure)

    assert found["properties.sasl.jaas.config"].endswith(
        'ScramLoginModule required username="o\'neil" password="a\\"; b\\\\";'
    )
    assert found["properties.ssl.truststore.location"] == str(authority)
    assert "username=\"o''neil\"" in "".join(gate_statements(GateSettings(secure)).definitions)


def test_options_follow_the_settings() -> None:
    """Latency is a setting, not an accident."""
    thread = options(GateSettings(KAFKA, cluster="c:8081", ttl=timedelta(hours=1)))
    process = options(GateSettings(KAFKA, cluster="c:8081", mode="process"))

    assert thread["table.exec.state.ttl"] == "3600000 ms"
    assert thread["execution.buffer-timeout.interval"] == "0 ms"
    assert thread["table.exec.uid.generation"] == "ALWAYS"
    assert "python.fn-execution.bundle.time" not in thread
    assert process["python.fn-execution.bundle.time"] == "1"


def test_options_are_those_of_the_job() -> None:
    """A window has no time to live; a gate waits for no partition."""
    gate = options(GateSettings(KAFKA))
    sessions = options(SessionSettings(KAFKA, idle=timedelta(seconds=3)))

    assert sessions["table.exec.source.idle-timeout"] == "3000 ms"
    assert sessions["pipeline.name"] == "shop.sessions"
    assert "table.exec.state.ttl" not in sessions
    assert "table.exec.source.idle-timeout" not in gate
    assert "execution.state-recovery.ignore-unclaimed-state" not in sessions


def test_the_watermark_waits_as_long_as_it_is_told() -> None:
    """By event time, which the gate has written into a header."""
    settings = SessionSettings(KAFKA, out_of_order=timedelta(seconds=61.5))

    source = session_statements(settings, load(SHOP)).definitions[0]

    assert "`headers`['occurred_us']" in source
    assert "WATERMARK FOR `moment` AS `moment` - INTERVAL '0 00:01:01.500'" in source
    assert "'topic-pattern' = 'shop\\.validated'" in source
    assert "'properties.group.id' = 'shop.sessions'" in source


def test_every_entity_has_its_own_gap_and_all_are_decoded_once() -> None:
    """Decoding is what costs."""
    registry = load(SHOP)
    order = registry.entity("order")
    timed = order.model_copy(update={"session": SessionWindow(gap="90s")})
    both = Registry.of([*(each for each in registry.contracts() if each != order), timed])

    statements = session_statements(SessionSettings(KAFKA), both)

    text = "\n".join(statements.definitions)
    assert text.count("`session_keys`(") == 1
    assert len(statements.inserts) == 2
    assert "PARTITION BY (`tenant`, `id`)" in statements.inserts[0]
    assert "INTERVAL '0 00:01:30.000'" in statements.inserts[0]
    assert "INTERVAL '0 00:30:00.000'" in statements.inserts[1]


def test_a_job_without_sessions_is_refused() -> None:
    """It would read everything and write nothing."""
    with pytest.raises(ParameterError, match="no entity has sessions"):
        session_statements(SessionSettings(KAFKA), load(CONTRACTS))


def test_a_cluster_is_an_address() -> None:
    """Found out before Java is started."""
    with pytest.raises(ParameterError, match="host:port"):
        GateSettings(KAFKA, cluster="flink")


def test_contracts_survive_the_way_to_a_worker() -> None:
    """What judges there is what was submitted here."""
    packed = pack(CONTRACTS)

    assert packed == pack(CONTRACTS)
    assert unpack(packed).events == load(CONTRACTS).events
