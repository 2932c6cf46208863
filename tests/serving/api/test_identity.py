"""One identity, other content: refused and shown with both, never called a duplicate."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

from typing import Any

import pytest

from tests.serving.api.conftest import Served, order, serving

REVENUE = "/v1/metrics/revenue?window=all&currency=EUR"


def revenue(served: Served) -> Any:
    return served.get(REVENUE).json()["value"]


def letters(served: Served) -> Any:
    return served.get("/v1/deadletter?reason=id_conflict").json()


@pytest.mark.parametrize(
    "again",
    [
        order("A", amount="99.00"),
        {**order("A"), "type": "order.cancelled", "data": {"order_id": "A"}},
    ],
    ids=["body", "type"],
)
def test_another_event_under_a_known_id_is_a_dead_letter(
    served: Served, again: dict[str, Any]
) -> None:
    """Called a duplicate it would be lost, and nobody would know."""
    served.send(order("A"))

    response = served.post("/v1/events", json=again)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "event_rejected")
    assert [(e["code"], e["pointer"]) for e in problem["errors"]] == [("id_conflict", "/id")]
    assert revenue(served) == "10.00"
    listed = letters(served)
    assert listed["counts"] == {"id_conflict": 1}
    (letter,) = listed["dead_letters"]
    assert (letter["reason"], letter["event_id"]) == ("id_conflict", "A")
    assert letter["conflicts_with"]["offset"] == 0
    assert letter["conflicts_with"]["type"] == "order.created"
    assert letter["conflicts_with"]["data"]["amount"] == "10.00"


def test_two_events_of_one_id_in_one_request_conflict(served: Served) -> None:
    """The first is not stored yet when the second is compared."""
    answer = served.send(order("A"), order("A", amount="99.00"), order("A"))

    assert [item["status"] for item in answer["events"]] == ["accepted", "rejected", "duplicate"]
    assert answer["events"][1]["errors"][0]["code"] == "id_conflict"
    assert revenue(served) == "10.00"


def test_a_conflict_is_found_after_a_restart(tmp_path: Any) -> None:
    """What is compared with is in the log, not in memory."""
    with serving(tmp_path) as served:
        served.send(order("A"))
    with serving(tmp_path) as served:
        answer = served.send(order("A"), order("A", amount="99.00"))

    assert [item["status"] for item in answer["events"]] == ["duplicate", "rejected"]


def test_a_conflict_is_refused_again_until_it_has_an_id_of_its_own(served: Served) -> None:
    """A replay must not double the dead letters, and a fix must end them."""
    served.send(order("A"))
    served.post("/v1/events", json=order("A", amount="99.00"))
    (letter,) = letters(served)["dead_letters"]
    place = f"/v1/deadletter/{letter['offset']}"

    replayed = served.post(f"{place}/replay").json()
    assert (replayed["status"], replayed["errors"][0]["code"]) == ("rejected", "id_conflict")
    assert len(letters(served)["dead_letters"]) == 1

    fixed = served.post(f"{place}/fix", json={"set": {"/id": "A2", "/data/order_id": "A2"}}).json()
    assert fixed["status"] == "accepted"
    assert served.get(place).json()["status"] == "replayed"
    assert revenue(served) == "109.00"


def test_a_dry_run_says_that_the_id_is_taken(served: Served) -> None:
    """It says what sending would do."""
    served.send(order("A"))

    again = served.post("/v1/dry-run", json=order("A")).json()
    other = served.post("/v1/dry-run", json=order("A", amount="99.00")).json()

    assert (again["accepted"], again["duplicate"]) == (True, True)
    assert (other["accepted"], other["duplicate"]) == (False, False)
    assert other["errors"][0]["code"] == "id_conflict"
