"""Metrics over any stretch of time, computed from events by DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from agentflow.contracts import Registry
from agentflow.metrics.arithmetic import Value
from agentflow.metrics.plan import MetricPlan
from agentflow.metrics.sql import Question
from ingestion.log.port import Bus
from processing.lake.reader import LakeReader
from quality import Gate


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One number of an answer.

    Attributes:
        bucket_us: Start of the bucket, when the question has a grain.
        dimensions: Values of the dimensions the question groups by, in that order.
        value: As `agentflow.metrics.reading.finish` gives it: int, Decimal or None.
        events: How many events it is made of.
    """

    bucket_us: int | None
    dimensions: tuple[object, ...]
    value: Value
    events: int


@dataclass(frozen=True, slots=True)
class DeadLetterCount:
    """How many events of a type were refused for a reason on a day.

    Attributes:
        day_us: Midnight UTC of the day they arrived.
        type: None when it could not be read.
    """

    day_us: int
    reason: str
    type: str | None
    count: int


class History:
    """Answers questions from the lake and the log's tail. Safe to share by threads."""

    def __init__(
        self,
        lake: LakeReader,
        log: Bus,
        *,
        gate: Gate,
        registry: Registry,
        threads: int = 1,
        memory_limit_mib: int = 1024,
    ) -> None:
        raise NotImplementedError

    def answer(
        self,
        plan: MetricPlan,
        question: Question,
        *,
        tail: bool = True,
        deadline: timedelta = timedelta(seconds=30),
    ) -> list[MetricRow]:
        """Return the rows of *question*, ordered by bucket and dimensions.

        Args:
            plan: The metric.
            question: What to compute; its offsets and instants cut what is known.
            tail: Read what the lake does not hold yet from the log; else the lake alone answers.
            deadline: Longest run of the query.

        Raises:
            UnavailableError: The query was interrupted at its deadline.
            StorageError: A file of the lake cannot be read.
        """
        raise NotImplementedError

    def dead_letters(
        self, tenant: str, *, start_us: int, end_us: int, tail: bool = True
    ) -> Sequence[DeadLetterCount]:
        """Count what was refused in a range of arrival, by day, reason and type."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the engine's memory."""
        raise NotImplementedError
