"""What `connectors apply` says before a table is captured, and when Connect refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from agentflow_cli import main

PGBENCH = Path(__file__).parents[3] / "examples" / "pgbench" / "contracts"
REASON = "Connector configuration is invalid: The 'database.hostname' value is invalid"


class _Worker(BaseHTTPRequestHandler):
    """Kafka Connect without connectors; it refuses those whose server is called `refused`."""

    def do_GET(self) -> None:
        self._answer(404, {"message": "not found"})

    def do_PUT(self) -> None:
        config = json.loads(self.rfile.read(int(self.headers["content-length"])))
        refused = config["database.hostname"] == "refused"
        self._answer(400 if refused else 201, {"message": REASON} if refused else config)

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def connect_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Worker) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_table_without_a_key_is_warned_of_before_it_is_captured(connect_url: str) -> None:
    """The application's own DELETE failed from then on."""
    result = CliRunner().invoke(
        main,
        ["connectors", "apply", "--contracts-dir", str(PGBENCH), "--connect-url", connect_url],
    )

    assert result.exit_code == 0, result.output
    warned, applied = result.stderr.split("applied agentflow-pgbench")
    assert "UPDATE and DELETE fail on public.pgbench_history once captured" in warned
    assert "ALTER TABLE public.pgbench_history REPLICA IDENTITY FULL;" in warned
    assert "ALTER" not in applied


def test_a_refusal_says_what_the_worker_needs(connect_url: str) -> None:
    """Variables are read when the worker starts."""
    arguments = ["connectors", "apply", "--contracts-dir", str(PGBENCH)]
    other = ["--set", "pgbench.database.hostname=refused", "--connect-url", connect_url]

    result = CliRunner().invoke(main, [*arguments, *other])

    assert result.exit_code != 0
    assert REASON in result.stderr
    assert "Before it starts, it needs AGENTFLOW_PGBENCH_PASSWORD" in result.stderr
