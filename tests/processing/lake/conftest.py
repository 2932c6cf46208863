"""A lake, a log and the shop's contracts, as small as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.lint import load
from ingestion.log.port import Accept, Batch, Reject
from processing.lake import Lake, open_lake
from quality import Accepted, Gate
from tests.fakes.memory_log import MemoryLog

NOW_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z

Publish = Callable[[Sequence[dict[str, object]]], None]


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load(Path("contracts"))


@pytest.fixture(scope="session")
def gate(registry: Registry) -> Gate:
    return Gate(registry)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def lake(tmp_path: Path, registry: Registry) -> Iterator[Lake]:
    lake = open_lake(tmp_path / "lake", registry)
    yield lake
    lake.close()


def batch_of(gate: Gate, documents: Sequence[dict[str, object]], *, tenant: str = "acme") -> Batch:
    """Judge documents as the platform does; what the gate refuses becomes a dead letter."""
    raws = [RawEvent(json.dumps(each).encode(), tenant, NOW_US) for each in documents]
    verdicts: list[Accept | Reject] = []
    for raw in raws:
        verdict = gate.judge(raw)
        if isinstance(verdict, Accepted):
            event = verdict.event
            verdicts.append(
                Accept(
                    identity=verdict.identity,
                    type=event.type,
                    version=event.version,
                    tenant=event.tenant,
                    key=verdict.key,
                    value=gate.encode(event),
                    occurred_us=event.occurred_us,
                )
            )
        else:
            verdicts.append(Reject(tenant, verdict.reason, b"{}", verdict.type, verdict.event_id))
    return Batch(raws, verdicts)


def order(number: int, **changes: object) -> dict[str, object]:
    """Return the document of an order."""
    data = {"order_id": f"o{number}", "amount": "10.00", "currency": "EUR", **changes}
    return {"id": f"order-{number}", "source": "/shop", "type": "order.created", "data": data}


def cancelled(number: int) -> dict[str, object]:
    """Return the document of its cancellation."""
    data = {"order_id": f"o{number}"}
    return {"id": f"cancel-{number}", "source": "/shop", "type": "order.cancelled", "data": data}


@pytest.fixture
def publish(log: MemoryLog, gate: Gate) -> Publish:
    def publish(documents: Sequence[dict[str, object]]) -> None:
        log.commit(batch_of(gate, documents))

    return publish
