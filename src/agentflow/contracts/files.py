"""Contract files in, a registry out, and every problem of every file at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from agentflow.contracts.lock import check_lock, read_lock
from agentflow.contracts.model import Contract
from agentflow.contracts.registry import Key, Registry, key_of
from agentflow.contracts.shape import Kind, contract_of
from agentflow.contracts.source import Document, SourceFile, read_file
from agentflow.errors import ContractFilesError, FileProblem
from agentflow.suggestions import meant
from agentflow.wording import quoted

FOLDERS: dict[str, Kind] = {
    "events": "event",
    "entities": "entity",
    "metrics": "metric",
    "sources": "source",
}
_SUFFIXES = (".yaml", ".yml")
_VERSION_SUFFIX = re.compile(r"\.v[0-9]+$")


class Linter(Protocol):
    """Finds what does not fit together; `agentflow.lint` is the one there is."""

    def __call__(
        self, registry: Registry, *, unreadable: frozenset[tuple[str, str]]
    ) -> tuple[FileProblem, ...]:
        """Return the problems, given the kinds and names of files that have others already."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a contracts directory holds, good and bad.

    Attributes:
        registry: The contracts that could be read.
        problems: Everything wrong, by file and line.
    """

    registry: Registry
    problems: tuple[FileProblem, ...]


def read_directory(directory: Path | str, *, linter: Linter, locked: bool = True) -> Reading:
    """Read what can be read and report the rest.

    Args:
        directory: Where the folders of contracts are.
        linter: Finds what does not fit together among the contracts that could be read.
        locked: Whether a meaning that differs from `contracts.lock`, if there is one, is a problem.
    """
    directory = Path(directory)
    problems: list[FileProblem] = []
    contracts: dict[Key, Contract] = {}
    sources: dict[Key, SourceFile] = {}
    unreadable: set[tuple[str, str]] = set()
    problems.extend(_folder_problems(directory))
    for file, kind in _files(directory):
        document = read_file(file.relative_to(directory).as_posix(), file)
        contract, found = _contract(document, kind)
        problems.extend(found)
        if contract is None:
            unreadable |= {(kind, name) for name in _claimed(document, file)}
            continue
        key = key_of(contract)
        if key in contracts:
            where = f"{sources[key].file}:{sources[key].line('name')}"
            message = (
                f"{kind} {quoted(contract.name)} version {contract.version} is already in {where}"
            )
            problems.append(document.source.problem(("name",), message, "Raise its version."))
            continue
        contracts[key] = contract
        sources[key] = document.source
    registry = Registry.of(contracts.values(), sources=sources)
    problems.extend(linter(registry, unreadable=frozenset(unreadable)))
    if locked and not problems:
        problems.extend(_lock_problems(directory, registry))
    ordered = sorted(
        set(problems), key=lambda problem: (problem.file, problem.line, problem.message)
    )
    return Reading(registry, tuple(ordered))


def _lock_problems(directory: Path, registry: Registry) -> tuple[FileProblem, ...]:
    try:
        return check_lock(registry, read_lock(directory) or {})
    except ContractFilesError as error:
        return error.problems


def _folder_problems(directory: Path) -> Iterator[FileProblem]:
    if not directory.is_dir():
        hint = "Point --contracts-dir at a directory with events/, entities/ and metrics/."
        what = "is a file, not a directory" if directory.exists() else "does not exist"
        yield FileProblem(".", 0, f"contracts directory {quoted(directory.name)} {what}", hint)
        return
    for child in sorted(directory.iterdir()):
        misread = child.suffix in _SUFFIXES and not child.is_dir()
        close = get_close_matches(child.name, FOLDERS, n=1, cutoff=0.75)
        if misread:
            hint = f"Move it into {', '.join(f'{folder}/' for folder in FOLDERS)}."
            yield FileProblem(child.name, 0, "contract file is in none of the folders", hint)
        elif child.is_dir() and close and child.name not in FOLDERS:
            hint = meant([f"{folder}/" for folder in close])
            yield FileProblem(child.name, 0, "folder is not read", hint)
    if not any(True for _ in _files(directory)):
        yield FileProblem(".", 0, "no contract files found", "Put one in events/, say.")


def _files(directory: Path) -> Iterator[tuple[Path, Kind]]:
    for folder, kind in FOLDERS.items():
        for file in sorted((directory / folder).rglob("*")):
            if file.suffix in _SUFFIXES and not file.name.startswith("."):
                yield file, kind


def _claimed(document: Document, file: Path) -> set[str]:
    """Return the names a broken file probably has, so that using them is not reported as well."""
    names = {_VERSION_SUFFIX.sub("", file.stem)}
    if isinstance(document.value, dict) and isinstance(name := document.value.get("name"), str):
        names.add(name)
    return names


def _contract(document: Document, kind: Kind) -> tuple[Contract | None, list[FileProblem]]:
    """Check one file, by the kind its folder says it is."""
    problems = list(document.problems)
    if document.value is None and problems:
        return None, problems
    contract, found = contract_of(document, kind)
    return contract, problems + list(found)
