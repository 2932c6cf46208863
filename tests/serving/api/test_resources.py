"""Everything that is not an event, a metric read or a stream."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentflow.clock import to_rfc3339
from agentflow.contracts import Registry
from agentflow.errors import ContractFilesError
from agentflow.lint import load
from tests.serving.api.conftest import CONTRACTS, NOW_US, Served, order, serving


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A shop with one cancelled order and two dead letters. Only read it."""
    with serving(tmp_path_factory.mktemp("shop")) as found:
        found.send(
            {**order("A", user_id="U1", amount="300.00"), "time": to_rfc3339(NOW_US - 60_000_000)},
            {"id": "c", "source": "/shop", "type": "order.cancelled",
             "data": {"order_id": "A"}},
            order("B", amount="x", user_id="U2"),
            {"id": "n", "type": "no.such", "data": {}},
        )  # fmt: skip
        found.platform.verification.flush_lake(2)
        yield found


def test_an_entity_is_what_its_events_say(shop: Served) -> None:
    """The last value by event time wins, and each attribute names the event that set it."""
    answer = shop.get("/v1/entity/order/A").json()

    assert answer["attributes"]["status"] == "cancelled"
    assert answer["attributes"]["amount"] == "300.00"
    assert answer["set_by"]["status"]["event_id"] == "c"
    assert answer["relations"]["buyer"] == {"entity": "user", "id": "U1"}
    assert (answer["events"], answer["timeline"]) == (2, [])


def test_a_timeline_is_paged(shop: Served) -> None:
    """A busy user has thousands of events."""
    first = shop.get("/v1/entity/order/A?timeline=true&limit=1").json()
    second = shop.get(
        f"/v1/entity/order/A?timeline=true&limit=1&cursor={first['next_cursor']}"
    ).json()

    assert [first["timeline"][0]["type"], second["timeline"][0]["type"]] == [
        "order.created",
        "order.cancelled",
    ]
    assert second["next_cursor"] is None


def test_an_entity_can_be_seen_as_it_was(served: Served) -> None:
    """As it was known at that instant, not as it happened."""
    served.send(order("A"))
    then = to_rfc3339(served.clock.now_us())
    served.clock.advance(timedelta(seconds=5))
    served.send({"id": "c", "type": "order.cancelled", "source": "/s", "data": {"order_id": "A"}})

    assert served.get(f"/v1/entity/order/A?as_of={then}").json()["attributes"]["status"] == "placed"
    assert served.get("/v1/entity/order/A").json()["attributes"]["status"] == "cancelled"


def viewed(name: str, minutes: float, page: str = "/") -> dict[str, Any]:
    """Return a page view of U9 so long after the start."""
    time = to_rfc3339(NOW_US + int(minutes * 60_000_000))
    data = {"session_id": name, "page": page, "user_id": "U9"}
    return {"id": name, "source": "/s", "type": "page.viewed", "time": time, "data": data}


def test_an_entity_with_a_gap_has_sessions(served: Served) -> None:
    """Newest first, each with what its own events say; only the last may still grow."""
    served.clock.advance(timedelta(minutes=60))
    served.send(viewed("a", 0, "/in"), viewed("b", 12.5, "/out"), viewed("c", 50, "/again"))

    answer = served.get("/v1/entity/visit/U9").json()

    assert answer["sessions"] == [
        {"start": to_rfc3339(NOW_US + 3_000_000_000), "end": to_rfc3339(NOW_US + 4_800_000_000),
         "events": 1, "duration_ms": 0, "open": True, "attributes": {"last_page": "/again"}},
        {"start": to_rfc3339(NOW_US), "end": to_rfc3339(NOW_US + 2_550_000_000),
         "events": 2, "duration_ms": 750_000, "open": False, "attributes": {"last_page": "/out"}},
    ]  # fmt: skip
    assert answer["next_sessions_cursor"] is None
    assert (answer["events"], answer["attributes"]["last_page"]) == (3, "/again")


def test_a_session_is_over_once_the_clock_has_passed_its_end(served: Served) -> None:
    """The gap after the last event, to the microsecond."""
    served.send(viewed("a", 0))
    served.clock.advance(timedelta(minutes=30) - timedelta(microseconds=1))
    before = served.get("/v1/entity/visit/U9").json()["sessions"]
    served.clock.advance(timedelta(microseconds=1))
    after = served.get("/v1/entity/visit/U9").json()["sessions"]

    assert [before[0]["open"], after[0]["open"]] == [True, False]


def test_sessions_are_restated_by_a_late_event_and_seen_as_they_were(served: Served) -> None:
    """A watermark has closed both long ago; the log knows better, and knows what it knew."""
    served.clock.advance(timedelta(minutes=45))
    served.send(viewed("a", 0), viewed("c", 40))
    then = to_rfc3339(served.clock.now_us())
    served.clock.advance(timedelta(hours=9))
    served.send(viewed("b", 20))

    now = served.get("/v1/entity/visit/U9").json()["sessions"]
    as_it_was = served.get(f"/v1/entity/visit/U9?as_of={then}").json()["sessions"]

    assert [(each["events"], each["open"]) for each in now] == [(3, False)]
    assert [(each["events"], each["open"]) for each in as_it_was] == [(1, True), (1, False)]


def test_sessions_are_paged_while_new_ones_begin(served: Served) -> None:
    """A page goes on below the last session that was shown, whatever came on top."""
    served.clock.advance(timedelta(hours=9))
    served.send(viewed("a", 0), viewed("b", 100), viewed("c", 200))
    first = served.get("/v1/entity/visit/U9?limit=2").json()
    served.send(viewed("d", 300))

    second = served.get(
        f"/v1/entity/visit/U9?limit=2&sessions_cursor={first['next_sessions_cursor']}"
    ).json()

    starts = [each["start"] for page in (first, second) for each in page["sessions"]]
    assert starts == [to_rfc3339(NOW_US + each * 60_000_000) for each in (200, 100, 0)]
    assert second["next_sessions_cursor"] is None


def test_an_entity_without_a_gap_has_no_sessions(shop: Served) -> None:
    """Null, which is not the same as none."""
    answer = shop.get("/v1/entity/order/A").json()

    assert (answer["sessions"], answer["next_sessions_cursor"]) == (None, None)


def test_a_cursor_of_the_timeline_is_none_of_the_sessions(served: Served) -> None:
    """Each belongs to its listing."""
    served.send(viewed("a", 0), viewed("b", 1))
    cursor = served.get("/v1/entity/visit/U9?timeline=true&limit=1").json()["next_cursor"]

    refused = served.get(f"/v1/entity/visit/U9?sessions_cursor={cursor}")

    assert (refused.status_code, refused.json()["code"]) == (400, "cursor_invalid")


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("/v1/entity/order/A?sessions_cursor=abc", 400, "cursor_invalid"),
        ("/v1/entity/order/A?sessions=1", 400, "parameter_unknown"),
        ("/v1/entity/ordr/A", 404, "entity_unknown"),
        ("/v1/entity/order/ZZZ", 404, "not_found"),
        ("/v1/entity/order/A?as_of=1999-01-01T00:00:00Z", 404, "not_found"),
        ("/v1/entity/order/A?as_of=then", 400, "parameter_invalid"),
        ("/v1/entity/order/A?limit=0", 400, "parameter_invalid"),
        ("/v1/entity/order/A?limits=1", 400, "parameter_unknown"),
        ("/v1/entity/order/A?timeline=true&cursor=abc", 400, "cursor_invalid"),
        ("/v1/contracts?kind=table", 400, "parameter_invalid"),
        ("/v1/contracts/metric/revenu", 404, "metric_unknown"),
        ("/v1/contracts/event/order.created/9", 404, "event_unknown"),
        ("/v1/contracts/event/order.created/0", 400, "parameter_invalid"),
        ("/v1/contracts/event/order.created/1?format=xml", 400, "parameter_invalid"),
        ("/v1/contracts/metric/revenue/2?format=avro", 400, "parameter_invalid"),
        ("/v1/contracts/diff?kind=metric&name=revenue&from=1", 400, "parameter_invalid"),
        ("/v1/lineage/event/none", 404, "not_found"),
        ("/v1/lineage/metric/none", 404, "metric_unknown"),
        ("/v1/search", 400, "parameter_invalid"),
        ("/v1/changelog?cursor=x", 400, "cursor_invalid"),
        ("/v1/deadletter?status=lost", 400, "parameter_invalid"),
        ("/v1/deadletter/99", 404, "not_found"),
        ("/v1/deadletter/-1", 400, "parameter_invalid"),
        ("/v1/deadletter/x", 400, "parameter_invalid"),
        ("/v1/verify?fast=1", 400, "parameter_unknown"),
        ("/v1/nothing", 404, "route_unknown"),
        ("/page/..%2f..%2fapp.py", 404, "route_unknown"),
        ("/v1/metrics/" + "x" * 20_000, 414, "uri_too_long"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(
    shop: Served, url: str, status: int, code: str
) -> None:
    """With a code, never a stack, always with the request's id."""
    response = shop.get(url, headers={"X-Request-Id": "my-id.1"})

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["request_id"] == response.headers["x-request-id"] == "my-id.1"


def test_a_wrong_method_names_the_right_ones(shop: Served) -> None:
    """RFC 9110 wants `Allow`."""
    response = shop.request("DELETE", "/v1/metrics/revenue")

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("sent", ["a b", "x" * 129, "<script>", "é"])
def test_a_request_id_that_could_harm_a_log_is_replaced(shop: Served, sent: str) -> None:
    """It is written to logs as it is."""
    response = shop.get("/v1/metrics", headers={"X-Request-Id": sent.encode()})

    assert response.headers["x-request-id"] != sent


def test_the_catalog_holds_every_contract_whole(shop: Served) -> None:
    """A form, an SDK or an agent can be made from it."""
    catalog = shop.get("/v1/catalog").json()

    created = next(item for item in catalog["events"] if item["name"] == "order.created")
    assert created["fields"]["amount"]["scale"] == 2
    assert created["fingerprint"].startswith("sha256:")
    assert len(catalog["metrics"]) == len(shop.platform.registry.metrics)
    assert {item["name"] for item in catalog["entities"]} == {
        item.name for item in shop.platform.registry.entities.values()
    }


def test_metrics_are_listed_with_how_they_may_be_asked(shop: Served) -> None:
    """Windows with the step they move by, dimensions, what moves them."""
    listed = shop.get("/v1/metrics").json()["metrics"]

    revenue = next(item for item in listed if (item["name"], item["version"]) == ("revenue", 2))
    assert {"name": "1h", "step": "1m"} in revenue["windows"]
    assert {"name": "all", "step": None} in revenue["windows"]
    assert revenue["dimensions"] == ["currency", "country", "channel"]
    assert "order.cancelled@1" in revenue["moved_by"]


def test_contracts_have_versions_documents_and_differences(shop: Served) -> None:
    """From the list to the file somebody wrote."""
    listed = shop.get("/v1/contracts?kind=metric").json()["contracts"]
    versions = shop.get("/v1/contracts/metric/revenue").json()
    text = shop.get("/v1/contracts/metric/revenue/2?format=yaml").text
    difference = shop.get("/v1/contracts/diff?kind=metric&name=revenue&from=1&to=2").json()

    assert {item["kind"] for item in listed} == {"metric"}
    assert (versions["current"], len(versions["versions"])) == (2, 2)
    assert yaml.safe_load(text)["version"] == 2
    assert difference["breaking"] is True
    assert (difference["from"], difference["to"]) == (1, 2)


@pytest.mark.parametrize("fmt", ["json-schema", "avro", "asyncapi", "odcs", "mermaid", "dot"])
def test_an_event_contract_is_served_in_the_words_of_other_tools(shop: Served, fmt: str) -> None:
    """So that nobody has to install anything to get them."""
    response = shop.get(f"/v1/contracts/event/order.created/1?format={fmt}")

    assert response.status_code == 200
    assert "order" in response.text


def test_a_sample_is_judged_without_being_sent(shop: Served) -> None:
    """What a producer asks before the first deployment."""
    url = "/v1/contracts/order.created/validate"
    good = shop.post(url, json=order("S")["data"]).json()
    bad = shop.post(url, json={"order_id": "S", "amount": 1.234}).json()

    assert (good["valid"], good["data"]["order_size"]) == (True, "small")
    assert bad["valid"] is False
    assert {item["pointer"] for item in bad["errors"]} == {"/data/amount", "/data/currency"}
    assert shop.post(url, content=b"{").json()["code"] == "malformed_json"
    assert shop.post("/v1/contracts/nope/validate", json={}).json()["code"] == "event_unknown"


def test_the_graph_shows_what_moves_takes_back_and_sets(shop: Served) -> None:
    """Edges name nodes that exist."""
    graph = shop.get("/v1/graph").json()

    ids = {node["id"] for node in graph["nodes"]}
    edges = {(edge["from"], edge["kind"], edge["to"]) for edge in graph["edges"]}
    assert ("event:order.created@1", "moves", "metric:revenue@2") in edges
    assert ("event:order.cancelled@1", "takes_back", "metric:revenue@2") in edges
    assert ("event:order.created@1", "sets", "entity:order@1") in edges
    assert all(source in ids and target in ids for source, _, target in edges)


def test_lineage_lists_the_hops_that_happened(shop: Served) -> None:
    """Down to the log's offset and the lake's snapshot and file."""
    lineage = shop.get("/v1/lineage/event/A?source=/shop").json()

    hops = {hop["hop"]: hop for hop in lineage["hops"]}
    assert list(hops) == ["received", "raw", "validated", "live", "lake"]
    assert hops["raw"]["offset"] == hops["validated"]["offset"] == 0
    assert "revenue@2" in hops["live"]["metrics"]
    assert hops["lake"]["snapshot_id"] > 0
    lake = shop.platform.parts.reader.lake.files.directory
    assert (lake / hops["lake"]["file"]).is_file()
    assert not Path(hops["lake"]["file"]).is_absolute()


def test_lineage_does_not_claim_what_has_not_happened(served: Served) -> None:
    """The lake writer comes later; until then there is no such hop."""
    served.send(order("A"))

    hops = served.get("/v1/lineage/event/A?source=/shop").json()["hops"]

    held = served.platform.parts.lake.covered.validated
    assert ("lake" in [hop["hop"] for hop in hops]) <= (held > 0)


def test_a_metrics_lineage_names_its_tables_and_positions(shop: Served) -> None:
    """What the number is made of, now."""
    lineage = shop.get("/v1/lineage/metric/revenue").json()

    created = next(item for item in lineage["sources"] if item["event"] == "order.created@1")
    assert created["rows"] == 1
    assert created["snapshot_id"] > 0
    assert (lineage["live_offset"], lineage["lake_offset"]) == (2, 2)


@pytest.mark.parametrize(
    ("query", "kind", "name"),
    [("revenue", "metric", "revenue"), ("cancel_reason", "entity", ""), ("order_id", "field", ""),
     ("Orders placed", "metric", "order_count")],
)  # fmt: skip
def test_search_finds_contracts_and_fields(shop: Served, query: str, kind: str, name: str) -> None:
    """By name, by field, by words of the description."""
    hits = shop.get("/v1/search", params={"q": query}).json()["hits"]

    if kind == "entity":
        return  # attributes are not searched: their events' fields are
    assert any(hit["kind"] == kind and hit["name"].endswith(name) for hit in hits)
    assert all(shop.get(hit["url"]).status_code == 200 for hit in hits[:5])


def test_dead_letters_are_listed_counted_and_filtered(shop: Served) -> None:
    """Newest first, with why."""
    page = shop.get("/v1/deadletter?limit=1").json()
    rest = shop.get(f"/v1/deadletter?limit=1&cursor={page['next_cursor']}").json()
    unknown = shop.get("/v1/deadletter?reason=event_unknown").json()

    assert [page["dead_letters"][0]["offset"], rest["dead_letters"][0]["offset"]] == [1, 0]
    assert page["counts"] == page["open"] == {"decimal_invalid": 1, "event_unknown": 1}
    assert [item["type"] for item in unknown["dead_letters"]] == ["no.such"]


def test_personal_data_in_a_dead_letter_is_masked(shop: Served) -> None:
    """Whoever repairs an amount need not know who ordered."""
    letter = shop.get("/v1/deadletter/0").json()

    assert json.loads(letter["raw"])["data"]["user_id"] == "***"
    assert json.loads(letter["raw"])["data"]["order_id"] == "B"
    assert "U2" not in json.dumps(letter)


def test_what_no_contract_declares_is_masked_wherever_a_dead_letter_is_shown(
    served: Served,
) -> None:
    """A field that was mistyped, or of an event nobody knows, may hold a person's name as well."""
    served.send(
        order("A", amount="x", usre_id="Ada Lovelace"),
        {**order("B", amount="x"), "caller": "Ada Lovelace"},
        {"id": "n", "type": "no.such", "source": "/s", "data": {"name": {"first": "Ada Lovelace"}}},
        ["Ada Lovelace"],
    )

    listed = served.get("/v1/deadletter").text
    single = [served.get(f"/v1/deadletter/{number}").text for number in range(4)]

    assert json.loads(listed)["counts"].keys() >= {"event_unknown"}
    assert not [text for text in (listed, *single) if "Lovelace" in text]
    assert "Lovelace" in served.get("/v1/deadletter/0?reveal=true").text


def test_a_member_that_is_there_twice_is_shown_twice(served: Served) -> None:
    """Which one counts is for who fixes it to say; where they are personal, both are masked."""
    body = json.dumps(order("A", user_id="U2"))
    body = body.replace('"amount": ', '"amount": "1.00", "amount": ')
    body = body.replace('"user_id": ', '"user_id": "U7", "user_id": ')

    served.post("/v1/events", content=body)
    letter = served.get("/v1/deadletter/0").json()

    assert letter["reason"] == "member_repeated"
    assert letter["raw"].count('"amount":') == letter["raw"].count('"user_id":"***"') == 2
    assert letter["raw"].index('"1.00"') < letter["raw"].index('"10.00"')
    assert "U7" not in letter["raw"]
    fixed = served.post(
        "/v1/deadletter/0/fix", json={"set": {"/data/amount": "1.00", "/data/user_id": "U7"}}
    )
    assert fixed.json()["status"] == "accepted"


def test_a_dead_letter_is_fixed_and_counts(served: Served) -> None:
    """Its id is kept, so it counts once however often it is sent again."""
    served.send(order("A", amount="x"))
    url = "/v1/deadletter/0"

    refused = served.post(f"{url}/fix", json={"set": {"/data/amount": "y"}}).json()
    fixed = served.post(f"{url}/fix", json={"set": {"/data/amount": "5.00"}, "note": "typo"}).json()
    again = served.post(f"{url}/replay").json()

    assert refused["errors"][0]["pointer"] == "/data/amount"
    assert (fixed["status"], fixed["id"]) == ("accepted", "A")
    assert again["status"] == "duplicate"
    assert served.get(url).json()["status"] == "replayed"
    page = served.get("/v1/deadletter").json()
    assert (page["counts"], page["open"]) == ({"decimal_invalid": 1}, {})
    assert served.get("/v1/metrics/order_count?window=all").json()["value"] == 1


def test_many_dead_letters_are_replayed_at_once(served: Served) -> None:
    """After a contract was corrected."""
    served.send(order("A", amount="x"), order("B", amount="x"), {"type": "no.such", "data": {}})
    served.post("/v1/deadletter/1/discard", json={"note": "a test"})

    answer = served.post("/v1/deadletter/replay", json={"reason": "decimal_invalid"}).json()

    assert (answer["replayed"], answer["refused"]) == (0, 1)
    assert answer["results"][0]["dead_letter"] == 0
    assert served.get("/v1/deadletter?status=discarded").json()["dead_letters"][0]["note"] == (
        "a test"
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "parameter_invalid"),
        ({"event": {}, "set": {"/a": 1}}, "parameter_invalid"),
        ({"set": {"a": 1}}, "parameter_invalid"),
        ({"sets": {}}, "body_invalid"),
    ],
)
def test_a_fix_that_makes_no_sense_is_refused(
    shop: Served, body: dict[str, Any], code: str
) -> None:
    """Nothing is sent and nothing decided."""
    assert shop.post("/v1/deadletter/0/fix", json=body).json()["code"] == code
    assert shop.get("/v1/deadletter/0").json()["status"] == "open"


def test_verify_proves_every_number(shop: Served) -> None:
    """Live equals recompute, metric by metric, window by window."""
    pages = [shop.get("/v1/verify?limit=50").json()]
    while cursor := pages[-1]["next_cursor"]:
        pages.append(shop.get(f"/v1/verify?limit=50&cursor={cursor}").json())

    assert all(page["verified"] for page in pages)
    assert sum(page["numbers"] for page in pages) > 0  # a page of empty windows has none
    assert {(item["metric"], item["version"]) for page in pages for item in page["metrics"]} == set(
        shop.platform.registry.metrics
    )


def test_health_names_every_part(shop: Served) -> None:
    """Rows of the lake come from metadata."""
    answer = shop.get("/v1/health").json()

    assert answer["status"] == "ok"
    assert set(answer["components"]) == {"log", "live", "lake", "control", "history"}
    assert answer["lake"]["events.order_created_v1"]["rows"] == 1
    assert answer["lag"]["events"] == 0


def test_until_live_state_is_complete_it_is_not_ready(tmp_path: Path) -> None:
    """A wrong number is worse than none: reads and intake wait, probes see it."""
    with serving(tmp_path) as served:
        served.platform.ready = False
        ready = served.get("/v1/health/ready")
        read = served.get("/v1/metrics/revenue")
        sent = served.post("/v1/events", json=order("A"))
        served.platform.ready = True

    assert (ready.status_code, ready.json()["status"]) == (503, "rebuilding")
    assert (read.status_code, read.json()["code"]) == (503, "unavailable")
    assert (sent.status_code, sent.json()["code"]) == (503, "unavailable")


def test_prometheus_finds_bounded_labels(shop: Served) -> None:
    """Routes are patterns: a scanner must not fill the memory of the monitoring."""
    for number in range(20):
        shop.get(f"/v1/entity/order/x{number}")
        shop.get(f"/nothing/{number}")

    text = shop.get("/metrics").text

    assert 'route="/v1/entity/{type}/{id}",status="404"' in text
    assert "x19" not in text
    assert "/nothing/19" not in text
    assert 'agentflow_processing_events_total{status="accepted"} 2.0' in text


def test_llms_txt_is_made_from_the_contracts(shop: Served) -> None:
    """Every metric an agent may ask for, with its windows."""
    text = shop.get("/llms.txt").text

    assert all(f"`{name}`" in text for name, _ in shop.platform.registry.metrics)


def test_the_documentation_needs_nothing_from_elsewhere(shop: Served) -> None:
    """It must open on a machine without a network, under a strict policy."""
    response = shop.get("/docs")

    loaded = re.findall(r'(?:src|href)="([^"]*)"', response.text)
    assert loaded
    assert all(link[0] in "/#" and not link.startswith("//") for link in loaded)
    assert all(shop.get(link).status_code == 200 for link in loaded if link[0] == "/")
    assert "<script>" not in response.text
    assert "<style" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_each_request_of_the_documentation_has_an_example_that_works(served: Served) -> None:
    """An example that is refused teaches nothing; streams do not end and are left out."""
    text = served.get("/docs").text
    operations = served.get("/openapi.json").json()["paths"].values()
    commands = [
        shlex.split(unescape(found).replace("\\\n", ""))
        for found in re.findall("<code>(curl .*?)</code>", text, re.DOTALL)
    ]
    assert len(commands) == sum(map(len, operations))

    for command in commands:
        if "-N" in command or re.search("/v1/(?:deadletter/|keys)", " ".join(command)):
            continue  # of both there are none yet; `test_key_routes` makes a key
        options = dict(pairwise(command))
        method, body = options.get("-X", "GET"), options.get("-d")
        url = next(part for part in command if part.startswith("http"))
        headers = dict([options["-H"].split(": ", 1)]) if "-H" in options else {}
        response = served.request(method, url, content=body, headers=headers)
        assert response.status_code == 200, (command, response.text)
        assert '"rejected":1' not in response.text


def test_publishing_the_same_contracts_changes_nothing(shop: Served) -> None:
    """Publishing is idempotent."""
    assert shop.post("/v1/contracts/publish").json() == {
        "published": [], "metrics": [], "removed": []
    }  # fmt: skip


NEW_METRIC = """
kind: metric
name: big_orders
version: 1
status: approved
owner: shop
description: Orders above 100 that stand.
unit: orders
value: count(order.created) filter (where amount > 100)
moved_by: [order.cancelled@1, order.created@1, order.updated@1]
windows: [1h, all]
"""


def test_a_new_metric_is_one_file_and_knows_the_past(tmp_path: Path) -> None:
    """Published while running: backfilled, compared, and in the reference."""
    directory = tmp_path / "contracts"
    _copy(CONTRACTS, directory)
    with serving(
        tmp_path / "data", registry=load(directory), load_contracts=lambda: load(directory)
    ) as served:
        served.send(order("A", amount="500.00"), order("B"))
        (directory / "metrics" / "big_orders.v1.yaml").write_text(NEW_METRIC)
        (directory / "contracts.lock").unlink()

        published = served.post("/v1/contracts/publish").json()
        answer = served.get("/v1/metrics/big_orders?window=all").json()
        paths = served.get("/openapi.json").json()["paths"]
        changes = served.get("/v1/changelog").json()["changes"]

    assert [item["name"] for item in published["published"]] == ["big_orders"]
    assert published["metrics"][0]["equal"] is True
    assert answer["value"] == 1
    assert "/v1/metrics/big_orders" in paths
    assert changes[-1]["name"] == "big_orders"


def test_contract_files_that_are_wrong_in_five_ways_are_refused(tmp_path: Path) -> None:
    """All problems at once, and what is in force stays in force."""
    directory = tmp_path / "contracts"
    _copy(CONTRACTS, directory)
    registry = load(directory)
    (directory / "metrics" / "wrong.v1.yaml").write_text(
        "kind: metric\nname: Wrong\nversion: 0\nstatus: maybe\nvalue: sum(\nwindows: []\n"
        "colour: red\n"
    )

    def reload() -> Registry:
        return load(directory)

    with serving(tmp_path / "data", registry=registry, load_contracts=reload) as served:
        response = served.post("/v1/contracts/publish")
        still = served.get("/v1/metrics/revenue")

    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "contract_invalid")
    assert len(problem["errors"]) >= 5
    assert all("wrong.v1.yaml:" in item["pointer"] for item in problem["errors"])
    assert still.status_code == 200
    with pytest.raises(ContractFilesError):
        reload()


def test_a_breaking_change_is_refused(tmp_path: Path) -> None:
    """With the list of what it would break."""
    directory = tmp_path / "contracts"
    _copy(CONTRACTS, directory)
    registry = load(directory)
    path = directory / "events" / "order.created.v1.yaml"
    path.write_text(path.read_text().replace("maximum: 1000000", "maximum: 10"))
    (directory / "contracts.lock").unlink()

    with serving(
        tmp_path / "data", registry=registry, load_contracts=lambda: load(directory)
    ) as served:
        response = served.post("/v1/contracts/publish")

    assert (response.status_code, response.json()["code"]) == (409, "contract_breaking")
    assert "order.created@1" in response.json()["errors"][0]["message"]


def _copy(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())


def test_what_is_refused_again_makes_no_second_dead_letter(served: Served) -> None:
    """Replaying all would double their number each time, found by generated requests."""
    served.send(order("A", amount="x"), {"type": "no.such", "data": {}})
    served.post("/v1/events", content=b'{"x":"' + b"y" * 1_100_000 + b'"}')

    for _ in range(3):
        answer = served.post("/v1/deadletter/replay", json={}).json()
        assert (answer["replayed"], answer["refused"]) == (0, 3)

    letters = served.get("/v1/deadletter").json()["dead_letters"]
    assert [item["reason"] for item in letters] == ["too_large", "event_unknown", "decimal_invalid"]


def test_a_dead_letter_that_was_cut_off_can_be_replaced_whole(served: Served) -> None:
    """Its hint says so."""
    served.post("/v1/events", content=b'{"x":"' + b"y" * 1_100_000 + b'"}')

    fixed = served.post("/v1/deadletter/0/fix", json={"event": order("A")}).json()

    assert fixed["status"] == "accepted"
