"""Where a verdict goes: to the validated topic with its links, or to the dead letters."""

from __future__ import annotations

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from ingestion.log.port import Accept, Reject
from quality import Accepted, Gate, Rejected


class Router:
    """Turns verdicts of the gate into what the log commits."""

    def __init__(self, registry: Registry, gate: Gate) -> None:
        raise NotImplementedError

    def route(self, raw: RawEvent, verdict: Accepted | Rejected) -> Accept | Reject:
        """Return the log's form of *verdict*."""
        raise NotImplementedError
