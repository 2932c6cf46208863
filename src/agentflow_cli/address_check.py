"""The check of `agentflow doctor` on who could reach the platform, and whether they need keys."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.errors import AgentFlowError
from agentflow.settings import Settings
from agentflow_cli.checks import Finding


def examine_address(configured: Settings) -> Iterator[Finding]:
    """Ask what `up` asks at its start: whether the address may be served with these keys."""
    from serving.wiring import require_keys

    try:
        require_keys(configured)
    except AgentFlowError as error:
        yield Finding("keys", "problem", f"`up` will refuse to start: {error}", error.hint or "")
