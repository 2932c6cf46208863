"""The contract files as they were at a git revision."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from agentflow.wording import quoted

_GIT_SECONDS = 60


@contextmanager
def contracts_at(old: str, directory: Path) -> Iterator[Path]:
    """Yield the directory *old* names: itself, or *directory* as it was at git revision *old*.

    Raises:
        click.BadParameter: It is neither.
    """
    if Path(old).is_dir():
        yield Path(old)
        return
    with TemporaryDirectory() as folder:
        archive, unpacked = Path(folder, "archive.tar"), Path(folder, "contracts")
        _archive(old, directory, archive)
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        yield unpacked


def _archive(revision: str, directory: Path, archive: Path) -> None:
    """Write the directory as it was to a file: it may hold more than memory does."""
    named = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    commit = _git(directory, *named, asked=revision).decode().strip()
    to = f"--output={archive}"
    _git(directory, "archive", "--format=tar", to, commit, ".", asked=revision)


def _git(directory: Path, *arguments: str, asked: str) -> bytes:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_GIT_SECONDS)  # noqa: S603 - no shell
    except (OSError, subprocess.TimeoutExpired) as error:
        raise click.BadParameter(_neither(asked, str(error))) from error
    if done.returncode:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise click.BadParameter(_neither(asked, why[-1] if why else "unknown to git"))
    return done.stdout


def _neither(old: str, why: str) -> str:
    return (
        f"{quoted(old)} is neither a directory nor a git revision that holds the contracts ({why})"
    )
