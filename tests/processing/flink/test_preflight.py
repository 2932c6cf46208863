"""What stands in a job's way is said in a sentence before it is submitted."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from agentflow.errors import ParameterError, UnavailableError
from processing.flink.preflight import require_alone, require_catalog


@contextmanager
def answering(answers: Mapping[str, Any]) -> Iterator[str]:
    """Answer on loopback; what is not known is refused."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in answers else 401)
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
