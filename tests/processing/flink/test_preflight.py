"""What stands in a job's way is said in a sentence before it is submitted."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from agentflow.errors import ParameterError, UnavailableError
from processing.flink.__main__ import main
from processing.flink.preflight import require_alone, require_catalog, require_tables

GOLDEN = Path(__file__).parents[2] / "golden" / "contracts"


@contextmanager
def answering(answers: Mapping[str, Any], *, refusal: int = 401) -> Iterator[str]:
    """Answer on loopback; what is not known is refused."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in answers else refusal)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(self.path)).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def nobody() -> str:
    """Return an address that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_catalog_that_is_down_is_said_and_a_refusal_is_an_answer() -> None:
    """Whether the job may in is between it and the catalog."""
    with answering({}) as address:
        require_catalog(f"http://{address}/", token="t")  # noqa: S106 - of nobody

    with pytest.raises(UnavailableError, match="catalog does not answer"):
        require_catalog(f"http://{nobody()}")


def test_tables_the_lake_does_not_have_are_named_with_the_command_that_makes_them() -> None:
    """Flink would say so with a page of Java. A namespace that is missing has no tables."""
    events = "/v1/shop/namespaces/events/tables?pageToken="
    answers = {
        "/v1/config?warehouse=s3%3A%2F%2Flake": {"overrides": {"prefix": "shop"}, "defaults": {}},
        events: {"identifiers": [{"namespace": ["events"], "name": "a"}], "next-page-token": "2"},
        f"{events}2": {"identifiers": [{"namespace": ["events"], "name": "b"}]},
    }
    there = [("events", "a"), ("events", "b")]
    missing = [("events", f"c{number}") for number in range(5)]
    with answering(answers, refusal=404) as address:
        require_tables(f"http://{address}", there, warehouse="s3://lake")
        with pytest.raises(
            ParameterError, match=r"no table agentflow\.unread, .*3 and 1 more"
        ) as found:
            require_tables(
                f"http://{address}",
                [*there, *missing, ("agentflow", "unread")],
                warehouse="s3://lake",
            )

    assert "agentflow lake apply" in (found.value.hint or "")


def test_the_lake_job_before_its_tables_ends_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A newcomer starts it before `agentflow lake apply`, and read a page of Java."""
    none = {"/v1/config": {}, "/v1/config?warehouse=s3%3A%2F%2Flake": {}}
    with answering(none, refusal=404) as address:
        monkeypatch.setenv("AGENTFLOW_LAKE_CATALOG", f"http://{address}")
        monkeypatch.setenv("AGENTFLOW_LAKE_WAREHOUSE", "s3://lake")

        code = main(["lake", "--contracts-dir", str(GOLDEN), "--cluster", nobody()])

    assert code == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("the lake has no table ")
    assert said[1].startswith("Make them with `agentflow lake apply`")
    assert len(said) == 2


def test_a_catalog_that_refuses_or_is_ill_is_told_apart() -> None:
    """A refusal is between it and the job; an illness is worth waiting for."""
    with answering({}) as address:
        require_tables(f"http://{address}", [("events", "a")], warehouse="")
    with answering({}, refusal=503) as address, pytest.raises(UnavailableError, match="503"):
        require_tables(f"http://{address}", [("events", "a")], warehouse="")


def test_a_job_that_runs_already_is_not_started_beside_itself() -> None:
    """One that has ended is in nobody's way, whatever its name; nor is one of another name."""
    jobs = [
        {"jid": "1", "name": "shop-lake", "state": "CANCELED"},
        {"jid": "2", "name": "other-lake", "state": "RUNNING"},
    ]
    with answering({"/jobs/overview": {"jobs": jobs}}) as address:
        require_alone(address, "shop-lake")
        with pytest.raises(ParameterError, match='"other-lake" runs already as 2'):
            require_alone(address, "other-lake")

    with pytest.raises(UnavailableError, match="no Flink answers"):
        require_alone(nobody(), "shop-lake")
