"""What is refused is one dead letter, however often it is sent: a file may be replayed at will."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentflow.contracts import Registry
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.lake import Positions
from tests.serving.api.conftest import PATIENCE_SECONDS, Served, order, serving
from tests.serving.api.test_health import orders

__all__ = ["orders"]
LINES = {"content-type": "application/x-ndjson"}
ROWS = b"""\
{"id": "1", "source": "/file", "type": "order.created", "data": {"order_id": 1}}
{"type": "order.created", "data": {}}
{"id": "3", "source": "/file", "type": "order.made", "data": {"order_id": "3"}}
{"id": "4", "source": "/file"
{"type": "order.created", "data": {}}
"""


def run(served: Served) -> list[int]:
    """Send the file, and something good beside it; return its dead letters."""
    answer = served.post("/v1/events", content=ROWS, headers=LINES).json()
    return [each["dead_letter"] for each in answer["events"]]


def letters(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = served.get("/v1/deadletter").json()
    return found


def test_a_second_run_of_a_file_adds_nothing(tmp_path: Path, orders: Registry) -> None:
    """Also after a restart, and after the log was lost and put back from the lake."""
    with serving(tmp_path, registry=orders) as served:
        first, second = run(served), run(served)
        served.post(f"/v1/deadletter/{first[0]}/discard", json={"note": "a test"})
        log, lake = served.platform.parts.log, served.platform.parts.lake
        ends = Positions(log.end(VALIDATED), log.end(DEAD_LETTERS))
        assert lake.flush(ends, timeout=timedelta(seconds=PATIENCE_SECONDS))
    with serving(tmp_path, registry=orders) as served:
        third, found = run(served), letters(served)
        closed = served.get(f"/v1/deadletter/{first[0]}").json()
    for file in tmp_path.glob("log.sqlite*"):
        file.unlink()
    with serving(tmp_path, registry=orders) as served:
        fourth, restored = run(served), letters(served)

    assert first == [0, 1, 2, 3, 1]
    assert (second, third, fourth) == (first, first, first)
    assert len(found["dead_letters"]) == len(restored["dead_letters"]) == 4
    assert sum(found["counts"].values()) == sum(restored["counts"].values()) == 4
    assert closed["status"] == "discarded"


def test_a_conflict_sent_again_is_the_same_dead_letter(tmp_path: Path, orders: Registry) -> None:
    """In one request, and later."""
    event, other = order("A"), order("A", currency="USD")
    event["data"], other["data"] = {"order_id": "A"}, {"order_id": "B"}
    with serving(tmp_path, registry=orders) as served:
        together = served.send(event, other, other)
        again = served.post("/v1/events", json=other).json()

    assert [each["dead_letter"] for each in together["events"]] == [None, 0, 0]
    assert again["dead_letter"] == 0


@pytest.mark.parametrize("change", [{"id": "2"}, {"data": {"order_id": 2}}, {"source": "/else"}])
def test_what_differs_is_a_dead_letter_of_its_own(
    tmp_path: Path, orders: Registry, change: dict[str, Any]
) -> None:
    """Nothing is lost that nobody has seen."""
    event = {"id": "1", "source": "/file", "type": "order.created", "data": {"order_id": 1}}
    with serving(tmp_path, registry=orders) as served:
        answer = served.send(event, event | change)

    assert [each["dead_letter"] for each in answer["events"]] == [0, 1]
