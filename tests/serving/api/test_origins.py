"""Who is let in: without keys only this machine; with keys nobody who guesses or says it twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import ParameterError
from agentflow.settings import Settings
from serving.access.origins import Origins, host_name, loopback
from serving.server.app import AccessOptions
from serving.wiring import require_keys
from tests.serving.api.conftest import Served, order, serving
from tests.serving.api.test_protocol import URL, Line, Server, listening, request, told

REBOUND = {"host": "evil.test:8000"}
PATHS = ("/", "/metrics", "/v1/health", "/openapi.json", "/v1/catalog", URL, "/v1/stream/events")


@pytest.mark.parametrize("path", PATHS)
def test_without_keys_a_rebound_name_reads_nothing(shared: Served, path: str) -> None:
    """DNS rebinding: a page on `evil.test` that resolves to 127.0.0.1 is of the same origin."""
    answer = shared.get(path, headers=REBOUND)

    assert (answer.status_code, answer.json()["code"]) == (403, "host_refused")


def test_a_rebound_name_is_not_answered_at_once_either(shared: Served) -> None:
    """The hot path stands in front of everything."""

    async def story(_: Server, line: Line) -> None:
        line.writer.write(request("GET", URL).replace(b"host: localhost", b"host: evil.test"))
        assert (await line.read()).status == 403
        line.writer.write(request("GET", URL).replace(b"host: localhost\r\n", b""))
        assert (await line.read()).status == 403

    told(shared, story)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://evil.test", 403),
        ("http://evil.test:8000", 403),
        ("HTTP://localhost@evil.test", 403),
        ("http://localhost:8000", 200),
        ("http://127.0.0.1", 200),
    ],
)
def test_a_target_in_absolute_form_counts_as_its_host(
    shared: Served, method: str, target: str, status: int
) -> None:
    """RFC 9112, 3.2.2: what it names replaces `Host`, which says localhost here."""
    path = "/v1/dry-run" if method == "POST" else URL

    async def story(_: Server, line: Line) -> None:
        for _ in range(2):  # nothing is remembered either
            line.writer.write(request(method, f"{target}{path}", body=body))
            assert (await line.read(bodied=method != "HEAD")).status == status

    body = json.dumps(order("A")) if method == "POST" else ""
    told(shared, story)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:1", "127.9.9.9", "[::1]:8"]
)
def test_names_of_this_machine_are_answered(shared: Served, host: str) -> None:
    """Whatever the port is: a tunnel may have another one."""
    assert shared.get(URL, headers={"host": host}).status_code == 200


@given(st.text(max_size=30))
def test_no_text_but_a_name_of_this_machine_is_taken_for_one(text: str) -> None:
    """Neither nonsense nor a name that only begins like it."""
    assert loopback(host_name(text)) == loopback(host_name(text.strip()))
    for name in (f"localhost.{text}", f"{text}.localhost.evil", f"127.0.0.1.{text}x"):
        assert not Origins(any_host=False).knows(f"{name}.test".encode("utf-8", "replace"))


@pytest.mark.parametrize(
    "origin", ["http://evil.test", "null", "http://localhost:3000", "localhost"]
)
def test_without_keys_a_page_of_another_origin_does_not_write(shared: Served, origin: str) -> None:
    """A form needs no permission to send."""
    headers = {"origin": origin, "content-type": "text/plain"}

    answer = shared.post("/v1/events", content=b"[]", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")


def test_our_own_page_writes(shared: Served) -> None:
    """It comes from the address it writes to."""
    headers = {"origin": "http://localhost"}

    assert shared.post("/v1/dry-run", json=order("A"), headers=headers).status_code == 200
    assert shared.get(URL, headers={"origin": "http://evil.test"}).status_code == 200


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Served]:
    access = AccessOptions(wrong_keys_per_minute=3)
    with serving(tmp_path, keys="k-a:acme,k-b:acme", access=access) as found:
        yield found


def test_with_keys_any_name_is_good(keyed: Served) -> None:
    """A page that does not know the key gets nothing by any name."""
    headers = {**REBOUND, "x-api-key": "k-a", "origin": "http://app.test"}

    assert keyed.get(URL, headers=headers).status_code == 200
    assert keyed.post("/v1/events", json=[order("A")], headers=headers).status_code == 200


@pytest.mark.parametrize("path", [*PATHS, "/v1/nothing"])
@pytest.mark.parametrize("name", ["x-api-key", "host", "content-type", "idempotency-key"])
def test_what_names_one_thing_is_not_said_twice(shared: Served, path: str, name: str) -> None:
    """A proxy may judge the first and we the second."""
    if path == URL and name in {"content-type", "idempotency-key"}:
        path = "/v1/metrics/revenu"  # a plain read depends on neither, and does not look
    for values in (("k-a", "k-a"), ("k-a", "k-b")):
        answer = shared.get(path, headers=[("host", "localhost"), *((name, v) for v in values)])
        assert (answer.status_code, answer.json()["code"]) == (400, "header_invalid"), values


def test_two_keys_are_not_answered_at_once_either(keyed: Served) -> None:
    """Neither the first nor the last of them is the one that is meant."""

    async def run() -> None:
        async with listening(keyed) as server:
            line = await server.connect()
            assert (await line.ask(x_api_key="k-a")).status == 200
            sent = request("GET", URL, x_api_key="k-a")
            line.writer.write(sent.replace(b"x-api-key", b"x-api-key: k-b\r\nX-API-Key"))
            assert (await line.read()).status == 400
            line.writer.close()

    keyed.run(run())


def test_an_address_that_guesses_keys_waits_and_who_was_there_before_does_not(
    keyed: Served,
) -> None:
    """A right guess is not told from a wrong one meanwhile."""

    def ask(key: str) -> int:
        return keyed.get("/v1/catalog", headers={"x-api-key": key}).status_code

    assert ask("k-a") == 200
    assert [ask(f"guess-{number}") for number in range(5)] == [401, 401, 401, 429, 429]

    refused = keyed.get("/v1/catalog", headers={"x-api-key": "k-b"})
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert ask("k-a") == 200
    assert keyed.get(URL, headers={"x-api-key": "k-a"}).status_code == 200
    assert keyed.get(URL, headers={"x-api-key": "k-b"}).status_code == 429

    keyed.clock.advance(timedelta(seconds=21))
    assert ask("k-b") == 200
    assert keyed.get(URL, headers={"x-api-key": "k-b"}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/llms.txt", "/metrics", "/v1/health", "/v1/catalog",
             URL, "/v1/metrics", "/v1/metrics/revenu", "/v1/deadletter", "/v1/nothing"]
)  # fmt: skip
def test_head_is_get_without_the_body(shared: Served, path: str) -> None:
    """Monitors and caches ask so."""
    get, head = shared.get(path), shared.request("HEAD", path)

    assert head.content == b""
    assert head.status_code == get.status_code
    assert head.headers.keys() == get.headers.keys() | {"x-request-id"}
    assert head.headers["content-type"] == get.headers["content-type"]
    assert (
        head.headers["x-content-type-options"] == "nosniff" == get.headers["x-content-type-options"]
    )


def test_head_of_a_stream_opens_none(shared: Served) -> None:
    """It would never end, and nobody listens."""
    head = shared.request("HEAD", "/v1/stream/events")

    assert head.status_code == 200
    assert head.headers["content-type"].startswith("text/event-stream")
    assert shared.api.context.event_streams.subscribers == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "api.example.org", ""])  # noqa: S104
def test_others_are_not_served_without_keys_unless_told(host: str) -> None:
    """An open port on a public address is found within minutes."""
    with pytest.raises(ParameterError) as caught:
        require_keys(Settings(host=host))

    assert "AGENTFLOW_API_KEYS" in str(caught.value.hint)
    require_keys(Settings(host=host, api_keys="k:acme"))
    require_keys(Settings(host=host, without_keys=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_is_served_without_keys(host: str) -> None:
    """A laptop needs none."""
    require_keys(Settings(host=host))
