"""Schemathesis over the whole API on a socket: nothing is answered that is not documented.

Seeded and bounded. Streams are left out (they do not end); `test_streams` reads those.
"""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from agentflow.clock import SystemClock
from agentflow.lint import load
from control_store.keys.hashing import KeyHashing
from processing.wiring import open_platform
from serving.access.keys import parse_keys
from serving.server.app import AccessOptions, create_app
from serving.server.protocol import hot_protocol
from tests.fakes.few_metrics import few_metrics
from tests.serving.api.conftest import order

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
    ignored_auth,
]
KEY = {"X-API-Key": "conformance"}


@dataclass
class Server:
    """A server in a thread with an event loop of its own."""

    started: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    server: uvicorn.Server | None = None

    async def serve(self, directory: Path) -> None:
        """Serve until told to stop."""
        registry = load(few_metrics(directory / "contracts", METRICS))
        platform = open_platform(directory / "data", registry, clock=SystemClock())
        keys = parse_keys("conformance:acme")
        patient = AccessOptions(
            wrong_keys_per_minute=0,  # every check sends a wrong key
            key_hashing=KeyHashing(bytes(32)),
        )
        api = create_app(platform, keys=keys, access=patient, load_contracts=lambda: registry)
        await platform.start()
        config = uvicorn.Config(
            api, host="127.0.0.1", port=0, lifespan="off", log_level="critical",  # type: ignore[arg-type]
            http=hot_protocol(api), ws="none",
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        task = asyncio.create_task(self.server.serve())
        while not self.server.started:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.005)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.started.set()
        await task
        await platform.close()


@pytest.fixture(scope="module")
def api_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Serve a platform that already knows an order and a dead letter, and read its reference."""
    import httpx2

    server = Server()
    directory = tmp_path_factory.mktemp("conformance")
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(directory)))
    thread.start()
    assert server.started.wait(30)
    events = [order("A"), order("B", amount="x")]
    httpx2.post(f"{server.url}/v1/events", json=events, headers=KEY)
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", headers=KEY)
    yield schema.exclude(path_regex="^/v1/stream/")
    assert server.server is not None
    server.server.should_exit = True
    thread.join(30)


EXAMPLES = 8
PATIENCE_SECONDS = 120
"""A page of a verification may take 25 s, and whatever its last check takes."""
EXAMPLES_OF_ONE_METRIC = 3
METRICS = {"conversion_rate", "distinct_buyers", "largest_order", "p75_page_load", "revenue"}
"""There is a path for each metric, and one route behind all of them: one of each kind will do.

A verification of all there are takes most of a minute, and is asked for more than once.
"""
BOUNDED = settings(
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)
FORGIVING = {"/v1/events", "/v1/dry-run", "/v1/contracts/{event}/validate"}
"""The intake takes more than the standard allows (an absent id, say): it must not refuse that."""


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_nothing_undocumented_is_answered(api_schema: Any, mode: GenerationMode) -> None:
    """Whatever is made from the reference, rightly or wrongly, is answered as it says."""
    problems: list[str] = []
    count = 0
    for result in api_schema.get_all_operations():
        operation = result.ok()
        found = _problems(operation, mode)
        count += found.cases
        problems += found.problems

    assert problems == []
    assert count > 200


def _metric(operation: Any) -> str:
    """Return the metric that a path is made for; nothing when it serves all."""
    found = re.fullmatch(r"/v1/metrics/(\w+)", operation.path)
    return found[1] if found else ""


@dataclass
class Found:
    """What came of one operation."""

    cases: int = 0
    problems: list[str] = field(default_factory=list)


def _problems(operation: Any, mode: GenerationMode) -> Found:
    found = Found()
    lenient = operation.path in FORGIVING or mode is GenerationMode.POSITIVE
    checks = CHECKS if lenient else [*CHECKS, negative_data_rejection]

    @settings(BOUNDED, max_examples=EXAMPLES_OF_ONE_METRIC if _metric(operation) else EXAMPLES)
    @given(case=operation.as_strategy(generation_mode=mode))
    def conforms(case: schemathesis.Case) -> None:
        found.cases += 1
        case.call_and_validate(headers=KEY, checks=checks, timeout=PATIENCE_SECONDS)

    try:
        conforms()
    except Unsatisfiable:
        pass  # nothing about this operation can be wrong
    except BaseExceptionGroup as failures:
        found.problems = [f"{operation.label}: {item}" for item in failures.exceptions]
    return found
