"""Metric reads: answers, entity tags, tokens, the past, proof."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentflow.clock import to_rfc3339
from processing.write.tokens import Token
from tests.serving.api.conftest import NOW_US, Served, order

URL = "/v1/metrics/revenue?window=1h&currency=EUR"


def tags(served: Served) -> dict[str, str]:
    names = [item["name"] for item in served.get("/v1/metrics").json()["metrics"]]
    return {name: served.get(f"/v1/metrics/{name}").headers["etag"] for name in names}


def test_an_answer_says_all_that_is_needed_to_trust_it(served: Served) -> None:
    """Value, unit, status, age, contract, causes, token: one call."""
    served.send(order("A"))
    served.clock.advance(timedelta(milliseconds=41))

    answer = served.get(URL).json()

    assert answer["value"] == "10.00"
    assert (answer["unit"], answer["status"], answer["age_ms"]) == ("EUR", "fresh", 41)
    assert answer["contract"]["version"] == 2
    assert answer["contract"]["fingerprint"].startswith("sha256:")
    assert answer["causes"][0]["event_id"] == "A"
    assert answer["causes"][0]["moved"] == "10.00"
    assert answer["events"] == 1
    assert answer["exact"] is True


@pytest.mark.parametrize(
    "url",
    [
        "/v1/metrics/revenue", "/v1/metrics/revenue?version=1", URL, f"{URL}&by=country,channel",
        "/v1/metrics/revenue?country=", "/v1/metrics/conversion_rate?window=7d",
        "/v1/metrics/revenu", "/v1/metrics/revenue?windw=1h", "/v1/metrics/revenue?window=2h",
        "/v1/metrics/revenue?by=colour", "/v1/metrics/revenue?version=x", "/v1/metrics/",
    ],
)  # fmt: skip
def test_the_hot_path_answers_what_the_framework_answers(shared: Served, url: str) -> None:
    """It is faster and nothing else: same status, body and validators."""
    hot, slow = shared.get(url), shared.framework(url)

    assert hot.status_code == slow.status_code
    drop = {"request_id": None}
    assert {**hot.json(), **drop} == {**slow.json(), **drop}
    for name in ("etag", "cache-control", "content-type", "deprecation", "sunset"):
        assert hot.headers.get(name) == slow.headers.get(name)


def test_an_unchanged_answer_is_304(served: Served) -> None:
    """Most polls find nothing new."""
    served.send(order("A"))
    etag = served.get(URL).headers["etag"]

    for condition in (etag, f'W/{etag}, "other"', "*"):
        response = served.get(URL, headers={"If-None-Match": condition})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag


def test_an_event_that_moves_the_metric_changes_its_tag(served: Served) -> None:
    """And the old tag is answered with the new value."""
    served.send(order("A"))
    etag = served.get(URL).headers["etag"]

    served.send(order("B"))
    response = served.get(URL, headers={"If-None-Match": etag})

    assert response.status_code == 200
    assert response.json()["value"] == "20.00"


def test_an_event_of_a_type_no_metric_names_changes_no_tag(served: Served) -> None:
    """Nor does one that is refused, nor a duplicate: what moves nothing evicts nothing."""
    served.send(order("A"))
    before = tags(served)

    served.send(
        order("A"),
        order("B", amount="x"),
        {"type": "no.such", "data": {}},
        {"id": "p", "type": "payment.initiated", "source": "/x", "data": {"nonsense": 1}},
    )

    assert tags(served) == before


def test_an_event_changes_only_the_tags_of_the_metrics_it_moves(served: Served) -> None:
    """The graph of the contracts says which."""
    served.send(order("A"))
    before = tags(served)

    served.send(
        {"id": "v", "type": "page.viewed", "source": "/x", "data": {"session_id": "S", "page": "/"}}
    )

    changed = {name for name, tag in tags(served).items() if tag != before[name]}
    moved = {
        edge["to"].partition(":")[2].partition("@")[0]
        for edge in served.get("/v1/graph").json()["edges"]
        if edge["kind"] == "moves" and edge["from"] == "event:page.viewed@1"
    }
    assert {"page_views"} <= changed <= moved
    assert "revenue" not in changed


def test_time_that_takes_an_event_out_of_the_window_changes_the_tag(served: Served) -> None:
    """No event arrived, but the number is another one."""
    served.send(order("A"))
    etag = served.get(URL).headers["etag"]

    served.clock.advance(timedelta(hours=2))
    response = served.get(URL, headers={"If-None-Match": etag})

    assert response.status_code == 200
    assert response.json()["events"] == 0


@pytest.mark.parametrize(
    ("url", "status", "code", "hint"),
    [
        ("/v1/metrics/revenu", 404, "metric_unknown", '"revenue"'),
        ("/v1/metrics/revenue?version=7", 404, "metric_unknown", "revenue@2"),
        ("/v1/metrics/revenue?window=2h", 400, "window_unknown", "1h"),
        ("/v1/metrics/revenue?windw=1h", 400, "dimension_unknown", '"window"'),
        ("/v1/metrics/revenue?colour=red", 400, "dimension_unknown", "currency"),
        ("/v1/metrics/revenue?by=county", 400, "dimension_unknown", '"country"'),
        ("/v1/metrics/revenue?at_least=nonsense", 400, "token_invalid", ""),
        ("/v1/metrics/revenue?grain=5x", 400, "window_unknown", ""),
        ("/v1/metrics/revenue?window=all&grain=5m", 400, "parameter_invalid", "start"),
        ("/v1/metrics/revenue?window=7d&grain=1s", 400, "parameter_invalid", "grain"),
        ("/v1/metrics/revenue?window=1h&window=1h", 400, "parameter_invalid", "once"),
    ],
)
def test_a_question_that_cannot_be_answered_says_what_could(
    shared: Served, url: str, status: int, code: str, hint: str
) -> None:
    """A clear error with what would have worked."""
    response = shared.get(url)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert hint in (problem["hint"] or "")
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == response.headers["x-request-id"]


def test_money_without_a_currency_is_not_added(served: Served) -> None:
    """Two currencies have no sum; one has."""
    served.send(order("A"), order("B", currency="USD"))

    answer = served.get("/v1/metrics/revenue?window=1h").json()

    assert answer["value"] is None
    assert [(group["unit"], group["value"]) for group in answer["groups"]] == [
        ("EUR", "10.00"),
        ("USD", "10.00"),
    ]


def test_a_deprecated_version_says_so(shared: Served) -> None:
    """Headers that HTTP clients and gateways know."""
    response = shared.get("/v1/metrics/revenue?version=1")

    assert response.headers["deprecation"].startswith("@")
    assert response.headers["sunset"].endswith("GMT")
    assert "deprecation" not in shared.get("/v1/metrics/revenue").headers


def test_a_token_from_the_future_is_a_clear_problem(served: Served) -> None:
    """The caller decides whether to wait; a stale number is never dressed as fresh."""
    token = served.send(order("A"))["token"]
    later = _later(served, token)

    response = served.get(f"{URL}&at_least={later}", headers={"Prefer": "wait=0.05"})

    assert response.json()["code"] == "not_yet_visible"
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("place", ["{url}&at_least={token}", "{path}?at_least={token}&{query}"])
def test_a_token_that_is_covered_costs_nothing(served: Served, place: str) -> None:
    """Every token is another text, and none of them makes another question."""
    path, _, query = URL.partition("?")
    for number in range(20):
        token = served.send(order(f"O{number}"))["token"]
        url = place.format(url=URL, path=path, query=query, token=token)
        assert served.get(url).json()["value"] == f"{(number + 1) * 10}.00"

    assert len(served.api._reads) == 1  # noqa: SLF001


def test_a_waiting_read_is_answered_when_the_event_arrives(served: Served) -> None:
    """Pushed, not polled."""
    import asyncio

    token = served.send(order("A"))["token"]
    later = _later(served, token)

    async def both() -> Any:
        reading = asyncio.create_task(
            served.client.get(f"{URL}&at_least={later}", headers={"Prefer": "wait=5"})
        )
        await asyncio.sleep(0)
        await served.client.post("/v1/events", json=order("B"))
        return await reading

    assert served.run(both()).json()["value"] == "20.00"


def test_a_token_of_another_log_is_refused(shared: Served) -> None:
    """Its offsets mean something else."""
    token = Token("another", {"validated/0": 0}).encode(shared.platform.tokens.seal)

    assert shared.get(f"{URL}&at_least={token}").json()["code"] == "token_invalid"


def test_explain_recomputes_the_number_from_the_lake(served: Served) -> None:
    """Live equals recompute, on demand, with the SQL to check by hand."""
    served.send(order("A"), order("B", amount="1.50"))

    answer = served.get(f"{URL}&explain=full").json()

    assert answer["value"] == "11.50"
    assert answer["recompute"]["value"] == "11.50"
    assert answer["recompute"]["equal"] is True
    assert answer["recompute"]["snapshots"]
    assert "SELECT" in answer["recompute"]["sql"]


def test_a_series_adds_up_to_its_window(served: Served) -> None:
    """Each point is the same metric over its own step."""
    times = [NOW_US - minutes * 60_000_000 for minutes in (1, 2, 21, 40)]
    served.send(*(
        {**order(str(index)), "time": to_rfc3339(at)} for index, at in enumerate(times)
    ))  # fmt: skip

    answer = served.get(f"{URL}&grain=5m").json()

    assert answer["value"] == "40.00"
    assert sum(float(point["value"]) for point in answer["series"]) == 40
    assert len(answer["series"]) in {12, 13}
    assert [point["start"] for point in answer["series"]] == sorted(
        point["start"] for point in answer["series"]
    )


def test_a_late_event_restates_its_own_step(served: Served) -> None:
    """A step that changed after it had closed says so; nothing is dropped in silence."""
    hour_us = 3_600_000_000
    served.send({**order("A"), "time": to_rfc3339(NOW_US - 2 * hour_us)}, order("B"))

    answer = served.get("/v1/metrics/revenue?window=24h&currency=EUR&grain=1h").json()

    statuses = [point["status"] for point in answer["series"] if point["events"]]
    assert statuses == ["restated", "fresh"]
    assert answer["status"] == "restated"


def test_as_of_is_what_was_known_then(served: Served) -> None:
    """A late event changes the window it belongs to, but not what was known before it came."""
    served.send(order("A"))
    then = to_rfc3339(served.clock.now_us())
    served.clock.advance(timedelta(seconds=10))
    served.send({**order("B"), "time": to_rfc3339(NOW_US)})

    known_then = served.get(f"{URL}&as_of={then}").json()
    known_now = served.get(URL).json()

    assert known_then["value"] == "10.00"
    assert known_then["as_of"] == then
    assert known_now["value"] == "20.00"


def test_a_range_is_half_open(served: Served) -> None:
    """`[start, end)`: neighbours share no event."""
    served.send({**order("A"), "time": to_rfc3339(NOW_US)})
    earlier, instant, later = (to_rfc3339(NOW_US + step * 1_000_000) for step in (-60, 0, 60))

    before = served.get(f"/v1/metrics/order_count?start={earlier}&end={instant}").json()
    after = served.get(f"/v1/metrics/order_count?start={instant}&end={later}").json()

    assert (before["value"], after["value"]) == (0, 1)


def test_a_batch_is_one_cut_and_one_bad_question_costs_one(served: Served) -> None:
    """A dashboard wants numbers that belong together."""
    served.send(order("A"))

    answer = served.post(
        "/v1/batch",
        json={
            "items": [
                {"metric": "revenue", "window": "1h", "dimensions": {"currency": "EUR"}},
                {"metric": "order_count", "by": ["country"]},
                {"metric": "revenu"},
            ]
        },
    ).json()

    revenue, count, problem = answer["answers"]
    assert revenue["token"] == count["token"] == answer["token"]
    assert (revenue["value"], count["value"]) == ("10.00", 1)
    assert problem["code"] == "metric_unknown"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"items": [{"metric": "revenue", "windw": "1h"}]}, 422, "body_invalid"),
        ({"items": [{}]}, 422, "body_invalid"),
        ({"item": []}, 422, "body_invalid"),
        ({"items": [{"metric": "revenue"}] * 101}, 422, "body_invalid"),
        ({"items": [{"metric": "revenue", "version": "2"}]}, 422, "body_invalid"),
        ({"items": [], "at_least": "x"}, 400, "token_invalid"),
    ],
)
def test_a_wrong_batch_is_refused_whole(
    shared: Served, body: dict[str, Any], status: int, code: str
) -> None:
    """Unknown members are refused here as in a query string."""
    response = shared.post("/v1/batch", json=body)

    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"items": NaN}', b'"\\ud800"', b"\xff"])
def test_a_body_that_is_not_json_is_a_problem(shared: Served, body: bytes) -> None:
    """Including the ones that break parsers."""
    response = shared.post("/v1/batch", content=body)

    assert response.status_code in {400, 422}
    assert response.json()["code"] in {"malformed_json", "body_invalid"}


def _later(served: Served, token: str) -> str:
    """Return the token of the next event."""
    seal = served.platform.tokens.seal
    found = Token.decode(token, seal)
    return Token(found.log_id, {name: end + 1 for name, end in found.ends.items()}).encode(seal)
