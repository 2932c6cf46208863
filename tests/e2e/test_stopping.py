"""What happens to those who are still connected when the platform is told to stop."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from tests.e2e.conftest import AGENTFLOW, ROOT

BATCHES = 6
PAGES = 1_000
"""Events in a batch: together more than the buffers of a socket hold."""
BOUND_SECONDS = 15
"""Five for requests that are under way, and what the last snapshot and the lake take."""


def view(number: int) -> dict[str, object]:
    data = {"session_id": f"S-{number}", "page": "/", "referrer": "r" * 500}
    return {"type": "page.viewed", "source": "urn:test:stop", "id": str(number), "data": data}


def connected(address: tuple[str, int], request: bytes) -> socket.socket:
    """Connect with a small buffer and send *request*."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(address)
    client.sendall(request)
    return client


def test_clients_that_do_not_read_or_do_not_finish_keep_no_platform_from_ending(
    tmp_path: Path,
) -> None:
    """It once logged the trace of a cancelled task for each of them."""
    command = [AGENTFLOW, "up", "--port", "0", "--json", "--data-dir", tmp_path / "data"]
    process = subprocess.Popen(
        [*map(str, command), "--contracts-dir", str(ROOT / "contracts")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    address, host = (where.hostname, where.port), f"Host: {where.netloc}\r\n".encode()
    stalled = connected(address, b"GET /v1/stream/events HTTP/1.1\r\n%b\r\n" % host)
    assert stalled.recv(12) == b"HTTP/1.1 200"
    with httpx2.Client(base_url=url) as http:
        for batch in range(BATCHES):
            events = [view(batch * PAGES + number) for number in range(PAGES)]
            assert http.post("/v1/events", json=events).json()["accepted"] == PAGES
        upload = connected(
            address,
            b"POST /v1/events HTTP/1.1\r\n%bContent-Length: 100000\r\n"
            b"Content-Type: application/json\r\n\r\n[" % host,
        )

    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 0
    assert time.monotonic() - began < BOUND_SECONDS
    assert "Traceback" not in told
    assert told.count("server.requests_cut") == 1
    assert "connections=2" in told
    stalled.close()
    upload.close()
