"""What the demonstration shows on a pipe, without the services it is of."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from agentflow.lint import load
from agentflow_sdk import AgentFlow
from stack import topology
from stack.demo import Demonstration, show
from stack.path import StreamPath
from stack.topology import databases_of
from tests.fakes.app import FakeServer
from tests.fakes.platform import FakePlatform
from tests.fakes.serve import served

SECONDS = 0.3


def test_on_a_pipe_the_demonstration_says_how_it_goes(tmp_path: Path) -> None:
    """A table that is drawn again and again is nothing there: it was silent to the end."""
    databases = databases_of(load(topology.CONTRACTS))
    planned = StreamPath(tmp_path, topology.CONTRACTS, databases=databases).attach()
    pipe = StringIO()
    with served(FakeServer(FakePlatform(planned.registry))) as url, AgentFlow(url) as client:
        client.send("order.created", {"order_id": "1", "amount": "9.50", "currency": "EUR"})

        show(Demonstration(planned), client, Console(file=pipe, width=200), SECONDS)

    (line,) = pipe.getvalue().splitlines()
    assert line.startswith("revenue 9.5")
    assert "1 events; produced → in Kafka 0.0 ms" in line
