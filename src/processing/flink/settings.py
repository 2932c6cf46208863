"""What a deployment decides about the Flink jobs; the Kafka part is the platform's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from agentflow.errors import ParameterError
from ingestion.kafka.config import KafkaConfig

Mode = Literal["thread", "process"]
StateBackend = Literal["hashmap", "rocksdb"]


@dataclass(frozen=True, slots=True)
class JobSettings:
    """One running gate.

    Attributes:
        kafka: Where the topics are.
        cluster: `host:port` of a session cluster's REST interface; None starts a cluster inside
            this process.
        ttl: How long an identity is remembered. A copy that comes later is validated again, and
            whoever follows the topic counts it once all the same.
        checkpoint_interval: After a failure the job repeats what came since the last checkpoint.
        checkpoint_directory: A URI; None leaves it to the cluster's configuration.
        from_checkpoint: URI of the checkpoint or savepoint to start from.
        mode: `thread` runs Python inside the task, `process` beside it.
    """

    kafka: KafkaConfig
    cluster: str | None = None
    ttl: timedelta = timedelta(hours=24)
    parallelism: int = 1
    checkpoint_interval: timedelta = timedelta(seconds=10)
    checkpoint_directory: str | None = None
    from_checkpoint: str | None = None
    mode: Mode = "thread"
    state_backend: StateBackend = "hashmap"
    change_topics: tuple[str, ...] = field(default=())

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
        """What the job is called on the cluster."""
        return f"{self.kafka.prefix}.gate"
