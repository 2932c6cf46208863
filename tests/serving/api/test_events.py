"""`POST /v1/events` and `POST /v1/dry-run`, and every kind of bad input."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentflow.clock import ManualClock
from agentflow.errors import StorageFullError
from agentflow.lint import load
from ingestion.log.port import RAW, Batch, CommitLog, Committed
from processing.definitions import Definitions
from processing.platform import Platform
from processing.wiring import open_platform
from serving.server.app import create_app
from tests.serving.api.conftest import CONTRACTS, NOW_US, Served, order

JSON = {"Content-Type": "application/json"}
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


def value(served: Served, query: str = "window=all&currency=EUR") -> Any:
    return served.get(f"/v1/metrics/revenue?{query}").json()["value"]


def test_an_accepted_event_has_moved_its_metrics_when_it_is_answered(served: Served) -> None:
    """Read-your-writes needs no waiting in one process."""
    response = served.post("/v1/events", json=order("A"))

    answer = response.json()
    assert (response.status_code, answer["accepted"]) == (200, 1)
    assert answer["events"][0] == {
        "index": 0, "id": "A", "type": "order.created", "status": "accepted", "offset": 0,
        "warnings": [], "errors": [], "dead_letter": None, "identified_by": "id",
    }  # fmt: skip
    assert value(served, f"window=all&currency=EUR&at_least={answer['token']}") == "10.00"


def test_an_event_that_is_sent_again_is_a_duplicate_and_counts_once(served: Served) -> None:
    """Producers retry."""
    served.send(order("A"))

    again = served.post("/v1/events", json=order("A"))

    assert again.status_code == 200
    assert again.json()["events"][0]["status"] == "duplicate"
    assert again.json()["events"][0]["offset"] == 0
    assert value(served) == "10.00"


def test_a_batch_says_what_became_of_each_event(served: Served) -> None:
    """One bad event costs one event."""
    response = served.post("/v1/events", json=[order("A"), order("B", amount="ten"), order("A")])

    answer = response.json()
    assert response.status_code == 207
    assert [item["status"] for item in answer["events"]] == ["accepted", "rejected", "duplicate"]
    assert answer["events"][1]["errors"][0]["pointer"] == "/data/amount"
    assert answer["events"][1]["dead_letter"] == 0
    assert (answer["accepted"], answer["rejected"], answer["duplicates"]) == (1, 1, 1)


def test_bulk_senders_can_have_only_what_was_not_accepted(served: Served) -> None:
    """Ten thousand times `accepted` is a megabyte nobody reads."""
    answer = served.post(
        "/v1/events?detail=errors", json=[order("A"), order("B", amount="ten")]
    ).json()

    assert [item["index"] for item in answer["events"]] == [1]
    assert answer["accepted"] == 1


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/cloudevents+json", json.dumps(order("A"))),
        ("application/json; charset=utf-8", json.dumps([order("A")])),
        ("application/cloudevents-batch+json", json.dumps([order("A")])),
        ("application/x-ndjson", json.dumps(order("A")) + "\n\n"),
    ],
)
def test_every_form_of_events_is_taken(served: Served, content_type: str, body: str) -> None:
    """Structured, batch and lines, as the standard names them."""
    response = served.post("/v1/events", content=body, headers={"Content-Type": content_type})

    assert response.json()["accepted"] == 1


def test_binary_mode_is_taken(served: Served) -> None:
    """Attributes in headers, the body is the data."""
    response = served.post(
        "/v1/events",
        json=order("A")["data"],
        headers={"ce-id": "A", "ce-source": "/shop", "ce-type": "order.created",
                 "ce-specversion": "1.0"},
    )  # fmt: skip

    assert response.json()["accepted"] == 1
    assert value(served) == "10.00"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (json.dumps({**order("A"), "type": "order.create"}).encode(), "event_unknown"),
        (b'{"type": "order.created", "data": {', "malformed_json"),
        (b"", "malformed_json"),
        (DEEP, "too_deep"),
        (b'{"type":"order.created","data":{"x":"' + b"y" * 1_100_000 + b'"}}', "too_large"),
        (b'{"type": "order.created", "data": {"amount": NaN}}', "malformed_json"),
        (json.dumps(order("A", amount=True)).encode(), "type_wrong"),
        (json.dumps(order("A", colour="red")).encode(), "field_unknown"),
        (b'{"type": "order.created", "data": {}}', "field_missing"),
        (json.dumps({**order("A"), "time": "2099-01-01T00:00:00Z"}).encode(), "too_early"),
        (json.dumps({**order("A"), "time": "1970-01-01T00:00:00Z"}).encode(), "too_late"),
        (json.dumps({**order("A"), "tenant": "umbrella"}).encode(), "tenant_mismatch"),
        (json.dumps({**order("A"), "dataversion": 9}).encode(), "version_unknown"),
        (b'"order.created"', "not_an_object"),
        (b"\xff\xfe", "not_utf8"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_bad_event_is_a_dead_letter_with_its_reason(
    shared: Served, body: bytes, code: str
) -> None:
    """Clear to the sender at once, kept for whoever fixes it, and nothing else is stopped."""
    response = shared.post("/v1/events", content=body, headers=JSON)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "event_rejected")
    assert code in [item["code"] for item in problem["errors"]]
    letter = shared.get(f"/v1/deadletter/{problem['dead_letter']}").json()
    assert letter["reason"] == code
    assert shared.send(order("shared-1"))["duplicates"] == 1


def test_a_single_rejection_lists_everything_at_once(shared: Served) -> None:
    """Fixing one error after another wastes everybody's time."""
    event = order("A", amount="1.001", currency="XXX")
    del event["data"]["order_id"]

    problem = shared.post("/v1/events", json=event).json()

    pointers = {item["pointer"] for item in problem["errors"]}
    assert pointers == {"/data/order_id", "/data/amount", "/data/currency"}
    assert all(item.get("hint") for item in problem["errors"])


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        (JSON, b"[" + b" " * (16 * 1024 * 1024) + b"]", 413, "too_large"),
        (JSON, b"[" + b"{}," * 10_000 + b"{}]", 413, "too_many_events"),
        (JSON, b'[{"type": "order.created"}', 400, "malformed_json"),
        ({"Content-Type": "text/xml"}, b"<event/>", 415, "media_type_unsupported"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_request_that_cannot_be_split_stores_nothing(
    shared: Served, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    """Half a batch would be worse than none."""
    before = shared.platform.parts.log.end(RAW)

    response = shared.post("/v1/events", content=body, headers=headers)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert shared.platform.parts.log.end(RAW) == before


@pytest.mark.parametrize("query", ["detail=some", "details=errors", "detail=all&detail=all"])
def test_a_wrong_parameter_is_refused_before_anything_is_stored(shared: Served, query: str) -> None:
    """Unknown parameters are refused everywhere, on the fast way too."""
    before = shared.platform.parts.log.end(RAW)

    response = shared.post(f"/v1/events?{query}", json=order("A"))

    assert response.status_code == 400
    assert shared.platform.parts.log.end(RAW) == before


def test_a_chunked_body_is_stopped_at_the_limit(shared: Served) -> None:
    """A sender that does not announce its size must not fill the memory."""
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield b" " * (1024 * 1024)

    response = shared.post("/v1/events", content=chunks(), headers=JSON)

    assert response.json()["code"] == "too_large"
    assert sent < 64


def test_the_same_key_gives_the_same_answer_and_one_effect(served: Served) -> None:
    """A client that saw no answer may send the request again."""
    body = json.dumps({"type": "order.created", "data": order("A")["data"]})
    headers = {**JSON, "Idempotency-Key": '"k1"'}

    first = served.post("/v1/events", content=body, headers=headers)
    second = served.post("/v1/events", content=body, headers=headers)

    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"
    assert value(served) == "10.00"


def test_the_same_key_with_another_body_is_refused(served: Served) -> None:
    """It is a mistake of the client, and answering it would hide one of its requests."""
    served.post("/v1/events", json=order("A"), headers={"Idempotency-Key": "k1"})

    response = served.post("/v1/events", json=order("B"), headers={"Idempotency-Key": "k1"})

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_conflict")


def test_a_rejected_request_is_remembered_too(served: Served) -> None:
    """Else every repetition would make another dead letter."""
    for _ in range(3):
        served.post("/v1/events", json=order("A", amount="x"), headers={"Idempotency-Key": "k1"})

    assert len(served.get("/v1/deadletter").json()["dead_letters"]) == 1


def test_a_hundred_at_once_with_one_key_have_one_effect(served: Served) -> None:
    """Retries overlap with what they retry. The event has no id, so only the key holds it back."""
    event = {"type": "order.created", "source": "/x", "data": order("A")["data"]}

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(
            *(
                served.client.post("/v1/events", json=event, headers={"Idempotency-Key": "k1"})
                for _ in range(100)
            )
        )

    answers = served.run(all_at_once())

    assert {answer.content for answer in answers} == {answers[0].content}
    assert served.platform.intake.counts == {"accepted": 1, "duplicate": 0, "rejected": 0}


@pytest.mark.parametrize("key", ["", "x" * 256, '"', "a\tb"])
def test_a_malformed_key_is_refused(shared: Served, key: str) -> None:
    """Silence would mean no protection."""
    response = shared.post("/v1/events", json=order("A"), headers={"Idempotency-Key": key})

    if key == '"':
        assert response.status_code == 200  # one printable character
    else:
        assert response.json()["code"] == "header_invalid"


def test_dry_run_says_what_would_move_and_moves_nothing(served: Served) -> None:
    """Look before you leap."""
    served.send(order("A"))

    answer = served.post("/v1/dry-run", json=order("B", amount="5.50")).json()

    revenue = next(
        move for move in answer["moves"] if (move["metric"], move["version"]) == ("revenue", 2)
    )
    assert (revenue["before"], revenue["after"], revenue["moved"]) == ("10.00", "15.50", "5.50")
    assert answer["event"]["data"]["order_size"] == "small"
    assert value(served) == "10.00"
    assert served.post("/v1/dry-run", json=order("A")).json()["duplicate"] is True


def test_dry_run_of_a_bad_event_leaves_no_dead_letter(served: Served) -> None:
    """It is a question, not an attempt."""
    answer = served.post("/v1/dry-run", content=b"{", headers=JSON).json()

    assert answer["accepted"] is False
    assert answer["errors"][0]["code"] == "malformed_json"
    assert served.get("/v1/deadletter").json()["dead_letters"] == []


class FullLog:
    """A log on a disk that is full until somebody frees space."""

    def __init__(self, log: CommitLog) -> None:
        self._log = log
        self.full = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def commit(self, batch: Batch) -> Committed:
        if self.full:
            raise StorageFullError("the disk is full", hint="Free some space.")
        return self._log.commit(batch)


@pytest.fixture
def filling(tmp_path: Path) -> Iterator[tuple[Served, FullLog]]:
    clock = ManualClock(NOW_US)
    registry = load(CONTRACTS)
    opened = open_platform(tmp_path, registry, clock=clock)
    log = FullLog(opened.parts.log)
    parts = replace(opened.parts, log=log)  # type: ignore[arg-type]
    platform = Platform(Definitions.compile(registry), parts, clock=clock)
    api = create_app(platform)
    with asyncio.Runner() as runner:
        runner.run(platform.start())
        yield Served(platform, api, clock, runner.run), log
        runner.run(platform.close())


def test_a_full_disk_is_said_clearly_and_ends_by_itself(
    filling: tuple[Served, FullLog],
) -> None:
    """Nothing unacknowledged is counted, nothing acknowledged is lost, a retry works."""
    served, log = filling
    served.send(order("A"))
    log.full = True

    refused = served.post("/v1/events", json=order("B"), headers={"Idempotency-Key": "k"})
    reading = value(served)
    log.full = False
    retried = served.post("/v1/events", json=order("B"), headers={"Idempotency-Key": "k"})

    assert (refused.status_code, refused.json()["code"]) == (503, "storage_full")
    assert refused.headers["retry-after"] == "5"
    assert reading == "10.00"
    assert retried.json()["accepted"] == 1
    assert value(served) == "20.00"
