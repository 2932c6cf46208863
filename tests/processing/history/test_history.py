"""Answers from the lake, from the log's tail and from both are the same answers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread

import pytest

from agentflow.contracts import Registry
from agentflow.errors import StorageError, UnavailableError, ValueTooLargeError
from agentflow.lint import load
from agentflow.metrics.plan import MetricPlan, plan_metric
from agentflow.metrics.sql import QuerySpec
from agentflow.supervision import Supervisor
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.history import DeadLetterCount, History, MetricRow
from processing.history.engine import QuestionError
from processing.lake import Lake, LakeReader, LakeWriter, Positions, compact, open_lake
from processing.lake.commit import OffsetRange, append
from processing.lake.rows import StoredEvent, rows_of
from quality import Gate
from tests.fakes.memory_log import MemoryLog
from tests.processing.lake.conftest import NOW_US, batch_of, cancelled, order

HOUR_US = 3_600_000_000
EVERYTHING = QuerySpec(tenant="acme", by=("currency",))


class World:
    """A log, a lake and history over both."""

    def __init__(self, directory: Path, registry: Registry, gate: Gate) -> None:
        self.registry = registry
        self.gate = gate
        self.log = MemoryLog()
        self.lake: Lake = open_lake(directory, registry)
        self.writer = LakeWriter(self.lake, self.log, gate)
        self.history = History(LakeReader(self.lake, gate), self.log, gate=gate, registry=registry)

    def publish(self, *documents: dict[str, object], tenant: str = "acme") -> None:
        self.log.commit(batch_of(self.gate, documents, tenant=tenant))

    def flush(self) -> None:
        self.writer.write_up_to(Positions(self.log.end(VALIDATED), self.log.end(DEAD_LETTERS)))

    def plan(self, name: str, version: int | None = None) -> MetricPlan:
        return plan_metric(self.registry.metric(name, version), events=self.registry.events)

    def revenue(self, question: QuerySpec = EVERYTHING, *, tail: bool = True) -> list[MetricRow]:
        return self.history.answer(self.plan("revenue", 2), question, tail=tail)

    def euros(self, *, tail: bool = True) -> Decimal | None:
        rows = self.revenue(tail=tail)
        return rows[0].value if rows else None  # type: ignore[return-value]


@pytest.fixture(scope="module")
def shop() -> Registry:
    return load("contracts")


@pytest.fixture(scope="module")
def judge(shop: Registry) -> Gate:
    return Gate(shop)


@pytest.fixture
def world(tmp_path: Path, shop: Registry, judge: Gate) -> Iterator[World]:
    world = World(tmp_path / "lake", shop, judge)
    yield world
    world.history.close()
    world.lake.close()


def at(document: dict[str, object], when: str) -> dict[str, object]:
    return {**document, "time": when}


def test_nothing_is_an_answer_before_the_first_event(world: World) -> None:
    """A new contract has no files and no rows, but its columns and types are known."""
    [row] = world.revenue(QuerySpec(tenant="acme"))

    assert (row.value, row.events) == (Decimal("0.00"), 0)
    assert world.revenue() == []


def test_what_the_lake_lacks_is_read_from_the_log(world: World) -> None:
    """A series that ended ten seconds ago would contradict the live number beside it."""
    world.publish(order(1), order(2))
    world.flush()
    world.publish(order(3))

    assert world.euros() == Decimal("30.00")
    assert world.euros(tail=False) == Decimal("20.00")


@pytest.mark.parametrize("seed", range(3))
def test_every_metric_is_the_same_wherever_its_events_lie(world: World, seed: int) -> None:
    """Flushing moves events from the tail to files; no number may notice, nor its type."""
    chance = random.Random(seed)
    plans = [plan_metric(each, events=world.registry.events) for each in shown(world.registry)]

    def answers() -> list[list[MetricRow]]:
        return [
            world.history.answer(plan, replace(EVERYTHING, by=plan.dimensions, grain_us=HOUR_US))
            for plan in plans
        ]

    world.publish(*[randomly(chance, number) for number in range(60)])
    world.flush()
    world.publish(*[randomly(chance, number) for number in range(30, 90)])

    mixed = answers()
    world.flush()
    filed = answers()

    assert filed == mixed
    assert [[type(row.value) for row in rows] for rows in filed] == [
        [type(row.value) for row in rows] for rows in mixed
    ]
    assert sum(map(len, filed)) > 20


def shown(registry: Registry) -> list:  # type: ignore[type-arg]
    names = ("revenue", "order_count", "avg_order_value", "cancellation_rate", "distinct_buyers")
    return [registry.metric(name) for name in (*names, "largest_order", "units_sold")]


def randomly(chance: random.Random, number: int) -> dict[str, object]:
    when = f"2026-01-01T{chance.randrange(12):02}:{chance.randrange(60):02}:00Z"
    if chance.random() < 0.25:
        return at(cancelled(chance.randrange(90)), when) | {"id": f"c{number}{chance.random()}"}
    changes = {
        "amount": f"{chance.randrange(1, 90_000) / 100:.2f}",
        "currency": chance.choice(["EUR", "USD"]),
        "user_id": chance.choice(["ann", "bob", "eve"]),
        "quantity": chance.randrange(1, 9),
    }
    return at(order(number, **changes), when)


def test_a_cancellation_counts_in_the_window_of_its_order(world: World) -> None:
    """Files are pruned by time, but what takes an order back may have come days later."""
    world.publish(at(order(1), "2025-12-20T10:00:00Z"), at(order(2), "2025-12-20T11:00:00Z"))
    world.flush()
    world.publish(at(cancelled(1), "2025-12-29T10:00:00Z"))
    world.flush()
    start_us = NOW_US - 13 * 24 * HOUR_US  # 2025-12-19T12:00:00Z
    question = replace(EVERYTHING, start_us=start_us, end_us=start_us + 24 * HOUR_US)

    assert [(row.value, row.events) for row in world.revenue(question)] == [(Decimal("10.00"), 1)]


def test_a_batch_under_way_is_counted_once(world: World) -> None:
    """While a batch is written, some tables hold events that others leave to the tail."""
    world.publish(order(1))
    world.flush()
    world.publish(cancelled(1), order(2), order(3))
    created = world.registry.event("order.created").ref
    stored = [
        StoredEvent(record.offset, world.gate.decode(created, record.value))
        for record in world.log.read(VALIDATED, start=2, limit=2)
    ]
    before = world.euros()

    rows = rows_of(world.lake.layouts[created], stored)
    append(
        world.lake, world.lake.name(created), rows, OffsetRange(VALIDATED, 1, 4, world.log.log_id)
    )

    assert world.euros() == before == Decimal("20.00")
    world.flush()
    assert world.euros() == Decimal("20.00")


def test_a_merge_of_files_changes_no_answer(world: World) -> None:
    """Views are kept between queries: one must not go on reading files that were merged away."""
    for number in range(9):
        world.publish(order(number))
        world.flush()
    before = world.revenue()

    compact(world.lake, world.lake.name(world.registry.event("order.created").ref))

    assert world.revenue() == before


def test_what_was_known_then_can_be_asked_again(world: World) -> None:
    """`as_of` and verification cut by arrival and by offset, in files and in the tail alike."""
    world.publish(order(1), order(2))
    world.flush()
    world.publish(order(3), order(4))

    [cut] = world.revenue(replace(EVERYTHING, up_to_offset=3))

    assert cut.value == Decimal("30.00")
    assert world.revenue(replace(EVERYTHING, ingested_before_us=NOW_US - 1)) == []


def test_tenants_do_not_see_each_other(world: World) -> None:
    """The same id and order number at two customers are two orders."""
    world.publish(order(1), tenant="acme")
    world.publish(order(1), cancelled(1), tenant="rival")
    world.flush()

    assert world.euros() == Decimal("10.00")


def test_many_threads_ask_while_the_lake_is_written(world: World) -> None:
    """Sessions are lent to one query at a time; the tail is shared and cut for each."""
    seen: list[Decimal] = []
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            seen.extend(world.euros() or Decimal(0) for _ in range(15))
        except BaseException as error:  # noqa: BLE001 - a thread must report what it died of
            failures.append(error)

    world.publish(order(0))
    threads = [Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 12):
        world.publish(order(number))
        if number % 2:
            world.flush()
    for thread in threads:
        thread.join()

    assert failures == []
    assert set(seen) <= {Decimal(10 * number).quantize(Decimal("0.01")) for number in range(1, 13)}
    assert world.euros() == Decimal("120.00")


def test_a_query_is_stopped_at_its_deadline(world: World) -> None:
    """One endless question must not hold a thread of the pool for ever; the next one works."""
    endless = "SELECT SUM(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b"
    world.publish(order(1))

    with (
        pytest.raises(UnavailableError, match="was stopped"),
        world.history._engine.session() as session,  # noqa: SLF001 - no metric runs this long
    ):
        session.rows(endless, {}, deadline=timedelta(milliseconds=50))

    assert world.euros() == Decimal("10.00")


def test_a_question_that_fails_for_its_own_reason_says_nothing_of_the_history(
    world: World,
) -> None:
    """Else one greedy question makes health say that the lake cannot be read."""
    greedy = "SELECT count(*) FROM (SELECT DISTINCT range FROM range(5000000))"
    supervisor = Supervisor()
    history = History(
        LakeReader(world.lake, world.gate),
        world.log,
        gate=world.gate,
        registry=world.registry,
        activity=supervisor.activity("history", "history"),
        memory_limit_mib=8,
    )
    asked = (greedy, "SELECT * FROM nothing", "SELECT make_timestamp(9223372036854775807)")
    world.publish(order(1))
    world.flush()

    for text in asked:
        with (
            pytest.raises((QuestionError, ValueTooLargeError)),
            history._noted(lambda: None),  # noqa: SLF001 - as every question is
            history._engine.session() as session,  # noqa: SLF001 - no metric asks for so much
        ):
            session.rows(text, {}, deadline=timedelta(seconds=20))
    after_questions = [each.state for each in supervisor.statuses()]
    for file in world.lake.directory.rglob("*.parquet"):
        file.write_bytes(b"PAR1 and no more")
    with pytest.raises((StorageError, UnavailableError)):
        history.answer(world.plan("revenue", 2), EVERYTHING)

    assert after_questions == ["well"]
    assert [each.state for each in supervisor.statuses()] == ["failing"]


def test_a_missing_file_is_a_storage_error(world: World) -> None:
    """The lake may be damaged; nobody must get a number that leaves events out in silence."""
    world.publish(order(1))
    world.flush()
    for file in world.lake.directory.rglob("*.parquet"):
        file.unlink()

    with pytest.raises(StorageError):
        world.euros()


def test_the_engine_reads_the_lake_and_nothing_else(world: World, tmp_path: Path) -> None:
    """Should a name ever slip into the text of a query, there is nothing for it to reach."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")

    with (
        pytest.raises(UnavailableError, match="disabled"),
        world.history._engine.session() as session,  # noqa: SLF001 - the wall itself
    ):
        session.rows(f"SELECT * FROM '{secret}'", {}, deadline=timedelta(seconds=5))


def test_dead_letters_are_counted_by_day_reason_and_type(world: World) -> None:
    """The operator asks what was rejected and why, over weeks, not only what is in the log."""
    world.publish(order(1, amount="-1"), {"nonsense": 1})
    world.flush()
    world.publish(order(2, amount="-1"))

    found = world.history.dead_letters("acme", start_us=0, end_us=NOW_US + 1)

    day_us = NOW_US - NOW_US % (24 * HOUR_US)
    assert {(each.type, each.count) for each in found} == {("order.created", 2), (None, 1)}
    assert all(isinstance(each, DeadLetterCount) and each.day_us == day_us for each in found)
    assert world.history.dead_letters("rival", start_us=0, end_us=NOW_US + 1) == []
