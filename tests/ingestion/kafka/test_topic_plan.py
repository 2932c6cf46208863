"""The difference between wanted and found topics, by example and by law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import ParameterError
from ingestion.kafka.topic_plan import (
    Alter,
    Create,
    FoundTopic,
    Grow,
    TopicChange,
    plan_topics,
)
from ingestion.kafka.topics import CLEANUP, RETENTION, TIMESTAMPS, Topic, TopicPolicy, wanted_topics

RAW = Topic("a.raw", 3, 1, config={RETENTION: "1000", CLEANUP: "delete"})
VALIDATED = Topic("a.validated", 1, 1, sequencer=True)


def as_found(topic: Topic) -> FoundTopic:
    return FoundTopic(topic.name, topic.partitions, topic.replication, topic.config)


def applied(found: Sequence[FoundTopic], changes: Sequence[TopicChange]) -> list[FoundTopic]:
    """What a broker has after the changes: the model that the real one is tested against."""
    there = {topic.name: topic for topic in found}
    for change in changes:
        match change:
            case Create(topic):
                there[topic.name] = as_found(topic)
            case Grow(name, _, wanted):
                there[name] = replace(there[name], partitions=wanted)
            case Alter(name, _, wanted):
                there[name] = replace(there[name], config={**there[name].config, **wanted})
    return list(there.values())


def test_an_empty_broker_gets_every_topic() -> None:
    """The way of an event: one partition wherever offsets are everybody's order."""
    plan = plan_topics(wanted_topics(TopicPolicy(prefix="shop", raw_partitions=5)), [])

    made = {change.topic.name: change.topic.partitions for change in plan.changes}  # type: ignore[union-attr]
    assert made == {
        "shop.raw": 5,
        "shop.validated": 1,
        "shop.dead_letters": 1,
        "shop.duplicates": 1,
        "shop.sessions": 1,
    }
    assert plan.drift == ()


def test_too_few_partitions_are_named_with_their_fix() -> None:
    """Adding them moves keys while producers write: that is a person's decision."""
    found = replace(as_found(RAW), partitions=1)

    plan = plan_topics([RAW], [found])

    (drift,) = plan.drift
    assert plan.changes == ()
    assert str(drift) == 'topic "a.raw" has partitions 1, wanted 3'
    assert "apply --grow" in drift.fix
    assert not plan.settled


def test_partitions_are_added_when_asked_for() -> None:
    """The decision is taken: the same plan grows the topic."""
    found = replace(as_found(RAW), partitions=1)

    assert plan_topics([RAW], [found], grow=True).changes == (Grow("a.raw", 1, 3),)


@pytest.mark.parametrize("grow", [True, False])
def test_too_many_partitions_are_never_taken_away(*, grow: bool) -> None:
    """Kafka cannot, and deleting a topic deletes events."""
    plan = plan_topics([RAW], [replace(as_found(RAW), partitions=5)], grow=grow)

    assert plan.changes == ()
    assert "AGENTFLOW_KAFKA_PARTITIONS=5" in plan.drift[0].fix
    assert not plan.blocked


def test_a_sequencer_with_two_partitions_blocks() -> None:
    """Its offsets would not be one order: every replica would answer differently."""
    plan = plan_topics([VALIDATED], [replace(as_found(VALIDATED), partitions=2)])

    assert plan.blocked
    assert "AGENTFLOW_KAFKA_PREFIX" in plan.drift[0].fix


def test_other_replication_is_reported_and_left() -> None:
    """Moving replicas is work of the cluster's operator."""
    plan = plan_topics([RAW], [replace(as_found(RAW), replication=3)])

    assert [(drift.what, drift.harm) for drift in plan.drift] == [("replication", "tolerable")]


def test_only_our_properties_are_compared() -> None:
    """What the cluster decides is the cluster's; the order of policies means nothing."""
    topic = Topic("a.state", 1, 1, keyed=True, config={CLEANUP: "compact,delete"})
    found = replace(as_found(topic), config={CLEANUP: "delete,compact", "segment.ms": "5"})

    assert plan_topics([topic], [found]).settled


def test_a_compacted_event_topic_is_put_right() -> None:
    """Somebody switched compaction on: events of one key would vanish."""
    found = replace(as_found(RAW), config={**RAW.config, CLEANUP: "compact"})

    (change,) = plan_topics([RAW], [found]).changes

    assert str(change) == 'alter "a.raw": cleanup.policy compact to delete'


@pytest.mark.parametrize("policy", ["compact", "compact,delete", "delete, compact"])
def test_compaction_without_keys_is_refused(policy: str) -> None:
    """Without keys it would keep one record of all."""
    with pytest.raises(ParameterError, match="cannot be compacted"):
        Topic("a.raw", 1, 1, config={CLEANUP: policy})


def test_impossible_topics_are_refused() -> None:
    """They would be found out by the first producer."""
    with pytest.raises(ParameterError, match="one partition"):
        Topic("a.validated", 2, 1, sequencer=True)
    with pytest.raises(ParameterError, match="at least one"):
        Topic("a.raw", 0, 1)
    with pytest.raises(ParameterError, match="replicas in sync"):
        wanted_topics(TopicPolicy(replication=1, min_insync=2))


def test_the_policy_reaches_the_broker_in_its_units() -> None:
    """Hours here, milliseconds there."""
    policy = TopicPolicy(retention=timedelta(hours=2), replication=3, min_insync=2)

    for topic in wanted_topics(policy):
        assert topic.replication == 3
        assert topic.config[RETENTION] == "7200000"
        assert topic.config["min.insync.replicas"] == "2"


def test_only_what_has_a_key_is_compacted() -> None:
    """Of events compaction would lose some, of sessions it keeps one record each."""
    cleanups = {topic.name: topic.config[CLEANUP] for topic in wanted_topics(TopicPolicy())}

    assert cleanups.pop("agentflow.sessions") == "compact,delete"
    assert set(cleanups.values()) == {"delete"}


def test_the_broker_writes_the_time_of_raw_records() -> None:
    """A replay of last year must not be older than its retention when it arrives."""
    times = {topic.name: topic.config[TIMESTAMPS] for topic in wanted_topics(TopicPolicy())}

    assert times["agentflow.raw"] == "LogAppendTime"
    assert times["agentflow.validated"] == "CreateTime"


_CONFIGS = st.dictionaries(
    st.sampled_from([RETENTION, CLEANUP, "segment.ms"]), st.sampled_from(["delete", "1", "2"])
)
_NAMES = st.sampled_from(["a", "b", "c"])
_COUNTS = st.integers(1, 4)
_WANTED = st.lists(
    st.builds(Topic, _NAMES, _COUNTS, _COUNTS, config=_CONFIGS), unique_by=lambda t: t.name
)
_FOUND = st.lists(
    st.builds(FoundTopic, _NAMES, _COUNTS, _COUNTS, _CONFIGS), unique_by=lambda t: t.name
)


@given(wanted=_WANTED, found=_FOUND, grow=st.booleans())
def test_applying_a_plan_leaves_only_its_drift(
    *, wanted: list[Topic], found: list[FoundTopic], grow: bool
) -> None:
    """Nothing shrinks or vanishes; a second plan has no changes and the same drift."""
    plan = plan_topics(wanted, found, grow=grow)

    after = applied(found, plan.changes)

    assert plan_topics(wanted, after, grow=grow) == replace(plan, changes=())
    then = {topic.name: topic for topic in after}
    for topic in found:
        assert then[topic.name].partitions >= topic.partitions
        assert then[topic.name].config.keys() >= topic.config.keys()


@given(wanted=_WANTED, found=_FOUND, grow=st.booleans())
def test_every_difference_is_a_change_or_drift(
    *, wanted: list[Topic], found: list[FoundTopic], grow: bool
) -> None:
    """Nothing is passed over in silence: settled means equal, and equal means settled."""
    there = {topic.name: topic for topic in found}

    equal = all(
        topic.name in there
        and there[topic.name].partitions == topic.partitions
        and there[topic.name].replication == topic.replication
        and topic.config.items() <= there[topic.name].config.items()
        for topic in wanted
    )

    assert plan_topics(wanted, found, grow=grow).settled == equal
