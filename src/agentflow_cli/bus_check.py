"""The check of `agentflow doctor` on the broker that events come over, if they come over one."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.errors import AgentFlowError
from agentflow.settings import Settings
from agentflow_cli.checks import Finding


def examine_bus(configured: Settings) -> Iterator[Finding]:
    """Look whether the broker answers and has what is needed; nothing to see when embedded."""
    from agentflow_cli.service import people
    from ingestion.buses import BUSES

    bus = BUSES.get(configured.bus)
    if bus is None:
        return
    people()  # what a client says of its connections belongs beside the findings, not into them
    try:
        yield Finding(configured.bus, "ok", bus.check(configured))
    except AgentFlowError as error:
        yield Finding(configured.bus, "problem", str(error), error.hint or "")
