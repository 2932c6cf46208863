"""What a deployment decides about the Flink jobs; the Kafka part is the platform's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

from agentflow.errors import ParameterError
from ingestion.kafka.config import KafkaConfig

Mode = Literal["thread", "process"]
StateBackend = Literal["hashmap", "rocksdb"]


@dataclass(frozen=True, slots=True)
class JobSettings:
    """One running job between topics.

    Attributes:
        kafka: Where the topics are.
        cluster: `host:port` of a session cluster's REST interface; None starts a cluster inside
            this process.
        checkpoint_interval: After a failure the job repeats what came since the last checkpoint.
        checkpoint_directory: A URI; None leaves it to the cluster's configuration.
        from_checkpoint: URI of the checkpoint or savepoint to start from.
        mode: `thread` runs Python inside the task, `process` beside it.
    """

    job: ClassVar[str]

    kafka: KafkaConfig
    cluster: str | None = None
    parallelism: int = 1
    checkpoint_interval: timedelta = timedelta(seconds=10)
    checkpoint_directory: str | None = None
    from_checkpoint: str | None = None
    mode: Mode = "thread"
    state_backend: StateBackend = "hashmap"

    def __post_init__(self) -> None:
        if self.parallelism < 1:
            raise ParameterError("parallelism must be at least 1")
        if self.cluster is not None and not self.cluster.rpartition(":")[2].isdigit():
            raise ParameterError(
                f'cluster "{self.cluster}" is not host:port',
                hint="Name the address of the JobManager's REST interface.",
            )

    @property
    def name(self) -> str:
        """What the job is called on the cluster, and its consumers' group."""
        return f"{self.kafka.prefix}.{self.job}"


@dataclass(frozen=True, slots=True)
class GateSettings(JobSettings):
    """One running gate.

    Attributes:
        ttl: How long an identity is remembered. A copy that comes later is validated again, and
            a follower of the topic still counts it once.
    """

    job = "gate"

    ttl: timedelta = timedelta(hours=24)
    change_topics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionSettings(JobSettings):
    """One job that publishes sessions.

    Attributes:
        out_of_order: By how much an event may lie before the latest one that was seen and still
            be in time: how long the watermark waits, in event time.
        idle: A partition without records for so long does not hold the watermark up.
    """

    job = "sessions"

    out_of_order: timedelta = timedelta(seconds=5)
    idle: timedelta = timedelta(seconds=10)
