"""The check of `agentflow doctor` on the control store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agentflow.errors import AgentFlowError
from agentflow.settings import Settings
from agentflow_cli.checks import Finding


def examine_control(configured: Settings, data_dir: Path) -> Iterator[Finding]:
    """Look whether it answers, and whether this version of AgentFlow knows its tables."""
    from control_store.examining import examined_file, examined_postgres
    from control_store.wiring import CONTROL_FILE

    url = configured.control_url.get_secret_value()
    try:
        found = (
            examined_postgres(url, configured.control_timeout_seconds)
            if url
            else examined_file(data_dir / CONTROL_FILE)
        )
    except AgentFlowError as error:
        yield Finding("control", "problem", str(error), error.hint or "")
    else:
        yield Finding("control", "ok", found)
