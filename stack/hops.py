"""How long each hop of the stream path takes, seen from outside, alone or under load."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import islice
from math import inf
from queue import Queue
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from ingestion.kafka.config import MAX_MESSAGE_BYTES, KafkaConfig
from ingestion.kafka.producer import producer_properties
from processing.write.sealing import Seal
from processing.write.tokens import Token

Place = tuple[int, int]
WAIT_SECONDS = 10.0
_SEAL = Seal(b"")
"""The platform of the demonstration has no keys, and so seals tokens with nothing."""


@dataclass
class Sample:
    """One event on its way. Times are of one monotonic clock, in seconds; `inf` is never.

    Attributes:
        due: When it should have been produced: waiting for the producer counts.
        acked: When the broker had it.
        validated: When a reader of the validated topic had it.
        answered: When a metric read that waited for it was answered.
    """

    due: float
    acked: float = inf
    validated: float = inf
    answered: float = inf


@dataclass
class Watched:
    """All samples, by their place in the raw topic."""

    samples: list[Sample] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    by_place: dict[Place, Sample] = field(default_factory=dict)


class Hops:
    """Produces events at a rate and follows every nth to the validated topic and to an answer."""

    def __init__(
        self, config: KafkaConfig, *, cluster: str, url: str, metric: str, readers: int = 4
    ) -> None:
        """Plan it.

        Args:
            config: The topics.
            cluster: Id of the Kafka cluster, which tokens carry.
            url: The platform.
            metric: Which number a read asks for, with its query: `page_views?window=all`.
            readers: Reads under way at a time.
        """
        self._config = config
        self._cluster = cluster
        self._url = url
        self._metric = metric
        self._readers = readers
        self._topic = config.topic_name("raw")
        self._asked: Queue[tuple[Place, Sample] | None] = Queue()
        self._early: dict[Place, float] = {}
        self.watched = Watched()
        properties = producer_properties(
            delivery_timeout=timedelta(seconds=30), max_message_bytes=MAX_MESSAGE_BYTES
        )
        self._producer = Producer(config.client(_unheard, **properties))

    def run(
        self, events: Iterator[tuple[bytes | None, bytes]], *, rate: float, count: int, every: int
    ) -> None:
        """Produce *count* events (key, value) at *rate* a second; sample one in *every*.

        They are drawn before the first is due: making them would take from what is measured.
        """
        drawn = list(islice(events, count))
        with self._watching():
            began = time.perf_counter()
            for number, (key, value) in enumerate(drawn):
                due = began + number / rate
                time.sleep(max(due - time.perf_counter(), 0))
                sample = Sample(due) if number % every == 0 else None
                if sample is not None:
                    self.watched.samples.append(sample)
                self._producer.produce(
                    self._topic,
                    value,
                    key,
                    headers=[("tenant", b"default")],
                    on_delivery=self._delivered(sample),
                )
            self._producer.flush(30)
            self._settle()

    def _delivered(self, sample: Sample | None) -> Callable[[object, Message], None] | None:
        if sample is None:
            return None

        def delivered(error: object, message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            if error is not None or partition is None or offset is None:
                return  # never seen to arrive: it counts as infinitely late
            sample.acked = time.perf_counter()
            place = (partition, offset)
            with self.watched.lock:
                self.watched.by_place[place] = sample
                sample.validated = self._early.pop(place, inf)
            self._asked.put((place, sample))

        return delivered

    @contextmanager
    def _watching(self) -> Iterator[None]:
        stopping = Event()
        followers = (self._hear, self._follow)
        threads = [Thread(target=each, args=(stopping,), daemon=True) for each in followers]
        threads += [Thread(target=self._read, daemon=True) for _ in range(self._readers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopping.set()
            for _ in range(self._readers):
                self._asked.put(None)
            for thread in threads:
                thread.join(WAIT_SECONDS + 5)

    def _settle(self) -> None:
        """Wait for the samples that are still on their way."""
        deadline = time.perf_counter() + WAIT_SECONDS
        while time.perf_counter() < deadline and any(
            inf in {each.validated, each.answered} for each in self.watched.samples
        ):
            time.sleep(0.02)

    def _hear(self, stopping: Event) -> None:
        while not stopping.is_set():
            self._producer.poll(0.1)

    def _follow(self, stopping: Event) -> None:
        consumer = Consumer(
            self._config.client(
                _unheard,
                group_id="hops",
                enable_auto_commit=False,
                fetch_wait_max_ms=20,
            )
        )
        topic = self._config.topic_name("validated")
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10, cached=False)
        consumer.assign([TopicPartition(topic, 0, end)])
        while not stopping.is_set():
            message = consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            now = time.perf_counter()
            headers = dict(message.headers() or [])
            place = (int(headers["raw_partition"] or 0), int(headers["raw_offset"] or 0))
            with self.watched.lock:
                sample = self.watched.by_place.get(place)
                if sample is None:
                    self._early[place] = now
                elif sample.validated == inf:
                    sample.validated = now
        consumer.close()

    def _read(self) -> None:
        # a connection that stays, as any dashboard or service has
        with closing(HTTPConnection(urlsplit(self._url).netloc, timeout=WAIT_SECONDS + 2)) as http:
            while (asked := self._asked.get()) is not None:
                (partition, offset), sample = asked
                ends = {f"{self._topic}/{partition}": offset + 1}
                token = Token(self._cluster, ends).encode(_SEAL)
                joint = "&" if "?" in self._metric else "?"
                target = f"/v1/metrics/{self._metric}{joint}at_least={token}"
                try:
                    http.request("GET", target, headers={"prefer": f"wait={WAIT_SECONDS:.0f}"})
                    answer = http.getresponse()
                    json.load(answer)
                except (OSError, HTTPException, ValueError):
                    http.close()  # the next request connects again
                    continue
                if answer.status == HTTPStatus.OK:
                    sample.answered = time.perf_counter()


def _unheard(*_: object) -> None:
    """Say nothing: what does not arrive is counted as infinite."""
