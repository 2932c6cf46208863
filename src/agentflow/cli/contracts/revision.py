"""The contract files as they were at a git revision."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

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
    archive = _archived(old, directory)
    with TemporaryDirectory() as unpacked:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(unpacked, filter="data")
        yield Path(unpacked)


def _archived(revision: str, directory: Path) -> bytes:
    named = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    commit = _git(directory, *named, asked=revision).decode().strip()
    return _git(directory, "archive", "--format=tar", commit, ".", asked=revision)


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
    return f'"{old}" is neither a directory nor a git revision that holds the contracts ({why})'
