"""Tenants never see each other: keys, scopes, limits, canaries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from processing.publication.publishing import record_changes
from serving.access.limits import RateLimitPolicy
from tests.serving.api.conftest import Served, order, serving

CANARY = "canary-7f3a"
KEYS = "k-acme:acme,k-umbrella:umbrella,k-read:acme:read,k-write:acme:write,k-ops:ops:operate,"
KEYS += "k-both:acme:read+operate"
ACME = {"X-API-Key": "k-acme"}
UMBRELLA = {"X-API-Key": "k-umbrella"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two tenants; one has sent events, accepted and refused, all marked."""
    with serving(tmp_path_factory.mktemp("tenants"), keys=KEYS) as found:
        found.send(
            order(CANARY, amount="77123.45", user_id=CANARY, session_id=CANARY),
            order(f"{CANARY}-bad", amount="x", channel=CANARY),
            headers=ACME,
        )
        yield found


def test_no_route_shows_anything_of_another_tenant(served: Served) -> None:
    """Every GET there is, with every parameter that could lead to the other's data."""
    paths = served.get("/openapi.json", headers=UMBRELLA).json()["paths"]
    names = {"id": CANARY, "type": "order", "event_id": CANARY, "offset": "0", "name": "revenue",
             "kind": "metric", "version": "2", "event": "order.created"}  # fmt: skip
    urls = [
        path.format(**names)
        for path, operations in paths.items()
        if "get" in operations and "/stream/" not in path
    ]
    urls += [
        f"/v1/lineage/event/{CANARY}?source=/shop",
        f"/v1/entity/user/{CANARY}?timeline=true",
        f"/v1/entity/session/{CANARY}?timeline=true",
        "/v1/metrics/revenue?window=all&by=country,channel",
        "/v1/metrics/revenue?window=1h&grain=5m",
        "/v1/metrics/revenue?window=1h&explain=full",
        f"/v1/search?q={CANARY}",
        "/v1/deadletter?reason=decimal_invalid",
    ]
    assert len(urls) > 50

    for url in urls:
        seen = served.get(url, headers=UMBRELLA)
        assert seen.status_code < 500, url
        text = json.dumps({k: v for k, v in _json(seen.text).items() if k not in _ECHOES})
        assert CANARY not in text, url
        assert "77123.45" not in seen.text, url


_ECHOES = {"detail", "hint", "errors"}


def _json(text: str) -> dict[str, object]:
    try:
        document = json.loads(text)
    except ValueError:
        return {"text": text}
    assert isinstance(document, dict)
    return document


def test_the_owner_sees_it_on_those_routes(served: Served) -> None:
    """Else the test above would prove nothing."""
    assert served.get(f"/v1/entity/order/{CANARY}", headers=ACME).status_code == 200
    assert served.get(f"/v1/lineage/event/{CANARY}?source=/shop", headers=ACME).status_code == 200
    number = served.get("/v1/deadletter", headers=ACME).json()["dead_letters"][-1]["offset"]
    assert served.get(f"/v1/deadletter/{number}", headers=ACME).status_code == 200
    answer = served.get("/v1/metrics/revenue?window=all&currency=EUR", headers=ACME).json()
    assert answer["value"] == "77123.45"


def test_an_entity_tag_of_one_tenant_is_not_the_others(served: Served) -> None:
    """Equal tags would say whether the other tenant's numbers changed."""
    mine = served.get("/v1/metrics/order_count", headers=ACME).headers["etag"]
    theirs = served.get("/v1/metrics/order_count", headers={**UMBRELLA, "If-None-Match": mine})

    assert theirs.status_code == 200
    assert theirs.json()["value"] == 0


def test_nobody_can_decide_about_another_tenants_dead_letters(served: Served) -> None:
    """They do not exist for anybody else, whichever number is sent."""
    number = served.get("/v1/deadletter", headers=ACME).json()["dead_letters"][-1]["offset"]
    for action in ("fix", "replay", "discard"):
        body = {"set": {"/data/amount": "1.00"}} if action == "fix" else {}
        response = served.post(f"/v1/deadletter/{number}/{action}", json=body, headers=UMBRELLA)
        assert response.status_code == 404, action
    assert served.post("/v1/deadletter/replay", json={}, headers=UMBRELLA).json()["results"] == []


def test_a_cursor_of_another_tenant_is_refused(served: Served) -> None:
    """It is bound to who asked."""
    served.send(order("second-bad", amount="x"), headers=ACME)
    cursor = served.get("/v1/deadletter?limit=1", headers=ACME).json()["next_cursor"]

    response = served.get(f"/v1/deadletter?limit=1&cursor={cursor}", headers=UMBRELLA)

    assert response.json()["code"] == "cursor_invalid"


def test_idempotency_keys_are_of_one_tenant(served: Served) -> None:
    """Else a guessed key would return another tenant's answer."""
    first = served.post("/v1/events", json=order("I"), headers={**ACME, "Idempotency-Key": "k"})
    second = served.post(
        "/v1/events", json=order("I"), headers={**UMBRELLA, "Idempotency-Key": "k"}
    )

    assert "idempotency-replayed" not in second.headers
    assert (first.json()["accepted"], second.json()["accepted"]) == (1, 1)


@pytest.mark.parametrize(
    ("method", "url", "key", "status", "code"),
    [
        ("GET", "/v1/metrics/revenue", None, 401, "key_missing"),
        ("GET", "/v1/metrics/revenue", "wrong", 401, "key_unknown"),
        ("POST", "/v1/events", None, 401, "key_missing"),
        ("GET", "/v1/nothing", None, 401, "key_missing"),
        ("POST", "/v1/events", "k-read", 403, "scope_missing"),
        ("GET", "/v1/metrics/revenue", "k-write", 403, "scope_missing"),
        ("POST", "/v1/contracts/publish", "k-write", 403, "scope_missing"),
        ("POST", "/v1/deadletter/0/replay", "k-read", 403, "scope_missing"),
        ("GET", "/v1/stream/metrics", None, 401, "key_missing"),
    ],
)
def test_a_request_without_the_right_key_is_refused(
    served: Served, method: str, url: str, key: str | None, status: int, code: str
) -> None:
    """Before anything else is looked at."""
    headers = {} if key is None else {"X-API-Key": key}

    response = served.request(method, url, headers=headers)

    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "url", ["/v1/health", "/v1/health/live", "/v1/health/ready", "/docs",
            "/openapi.json", "/llms.txt"]
)  # fmt: skip
def test_what_says_that_it_lives_needs_no_key(served: Served, url: str) -> None:
    """Probes have none."""
    assert served.get(url).status_code == 200


def test_figures_of_all_tenants_need_a_key_that_may_see_them(served: Served) -> None:
    """They count what everybody sends. Prometheus sends its key as a bearer token."""
    asked = {
        "nothing": {},
        "read": {"X-API-Key": "k-read"},
        "operate": {"X-API-Key": "k-ops"},
        "bearer": {"Authorization": "Bearer k-ops"},
        "admin": {"Authorization": "bearer k-acme"},
        "basic": {"Authorization": "Basic k-ops"},
        "elsewhere": {"Authorization": "Bearer k-ops"},
    }
    answers = {
        name: served.get("/v1/metrics" if name == "elsewhere" else "/metrics", headers=headers)
        for name, headers in asked.items()
    }

    assert {name: answer.status_code for name, answer in answers.items()} == {
        "nothing": 401, "read": 403, "operate": 200, "bearer": 200, "admin": 200, "basic": 401,
        "elsewhere": 401,
    }  # fmt: skip
    assert "agentflow_ingestion_log_events" in answers["bearer"].text


def test_health_counts_nothing_to_a_key_of_one_tenant(served: Served) -> None:
    """Details, tables and lag count the events of all."""
    seen = {
        key: served.get("/v1/health", headers={"X-API-Key": key}).json()
        for key in ("k-read", "k-ops")
    }
    traced = {
        key: served.get("/v1/lineage/metric/revenue", headers={"X-API-Key": key}).json()
        for key in ("k-read", "k-both")
    }

    assert {tuple(part) for part in seen["k-read"]["components"].values()} == {("status",)}
    assert seen["k-read"]["lag"] == {"seconds": None}
    assert "lake" not in seen["k-read"]
    assert "the next offset is" in seen["k-ops"]["components"]["log"]["detail"]
    assert seen["k-ops"]["lag"].keys() == {"seconds", "events"}
    assert traced["k-read"]["live_offset"] is None
    assert {source["rows"] for source in traced["k-read"]["sources"]} == {None}
    assert traced["k-both"]["live_offset"] > 0


def test_ids_of_requests_count_nothing(served: Served) -> None:
    """A counter would tell each caller how much the others ask."""
    ids = [served.get("/v1/catalog", headers=ACME).headers["x-request-id"] for _ in range(3)]

    assert len({each[:8] for each in ids}) == 3


@pytest.mark.parametrize("url", ["/v1/metrics/order_count", "/v1/metrics", "/v1/catalog"])
def test_a_used_up_limit_is_refused_and_says_when_to_return(tmp_path: Path, url: str) -> None:
    """On the hot path and behind it, from the same bucket."""
    with serving(tmp_path, keys=KEYS, policy=RateLimitPolicy(3, 60)) as served:
        passed = [served.get("/v1/metrics/order_count", headers=ACME) for _ in range(3)]
        refused = served.get(url, headers=ACME)
        other = served.get(url, headers=UMBRELLA)
        served.clock._now_us += int(refused.headers["retry-after"]) * 1_000_000  # noqa: SLF001
        later = served.get(url, headers=ACME)

    assert [response.headers["ratelimit"] for response in passed] == [
        '"default";r=2;t=21', '"default";r=1;t=41', '"default";r=0;t=61'
    ]  # fmt: skip
    assert passed[0].headers["ratelimit-policy"] == '"default";q=3;w=60'
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert (other.status_code, later.status_code) == (200, 200)


def test_every_cursor_of_the_api_is_bound_to_its_tenant_and_not_to_be_altered(
    served: Served,
) -> None:
    """None can be read either: a cursor in the clear says what another one would have to be."""
    letters = [order(f"{CANARY}-worse-{number}", amount="x") for number in range(2)]
    view = {"session_id": CANARY, "user_id": CANARY, "page": "/a"}
    views = [
        {**order(f"{CANARY}-v{hour}"), "type": "page.viewed", "data": view,
         "time": f"2026-09-21T{hour:02}:00:00Z"}
        for hour in (8, 10, 12)
    ]  # fmt: skip
    served.send(*letters, *views, order(f"{CANARY}-2", country="FR"), headers=ACME)
    record_changes(served.platform, served.platform.registry, known=None)
    past = "&start=2026-09-21T08:00:00Z&end=2026-09-21T15:00:00Z"
    walked = {
        ("/v1/deadletter", "cursor"): ["/v1/deadletter?limit=1"],
        ("/v1/changelog", "cursor"): ["/v1/changelog?limit=1"],
        ("/v1/verify", "cursor"): ["/v1/verify?limit=1"],
        ("/v1/keys", "cursor"): [],  # there are none here; `test_key_routes` pages through some
        ("/v1/entity/{type}/{id}", "cursor"): [f"/v1/entity/visit/{CANARY}?timeline=true&limit=1"],
        ("/v1/entity/{type}/{id}", "sessions_cursor"): [f"/v1/entity/visit/{CANARY}?limit=1"],
        ("/v1/metrics/{name}", "cursor"): [
            f"/v1/metrics/order_count?by=country&limit=1{more}"
            for more in ("&window=all", past, f"{past}&grain=1h", "&window=all&explain=full")
        ],
    }
    paths = served.get("/openapi.json", headers=ACME).json()["paths"]
    known = {
        ("/v1/metrics/{name}" if path.startswith("/v1/metrics/") else path, parameter["name"])
        for path, operations in paths.items()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if parameter["name"].endswith("cursor")
    }
    assert walked.keys() == known

    for (_, name), urls in walked.items():
        for url in urls:
            cursor = served.get(url, headers=ACME).json()[f"next_{name}"]
            assert cursor is not None, url
            altered = ("B" if cursor[0] == "A" else "A") + cursor[1:]
            texts = (cursor, altered, "W1sibGFiZWwiXSxbImIwIl1d")
            found = [
                served.get(f"{url}&{name}={text}", headers=headers)
                for headers in (ACME, UMBRELLA)
                for text in texts
            ]
            assert found[0].status_code == 200, url
            assert {(each.status_code, each.json()["code"]) for each in found[1:]} == {
                (400, "cursor_invalid")
            }, url

    asked = {"metric": "order_count", "window": "all", "by": ["country"], "limit": 1}
    first = served.post("/v1/batch", json={"items": [asked]}, headers=ACME).json()["answers"][0]
    item = {**asked, "cursor": first["next_cursor"]}
    other = {**item, "window": "1h"}
    answers = [
        served.post("/v1/batch", json={"items": [each]}, headers=headers).json()["answers"][0]
        for each, headers in ((item, ACME), (item, UMBRELLA), (other, ACME))
    ]
    assert [each.get("code") for each in answers] == [None, "cursor_invalid", "cursor_invalid"]
