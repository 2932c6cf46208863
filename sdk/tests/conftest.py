"""A fake platform on loopback, and both clients of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from agentflow.contracts import Registry  # noqa: E402
from agentflow.lint import load  # noqa: E402
from agentflow_sdk import AgentFlow, Retry  # noqa: E402
from tests.fakes.app import FakeServer  # noqa: E402
from tests.fakes.platform import FakePlatform  # noqa: E402
from tests.fakes.serve import served  # noqa: E402

QUICK = Retry(attempts=4, first_delay_seconds=0.001)


@cache
def shop() -> Registry:
    return load(ROOT / "contracts")


@pytest.fixture
def server() -> FakeServer:
    return FakeServer(FakePlatform(shop()))


@pytest.fixture
def url(server: FakeServer) -> Iterator[str]:
    with served(server) as base_url:
        yield base_url


@pytest.fixture
def client(url: str) -> Iterator[AgentFlow]:
    with AgentFlow(url, retry=QUICK) as client:
        yield client
