"""Answers about the past: two clocks, the edges of a series, ranges that changed after they closed.

Event time says where an event counts, ingestion time says since when it is known.
"""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from agentflow.clock import to_rfc3339
from tests.serving.api.conftest import NOW_US, Served, order, serving

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
COUNT = "/v1/metrics/order_count"


def at(instant_us: int, event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "time": to_rfc3339(instant_us)}


def ranged(start_us: int, end_us: int, **more: str) -> str:
    given = {"start": to_rfc3339(start_us), "end": to_rfc3339(end_us), **more}
    return f"?{urlencode(given)}"


def cancelled(name: str, order_id: str) -> dict[str, Any]:
    return {"id": name, "type": "order.cancelled", "source": "/s", "data": {"order_id": order_id}}


def updated(name: str, order_id: str, **data: Any) -> dict[str, Any]:
    content = {"order_id": order_id, **data}
    return {"id": name, "type": "order.updated", "source": "/s", "data": content}


HOUR = NOW_US - NOW_US % HOUR_US - 3 * HOUR_US
"""The start of an hour that is over."""


@pytest.fixture(params=["retract", "replace", "late", "moved away", "moved in"])
def changed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """Serve an hour that changed two hours after it had closed, each time in another way."""
    with serving(tmp_path) as served:
        served.clock.advance(timedelta(microseconds=HOUR + HOUR_US // 2 - NOW_US))
        served.send(
            at(HOUR + MINUTE_US, order("A")), at(HOUR + MINUTE_US, order("B", currency="USD"))
        )
        served.clock.advance(timedelta(hours=3))
        late = {
            "retract": cancelled("x", "A"),
            "replace": updated("x", "A", amount="3.00", currency="EUR"),
            "late": at(HOUR + MINUTE_US, order("C")),
            "moved away": updated("x", "A", amount="10.00", currency="USD"),
            "moved in": updated("x", "B", amount="10.00", currency="EUR"),
        }
        answer = served.send(late[request.param])
        assert answer["rejected"] == 0, answer
        yield served


def test_a_range_that_changed_after_it_closed_says_so(changed: Served) -> None:
    """With a grain and without, for a cell and in all, from the log's tail and from the lake."""
    url = "/v1/metrics/revenue" + ranged(HOUR, HOUR + HOUR_US, currency="EUR")
    series = "/v1/metrics/revenue" + ranged(
        HOUR - HOUR_US, HOUR + 2 * HOUR_US, currency="EUR", country="DE", grain="1h"
    )
    for _ in range(2):
        assert changed.get(url).json()["status"] == "restated"
        assert changed.get(f"{url}&country=DE").json()["status"] == "restated"
        answer = changed.get(series).json()
        assert [point["status"] for point in answer["series"]] == ["fresh", "restated", "fresh"]
        assert answer["status"] == "restated"
        end = changed.platform.engine.next_offset
        changed.platform.verification.flush_lake(end)


def test_a_range_is_as_old_as_what_changed_it_last(changed: Served) -> None:
    """Whatever came, and however the range stands now; the past is as old as it was then."""
    changed.clock.advance(timedelta(seconds=7))
    hour = ranged(HOUR, HOUR + HOUR_US, currency="EUR")
    half = to_rfc3339(HOUR + HOUR_US)

    now = changed.get(f"/v1/metrics/revenue{hour}").json()
    then = changed.get(f"/v1/metrics/revenue{hour}&{urlencode({'as_of': half})}").json()
    other = changed.get("/v1/metrics/revenue" + ranged(HOUR - HOUR_US, HOUR, currency="EUR"))
    other = other.json()

    assert (now["age_ms"], now["source_idle_ms"]) == (7_000, 7_000)
    assert (then["age_ms"], then["source_idle_ms"]) == (30 * 60 * 1_000, None)
    assert (other["age_ms"], other["source_idle_ms"]) == (None, 7_000)


def test_what_did_not_change_is_fresh(changed: Served) -> None:
    """Another hour, another cell, and the hour as it was known before the change."""
    known = to_rfc3339(HOUR + 2 * HOUR_US)
    for query in (
        ranged(HOUR - HOUR_US, HOUR, currency="EUR"),
        ranged(HOUR, HOUR + HOUR_US, currency="EUR", country="IT"),
        ranged(HOUR, HOUR + HOUR_US, currency="EUR", as_of=known),
    ):
        assert changed.get("/v1/metrics/revenue" + query).json()["status"] == "fresh"


def test_a_metric_that_the_change_does_not_touch_is_fresh(tmp_path: Path) -> None:
    """Counting orders is not concerned by what an order costs."""
    with serving(tmp_path) as served:
        served.clock.advance(timedelta(microseconds=HOUR + HOUR_US // 2 - NOW_US))
        served.send(at(HOUR + MINUTE_US, order("A")))
        served.clock.advance(timedelta(hours=3))
        served.send(updated("x", "A", amount="3.00", currency="EUR"))
        answers = [
            served.get(f"/v1/metrics/{name}" + ranged(HOUR, HOUR + HOUR_US, currency="EUR")).json()
            for name in ("order_count", "revenue")
            if name == "revenue" or "currency" in _dimensions(served, name)
        ]
        count = served.get(COUNT + ranged(HOUR, HOUR + HOUR_US)).json()

    assert answers[-1]["status"] == "restated"
    assert count["status"] == "fresh"


def _dimensions(served: Served, name: str) -> list[str]:
    metrics = served.get("/v1/metrics").json()["metrics"]
    return next(item["dimensions"] for item in metrics if item["name"] == name)


def test_a_change_before_the_range_closed_restates_nothing(tmp_path: Path) -> None:
    """A cancellation within the hour is the hour's own business."""
    with serving(tmp_path) as served:
        served.clock.advance(timedelta(microseconds=HOUR + HOUR_US // 2 - NOW_US))
        served.send(at(HOUR + MINUTE_US, order("A")), at(HOUR + MINUTE_US, order("B")))
        served.send(cancelled("x", "A"))
        served.clock.advance(timedelta(hours=3))
        answer = served.get(COUNT + ranged(HOUR, HOUR + HOUR_US)).json()

    assert (answer["value"], answer["status"]) == (1, "fresh")


def test_a_correction_that_came_first_restates_nothing(tmp_path: Path) -> None:
    """The order never counted without it."""
    with serving(tmp_path) as served:
        served.clock.advance(timedelta(microseconds=HOUR + HOUR_US // 2 - NOW_US))
        served.send(cancelled("x", "A"))
        served.send(at(HOUR + MINUTE_US, order("A")))
        served.clock.advance(timedelta(hours=3))
        answer = served.get(COUNT + ranged(HOUR, HOUR + HOUR_US)).json()

    assert (answer["value"], answer["status"]) == (0, "fresh")


# -- edges of a series


def test_steps_that_the_range_cuts_are_clipped_and_partial(served: Served) -> None:
    """The value is that of the part, and the point says which part."""
    start, end = HOUR + 10 * MINUTE_US, HOUR + 2 * HOUR_US + 5 * MINUTE_US
    served.send(at(HOUR + MINUTE_US, order("A")), at(HOUR + 20 * MINUTE_US, order("B")))

    answer = served.get(COUNT + ranged(start, end, grain="1h")).json()

    shown = [(p["start"], p["end"], p["value"], p["partial"]) for p in answer["series"]]
    assert shown == [
        (to_rfc3339(start), to_rfc3339(HOUR + HOUR_US), 1, True),
        (to_rfc3339(HOUR + HOUR_US), to_rfc3339(HOUR + 2 * HOUR_US), 0, False),
        (to_rfc3339(HOUR + 2 * HOUR_US), to_rfc3339(end), 0, True),
    ]


@pytest.mark.parametrize(
    ("metric", "empty"),
    [("order_count", 0), ("revenue", "0.00"), ("avg_order_value", None), ("largest_order", None)],
)
def test_empty_steps_are_there(served: Served, metric: str, empty: object) -> None:
    """A sum of nothing is zero, an average or an extreme of nothing is null."""
    served.send(at(HOUR + MINUTE_US, order("A")))
    money = {"currency": "EUR"} if "currency" in _dimensions(served, metric) else {}

    url = f"/v1/metrics/{metric}" + ranged(HOUR - 2 * HOUR_US, HOUR + HOUR_US, grain="1h", **money)
    series = served.get(url).json()["series"]

    assert [point["value"] for point in series[:2]] == [empty, empty]
    assert series[2]["value"] not in {empty, None}
    assert [point["events"] for point in series] == [0, 0, 1]


def test_each_group_has_every_step(served: Served) -> None:
    """So that two lines of a chart have the same points."""
    served.send(at(HOUR + MINUTE_US, order("A")),
                at(HOUR - HOUR_US, order("B", country="FR")))  # fmt: skip

    url = COUNT + ranged(HOUR - HOUR_US, HOUR + HOUR_US, grain="1h", by="country")
    series = served.get(url).json()["series"]

    assert [(p["dimensions"]["country"], p["value"]) for p in series] == [
        ("DE", 0), ("FR", 1), ("DE", 1), ("FR", 0),
    ]  # fmt: skip


def test_a_step_that_is_not_over_is_partial(served: Served) -> None:
    """The last point of a chart always falls; it should not look like a fact."""
    start = NOW_US - NOW_US % HOUR_US - HOUR_US

    series = served.get(COUNT + ranged(start, start + 3 * HOUR_US, grain="1h")).json()["series"]

    assert [point["partial"] for point in series] == [False, True, True]


def test_the_answer_declares_how_steps_are_aligned(served: Served) -> None:
    """Steps of seven days start on a Thursday, as the epoch does: nobody should have to guess."""
    url = COUNT + ranged(NOW_US - 21 * DAY_US, NOW_US, grain="7d")

    answer = served.get(url).json()

    assert answer["grain"] == {"length": "7d", "aligned_to": "1970-01-01T00:00:00.000000Z"}
    assert answer["series"][1]["start"].startswith("2026-09-03")
    assert served.get(COUNT).json().get("grain") is None


def test_points_add_up_to_their_range(served: Served) -> None:
    """However the range is cut."""
    served.send(*(at(HOUR + n * 7 * MINUTE_US, order(f"O{n}")) for n in range(-9, 12)))
    for start, end, grain in ((-50, 61, "10m"), (-59, 3, "7m"), (0, 60, "1h"), (-61, 77, "2d")):
        url = COUNT + ranged(HOUR + start * MINUTE_US, HOUR + end * MINUTE_US, grain=grain)
        answer = served.get(url).json()
        assert sum(point["value"] for point in answer["series"]) == answer["value"]
        edges = [(p["start"], p["end"]) for p in answer["series"]]
        assert [end for _, end in edges[:-1]] == [start for start, _ in edges[1:]]
        assert (edges[0][0], edges[-1][1]) == (answer["window"]["start"], answer["window"]["end"])


# -- what was known when


def test_before_the_first_ingestion_nothing_was_known(served: Served) -> None:
    """Replayed history has old event times, and was known to nobody then."""
    old = NOW_US - 20 * DAY_US
    served.send(at(old, order("A")))
    url = f"{COUNT}?window=24h&as_of={to_rfc3339(old + MINUTE_US)}"

    answer = served.get(url).json()

    assert (answer["value"], answer["status"]) == (0, "partial")
    assert answer["known_from"] == to_rfc3339(NOW_US)


def test_a_zero_that_was_known_is_fresh(served: Served) -> None:
    """The platform was there and nothing had happened in the window."""
    served.send(at(NOW_US - 20 * DAY_US, order("A")))
    served.clock.advance(timedelta(days=1))

    answer = served.get(f"{COUNT}?window=24h&as_of={to_rfc3339(NOW_US + HOUR_US)}").json()

    assert (answer["value"], answer["status"], answer["known_from"]) == (0, "fresh", None)


def test_without_any_event_nothing_was_ever_known(served: Served) -> None:
    """There is no first instant to name."""
    answer = served.get(f"{COUNT}?as_of={to_rfc3339(NOW_US - 1)}").json()

    assert (answer["status"], answer["known_from"]) == ("partial", None)


def test_another_tenants_first_event_says_nothing(tmp_path: Path) -> None:
    """Neither that there is one, nor when."""
    with serving(tmp_path, keys="k-a:acme,k-u:umbrella") as served:
        served.send(order("A"), headers={"X-API-Key": "k-a"})
        served.clock.advance(timedelta(days=1))
        url = f"{COUNT}?as_of={to_rfc3339(NOW_US - 1)}"
        answer = served.get(url, headers={"X-API-Key": "k-u"}).json()

    assert (answer["status"], answer["known_from"]) == ("partial", None)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        (f"as_of={to_rfc3339(NOW_US + 1)}", "future"),
        ("as_of=9000-01-01T00:00:00Z", "outside"),
        ("as_of=0001-01-01T00:00:00Z", "outside"),
        ("as_of=9999-12-31T23:59:59Z", "outside"),
        ("start=0001-01-01T00:00:00Z&end=2026-01-01T00:00:00Z", "outside"),
        ("start=2026-01-01T00:00:00Z&end=9999-12-31T23:59:59Z&grain=1d", "outside"),
    ],
)
def test_what_nobody_can_know_is_refused(shared: Served, query: str, word: str) -> None:
    """Never a zero of a time that has not come, never a failure of the server."""
    response = shared.get(f"{COUNT}?{query}")

    assert (response.status_code, response.json()["code"]) == (422, "instant_out_of_range")
    assert word in response.json()["detail"]


def test_an_entity_of_the_future_is_refused_alike(shared: Served) -> None:
    """One meaning of `as_of` on every surface."""
    response = shared.get(f"/v1/entity/order/A?as_of={to_rfc3339(NOW_US + 1)}")

    assert (response.status_code, response.json()["code"]) == (422, "instant_out_of_range")


@pytest.mark.parametrize("window", ["1h", "24h", "7d", "today", "all"])
@pytest.mark.parametrize("text", ["1000-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z"])
def test_the_farthest_instants_are_answered(shared: Served, window: str, text: str) -> None:
    """Whatever window stands around them."""
    response = shared.get(f"{COUNT}?window={window}&as_of={text}")

    assert response.status_code == 200, response.text
    assert response.json()["status"] == "partial"
