"""Health says what is so, from what is known, and tells strangers no more than that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event as Signal
from typing import Any

import pytest

from agentflow.clock import ManualClock, to_rfc3339
from agentflow.contracts import Registry
from agentflow.errors import StorageError
from agentflow.lint import load
from agentflow.supervision import ActivityStatus
from agentflow.timers import ManualTimers
from processing.lake import Positions
from processing.lake.housekeeping import LOOK_SECONDS
from processing.runtime.periodic import RETRY_EVERY
from tests.serving.api.conftest import NOW_US, Served, order, serving

EVENT = """
kind: event
name: order.created
version: 1
status: approved
owner: shop
description: An order.
key: order_id
fields:
  order_id: {type: string, required: true, description: Its number.}
"""
METRIC = """
kind: metric
name: orders
version: 1
status: approved
owner: shop
description: Orders.
unit: orders
value: count(order.created)
examples:
  - name: one
    given: [{order.created: {order_id: "1"}}]
    then: {"": 1}
moved_by: [order.created]
windows: [1h, all]
"""


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One event and one metric: a lake of few tables is quick to make."""
    directory = tmp_path_factory.mktemp("contracts")
    for folder, name, text in (
        ("events", "order.created", EVENT),
        ("metrics", "orders", METRIC),
    ):
        (directory / folder).mkdir()
        (directory / folder / f"{name}.v1.yaml").write_text(text.lstrip())
    return load(directory)


def placed(name: str) -> dict[str, Any]:
    return {**order(name), "data": {"order_id": name}}


TASKS = 5
"""Expiry of idempotency keys, tables that were emptied, and trying again what failed: history, log,
change feed."""


@contextmanager
def standing_still(data_dir: Path, orders: Registry, keys: str = "") -> Iterator[Served]:
    """Serve a platform in whose background nothing happens until its timers are advanced."""
    timers = ManualTimers(ManualClock(NOW_US))
    with serving(data_dir, registry=orders, keys=keys, timers=timers) as served:
        until(served, lambda: timers.sleepers == TASKS)
        yield served


def part(served: Served, name: str) -> dict[str, Any]:
    found: dict[str, Any] = served.get("/v1/health").json()["components"][name]
    return found


def test_a_stranger_is_told_the_status_alone(tmp_path: Path, orders: Registry) -> None:
    """Offsets, tables and errors are nobody's business who may not read."""
    keys = "reads:acme:read,writes:acme:write,runs:ops:read+operate"
    with standing_still(tmp_path, orders, keys) as served:
        answers = {
            key: served.get("/v1/health", headers={"x-api-key": key} if key else {})
            for key in ("", "guessed", "writes", "reads", "runs")
        }
        served.platform.ready = False
        ready = [
            served.get("/v1/health/ready", headers=headers)
            for headers in ({}, {"x-api-key": "reads"})
        ]
        served.platform.ready = True

    assert {key: answer.status_code for key, answer in answers.items()} == dict.fromkeys(
        answers, 200
    )
    for key in ("", "guessed", "writes"):
        assert set(answers[key].json()) == {"status"}
    assert set(answers["reads"].json()) == {"status", "components", "lag", "token", "stream"}
    assert {"components", "lake", "lag", "token"} < set(answers["runs"].json())
    assert [answer.json()["status"] for answer in ready] == ["not_ready", "rebuilding"]


def test_it_is_not_ready_while_the_lake_is_behind_its_budget(
    tmp_path: Path, orders: Registry
) -> None:
    """Proofs and the past are missing then; who routes requests has to know."""
    with standing_still(tmp_path, orders) as served:
        served.send(placed("1"))
        served.clock.advance(timedelta(seconds=299))
        within = served.get("/v1/health/ready"), part(served, "lake")
        served.clock.advance(timedelta(seconds=2))
        beyond, behind = served.get("/v1/health/ready"), part(served, "lake")
        lag = served.get("/v1/health").json()["lag"]
        assert served.platform.parts.lake.flush(Positions(1, 0), timeout=timedelta(seconds=20))
        after = served.get("/v1/health/ready"), part(served, "lake")

    assert (within[0].status_code, within[1]["status"]) == (200, "ok")
    assert (beyond.status_code, beyond.json()["status"]) == (503, "lake_behind")
    assert (behind["status"], "its budget is 300 s" in behind["detail"]) == ("degraded", True)
    assert lag == {"seconds": 301.0, "events": 1}
    assert (after[0].status_code, after[1]["status"]) == (200, "ok")


def test_health_answers_while_the_lake_hangs(tmp_path: Path, orders: Registry) -> None:
    """A store that does not answer must not take with it what says so: it is not asked."""
    asked: list[object] = []
    with standing_still(tmp_path, orders) as served:
        lake = served.platform.parts.reader.lake
        held, lake.held = lake.held, asked.append  # type: ignore[method-assign,assignment]

        answer = served.get("/v1/health")

        lake.held = held  # type: ignore[method-assign]
    assert asked == []
    assert answer.status_code == 200
    assert "events.order_created_v1" in answer.json()["lake"]


def test_health_answers_while_every_part_hangs(tmp_path: Path, orders: Registry) -> None:
    """S3, the catalog, the disk and the control store: it waits for none, it says what it knows."""
    release, hung = Signal(), set[str]()

    def hanging(name: str) -> Callable[..., None]:
        def hang(*_: object, **__: object) -> None:
            hung.add(name)
            assert release.wait(60)
            raise StorageError(f"{name} hung")

        return hang

    with standing_still(tmp_path, orders) as served:
        parts = served.platform.parts
        timers = parts.supervisor.timers
        assert isinstance(timers, ManualTimers)
        housekeeping = parts.lake._housekeeping  # type: ignore[attr-defined]  # noqa: SLF001
        ends: list[tuple[Any, str]] = [
            (parts.log, "commit"),
            (parts.control.idempotency, "begin"),
            (parts.reader, "slices"),
            (housekeeping, "_look"),
        ]
        before = [getattr(owner, name) for owner, name in ends]
        for owner, name in ends:
            setattr(owner, name, hanging(name))

        async def run() -> list[int]:
            past = f"/v1/metrics/orders?as_of={to_rfc3339(NOW_US)}"
            keyed = {"headers": {"idempotency-key": "k"}}
            waiting = [
                asyncio.create_task(request)
                for request in (
                    served.client.post("/v1/events", json=placed("1")),
                    served.client.post("/v1/events", json=placed("2"), **keyed),
                    served.client.get(past),
                )
            ]
            timers.advance(timedelta(seconds=LOOK_SECONDS))  # the lake's thread looks, and hangs
            async with asyncio.timeout(30):
                while len(hung) < len(ends):  # noqa: ASYNC110 - threads make it true
                    await asyncio.sleep(0.005)
                urls = ("/v1/health", "/v1/health/ready", "/metrics")
                answers = [await served.client.get(url) for url in urls]
            assert not any(each.done() for each in waiting)
            release.set()
            await asyncio.gather(*waiting)
            return [answer.status_code for answer in answers]

        found = served.run(run())
        for (owner, name), was in zip(ends, before, strict=True):
            setattr(owner, name, was)

    assert found == [200, 200, 200]


def test_a_metric_that_is_stale_is_a_part_that_is_not_well(
    tmp_path: Path, orders: Registry
) -> None:
    """Health that says ok beside numbers that say stale sends people to the wrong place."""
    with standing_still(tmp_path, orders) as served:
        intake = served.platform.intake
        requests = intake._requests  # type: ignore[attr-defined]  # noqa: SLF001 - one that hangs
        requests._waiting[-1] = served.clock.now_us()  # noqa: SLF001
        served.clock.advance(timedelta(minutes=10))

        found = part(served, "live")
        del requests._waiting[-1]  # noqa: SLF001
        after = part(served, "live")

    assert found["status"] == "degraded"
    assert found["detail"] == "1 of 1 metric stale: orders"
    assert after["status"] == "ok"


def test_a_question_of_the_past_that_failed_is_shown_until_one_succeeds(
    tmp_path: Path, orders: Registry
) -> None:
    """`as_of` that answers 503 and a history that is ok cannot both be true."""
    past = f"/v1/metrics/orders?window=all&as_of={to_rfc3339(NOW_US)}"
    with standing_still(tmp_path, orders) as served:
        served.send(placed("1"))
        reader = served.platform.parts.reader
        slices = reader.slices

        def broken(*_: object, **__: object) -> object:
            raise StorageError("S3 does not answer")

        reader.slices = broken  # type: ignore[method-assign,assignment]
        failed, found = served.get(past), part(served, "history")
        reader.slices = slices  # type: ignore[method-assign]
        answered = served.get(past)
        served.clock.advance(timedelta(seconds=10))
        after = part(served, "history")

    assert failed.status_code == 503
    assert (found["status"], "S3 does not answer" in found["detail"]) == ("failing", True)
    assert answered.status_code == 200
    assert after["status"] == "ok"


@pytest.mark.parametrize("known", [True, False])
def test_a_question_of_the_past_that_failed_is_asked_again_by_itself(
    tmp_path: Path,
    orders: Registry,
    known: bool,  # noqa: FBT001 - a case
) -> None:
    """Nobody has to ask about the past for health to say that a fault is over."""
    with standing_still(tmp_path, orders) as served:
        reader = served.platform.parts.reader
        timers = served.platform.parts.supervisor.timers
        assert isinstance(timers, ManualTimers)
        slices = reader.slices

        def broken(*_: object, **__: object) -> object:
            raise StorageError("S3 does not answer")

        reader.slices = broken  # type: ignore[method-assign,assignment]
        assert served.get(f"/v1/metrics/orders?as_of={to_rfc3339(NOW_US)}").status_code == 503
        if not known:  # it was asked of a history that is not there any more
            served.platform.history._again = None  # noqa: SLF001
        failures = status_of(served, "history").failures
        timers.advance(RETRY_EVERY)
        until(served, lambda: status_of(served, "history").failures > failures)
        still = part(served, "history")
        until(served, lambda: timers.sleepers == TASKS)
        reader.slices = slices  # type: ignore[method-assign]
        timers.advance(RETRY_EVERY)
        until(served, lambda: status_of(served, "history").state != "failing")
        served.clock.advance(timedelta(seconds=10))
        after = part(served, "history")

    assert still["status"] == "failing"
    assert after["status"] == "ok"


def test_a_log_that_could_not_be_written_is_tried_again_by_itself(
    tmp_path: Path, orders: Registry
) -> None:
    """No event has to come for health to say that the fault is over."""
    with standing_still(tmp_path, orders) as served:
        log = served.platform.parts.log
        timers = served.platform.parts.supervisor.timers
        assert isinstance(timers, ManualTimers)
        writes = log.commit, log.store_position

        def broken(*_: object) -> None:
            raise StorageError("the disk does not answer")

        log.commit = log.store_position = broken  # type: ignore[method-assign,assignment]
        refused, found = served.post("/v1/events", json=placed("1")), part(served, "log")
        failures = status_of(served, "log-writer").failures
        timers.advance(RETRY_EVERY)
        until(served, lambda: status_of(served, "log-writer").failures > failures)
        still = part(served, "log")
        until(served, lambda: timers.sleepers == TASKS)
        log.commit, log.store_position = writes  # type: ignore[method-assign]
        timers.advance(RETRY_EVERY)
        until(served, lambda: status_of(served, "log-writer").state != "failing")
        served.clock.advance(timedelta(seconds=10))
        after = part(served, "log")

    assert refused.status_code == 503
    assert "log-writer fails since" in found["detail"]
    assert (still["status"], after["status"]) == ("degraded", "ok")


def test_who_failed_to_follow_a_change_is_told_again_by_itself(
    tmp_path: Path, orders: Registry
) -> None:
    """A subscriber that follows again is not shown as one that fails until the next event."""
    broken = True

    def subscriber(_: object) -> None:
        if broken:
            raise ValueError("cannot follow")

    with standing_still(tmp_path, orders) as served:
        timers = served.platform.parts.supervisor.timers
        assert isinstance(timers, ManualTimers)
        served.platform.changes.subscribe(subscriber)
        sent, found = served.post("/v1/events", json=placed("1")), part(served, "live")
        timers.advance(RETRY_EVERY)
        until(served, lambda: status_of(served, "change-feed").failures == 2)
        still = part(served, "live")
        until(served, lambda: timers.sleepers == TASKS)
        broken = False
        timers.advance(RETRY_EVERY)
        until(served, lambda: status_of(served, "change-feed").state != "failing")
        served.clock.advance(timedelta(seconds=10))
        after = part(served, "live")
        counted = served.get("/v1/metrics/orders?window=all").json()["value"]

    assert sent.status_code == 200
    assert "change-feed fails since" in found["detail"]
    assert (still["status"], after["status"]) == ("degraded", "ok")
    assert counted == 1


def status_of(served: Served, name: str) -> ActivityStatus:
    statuses = served.platform.parts.supervisor.statuses()
    return next(each for each in statuses if each.name == name)


def until(served: Served, condition: Callable[[], bool]) -> None:
    """Let the loop run until *condition* holds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        served.run(asyncio.sleep(0.005))


def test_a_control_store_that_fails_is_shown_until_it_works(
    tmp_path: Path, orders: Registry
) -> None:
    """Idempotency that cannot be promised is not ok."""
    with standing_still(tmp_path, orders) as served:
        connection = served.platform.parts.control.database.file  # type: ignore[attr-defined]
        connection.execute("ALTER TABLE idempotency RENAME TO gone")
        failed = served.post("/v1/events", json=placed("1"), headers={"idempotency-key": "k"})
        found = part(served, "control")
        connection.execute("ALTER TABLE gone RENAME TO idempotency")
        worked = served.post("/v1/events", json=placed("1"), headers={"idempotency-key": "k"})
        served.clock.advance(timedelta(seconds=10))
        after = part(served, "control")

    assert failed.status_code >= 500
    assert (found["status"], "last call failed" in found["detail"]) == ("failing", True)
    assert worked.status_code == 200
    assert after["status"] == "ok"


def test_prometheus_counts_what_fails_in_the_background(tmp_path: Path, orders: Registry) -> None:
    """An alert needs a number that only grows."""
    with standing_still(tmp_path, orders) as served:
        supervisor = served.platform.parts.supervisor
        supervisor.activity("lake-maintenance", "lake").failed(ValueError("no such field"))

        text = served.get("/metrics").text
        found = part(served, "lake")

    assert 'agentflow_processing_background_failures_total{activity="lake-maintenance"} 1.0' in text
    assert "agentflow_processing_background_failing 1.0" in text
    assert found["status"] == "degraded"
    assert (
        "lake-maintenance fails since 2026-09-21T14:13:20.000000Z: ValueError: no"
        in (found["detail"])
    )
