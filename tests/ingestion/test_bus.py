"""The conformance suite of `Bus`: every implementation passes all of it, or says what it raises.

Embedded implementations run here; those that need a server inherit the suite in `tests/stack`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest

from agentflow.errors import AgentFlowError, ParameterError
from ingestion.log.opening import open_log
from ingestion.log.port import Bus, NewRecord, Record, RecordOffset
from ingestion.partitioner import partition_of
from tests.fakes.memory_log import MemoryLog

MakeTopic = Callable[..., str]
Reopen = Callable[[], Bus]
MILLI_US = 1_000
_names = (f"topic_{number}" for number in count())


def new(value: bytes = b"v", key: bytes | None = None, at_us: int = 7 * MILLI_US) -> NewRecord:
    return NewRecord(key, value, {"h": "1"}, at_us)


def numbered(values: range) -> list[NewRecord]:
    return [new(b"%d" % value, b"key") for value in values]


class BusSuite:
    """What every bus does. Subclasses bring the fixtures `bus`, `make_topic` and `reopen`.

    `make_topic(partitions=1)` is what an administrator does; `reopen` is a new connection to what
    `bus` wrote. Topics of tests that need more partitions have as many as the bus can give.
    """

    most_partitions: ClassVar[int] = 1

    def test_offsets_grow_by_one_from_zero(self, bus: Bus, make_topic: MakeTopic) -> None:
        """Positions are arithmetic on offsets; the first record of a topic is 0."""
        topic = make_topic()

        first = bus.append(topic, [new(b"a"), new(b"b")])
        second = bus.append(topic, [new(b"c")])

        assert (list(first), list(second)) == (
            [RecordOffset(0, 0), RecordOffset(0, 1)],
            [RecordOffset(0, 2)],
        )
        assert bus.end(topic) == 3

    def test_a_record_comes_back_as_it_was_appended(self, bus: Bus, make_topic: MakeTopic) -> None:
        """The bus never looks into a record: bytes, absent keys, headers and times survive."""
        topic = make_topic()
        headers = {"tenant": "été", "empty": "", "raw_offset": "1"}
        bus.append(topic, [NewRecord(b"\x00key", b"\x00\xff", headers, 7_000), new(b"", None)])

        assert list(bus.read(topic, start=0, limit=9)) == [
            Record(topic, 0, 0, b"\x00key", b"\x00\xff", headers, 7_000),
            Record(topic, 0, 1, None, b"", {"h": "1"}, 7_000),
        ]

    def test_times_have_microseconds(self, bus: Bus, make_topic: MakeTopic) -> None:
        """Whoever needs them everywhere puts them into a header: brokers round."""
        topic = make_topic()
        bus.append(topic, [new(at_us=1_234_567)])

        (record,) = bus.read(topic, start=0, limit=1)

        assert record.timestamp_us == 1_234_567

    def test_appending_nothing_changes_nothing(self, bus: Bus, make_topic: MakeTopic) -> None:
        """An empty batch is not an error and gives no offset away."""
        topic = make_topic()

        assert list(bus.append(topic, [])) == []
        assert bus.end(topic) == 0

    def test_topics_do_not_share_offsets(self, bus: Bus, make_topic: MakeTopic) -> None:
        """Each topic counts for itself."""
        one, other = make_topic(), make_topic()
        bus.append(one, [new(b"a"), new(b"a")])
        bus.append(other, [new(b"b")])

        assert [record.value for record in bus.read(other, start=0, limit=9)] == [b"b"]
        assert bus.end(other) == 1

    def test_read_returns_exactly_the_asked_slice(self, bus: Bus, make_topic: MakeTopic) -> None:
        """A reader that pages sees each record once, whatever the storage packs together."""
        topic = make_topic()
        bus.append(topic, numbered(range(300)))
        bus.append(topic, numbered(range(300, 700)))

        for start in (0, 1, 255, 256, 257, 511, 699, 700, 10_000):
            for limit in (0, 1, 256, 300, 10_000):
                records = bus.read(topic, start=start, limit=limit)

                assert [record.offset for record in records] == list(range(700))[
                    start : start + limit
                ]
                assert [record.value for record in records] == [b"%d" % r.offset for r in records]

    def test_a_topic_nobody_wrote_to_is_empty(self, bus: Bus, make_topic: MakeTopic) -> None:
        """Consumers may start before producers."""
        topic = make_topic()

        assert list(bus.read(topic, start=0, limit=9)) == []
        assert bus.end(topic) == 0

    def test_a_topic_nobody_made_is_empty(self, bus: Bus) -> None:
        """Where topics are made by use there is nothing to administer."""
        assert list(bus.read("nobody_made_it", start=0, limit=9)) == []
        assert bus.end("nobody_made_it") == 0

    @pytest.mark.parametrize("name", ['a"; DROP TABLE meta --', "", "Raw", "a.b", "x" * 64])
    def test_a_topic_name_is_checked(self, bus: Bus, name: str) -> None:
        """Names end up in statements, files and broker topics."""
        with pytest.raises(ParameterError, match="topic"):
            bus.append(name, [new()])
        with pytest.raises(ParameterError, match="topic"):
            bus.partitions(name)

    def test_a_partition_that_is_not_there_is_an_error(
        self, bus: Bus, make_topic: MakeTopic
    ) -> None:
        """To read nothing for ever would look like a quiet topic."""
        topic = make_topic()

        with pytest.raises(AgentFlowError, match="partition"):
            bus.read(topic, start=0, limit=1, partition=99)
        with pytest.raises(AgentFlowError, match="partition"):
            bus.end(topic, 99)

    def test_a_position_is_zero_until_it_is_stored(self, bus: Bus, make_topic: MakeTopic) -> None:
        """A new consumer starts at the beginning; the last stored position wins, also a lower."""
        topic, other = make_topic(), make_topic()
        bus.append(topic, numbered(range(9)))
        assert bus.position("lake", topic) == 0

        bus.store_position("lake", topic, 7)
        bus.store_position("lake", topic, 5)

        assert bus.position("lake", topic) == 5
        assert bus.position("lake", other) == 0
        assert bus.position("other", topic) == 0

    def test_positions_are_kept_for_each_partition(self, bus: Bus, make_topic: MakeTopic) -> None:
        """A consumer of several partitions is at as many places."""
        topic = make_topic(self.most_partitions)
        for partition in range(bus.partitions(topic)):
            bus.store_position("lake", topic, partition + 1, partition)

        assert [
            bus.position("lake", topic, partition) for partition in range(bus.partitions(topic))
        ] == list(range(1, self.most_partitions + 1))

    def test_what_was_acknowledged_is_there_after_reopening(
        self, bus: Bus, make_topic: MakeTopic, reopen: Reopen
    ) -> None:
        """Records, positions and the name of the log outlive a connection."""
        topic = make_topic()
        bus.append(topic, numbered(range(3)))
        bus.store_position("lake", topic, 2)
        name = bus.log_id

        again = reopen()

        assert again.log_id == name != ""
        assert again.position("lake", topic) == 2
        assert [record.value for record in again.read(topic, start=1, limit=9)] == [b"1", b"2"]

    def test_records_of_one_key_keep_their_order(self, bus: Bus, make_topic: MakeTopic) -> None:
        """An order is created before it is cancelled, whoever reads it and however busy it was."""
        topic = make_topic(self.most_partitions)
        keys = [b"ORD-%d" % number for number in range(20)]

        def append(key: bytes) -> None:
            for number in range(0, 10, 2):
                bus.append(topic, [new(b"%d" % number, key), new(b"%d" % (number + 1), key)])

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(append, keys))

        found: dict[bytes | None, list[tuple[int, bytes]]] = defaultdict(list)
        for record in everything(bus, topic):
            found[record.key].append((record.partition, record.value))
        assert found == {
            key: [(partition_of(key, self.most_partitions), b"%d" % number) for number in range(10)]
            for key in keys
        }

    def test_places_are_where_the_records_are(self, bus: Bus, make_topic: MakeTopic) -> None:
        """A token is made of them; a batch goes to several partitions and keeps its order."""
        topic = make_topic(self.most_partitions)
        records = [new(b"%d" % number, b"key %d" % (number % 7)) for number in range(50)]

        places = bus.append(topic, records)

        found = {RecordOffset(r.partition, r.offset): r.value for r in everything(bus, topic)}
        assert [found[place] for place in places] == [record.value for record in records]

    def test_a_record_without_a_key_is_in_some_partition(
        self, bus: Bus, make_topic: MakeTopic
    ) -> None:
        """Events of contracts without a key have no order, but they have a place."""
        topic = make_topic(self.most_partitions)

        places = bus.append(topic, [new(b"%d" % number) for number in range(20)])

        found = {RecordOffset(r.partition, r.offset): r.value for r in everything(bus, topic)}
        assert [found[place] for place in places] == [b"%d" % number for number in range(20)]

    def test_a_large_record_is_a_record(self, bus: Bus, make_topic: MakeTopic) -> None:
        """A dead letter quotes its event with every byte escaped."""
        topic = make_topic()
        values = [bytes([number]) * (3 << 20) for number in range(3)]

        bus.append(topic, [new(value) for value in values])

        assert [record.value for record in bus.read(topic, start=0, limit=9)] == values

    def test_any_size_is_a_record(self, bus: Bus, make_topic: MakeTopic) -> None:
        """Size limits belong to the intake; brokers have one of their own."""
        topic = make_topic()

        bus.append(topic, [new(b"x" * (9 << 20))])

        assert bus.end(topic) == 1

    def test_appends_from_many_threads_take_turns(self, bus: Bus, make_topic: MakeTopic) -> None:
        """Every place is given once, and none is left out."""
        topic = make_topic(self.most_partitions)

        def append(number: int) -> Sequence[RecordOffset]:
            return bus.append(topic, [new(b"", b"%d" % (number * 5 + part)) for part in range(5)])

        with ThreadPoolExecutor(8) as threads:
            places = [place for batch in threads.map(append, range(40)) for place in batch]

        assert sorted(places) == [
            RecordOffset(partition, offset)
            for partition in range(bus.partitions(topic))
            for offset in range(bus.end(topic, partition))
        ]
        assert len(places) == 200


def everything(bus: Bus, topic: str) -> Iterator[Record]:
    for partition in range(bus.partitions(topic)):
        yield from bus.read(topic, start=0, limit=10_000, partition=partition)


class _Embedded(BusSuite):
    @pytest.fixture
    def make_topic(self) -> MakeTopic:
        def make(partitions: int = 1) -> str:
            assert partitions == self.most_partitions
            return next(_names)

        return make


class TestSqlite(_Embedded):
    """One file; a reader in another connection sees what was committed."""

    @pytest.fixture
    def bus(self, tmp_path: Path) -> Iterator[Bus]:
        opened = open_log(tmp_path / "log.sqlite").log
        yield opened
        opened.close()

    @pytest.fixture
    def reopen(self, bus: Bus, tmp_path: Path) -> Iterator[Reopen]:
        opened = []

        def again() -> Bus:
            opened.append(open_log(tmp_path / "log.sqlite").log)
            return opened[-1]

        yield again
        for log in opened:
            log.close()


class TestMemory(_Embedded):
    """A process's own memory is all there is to reopen."""

    @pytest.fixture
    def bus(self) -> Bus:
        return MemoryLog()

    @pytest.fixture
    def reopen(self, bus: Bus) -> Reopen:
        return lambda: bus
