"""Contracts of a directory, read and linted: what everything that needs contracts begins with."""

from __future__ import annotations

from pathlib import Path

from agentflow.contracts import Reading, Registry
from agentflow.contracts.files import read_directory as read
from agentflow.errors import ContractFilesError
from agentflow.lint.rules import lint


def load(directory: Path | str) -> Registry:
    """Read the contracts of a directory: `events/`, `metrics/` and so on, one to a file.

    Raises:
        ContractFilesError: Something is wrong; it lists all problems of all files.
    """
    reading = read_directory(directory)
    if reading.problems:
        raise ContractFilesError(reading.problems)
    return reading.registry


def read_directory(directory: Path | str, *, locked: bool = True) -> Reading:
    """Read what can be read and report the rest.

    Args:
        directory: Where the folders of contracts are.
        locked: Whether a meaning that differs from `contracts.lock`, if there is one, is a problem.
    """
    return read(directory, linter=lint, locked=locked)
