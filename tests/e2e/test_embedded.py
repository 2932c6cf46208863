"""Promises of the embedded platform that only the whole of it can keep."""

from __future__ import annotations

import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agentflow_sdk import AgentFlow
from tests.e2e.conftest import AGENTFLOW, ROOT, Up, platform_up

STRAY = "warehouse.robot_greeted"
UNNAMED = """
kind: event
name: warehouse.robot_greeted
version: 1
status: approved
owner: warehouse
description: A robot said hello; no metric reads it.
fields:
  robot: {type: string, required: true, max_length: 40}
"""
UNITS_ORDERED = """
kind: metric
name: orders_placed
version: 1
status: approved
owner: operations
description: Orders placed, counted by country.
unit: orders
value: count(order.created)
moved_by: [order.created@1, order.cancelled@1]
dimensions: [country]
windows: [1h, all]
"""

PASSING = ("age_ms", "source_idle_ms", "token")
"""Members of an answer that time changes, or chance: a token is sealed anew each time."""


def order(number: int, country: str = "DE") -> dict[str, object]:
    data = {"order_id": f"E2E-{number}", "amount": "10.00", "currency": "EUR", "country": country}
    return {"type": "order.created", "source": "urn:test:e2e", "id": str(number), "data": data}


def etags(up: Up) -> dict[str, str]:
    """Return the entity tag of every metric, over the window that time never moves."""
    metrics = up.http.get("/v1/metrics").json()["metrics"]
    return {
        f"{metric['name']}@{metric['version']}": up.http.get(
            f"/v1/metrics/{metric['name']}",
            params={"version": metric["version"], "window": metric["windows"][-1]["name"]},
        ).headers["etag"]
        for metric in metrics
    }


def test_an_event_that_no_contract_names_moves_no_entity_tag(up: Up) -> None:
    """Caches stay warm: only what moves a metric changes its tag."""
    up.http.post("/v1/events", json=order(1)).raise_for_status()
    before = etags(up)

    refused = up.http.post("/v1/events", json={"type": STRAY, "data": {"robot": "R2"}})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "event_unknown"
    assert etags(up) == before
    moved = up.http.post("/v1/events", json=order(2))
    assert moved.status_code == 200
    assert etags(up) != before


def test_an_accepted_event_that_no_metric_reads_moves_no_entity_tag(up: Up) -> None:
    """The same for an event with a contract of its own."""
    (up.contracts_dir / "events" / f"{STRAY}.v1.yaml").write_text(UNNAMED)
    up.http.post("/v1/contracts/publish").raise_for_status()
    up.http.post("/v1/events", json=order(1)).raise_for_status()
    before = etags(up)

    accepted = up.http.post("/v1/events", json={"type": STRAY, "data": {"robot": "R2"}})

    assert accepted.json()["accepted"] == 1
    assert etags(up) == before


def test_a_new_metric_is_one_yaml_file_and_nothing_else(up: Up) -> None:
    """It is backfilled from what already happened, and every surface knows it at once."""
    up.http.post("/v1/events", json=[order(1), order(2, "FR"), order(3, "FR")]).raise_for_status()
    (up.contracts_dir / "metrics" / "orders_placed.v1.yaml").write_text(UNITS_ORDERED)

    published = up.http.post("/v1/contracts/publish").json()

    assert [item["metric"] for item in published["metrics"]] == ["orders_placed"]
    answer = up.http.get("/v1/metrics/orders_placed", params={"by": "country"}).json()
    assert answer["value"] == 3
    values = {group["dimensions"]["country"]: group["value"] for group in answer["groups"]}
    assert values == {"DE": 1, "FR": 2}
    up.http.post("/v1/events", json=order(4)).raise_for_status()
    explained = up.http.get("/v1/metrics/orders_placed", params={"explain": "full"}).json()
    assert explained["value"] == 4
    assert explained["recompute"]["equal"] is True
    assert "orders_placed" in up.http.get("/llms.txt").text
    assert "orders_placed" in str(up.http.get("/v1/graph").json())


def test_numbers_and_tokens_survive_a_restart(tmp_path: Path) -> None:
    """Stopped and started on the same data, the platform says what it said before."""
    question = {"window": "all"}
    with platform_up(tmp_path / "data", ROOT / "contracts") as up:
        sent = up.http.post("/v1/events", json=[order(number) for number in range(50)]).json()
        before = up.http.get("/v1/metrics/order_count", params=question).json()

    with platform_up(tmp_path / "data", ROOT / "contracts") as up:
        question["at_least"] = sent["token"]
        after = up.http.get("/v1/metrics/order_count", params=question).json()

    assert before["value"] == 50
    assert {**after, **dict.fromkeys(PASSING)} == {**before, **dict.fromkeys(PASSING)}


def test_sessions_are_read_page_by_page_with_the_sdk(up: Up) -> None:
    """As values with types, through a real server."""
    now = datetime.now(UTC)
    for number, hours in enumerate((9, 6, 3)):
        view = {"type": "page.viewed", "source": "urn:test:e2e", "id": f"view-{number}"}
        data = {"session_id": "S", "page": f"/{hours}", "user_id": "E2E-U"}
        time = (now - timedelta(hours=hours)).isoformat()
        up.http.post("/v1/events", json={**view, "data": data, "time": time}).raise_for_status()

    with AgentFlow(up.url) as client:
        first = client.entity("visit", "E2E-U", limit=2)
        rest = client.entity("visit", "E2E-U", limit=2, sessions_cursor=first.next_sessions_cursor)
        none = client.entity("user", "E2E-U")

    assert first.sessions is not None
    assert rest.sessions is not None
    shown = (*first.sessions, *rest.sessions)
    assert [each.attributes["last_page"] for each in shown] == ["/3", "/6", "/9"]
    assert all(each.end - each.start == timedelta(minutes=30) for each in shown)
    assert not any(each.open for each in shown)
    assert (rest.next_sessions_cursor, none.sessions) == (None, None)


def test_ctrl_c_says_what_it_does_and_ends_well(tmp_path: Path) -> None:
    """A platform that takes seconds to stop looks hung when it says nothing."""
    command = [AGENTFLOW, "up", "--port", "0", "--data-dir", tmp_path / "data"]
    process = subprocess.Popen(
        [*map(str, command), "--contracts-dir", str(ROOT / "contracts")],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "http://" in process.stderr.readline()

    process.send_signal(signal.SIGINT)
    told = process.stderr.read()

    assert process.wait(timeout=60) == 0
    assert "stopping" in told
    assert f"stopped; everything is in {tmp_path / 'data'}" in told.replace("\n", "")
