"""What has to change on a broker so that its topics are the wanted ones: a pure difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from agentflow.wording import counted
from ingestion.kafka.topics import CLEANUP, Topic, policies


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """One topic as the broker has it; `config` holds at least what we decide."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Create:
    """The topic does not exist yet."""

    topic: Topic

    def __str__(self) -> str:
        """Say it as a line of a plan."""
        topic = self.topic
        partitions = counted(topic.partitions, "partition")
        return f'create "{topic.name}": {partitions}, {counted(topic.replication, "replica")}'


@dataclass(frozen=True, slots=True)
class Grow:
    """The topic gets more partitions; keys move among them."""

    name: str
    found: int
    wanted: int

    def __str__(self) -> str:
        """Say it as a line of a plan."""
        return f'grow "{self.name}": {self.found} to {counted(self.wanted, "partition")}'


@dataclass(frozen=True, slots=True)
class Alter:
    """The topic gets other values of these properties."""

    name: str
    found: Mapping[str, str | None]
    wanted: Mapping[str, str]

    def __str__(self) -> str:
        """Say it as a line of a plan."""
        parts = [f"{key} {self.found[key]} to {value}" for key, value in self.wanted.items()]
        return f'alter "{self.name}": {", ".join(parts)}'


TopicChange = Create | Grow | Alter


@dataclass(frozen=True, slots=True)
class TopicDrift:
    """A difference that applying the plan leaves as it is, and how people can fix it.

    Attributes:
        harm: `blocks` when the platform must not run like this.
    """

    name: str
    what: Literal["partitions", "replication"]
    found: int
    wanted: int
    harm: Literal["blocks", "tolerable"]
    fix: str

    def __str__(self) -> str:
        """Say it as a line of a report."""
        return f'topic "{self.name}" has {self.what} {self.found}, wanted {self.wanted}'


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """The difference: what applying does, and what it does not."""

    changes: tuple[TopicChange, ...] = ()
    drift: tuple[TopicDrift, ...] = ()

    @property
    def settled(self) -> bool:
        """Everything is as wanted."""
        return not self.changes and not self.drift

    @property
    def blocked(self) -> bool:
        """The platform must not run before this is repaired."""
        return any(drift.harm == "blocks" for drift in self.drift)


def plan_topics(
    wanted: Iterable[Topic], found: Iterable[FoundTopic], *, grow: bool = False
) -> TopicPlan:
    """Return what to change so that *found* becomes *wanted*; other topics are left alone.

    Nothing is ever deleted or shrunk. Partitions are added only when *grow* is asked for: until all
    records of the old places are read, a key that moves has its events in two partitions.
    """
    known = {topic.name: topic for topic in found}
    changes: list[TopicChange] = []
    drift: list[TopicDrift] = []
    for topic in wanted:
        there = known.get(topic.name)
        if there is None:
            changes.append(Create(topic))
            continue
        if there.partitions < topic.partitions and grow:
            changes.append(Grow(topic.name, there.partitions, topic.partitions))
        elif there.partitions != topic.partitions:
            drift.append(_partitions(topic, there))
        if there.replication != topic.replication:
            drift.append(_replication(topic, there))
        if alter := _alter(topic, there):
            changes.append(alter)
    return TopicPlan(tuple(changes), tuple(drift))


def _partitions(topic: Topic, there: FoundTopic) -> TopicDrift:
    few = there.partitions < topic.partitions
    if few:
        fix = (
            "Stop the producers, let the job read to the end, then "
            "`agentflow topics apply --grow`: keys move among partitions."
        )
    elif topic.sequencer:
        fix = "Partitions cannot be taken away: use another AGENTFLOW_KAFKA_PREFIX and replay."
    else:
        fix = f"Partitions cannot be taken away: set AGENTFLOW_KAFKA_PARTITIONS={there.partitions}."
    return TopicDrift(
        topic.name,
        "partitions",
        there.partitions,
        topic.partitions,
        "blocks" if topic.sequencer else "tolerable",
        fix,
    )


def _replication(topic: Topic, there: FoundTopic) -> TopicDrift:
    fix = (
        "Replicas are moved with `kafka-reassign-partitions`; "
        f"or set AGENTFLOW_KAFKA_REPLICATION={there.replication}."
    )
    return TopicDrift(
        topic.name, "replication", there.replication, topic.replication, "tolerable", fix
    )


def _alter(topic: Topic, there: FoundTopic) -> Alter | None:
    other = {
        key: value for key, value in topic.config.items() if not _same(key, value, there.config)
    }
    if not other:
        return None
    return Alter(topic.name, {key: there.config.get(key) for key in other}, other)


def _same(key: str, value: str, config: Mapping[str, str]) -> bool:
    found = config.get(key)
    if found is None:
        return False
    return policies(found) == policies(value) if key == CLEANUP else found == value
