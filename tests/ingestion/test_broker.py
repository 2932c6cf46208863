"""The conformance suite of `Broker`, `Stream` and `RawSender`: every broker passes all of it.

The one in memory runs here; those that need a server inherit the suite in `tests/stack`.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentflow.clock import ManualClock
from agentflow.errors import OffsetLostError
from agentflow.lint import load
from agentflow.supervision import Supervisor
from ingestion.log.port import (
    DEAD_LETTERS,
    DUPLICATES,
    ONLY,
    VALIDATED,
    NewRecord,
    Record,
    RecordOffset,
)
from ingestion.stream.port import FOLLOWED, Broker, Stream, TopicBounds, partition_name
from tests.fakes.stream import FakeBroker

PARTITIONS = 2
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Brokered:
    """A broker with empty topics, and what others do to them.

    Attributes:
        again: Makes another broker of the same place, as a platform that starts does.
        append: Appends to a followed topic, as the gate does.
        trim: Lets go of the records of a followed topic before an offset, as retention does.
    """

    broker: Broker
    again: Callable[[], Broker]
    append: Callable[[str, Sequence[NewRecord]], None]
    trim: Callable[[str, int], None]


def numbered(numbers: range) -> list[NewRecord]:
    """Return records whose values are their numbers."""
    return [NewRecord(b"k", b"%d" % number, {"n": str(number)}, 7_000) for number in numbers]


def sent(broker: Broker, records: Sequence[NewRecord]) -> Sequence[RecordOffset]:
    """Send to raw and return the answer."""

    async def send() -> Sequence[RecordOffset]:
        sender = broker.sender(Supervisor(ManualClock()))
        try:
            return await asyncio.wait_for(sender.send("raw", records), PATIENCE_SECONDS)
        finally:
            await asyncio.to_thread(sender.close)

    return asyncio.run(send())


def read(stream: Stream, count: int) -> list[Record]:
    """Poll until there are *count* records."""
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} arrived"
        found += stream.poll()
    return found


def at(**positions: int) -> Mapping[str, int]:
    """Return a position for each followed topic: 0 where none is given."""
    return {topic: positions.get(topic, 0) for topic in FOLLOWED}


class BrokerSuite:
    """What every broker does. Subclasses bring the fixture `brokered`, with `PARTITIONS` of raw."""

    @pytest.fixture
    def stream(self, brokered: Brokered) -> Iterator[Stream]:
        """Give a reader that is not open yet."""
        with closing(brokered.broker.stream(lambda: None)) as found:
            yield found

    def test_a_log_keeps_its_name(self, brokered: Brokered) -> None:
        """Offsets mean nothing in another log, so a platform compares names when it starts."""
        name = brokered.broker.cluster_id()

        assert name
        assert brokered.again().cluster_id() == name

    def test_what_is_sent_is_told_its_place(self, brokered: Brokered) -> None:
        """In the same order; tokens are made of these places."""
        first = sent(brokered.broker, numbered(range(20)))
        second = sent(brokered.broker, numbered(range(20, 25)))

        assert len({place.partition for place in first}) == 1  # they have one key
        assert [place.offset for place in first] == list(range(20))
        assert [place.offset for place in second] == list(range(20, 25))

    def test_raw_ends_behind_what_was_sent(self, brokered: Brokered, stream: Stream) -> None:
        """Nothing of it is judged before a job says so."""
        stream.open(at())
        (place,) = sent(brokered.broker, numbered(range(1)))
        name = brokered.broker.raw_topic

        ends = stream.ends()

        empty = {partition_name(name, number): 0 for number in range(PARTITIONS)}
        assert ends.raw == {**empty, partition_name(name, place.partition): 1}
        assert set(ends.judged.values()) <= {0}
        assert ends.judged.keys() <= ends.raw.keys()

    def test_topics_have_bounds(self, brokered: Brokered, stream: Stream) -> None:
        """Those of a topic that nobody wrote to are its beginning."""
        stream.open(at())
        brokered.append(VALIDATED, numbered(range(5)))
        brokered.append(DEAD_LETTERS, numbered(range(1)))

        assert brokered.broker.bounds() == {
            VALIDATED: TopicBounds(0, 5),
            DEAD_LETTERS: TopicBounds(0, 1),
            DUPLICATES: TopicBounds(0, 0),
        }
        assert stream.ends().followed == {VALIDATED: 5, DEAD_LETTERS: 1, DUPLICATES: 0}

    def test_reading_begins_where_it_is_told(self, brokered: Brokered, stream: Stream) -> None:
        """Each record once, in order within its topic, as it was written."""
        brokered.append(VALIDATED, numbered(range(300)))
        brokered.append(DUPLICATES, numbered(range(2)))

        stream.open(at(validated=250, duplicates=1))
        found = read(stream, 51)

        by_topic = {name: [each for each in found if each.topic == name] for name in FOLLOWED}
        assert by_topic[VALIDATED] == [
            Record(VALIDATED, ONLY, n, b"k", b"%d" % n, {"n": str(n)}, 7_000)
            for n in range(250, 300)
        ]
        assert [record.offset for record in by_topic[DUPLICATES]] == [1]
        assert list(stream.poll()) == []

    def test_a_record_comes_back_as_it_was_written(
        self, brokered: Brokered, stream: Stream
    ) -> None:
        """Bytes, absent keys, text of any kind in headers."""
        new = [NewRecord(None, b"\x00\xff", {"tenant": "été", "empty": ""}, 9_000)]
        new.append(NewRecord(b"", b"", {}, 1_000))
        brokered.append(DEAD_LETTERS, new)

        stream.open(at())
        found = read(stream, 2)

        assert [(each.key, each.value, each.headers, each.timestamp_us) for each in found] == [
            (each.key, each.value, each.headers, each.timestamp_us) for each in new
        ]

    def test_what_comes_later_is_read_too(self, brokered: Brokered, stream: Stream) -> None:
        """At its end, a stream waits for more."""
        stream.open(at())
        assert list(stream.poll()) == []

        for number in range(3):
            brokered.append(VALIDATED, numbered(range(number, number + 1)))
            assert [record.value for record in read(stream, 1)] == [b"%d" % number]

    def test_a_pause_loses_nothing(self, brokered: Brokered, stream: Stream) -> None:
        """A platform that is behind with its work reads on later."""
        brokered.append(VALIDATED, numbered(range(3)))
        stream.open(at())
        read(stream, 3)

        stream.pause()
        brokered.append(VALIDATED, numbered(range(3, 6)))
        assert [list(stream.poll()) for _ in range(3)] == [[], [], []]
        stream.resume()

        assert [record.offset for record in read(stream, 3)] == [3, 4, 5]

    def test_what_was_let_go_is_told(self, brokered: Brokered, stream: Stream) -> None:
        """Reading on behind a gap would be a number without its events."""
        brokered.append(VALIDATED, numbered(range(9)))
        brokered.trim(VALIDATED, 4)
        stream.open(at(validated=2))

        with pytest.raises(OffsetLostError):
            read(stream, 1)

        stream.open(at(validated=4))
        assert [record.offset for record in read(stream, 5)] == [4, 5, 6, 7, 8]
        bounds = brokered.broker.bounds()
        assert bounds is not None
        assert bounds[VALIDATED] == TopicBounds(4, 9)

    def test_the_next_raw_offset_is_the_first_that_exists(
        self, brokered: Brokered, stream: Stream
    ) -> None:
        """A token may name an offset behind marks of transactions, which are no records."""
        stream.open(at())
        places = sent(brokered.broker, numbered(range(3)))
        name = partition_name(brokered.broker.raw_topic, places[0].partition)

        assert [stream.next_raw(name, offset, end=3) for offset in (0, 2, 3)] == [0, 2, 3]

    def test_two_readers_do_not_share_positions(self, brokered: Brokered, stream: Stream) -> None:
        """Each platform reads everything."""
        brokered.append(VALIDATED, numbered(range(4)))
        with closing(brokered.again().stream(lambda: None)) as other:
            stream.open(at(validated=1))
            other.open(at(validated=3))

            assert [record.offset for record in read(stream, 3)] == [1, 2, 3]
            assert [record.offset for record in read(other, 1)] == [3]


class TestMemory(BrokerSuite):
    """What tests of the platform follow."""

    @pytest.fixture
    def brokered(self) -> Brokered:
        broker = FakeBroker(load(Path("contracts")), partitions=PARTITIONS)
        broker.running = False  # what is sent waits: the suite says what the gate writes
        offsets: defaultdict[str, int] = defaultdict(int)

        def append(topic: str, records: Sequence[NewRecord]) -> None:
            for new in records:
                offset = offsets[topic]
                broker.topics[topic].append(
                    Record(topic, ONLY, offset, new.key, new.value, new.headers, new.timestamp_us)
                )
                offsets[topic] += 1

        def trim(topic: str, before: int) -> None:
            broker.topics[topic][:before] = [None] * before

        return Brokered(broker, lambda: broker, append, trim)
