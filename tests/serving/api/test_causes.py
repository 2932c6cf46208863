"""Causes and ages belong to the number that was asked for; a quiet source is a field of its own."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentflow.clock import to_rfc3339
from agentflow.metrics.rolling import CAUSES_KEPT
from processing.live.snapshot import SNAPSHOT_FILE
from serving.read.causes import CAUSES_SHOWN
from tests.serving.api.conftest import NOW_US, Served, order, serving

REVENUE = "/v1/metrics/revenue"
DAY_US = 86_400_000_000


def updated(name: str, order_id: str, **data: Any) -> dict[str, Any]:
    content = {"order_id": order_id, **data}
    return {"id": name, "type": "order.updated", "source": "/s", "data": content}


def causes(served: Served, query: str) -> list[Any]:
    answer = served.get(REVENUE + query).json()
    return [(each["event_id"], each["moved"], each["unit"]) for each in answer["causes"]]


def test_causes_are_of_the_cell_that_was_asked_for(served: Served) -> None:
    """Dollars are not moved by euros."""
    served.send(order("E"), order("D", currency="USD", amount="3.00"), order("F", country="FR"))

    assert causes(served, "?currency=USD") == [("D", "3.00", "USD")]
    assert causes(served, "?currency=EUR&country=FR") == [("F", "10.00", "EUR")]
    assert causes(served, "?currency=EUR&channel=") == [
        ("F", "10.00", "EUR"),
        ("E", "10.00", "EUR"),
    ]
    assert causes(served, "?currency=GBP") == []
    assert causes(served, "") == [
        ("F", "10.00", "EUR"), ("D", "3.00", "USD"), ("E", "10.00", "EUR"),
    ]  # fmt: skip


def test_causes_are_of_the_window_that_was_asked_for(served: Served) -> None:
    """An event of yesterday, however late it came, moved no number of the last hour."""
    served.send(order("A"), {**order("B"), "time": to_rfc3339(NOW_US - DAY_US)})

    assert causes(served, "?currency=EUR&window=1h") == [("A", "10.00", "EUR")]
    assert len(causes(served, "?currency=EUR&window=7d")) == 2

    served.clock.advance(timedelta(hours=2))
    answer = served.get(f"{REVENUE}?currency=EUR&window=1h").json()
    assert (answer["causes"], answer["age_ms"]) == ([], None)
    assert answer["source_idle_ms"] == 2 * 3_600_000


def test_an_age_is_that_of_the_number(served: Served) -> None:
    """Euros that flow do not make dollars young, and the source is not quiet either."""
    served.send(order("D", currency="USD"))
    served.clock.advance(timedelta(seconds=5))
    served.send(order("E"))
    served.clock.advance(timedelta(seconds=2))

    ages = {
        currency: served.get(f"{REVENUE}?currency={currency}").json()
        for currency in ("USD", "EUR", "GBP")
    }

    assert [each["age_ms"] for each in ages.values()] == [7_000, 2_000, None]
    assert {each["source_idle_ms"] for each in ages.values()} == {2_000}


def test_what_moved_from_one_cell_to_another_says_what_it_did_to_each(served: Served) -> None:
    """A correction of the currency takes from one and gives to the other; no sum of both exists."""
    served.send(order("A"), updated("x", "A", amount="4.00", currency="USD"))

    assert causes(served, "?currency=EUR")[0] == ("x", "-10.00", "EUR")
    assert causes(served, "?currency=USD") == [("x", "4.00", "USD")]
    assert causes(served, "")[0] == ("x", None, None)


@pytest.mark.parametrize("name", ["A", "a/b c", "ü?&=#%", "..x", "a%2Fb"])
def test_the_link_of_a_cause_works_as_it_stands(served: Served, name: str) -> None:
    """Whatever is in an id or a source."""
    event = {**order("A"), "id": name, "source": "urn:shop/ü?a=b&c"}
    served.send(event)

    (cause,) = served.get(f"{REVENUE}?currency=EUR").json()["causes"]
    lineage = served.get(cause["lineage"]).json()

    assert (cause["event_id"], cause["source"]) == (name, event["source"])
    assert (lineage["event_id"], lineage["source"]) == (name, event["source"])
    assert {hop["hop"] for hop in lineage["hops"]} >= {"validated", "live"}


def test_a_busy_cell_does_not_drive_out_the_causes_of_a_calm_one(served: Served) -> None:
    """For as long as the metric remembers; after that the age is unknown, and not another's."""
    served.send(order("D", currency="USD"))
    served.send(*(order(f"E{number}") for number in range(CAUSES_KEPT - 1)))
    known = served.get(f"{REVENUE}?currency=USD").json()
    served.send(order("one too many"))
    forgotten = served.get(f"{REVENUE}?currency=USD").json()

    assert [each["event_id"] for each in known["causes"]] == ["D"]
    assert (forgotten["value"], forgotten["causes"], forgotten["age_ms"]) == ("10.00", [], None)
    assert len(served.get(f"{REVENUE}?currency=EUR").json()["causes"]) == CAUSES_SHOWN


def test_a_quiet_source_is_seen_by_everybody(served: Served) -> None:
    """Another type does not wake it; an event that the metric's own filter leaves out does."""
    idle: dict[str, Any] = {}
    assert served.get(REVENUE).json()["source_idle_ms"] is None
    served.send(order("A"))
    served.clock.advance(timedelta(minutes=3))
    served.send({"id": "v", "type": "page.viewed", "source": "/x",
                 "data": {"session_id": "S", "page": "/"}})  # fmt: skip
    item = {"metric": "revenue"}
    idle["get"] = served.get(REVENUE).json()["source_idle_ms"]
    idle["batch"] = served.post("/v1/batch", json={"items": [item]}).json()["answers"][0][
        "source_idle_ms"
    ]
    idle["explain"] = served.get(f"{REVENUE}?explain=full").json()["source_idle_ms"]

    assert set(idle.values()) == {180_000}
    assert served.get(REVENUE).json()["status"] == "fresh"


@pytest.mark.parametrize("snapshot", [True, False])
def test_a_restart_does_not_make_a_quiet_source_young(tmp_path: Path, snapshot: bool) -> None:  # noqa: FBT001
    """Neither by the snapshot nor by the log."""
    with serving(tmp_path) as before:
        before.send(order("A"))
    if not snapshot:
        (tmp_path / SNAPSHOT_FILE).unlink()
    with serving(tmp_path) as after:
        after.clock.advance(timedelta(hours=1))
        answer = after.get(f"{REVENUE}?currency=EUR&window=all").json()

    assert (answer["source_idle_ms"], answer["age_ms"]) == (3_600_000, 3_600_000)
    assert [each["event_id"] for each in answer["causes"]] == ["A"]
