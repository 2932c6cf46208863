"""Numbers at the edge of what a recompute holds: exact, or refused by the name of their metric."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from agentflow.contracts import EventContract, MetricContract, Registry
from agentflow.errors import ValueTooLargeError
from agentflow.metrics.plan import plan_metric
from agentflow.metrics.sql import QuerySpec
from quality import Gate
from tests.processing.history.test_history import World

GREATEST, LEAST = 2**63 - 1, -(2**63)
COMMON = {"status": "approved", "owner": "tests", "description": "For tests."}
EVENT = EventContract.model_validate(
    {
        **COMMON,
        "kind": "event",
        "name": "measured",
        "fields": {
            "i": {"type": "integer", "required": True},
            "d": {"type": "decimal", "scale": 4, "required": True},
        },
    }
)


def metric(value: str) -> MetricContract:
    return MetricContract.model_validate(
        {
            **COMMON,
            "kind": "metric",
            "name": "wide",
            "unit": "things",
            "value": value,
            "moved_by": ["measured@1"],
            "windows": ["all"],
        }
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    registry = Registry.of([EVENT])
    world = World(tmp_path / "lake", registry, Gate(registry))
    yield world
    world.history.close()
    world.lake.close()


def send(world: World, *values: tuple[int, str]) -> None:
    documents = [
        {
            "id": str(number),
            "source": "/test",
            "type": "measured",
            "time": "2026-01-01T10:00:00Z",
            "data": {"i": whole, "d": decimal},
        }
        for number, (whole, decimal) in enumerate(values)
    ]
    world.publish(*documents)
    world.flush()


def answer(world: World, value: str) -> object:
    plan = plan_metric(metric(value), events=world.registry.events)
    (row,) = world.history.answer(plan, QuerySpec(tenant="acme"))
    return row.value


def test_a_sum_beyond_128_bits_is_exact(world: World) -> None:
    """Two squares of 64-bit extremes have 39 digits."""
    send(world, (GREATEST, "0.0001"), (LEAST, "-0.0003"), (LEAST, "-0.0003"))

    assert answer(world, "sum(measured.i * measured.i)") == GREATEST**2 + 2 * LEAST**2
    found = answer(world, "sum(measured.d * measured.i)")
    assert found == Decimal(GREATEST - 6 * LEAST).scaleb(-4)


def test_a_value_beyond_38_digits_is_refused_by_the_name_of_its_metric(world: World) -> None:
    """It is never rounded, and what cannot be computed does not stop anybody else."""
    send(world, (GREATEST, "999999999999999999.9999"))

    with pytest.raises(ValueTooLargeError, match='metric "wide" cannot be computed again') as error:
        answer(world, "sum(measured.i * measured.d)")

    assert error.value.hint
    assert answer(world, "sum(measured.i)") == GREATEST
