"""A dimension with very many values keeps nobody else waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from agentflow.contracts import Registry
from agentflow.lint import load
from agentflow.metrics import MetricPlan
from agentflow.metrics.sql import QuerySpec
from processing.history import History, MetricRow
from processing.runtime import slices
from tests.processing.follow.conftest import EVENT, METRIC
from tests.serving.api.conftest import Served, serving

GROUPS = 6_000
THINGS = "/v1/metrics/things?window=all"


def contracts(directory: Path) -> Registry:
    metric = METRIC.replace("[shelf]", "[shelf, amount]").replace("[all]", "[5m, all]")
    for folder, name, text in (("events", "thing.counted", EVENT), ("metrics", "things", metric)):
        (directory / folder).mkdir()
        (directory / folder / f"{name}.v1.yaml").write_text(text.lstrip())
    return load(directory)


def thing(number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"t{number}",
        "source": "/t",
        "type": "thing.counted",
        "data": {"shelf": f"shelf {number % GROUPS:06}", "amount": 1},
    }


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Things on as many shelves."""
    registry = contracts(tmp_path_factory.mktemp("contracts"))
    with serving(tmp_path_factory.mktemp("shelves"), registry=registry) as found:
        for start in range(0, GROUPS, 1_000):
            found.send(*map(thing, range(start, start + 1_000)))
        yield found


def turns(served: Served, url: str) -> int:
    """Return how often others had their turn on the loop during a request."""
    taken = 0

    async def others() -> None:
        nonlocal taken
        while True:
            await asyncio.sleep(0)
            taken += 1

    async def run() -> None:
        task = asyncio.create_task(others())
        response = await served.client.get(url)
        task.cancel()
        assert response.status_code == 200

    served.run(run())
    return taken


@pytest.mark.usefixtures("steps")  # not the machine's clock: a quick one needs fewer slices
@pytest.mark.parametrize("query", ["by=shelf", "by=amount,shelf&limit=2000", "amount=1"])
def test_others_have_their_turn_while_many_cells_are_read(shelves: Served, query: str) -> None:
    """The loop was held for as long as it took; now for some milliseconds at a time."""
    shelves.get(THINGS)  # what came before is folded in
    shelves.send(thing(GROUPS))  # else the answer is ready

    few, many = turns(shelves, THINGS), turns(shelves, f"{THINGS}&{query}")

    assert many > few + 2


def test_the_answers_of_many_groups_are_of_one_instant(shelves: Served) -> None:
    """Events that come while groups are read are in all parts of the next answer."""

    async def run() -> list[dict[str, Any]]:
        async def moving() -> None:
            for number in range(4):
                event = thing(GROUPS * (number + 2))
                await shelves.client.post("/v1/events", json=[event])

        reads = [shelves.client.get(f"{THINGS}&by=shelf&limit=10000") for _ in range(2)]
        *found, _ = await asyncio.gather(*reads, moving())
        return [each.json() for each in found]

    for answer in shelves.run(run()):
        values = [group["value"] for group in answer["groups"]]
        assert sum(values) == answer["value"] == answer["events"]


class Steps:
    """A clock by which every step of sliced work takes a millisecond; counts them."""

    def __init__(self) -> None:
        self.taken = 0

    def __call__(self) -> float:
        self.taken += 1
        return self.taken / 1_000


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    found = Steps()
    monkeypatch.setattr(slices, "perf_counter", found)
    return found


@pytest.mark.parametrize(
    ("url", "cells"),
    [
        ("/v1/verify", 2 * GROUPS),  # of two windows
        (f"{THINGS}&explain=full&by=shelf,amount&limit=100", GROUPS),
        (f"{THINGS}&explain=full&by=shelf&limit=100", 2 * GROUPS),  # the groups, and the proof
        (f"{THINGS}&explain=full&amount=1", 2 * GROUPS),
    ],
)
def test_a_proof_looks_at_cells_in_slices(
    shelves: Served, steps: Steps, url: str, cells: int
) -> None:
    """Whatever walks all cells at once takes no steps."""
    answer = shelves.get(url)

    assert answer.status_code == 200
    assert steps.taken >= cells


class Held:
    """A row of a recompute that is there for as long as somebody holds it."""

    def __init__(self, row: MetricRow) -> None:
        self.dimensions, self.value, self.events = row.dimensions, row.value, row.events


@dataclass
class Watched:
    """A history that knows how many of its rows were held at a time.

    Attributes:
        rows_given: How many there were.
        most: The most that were held when another one was asked for.
    """

    history: History
    rows_given: int = 0
    most: int = 0

    def rows(self, plan: MetricPlan, question: QuerySpec, *, tail: bool) -> Iterator[Any]:
        held: WeakSet[Held] = WeakSet()
        for row in self.history.rows(plan, question, tail=tail):
            self.most = max(self.most, len(held))
            self.rows_given += 1
            given = Held(row)
            held.add(given)
            yield given


def test_a_proof_holds_one_row_of_the_recompute_at_a_time(shelves: Served) -> None:
    """100,000 groups once took 2 GB: all rows were there before the first was compared."""
    parts = shelves.platform.parts
    watched = Watched(parts.history)
    shelves.platform.parts = replace(parts, history=watched)  # type: ignore[arg-type]

    answer = shelves.get("/v1/verify").json()
    shelves.platform.parts = parts

    assert answer["verified"] is True
    assert watched.rows_given >= 2 * GROUPS  # of two windows
    assert watched.most <= 2  # the one that is compared, and the one before it


def test_a_bucket_of_very_many_cells_leaves_a_window_in_slices(
    shelves: Served, steps: Steps
) -> None:
    """Every cell is copied for the window that differs from now on, and taken out of it."""
    held = shelves.get("/v1/metrics/things?window=5m").json()["events"]
    shelves.clock.advance(timedelta(minutes=6))
    before = steps.taken

    answer = shelves.get("/v1/metrics/things?window=5m").json()

    assert held >= GROUPS
    assert (answer["value"], answer["events"]) == (0, 0)
    assert steps.taken - before >= 2 * GROUPS
    assert shelves.get(THINGS).json()["events"] == held


def test_a_dry_run_waits_for_windows_in_slices(shelves: Served, steps: Steps) -> None:
    """It reads the cell that the event would move, and no other."""
    shelves.get(THINGS)
    shelves.send(*(thing(GROUPS * 8 + number) for number in range(600)))
    before = steps.taken

    answer = shelves.post("/v1/dry-run", json=thing(GROUPS * 9))

    assert answer.status_code == 200
    assert 600 <= steps.taken - before < GROUPS
