"""What is wrong with a connector, and how to fix it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LOST_POSITION = re.compile(
    r"replication slot .{0,200}(does not exist|has been invalidated)"
    r"|can no longer (get|access) (changes|replication slot)"
    r"|requested WAL segment .{0,200} (has already been|was) removed"
    r"|(offset|position|LSN|binlog).{0,200} (is|are|was) no longer available"
    r"|Could not find first log file name in binary log index"
    r"|Slot .{0,200} not found",
    re.IGNORECASE | re.DOTALL,
)
_ACCESS = re.compile(
    r"(password|authentication) .{0,80}failed|Access denied|Connection refused|Unable to connect"
    r"|Connection to .{0,200} refused|Communications link failure",
    re.IGNORECASE,
)
_CAUSED = "Caused by: "


@dataclass(frozen=True, slots=True)
class ConnectorProblem:
    """One thing that is wrong with a connector.

    Attributes:
        part: `connector` or `task 0`.
        state: `MISSING`, or what Connect says: `FAILED`, `PAUSED`, `UNASSIGNED`…
        problem: The innermost cause.
        fix: What to do.
    """

    connector: str
    part: str
    state: str
    problem: str
    fix: str


def diagnose(
    name: str, status: Mapping[str, Any] | None, *, placed: bool = True
) -> tuple[ConnectorProblem, ...]:
    """Return what is wrong with a connector, given its status; nothing when all of it runs.

    Args:
        name: The connector.
        status: What Connect says of it; None when it does not exist.
        placed: Whether it has stored its place in the source. Without one, and without a snapshot,
            a connector that starts again reads from where the source is by then.
    """
    if status is None:
        fix = "Run `agentflow connectors apply`."
        return (ConnectorProblem(name, "connector", "MISSING", "it does not exist", fix),)
    found = tuple(_problems(name, status))
    return found if found or placed else (_unplaced(name),)


def _unplaced(name: str) -> ConnectorProblem:
    problem = "it has not stored its place in the source: a worker that dies now loses changes"
    fix = "Wait: it is stored with the first change or heartbeat, seconds after the start."
    return ConnectorProblem(name, "connector", "UNPLACED", problem, fix)


def _problems(name: str, status: Mapping[str, Any]) -> Iterator[ConnectorProblem]:
    tasks = status.get("tasks") or []
    parts = [("connector", status.get("connector") or {})]
    parts += [(f"task {task.get('id')}", task) for task in tasks]
    for part, found in parts:
        state = str(found.get("state", "UNKNOWN"))
        if state != "RUNNING":
            trace = str(found.get("trace", ""))
            yield ConnectorProblem(name, part, state, _cause(trace), _fix(name, state, trace))
    if not tasks:
        fix = "Wait a moment; if it stays so, read the log of the Connect worker."
        yield ConnectorProblem(name, "connector", "UNASSIGNED", "it has no task", fix)


def _cause(trace: str) -> str:
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = [line.removeprefix(_CAUSED) for line in lines if line.startswith(_CAUSED)]
    return (causes or lines or ["no reason is given"])[-1 if causes else 0][:500]


def _fix(name: str, state: str, trace: str) -> str:
    if state in {"PAUSED", "STOPPED"}:
        return f"PUT /connectors/{name}/resume when it shall go on."
    if state in {"UNASSIGNED", "RESTARTING"}:
        return "Wait a moment; if it stays so, start another Connect worker."
    if _LOST_POSITION.search(trace):
        return (
            "Changes are lost for good. Stop the connector, DELETE its /offsets, raise `epoch` of "
            "its source contracts, apply it again: a new snapshot then wins over what was counted."
        )
    if _ACCESS.search(trace):
        return "Check the AGENTFLOW_<SERVER>_* variables of the Connect worker, then `--restart`."
    return "Fix the cause, then run `agentflow connectors status --restart`."
