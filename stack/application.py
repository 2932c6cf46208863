"""The platform on the services of `python -m stack up`: what `--app` adds, and how its jobs are."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentflow.lint import load
from stack import shop
from stack.errors import StackError
from stack.jobs import last_checkpoint, state_of
from stack.path import StreamPath, Told
from stack.topology import CONTRACTS, databases_of

_FILE = "app.json"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job that was started and not stopped.

    Attributes:
        state: Flink's word for it; None when the cluster does not know it or does not answer.
        checkpoint: The URI of its last complete checkpoint.
        command: What brings it back.
    """

    name: str
    id: str
    state: str | None
    checkpoint: str | None
    command: str

    @property
    def healthy(self) -> bool:
        """True while it runs."""
        return self.state == "RUNNING"

    def __str__(self) -> str:
        if self.healthy:
            return f"{'running':<17} {self.id}"
        state = "is gone" if self.state is None else f"is {self.state.lower()}"
        since = "it has no checkpoint" if self.checkpoint is None else self.checkpoint
        return f"{state:<17} {self.id}; {since}\n{'':<44} bring it back: {self.command}"


def contracts_in(directory: Path) -> Path | None:
    """Return the contracts of the platform that was brought up there; None without one."""
    try:
        return Path(json.loads((directory / _FILE).read_text())["contracts"])
    except FileNotFoundError:
        return None


def require_same(directory: Path, contracts: Path) -> None:
    """Check that what runs there was started with these contracts.

    Raises:
        StackError: It was not; databases, connectors and jobs follow from them.
    """
    known = contracts_in(directory)
    if known is not None and known != contracts:
        raise StackError(
            f'a platform with the contracts in "{known}" was started in {directory}',
            fix="Stop it first (`python -m stack down`), or use another --directory.",
        )


def planned(directory: Path, contracts: Path) -> StreamPath:
    """Return the platform on the services of a directory."""
    databases = databases_of(load(contracts))
    return StreamPath(directory, contracts, databases=databases, secure=True).attach()


def bring_up(path: StreamPath, told: Told) -> None:
    """Make topics and tables, start jobs, connectors and the platform; what is there stays.

    Raises:
        StackError: A part does not run.
    """
    (path.directory / _FILE).write_text(json.dumps({"contracts": str(path.contracts)}))
    path.timed("topics", told, path.make_topics)
    path.timed("lake tables", told, path.make_tables)
    path.ensure_jobs(told)
    if path.databases:
        if path.contracts == CONTRACTS:
            path.timed("shop's tables", told, lambda: shop.create_tables(path))
        path.timed("connectors", told, path.capture)


def forget(directory: Path) -> None:
    """Note that no platform runs there any more; its jobs go on from their checkpoints."""
    (directory / _FILE).unlink(missing_ok=True)


def jobs(path: StreamPath) -> Iterator[JobStatus]:
    """Yield how each job is that was started."""
    for name, job in path.jobs.items():
        cluster = path.cluster(name)
        since = last_checkpoint(cluster, job)
        yield JobStatus(name, job, state_of(cluster, job), since, _command(path))


def _command(path: StreamPath) -> str:
    contracts = "" if path.contracts == CONTRACTS else f" --contracts-dir {path.contracts}"
    return f"{Path(sys.executable).name} -m stack up --app{contracts} --directory {path.directory}"
