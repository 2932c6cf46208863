"""A file is sent through a restart of the platform, and what cannot be mapped is sent once."""

from __future__ import annotations

import json

import pytest

from agentflow_cli.sending import PATIENCE_SECONDS, Sender, Transport
from agentflow_sdk import UnreachableError
from agentflow_sdk.models import EventOutcome, Receipt
from ingestion.replay import Replayed
from ingestion.replay.mapping import unmapped


class Platform:
    """A platform that is away for some seconds of a clock that only waiting moves."""

    def __init__(self, *, away_until: float = 0.0, letters: frozenset[str] = frozenset()) -> None:
        self.now = 0.0
        self.away_until = away_until
        self.letters = letters
        self.sent: list[bytes] = []
        self.told: list[str] = []

    def send(self, values: list[bytes]) -> Receipt:
        if self.now < self.away_until:
            raise UnreachableError("connection refused")
        self.sent += values
        return Receipt(token="", accepted=len(values), duplicates=0, rejected=0)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def newest(self) -> int | None:
        return None

    def since(self, number: int) -> list[int]:
        raise AssertionError(number)

    def transport(self) -> Transport:
        return Transport(
            self.send, lambda _: self.letters, self.newest, self.since,
            lambda: self.now, self.pause, self.told.append,
        )  # fmt: skip


class Refusing(Platform):
    """A platform that refuses everything, the same bytes as the same dead letter."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[bytes, int] = {}

    def send(self, values: list[bytes]) -> Receipt:
        for value in values:  # numbers say nothing: later is not greater
            self.numbers.setdefault(value, 1_000 - len(self.numbers))
        events = tuple(
            EventOutcome(index=index, id=None, type="a", status="rejected",
                         dead_letter=self.numbers[value])
            for index, value in enumerate(values)
        )  # fmt: skip
        return Receipt(token="", accepted=0, duplicates=0, rejected=len(values), events=events)

    def newest(self) -> int | None:
        return next(reversed(self.numbers.values()), None)

    def since(self, number: int) -> list[int]:
        newest_first = list(reversed(self.numbers.values()))
        return newest_first[: newest_first.index(number)]


def event(number: int) -> Replayed:
    return Replayed(number, number, b'{"type":"a","data":{}}')


def test_a_platform_that_restarts_is_waited_for() -> None:
    """And it is said."""
    platform = Platform(away_until=60.0)
    sender = Sender(platform.transport(), rate=None)

    sender.send([event(1), event(2)])

    assert sender.counts == {"accepted": 2, "duplicates": 0, "rejected": 0}
    assert len(platform.sent) == 2
    assert "trying again for 300 s" in platform.told[0]


def test_a_platform_that_stays_away_ends_it() -> None:
    """After the time that was said."""
    platform = Platform(away_until=10_000.0)
    sender = Sender(platform.transport(), rate=None)

    with pytest.raises(UnreachableError):
        sender.send([event(1)])

    assert platform.now == pytest.approx(PATIENCE_SECONDS)
    assert sender.counts.total() == 0


def test_a_row_that_waits_among_the_dead_letters_is_not_sent_again() -> None:
    """A second run adds nothing; it is still a row that is no event."""
    row = unmapped("sales", "no", {"a": "x"}, 7, source="urn:shop")
    other = unmapped("sales", "no", {"a": "y"}, 8, source="urn:shop")
    platform = Platform(letters=frozenset({json.loads(row.value)["id"]}))
    sender = Sender(platform.transport(), rate=None)

    sender.send([Replayed(0, each, row.value, row.problem) for each in (7,)])
    sender.send([Replayed(0, 8, other.value, other.problem), event(9)])

    assert [json.loads(value).get("id") for value in platform.sent] == [
        json.loads(other.value)["id"], None,
    ]  # fmt: skip
    assert (sender.counts["rejected"], sender.rejected_before) == (1, 1)


def test_a_row_has_the_id_of_its_cells_and_not_of_its_problem() -> None:
    """Another version says it in other words; the row is the same."""
    ids = [
        json.loads(unmapped("sales", problem, cells, number, source="s").value)["id"]
        for problem, cells, number in (
            ("no", {"a": "x"}, 7), ("not so", {"a": "x"}, 7), ("no", {"a": "y"}, 7),
            ("no", {"a": "x"}, 8),
        )
    ]  # fmt: skip

    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_a_rate_is_kept() -> None:
    """Events a second, in small batches."""
    platform = Platform()
    sender = Sender(platform.transport(), rate=100)

    for number in range(20):
        sender.send([event(number)] * sender.batch_size)

    assert sender.batch_size == 10
    assert platform.now == pytest.approx(1.9)


def test_what_the_gate_refused_in_an_earlier_run_is_told_apart() -> None:
    """Of a file that has grown, only the new rows are newly rejected."""
    platform = Refusing()
    rows = [Replayed(each, each, b'{"id":"%d"}' % each) for each in (1, 2, 3, 3)]

    told = []
    for batches in ([rows[:2]], [rows[:2]], [rows[:2], rows[2:]]):
        sender = Sender(platform.transport(), rate=None)
        for batch in batches:
            sender.send(batch)
        sender.settle()
        told.append((sender.counts["rejected"], sender.rejected_before))

    assert told == [(2, 0), (2, 2), (4, 2)]
