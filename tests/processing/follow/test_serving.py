"""Serving from a stream: what is counted, what is visible, and what is said of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.contracts import Registry
from agentflow.errors import (
    BacklogFullError,
    NotYetVisibleError,
    StorageFullError,
    TokenError,
    UnavailableError,
)
from ingestion.log.opening import open_log
from ingestion.log.port import DEAD_LETTERS, VALIDATED, LogSource, Record
from ingestion.log.replica import ReplicaBatch, Replicated
from processing.dead_letters.triage import Criteria, Triaged
from processing.health import components
from processing.lake import LakeWriter, Positions
from tests.fakes.stream import FakeBroker
from tests.processing.follow.conftest import NOW_US, Life, OpenLake, thing

STEP = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 12)),
    st.tuples(st.just("bad"), st.integers(0, 3)),
    st.tuples(st.just("gap"), st.integers(0, 1)),
    st.tuples(st.just("work"), st.integers(1, 9)),
    st.tuples(st.just("repeat"), st.integers(1, 6)),
    st.tuples(st.just("checkpoint"), st.just(0)),
    st.tuples(st.just("read"), st.just(0)),
    st.tuples(st.just("close"), st.just(0)),
    st.tuples(st.just("kill"), st.just(0)),
)


@pytest.fixture
def broker(registry: Registry) -> FakeBroker:
    return FakeBroker(registry)


@pytest.fixture
def life(tmp_path: Path, registry: Registry, broker: FakeBroker) -> Iterator[Life]:
    found = Life(tmp_path, registry, broker)
    yield found
    found.close()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, max_size=24), at_once=st.integers(1, 7))
def test_every_event_counts_once_whatever_happens_between(
    registry: Registry, empty_lake: OpenLake, steps: list[tuple[str, int]], at_once: int
) -> None:
    """Repetitions, restarts at any point, topics out of step, offsets that never were."""
    broker, names, bad = FakeBroker(registry), set[int](), 0
    broker.at_once = at_once
    with tempfile.TemporaryDirectory() as directory:
        life = Life(Path(directory), registry, broker, open_lake=empty_lake)
        for what, number in steps:
            match what:
                case "send":
                    names.add(number)
                    broker.append_raw(number % 2, thing(f"n{number}", number))
                case "bad":
                    bad += 1
                    broker.append_raw(number % 2, b'{"bad": %d}' % bad)
                case "gap":
                    broker.raw[number].append(None)
                case "work":
                    broker.work(number)
                case "repeat":
                    broker.repeat(number)
                case "checkpoint":
                    broker.checkpoint()
                case "read":
                    life.read()
                case "close" | "kill":
                    getattr(life, what)()
                    life = Life(Path(directory), registry, broker, open_lake=empty_lake)
        broker.work()
        life.caught_up()

        log = life.platform.parts.log
        letters, _ = life.platform.dead_letters.page("acme", Criteria(), below=None, limit=99)
        assert life.value() == sum(names)
        assert len(log.read(VALIDATED, start=0, limit=999)) == len(names)
        assert len(letters) == bad
        assert life.status() == "fresh"
        life.close()


def test_an_event_is_visible_once_its_token_is_reached(life: Life) -> None:
    """Read your events, although another process judges them."""
    results = life.send(thing("a", 2), thing("b", 3), b"not json")
    token = life.token_of(results)

    life.reach(token)

    assert [result.status for result in results] == ["accepted", "accepted", "rejected"]
    assert results[2].violations
    assert life.value() == 5
    assert life.platform.tokens.covers(token)
    assert life.platform.tokens.covers(life.platform.tokens.now())


def test_a_token_of_what_is_not_judged_yet_is_waited_for(life: Life, broker: FakeBroker) -> None:
    """The broker has it; nobody may read a number without it and think it is in."""
    broker.running = False
    token = life.token_of(life.send(thing("a", 2)))

    with pytest.raises(NotYetVisibleError):
        life.reach(token, seconds=0.05)
    assert not life.platform.tokens.covers(token)
    broker.work()
    life.reach(token)

    assert life.value() == 2


def test_tokens_hold_for_every_replica_and_after_a_restart(
    tmp_path: Path, registry: Registry, broker: FakeBroker, life: Life
) -> None:
    """Their offsets are the broker's."""
    token = life.token_of(life.send(thing("a", 2)))
    other = Life(tmp_path / "other", registry, broker)
    other.reach(token)
    assert other.value() == 2
    visible = other.platform.tokens.now()
    other.close()

    again = Life(tmp_path / "other", registry, broker)

    assert again.platform.tokens.covers(token)
    assert again.platform.tokens.covers(visible)
    again.close()
    broker.cluster_id = lambda: "another"  # type: ignore[method-assign]
    elsewhere = Life(tmp_path / "third", registry, broker)
    with pytest.raises(TokenError):
        elsewhere.reach(token)
    elsewhere.close()


def test_what_is_known_or_under_way_is_a_duplicate(life: Life, broker: FakeBroker) -> None:
    """As the embedded platform says it; and what was first accepted is named once it is known."""
    broker.running = False
    first = life.send(thing("a"), thing("a"))
    under_way = life.send(thing("a"))
    broker.running = True
    life.reach(life.token_of(life.send(thing("b"))))
    known = life.send(thing("a"))

    assert [result.status for result in first] == ["accepted", "duplicate"]
    assert [result.status for result in under_way] == ["duplicate"]
    assert [(result.status, result.offset) for result in known] == [("duplicate", 0)]
    life.caught_up()
    assert life.value() == 2
    assert life.platform.intake.counts == {"accepted": 2, "duplicate": 3, "rejected": 0}


def test_another_event_under_a_known_id_is_a_dead_letter(life: Life, broker: FakeBroker) -> None:
    """As the embedded platform says it: known, under way and within one request."""
    other = thing("a", 7)
    broker.running = False
    together = life.send(thing("a"), other)
    under_way = life.send(other)
    broker.running = True
    life.reach(life.token_of(life.send(thing("b"))))
    known = life.send(other)
    life.caught_up()

    assert [result.status for result in together] == ["accepted", "rejected"]
    assert [result.violations[0].code for result in (*under_way, *known)] == ["id_conflict"] * 2
    assert life.value() == 2
    assert life.platform.intake.counts == {"accepted": 2, "duplicate": 0, "rejected": 3}
    letters, _ = life.platform.dead_letters.page("acme", Criteria(), below=None, limit=9)
    assert [item.letter.reason for item in letters] == ["id_conflict"] * 2
    assert known[0].dead_letter in {item.offset for item in letters}


def test_another_event_after_the_time_to_live_is_told_and_counts_nothing(
    life: Life, broker: FakeBroker
) -> None:
    """The job validates it again; offsets of dead letters are the job's to give (gate-job.md)."""
    life.reach(life.token_of(life.send(thing("a"))))
    broker.job.forget()
    (told,) = life.send(thing("a", 7))
    life.caught_up()

    assert (told.status, told.violations[0].code) == ("rejected", "id_conflict")
    assert life.value() == 1
    letters, _ = life.platform.dead_letters.page("acme", Criteria(), below=None, limit=9)
    assert letters == []


def test_what_was_refused_before_is_not_sent_again(
    tmp_path: Path, registry: Registry, broker: FakeBroker
) -> None:
    """A file that is replayed, also after a restart, would leave its bad rows once more."""
    bad = [thing("a", -1), b"{", b'{"type": "nothing"}']
    life = Life(tmp_path, registry, broker)
    life.reach(life.token_of(life.send(*bad, thing("b"))))
    life.caught_up()
    known = life.send(*bad, thing("c"))
    life.close()
    life = Life(tmp_path, registry, broker)
    later = life.send(*bad, thing("b"))
    elsewhere = life.send(bad[0], tenant="umbrella")
    life.caught_up()

    assert sorted(each.dead_letter or 0 for each in known) == [0, 0, 1, 2]
    assert [each.dead_letter for each in later] == [each.dead_letter for each in known]
    assert [each.dead_letter for each in elsewhere] == [None]
    assert sum(map(len, broker.raw)) == len([*bad, "b", "c", "b", "elsewhere"])
    letters, _ = life.platform.dead_letters.page("acme", Criteria(), below=None, limit=9)
    assert len(letters) == len(bad)
    life.close()


def test_a_broker_that_goes_away_makes_answers_stale_and_loses_nothing(
    life: Life, broker: FakeBroker
) -> None:
    """It keeps answering; and says so."""
    life.reach(life.token_of(life.send(thing("a", 2))))
    life.caught_up()
    assert life.status() == "fresh"

    broker.down = True
    life.until(lambda: not life.platform.intake.stream.connected, "noticing")  # type: ignore[union-attr]
    life.clock.advance(timedelta(seconds=1))
    assert (life.value(), life.status()) == (2, "stale")
    with pytest.raises(UnavailableError):
        life.send(thing("b", 3))

    broker.append_raw(0, thing("c", 4))
    broker.work()
    broker.down = False
    life.caught_up()
    assert (life.value(), life.status()) == (6, "fresh")


def test_a_replica_serves_although_no_broker_answers_at_the_start(
    tmp_path: Path, registry: Registry, broker: FakeBroker
) -> None:
    """Stale, until one does; without a replica there is nothing to serve, and that is said."""
    broker.down = True
    with pytest.raises(UnavailableError, match="no replica"):
        Life(tmp_path, registry, broker)
    broker.down = False
    life = Life(tmp_path, registry, broker)
    token = life.token_of(life.send(thing("a", 2)))
    life.reach(token)
    life.kill()

    broker.down = True
    broker.append_raw(0, thing("b", 3))
    broker.work()
    life = Life(tmp_path, registry, broker, started_us=NOW_US + 60_000_000)

    # at once: what it holds is as old as its last record, whenever this process began
    assert (life.value(), life.status()) == (2, "stale")
    assert life.platform.tokens.covers(token)
    broker.down = False
    life.caught_up()
    assert life.value() == 5
    life.close()


def test_callers_are_asked_to_come_back_when_the_stream_is_behind(
    tmp_path: Path, registry: Registry, broker: FakeBroker
) -> None:
    """Nothing that was taken is lost, and what was not taken was not counted."""
    life = Life(tmp_path, registry, broker, backlog_events=50)
    broker.running = False
    taken = 0
    for number in range(51):
        life.send(thing(f"n{number}"))
        taken += 1
    with pytest.raises(BacklogFullError) as refused:
        life.send(thing("too many"))

    assert refused.value.retry_seconds is not None
    broker.work(40)
    life.until(lambda: life.platform.intake.stream.raw_events == 11, "draining")  # type: ignore[union-attr]
    life.send(thing("more"))
    broker.work()
    life.caught_up()
    assert life.value() == taken + 1
    life.close()


class FullReplica:
    """A replica on a disk that is full for a while."""

    def __init__(self, log: object) -> None:
        self._log = log
        self.full = False
        self.refused = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    def replicate(self, delivery: ReplicaBatch) -> Replicated:
        if self.full:
            self.refused += 1
            raise StorageFullError("the disk is full")
        stored: Replicated = self._log.replicate(delivery)  # type: ignore[attr-defined]
        return stored


def test_a_full_disk_pauses_and_goes_on_by_itself(life: Life) -> None:
    """Nothing is skipped: the position moves with what was stored."""
    follower = life.platform.intake.follower  # type: ignore[attr-defined]
    disk = follower._replica = FullReplica(follower._replica)  # noqa: SLF001 - a disk that fills
    life.reach(life.token_of(life.send(thing("a", 2))))
    disk.full = True
    token = life.token_of(life.send(thing("b", 3)))
    life.until(lambda: disk.refused > 3, "trying again")
    assert life.platform.intake.stream.paused == "the disk is full"  # type: ignore[union-attr]
    assert life.value() == 2

    disk.full = False
    life.reach(token)

    assert life.value() == 5
    assert life.platform.intake.stream.paused is None  # type: ignore[union-attr]


def test_a_record_nobody_can_read_is_passed_over_and_counted(
    life: Life, broker: FakeBroker
) -> None:
    """Somebody produced to the wrong topic: the events behind it still count."""
    broker.running = False
    token = life.token_of(life.send(thing("a", 2), thing("b", 3)))
    broker.work(1)
    for topic in (VALIDATED, DEAD_LETTERS):
        records = broker.topics[topic]
        records.append(Record(topic, 0, len(records), None, b"\xff{", {}, 0))
    broker.work()
    life.reach(token)

    life.caught_up()
    assert life.value() == 5
    assert life.platform.intake.stream.unreadable == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("tenant", ["a\0b", "\ufffd", "x" * 1_025])
def test_a_record_of_no_valid_tenant_is_listed_for_the_default_one(
    life: Life, broker: FakeBroker, tenant: str
) -> None:
    """A producer of its own wrote the header: its letters were listed for nobody."""
    broker.append_raw(0, thing("a", 2), tenant=tenant)
    broker.work()

    def listed() -> Sequence[Triaged]:
        return life.platform.dead_letters.page("default", Criteria(), below=None, limit=9)[0]

    life.until(listed, "its dead letter is listed")

    (found,) = listed()
    assert found.letter.reason == "attribute_invalid"


class Topics:
    """The topics of a broker, as the job of the lake reads them."""

    log_id = "cluster"

    def __init__(self, broker: FakeBroker) -> None:
        self._topics = broker.topics

    def end(self, topic: str) -> int:
        return len(self._topics[topic])

    def read(self, topic: str, *, start: int, limit: int) -> Sequence[Record]:
        return [each for each in self._topics[topic][start : start + limit] if each is not None]


def into_the_lake(life: Life, log: LogSource | None = None) -> Positions:
    """Do what the job of the lake does: write what was validated."""
    platform = life.platform
    log = log or platform.parts.log
    writer = LakeWriter(platform.parts.reader.lake, log, platform.definitions.gate)
    return writer.write_up_to(Positions(log.end(VALIDATED), log.end(DEAD_LETTERS)))


def test_a_lost_replica_is_made_from_the_lake_and_the_stream(
    tmp_path: Path, registry: Registry, broker: FakeBroker
) -> None:
    """What the stream has forgotten is in the lake, what the lake lacks is in the stream."""
    life = Life(tmp_path, registry, broker)
    life.reach(life.token_of(life.send(thing("a", 2), b"bad")))
    into_the_lake(life)
    token = life.token_of(life.send(thing("b", 3), thing("a", 2)))
    life.reach(token)
    life.caught_up()
    life.close()
    for file in tmp_path.glob("replica.sqlite*"):
        file.unlink()
    for records in broker.topics.values():
        records[:1] = [None]  # retention
    broker.checkpoint()

    life = Life(tmp_path, registry, broker)
    life.caught_up()

    assert life.value() == 5
    assert list(life.platform.parts.recoveries) == []
    results = life.send(thing("a", 2))
    assert results[0].status == "duplicate"
    life.reach(life.token_of(results))
    assert life.value() == 5
    letters, _ = life.platform.dead_letters.page("acme", Criteria(), below=None, limit=9)
    assert len(letters) == 1
    life.close()


def test_a_replica_the_stream_has_passed_is_made_anew(
    tmp_path: Path, registry: Registry, broker: FakeBroker
) -> None:
    """It was away for longer than topics keep records; the lake was not."""
    life = Life(tmp_path, registry, broker)
    life.reach(life.token_of(life.send(thing("a", 2))))
    life.close()
    broker.append_raw(0, thing("b", 3))
    broker.append_raw(0, thing("c", 4))
    broker.work()
    other = Life(tmp_path / "other", registry, broker)
    other.caught_up()
    other.close()
    broker.down = True
    life = Life(tmp_path, registry, broker)
    replica = open_log(tmp_path / "other" / "replica.sqlite").log
    into_the_lake(life, replica)
    replica.close()
    life.close()
    broker.down = False
    broker.topics[VALIDATED][:2] = [None, None]
    broker.checkpoint()

    life = Life(tmp_path, registry, broker)
    life.caught_up()

    assert life.value() == 9
    assert [recovery.lost for recovery in life.platform.parts.recoveries] == [False]
    life.close()


@pytest.mark.parametrize("in_lake", [True, False])
def test_what_a_stream_deleted_ahead_of_its_reader_is_taken_from_the_lake(
    tmp_path: Path, registry: Registry, broker: FakeBroker, *, in_lake: bool
) -> None:
    """It read nothing more until it was restarted; what no broker holds is named as lost."""
    life = Life(tmp_path, registry, broker)
    life.reach(life.token_of(life.send(thing("a", 2), b"bad")))
    into_the_lake(life)

    broker.down = True
    for value in (thing("b", 3), b"worse", thing("c", 4)):
        broker.append_raw(0, value)
    broker.work()
    if in_lake:
        into_the_lake(life, Topics(broker))
    for records in broker.topics.values():
        records[:2] = [None] * len(records[:2])
    broker.checkpoint()
    broker.down = False
    token = life.token_of(life.send(thing("d", 5)))
    life.reach(token)

    assert life.value() == (14 if in_lake else 11)
    assert [each.lost for each in life.platform.parts.recoveries] == [not in_lake] * 2
    health = components(life.platform.health)
    assert ("degraded" if not in_lake else "ok") == health["log"].status
    life.close()


def test_a_gap_between_lake_and_stream_is_said(
    tmp_path: Path, registry: Registry, broker: FakeBroker
) -> None:
    """Nobody has these events any more: a number without them must not look whole."""
    broker.append_raw(0, thing("a", 2))
    broker.append_raw(0, thing("b", 3))
    broker.work()
    broker.topics[VALIDATED][:1] = [None]

    life = Life(tmp_path, registry, broker)
    life.until(lambda: life.value() == 3, "reading")

    (recovery,) = life.platform.parts.recoveries
    assert recovery.lost
    assert "validated 0 to 0" in recovery.detail
    life.close()


def test_the_lake_is_waited_for_and_not_written(life: Life) -> None:
    """Another job writes it; a proof says when it does not follow."""
    life.reach(life.token_of(life.send(thing("a", 2))))
    into_the_lake(life)

    checks = life.run(life.platform.verification.verify())

    assert all(check.equal for check in checks)
    assert sum(check.numbers for check in checks) == 1


def test_it_is_not_ready_while_the_lake_of_the_job_is_behind_its_budget(life: Life) -> None:
    """Who writes the lake is another program: that it stopped is seen by its lag alone."""
    health = life.platform.health
    life.reach(life.token_of(life.send(thing("a"))))
    life.clock.advance(health.lake_budget)
    within = health.readiness(), components(health)["lake"].status
    life.clock.advance(timedelta(seconds=1))
    beyond = health.readiness(), components(health)["lake"].status

    into_the_lake(life)
    life.until(lambda: not health.lake_lag().events, "seeing the lake")
    after = health.readiness(), components(health)["lake"].status

    assert within == after == ("ready", "ok")
    assert beyond == ("lake_behind", "degraded")
