"""The check of `agentflow doctor` on who could reach the platform, and whether they need keys."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.cli.checks import Finding
from agentflow.errors import AgentFlowError
from agentflow.settings import Settings


def examine_address(configured: Settings) -> Iterator[Finding]:
    """Ask what `up` asks at its start: whether the address may be served with these keys."""
    from serving.wiring import require_keys

    try:
        require_keys(configured)
    except AgentFlowError as error:
        yield Finding("keys", "problem", f"`up` will refuse to start: {error}", error.hint or "")
