"""The checks of `agentflow doctor`: each looks at one thing and says how to fix it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

from agentflow.clock import SystemClock, to_datetime
from agentflow.errors import AgentFlowError
from agentflow.wording import counted

_PYTHON = ((3, 11), (3, 12))
_LITTLE_SPACE_BYTES = 1 << 30
_NO_SPACE_BYTES = 64 << 20
_BUILT_IN = 2026
_SHOWN = 3
_IN_CATALOG = frozenset({"event", "entity", "metric"})


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        fix: What to do about it; empty when there is nothing to do.
    """

    name: str
    status: Literal["ok", "note", "problem"]
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """What to examine."""

    data_dir: Path
    contracts_dir: Path
    host: str
    port: int
    url: str
    api_key: str


def examine(target: CheckTarget) -> Iterator[Finding]:
    """Run every check, in the order in which things are needed."""
    checks: tuple[Callable[[CheckTarget], Iterator[Finding]], ...] = (
        _python,
        _dependencies,
        _clock,
        _contracts,
        _data_dir,
        _space,
        _platform,
    )
    for check in checks:
        yield from check(target)


def _python(_: CheckTarget) -> Iterator[Finding]:
    low, high = _PYTHON
    text = ".".join(map(str, sys.version_info[:3]))
    if low <= sys.version_info[:2] <= high:
        yield Finding("python", "ok", text)
        return
    wanted = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
    yield Finding(
        "python", "problem", f"{text}, wanted {wanted}", "uv python install 3.12 && uv sync"
    )


def _dependencies(_: CheckTarget) -> Iterator[Finding]:
    from packaging.requirements import Requirement

    missing = []
    requirements = [Requirement(text) for text in metadata.requires("agentflow") or ()]
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            missing.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement.name} {version}, wanted {requirement.specifier}")
    if missing:
        yield Finding("packages", "problem", "; ".join(missing), "uv sync")
    else:
        yield Finding("packages", "ok", f"{len(requirements)} as wanted")


def _clock(_: CheckTarget) -> Iterator[Finding]:
    now = to_datetime(SystemClock().now_us())
    if now.year >= _BUILT_IN:
        yield Finding("clock", "ok", now.isoformat(timespec="seconds"))
        return
    fix = "Set the clock, or start time synchronisation: timedatectl set-ntp true"
    yield Finding("clock", "problem", f"it says {now.isoformat()}: windows would be wrong", fix)


def _contracts(target: CheckTarget) -> Iterator[Finding]:
    from agentflow.contracts import read_lock, unlocked
    from processing.definitions.compiling import read_compiled

    reading = read_compiled(target.contracts_dir)
    if reading.problems:
        detail = f"{counted(len(reading.problems), 'problem')} in {target.contracts_dir}"
        first = f"; the first: {reading.problems[0]}"
        fix = f"agentflow contracts lint --contracts-dir {target.contracts_dir}"
        yield Finding("contracts", "problem", detail + first, fix)
        return
    new = unlocked(reading.registry, read_lock(target.contracts_dir) or {})
    count = len(reading.registry.contracts())
    if new:
        fix = f"agentflow contracts lock --contracts-dir {target.contracts_dir}"
        yield Finding("contracts", "note", f"{count}, of which {len(new)} are not locked yet", fix)
    else:
        yield Finding("contracts", "ok", f"{count} in {target.contracts_dir}, all locked")


def _data_dir(target: CheckTarget) -> Iterator[Finding]:
    directory = target.data_dir
    existing = _nearest(directory)
    if directory.exists() and not directory.is_dir():
        yield Finding("data", "problem", f"{directory} is a file", "Name a directory: --data-dir")
    elif not os.access(existing, os.W_OK | os.X_OK):
        fix = f"chown -R $(id -u) {existing}, or name another with --data-dir"
        yield Finding("data", "problem", f"{existing} cannot be written", fix)
    elif directory.exists():
        size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
        yield Finding("data", "ok", f"{directory}, {size / (1 << 20):,.1f} MiB")
    else:
        yield Finding("data", "ok", f"{directory} does not exist yet; `agentflow up` makes it")


def _space(target: CheckTarget) -> Iterator[Finding]:
    existing = _nearest(target.data_dir)
    free = shutil.disk_usage(existing).free
    detail = f"{free / (1 << 30):,.1f} GiB free at {existing}"
    if free < _NO_SPACE_BYTES:
        fix = "Free some space: with a full disk events are refused, not lost"
        yield Finding("space", "problem", detail, fix)
    elif free < _LITTLE_SPACE_BYTES:
        yield Finding("space", "note", detail, "Free some space soon")
    else:
        yield Finding("space", "ok", detail)


def _platform(target: CheckTarget) -> Iterator[Finding]:
    from agentflow_sdk import AgentFlow, ProblemError, Retry, UnreachableError
    from agentflow_sdk import AgentFlowError as ClientError

    with AgentFlow(
        target.url, api_key=target.api_key or None, timeout_seconds=5, retry=Retry(attempts=1)
    ) as client:
        try:
            health = client.health()
            catalog = client.catalog()
        except UnreachableError as error:
            yield from _not_running(target, str(error))
            return
        except ProblemError as error:
            yield Finding("platform", "problem", f"{target.url}: {error.detail}", error.hint or "")
            return
        except ClientError as error:
            yield Finding("platform", "problem", str(error), error.hint or "")
            return
    yield from _health(target, health)
    yield in_force(target.contracts_dir, catalog)


def in_force(contracts_dir: Path, catalog: Mapping[str, Any]) -> Finding:
    """Compare the contracts the platform goes by with the files here."""
    from agentflow.lint import read_directory

    theirs = {
        f"{contract['kind']} {contract['name']}@{contract['version']}": contract["fingerprint"]
        for contracts in catalog.values()
        for contract in contracts
    }
    reading = read_directory(contracts_dir)
    registry = reading.registry
    ours = {
        f"{contract.kind} {contract.name}@{contract.version}": registry.fingerprint(contract)
        for contract in registry.contracts()
        if contract.kind in _IN_CATALOG
    }
    differing = sorted(name for name in theirs | ours if theirs.get(name) != ours.get(name))
    if not differing or reading.problems or not ours:
        beside = "" if differing else f", those in {contracts_dir}"
        return Finding("in force", "ok", f"{counted(len(theirs), 'contract')}{beside}")
    shown = ", ".join(differing[:_SHOWN])
    more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    return Finding(
        "in force",
        "note",
        f"the platform goes by other contracts than {contracts_dir}: {shown}{more}",
        "agentflow contracts publish, when the platform reads that directory",
    )


def _health(target: CheckTarget, health: dict[str, Any]) -> Iterator[Finding]:
    status = str(health.get("status"))
    kind: Literal["ok", "problem"] = "ok" if status == "ok" else "problem"
    yield Finding("platform", kind, f"{target.url} is {status}")
    for name, part in dict(health.get("components") or {}).items():
        if part.get("status") != "ok":
            detail = str(part.get("detail") or part.get("status"))
            yield Finding(name, "problem", detail, str(part.get("fix") or ""))


def _not_running(target: CheckTarget, detail: str) -> Iterator[Finding]:
    """Nothing answers: say so, and whether `up` could start here."""
    yield Finding("platform", "note", f"not running: {detail}", "agentflow up")
    yield from _lock(target.data_dir)
    try:
        socket.create_server((target.host, target.port)).close()
    except OSError as error:
        detail = f"{target.host}:{target.port} cannot be used: {error.strerror or error}"
        yield Finding(
            "port", "problem", detail, "agentflow up --port 0, or stop what listens there"
        )
    else:
        yield Finding("port", "ok", f"{target.host}:{target.port} is free")


def _lock(data_dir: Path) -> Iterator[Finding]:
    if not (data_dir / "LOCK").exists():
        return
    from ingestion.log.lock import DataDirectoryLock

    try:
        with DataDirectoryLock(data_dir):
            yield Finding("lock", "ok", "no process holds the data directory")
    except AgentFlowError as error:
        yield Finding("lock", "problem", str(error), error.hint or "")


def _nearest(path: Path) -> Path:
    """Return the path, or the nearest parent of it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
