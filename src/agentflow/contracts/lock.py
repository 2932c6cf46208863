"""The record of what every contract version means: `contracts.lock`, from name to fingerprint.

A meaning may only change together with its version, so that a number answered yesterday can be
told from one answered today. Proposed contracts are not locked yet. What was removed stays in the
lock: a version is never used for a second meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from agentflow.contracts.model import Contract, EventContract
from agentflow.contracts.registry import Registry
from agentflow.errors import BreakingChangeError, ContractFilesError, FileProblem
from agentflow.wording import counted

LOCK_NAME = "contracts.lock"
_FORMAT = 1
_MAX_LOCK_BYTES = 16 * 1024 * 1024  # of some 200,000 versions


def lock_key(contract: Contract) -> str:
    """Return what a contract is locked as; events count their minor version too."""
    minor = f".{contract.minor}" if isinstance(contract, EventContract) else ""
    return f"{contract.kind} {contract.name}@{contract.version}{minor}"


def lock_entries(registry: Registry) -> Mapping[str, str]:
    """Return the fingerprint of every contract that is not merely proposed, by `lock_key`."""
    settled = (contract for contract in registry.contracts() if contract.status != "proposed")
    return {lock_key(contract): registry.fingerprint(contract) for contract in settled}


def read_lock(directory: Path) -> Mapping[str, str] | None:
    """Return the entries of a directory's lock, or None when it has none.

    Raises:
        ContractFilesError: The lock cannot be understood.
    """
    try:
        with (directory / LOCK_NAME).open("rb") as file:
            content = file.read(_MAX_LOCK_BYTES + 1)
        text = content.decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ContractFilesError([FileProblem(LOCK_NAME, 0, f"cannot be read: {error}")]) from error
    if len(content) > _MAX_LOCK_BYTES:
        message = f"file is longer than {_MAX_LOCK_BYTES} bytes"
        hint = "Restore it from version control; it is written by a program."
        raise ContractFilesError([FileProblem(LOCK_NAME, 0, message, hint)])
    try:
        entries = _entries(json.loads(text))
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 0
        hint = "Restore it from version control; it is written by a program."
        problem = FileProblem(LOCK_NAME, line, f"is not a lock: {error}", hint)
        raise ContractFilesError([problem]) from error
    return entries


def check_lock(registry: Registry, locked: Mapping[str, str]) -> tuple[FileProblem, ...]:
    """Return a problem for every contract whose meaning changed while its version did not."""
    return tuple(
        registry.source(contract).problem(
            ("version",),
            f'the meaning of {contract.kind} "{contract.name}" changed under version '
            f"{lock_key(contract).rpartition('@')[2]}",
            _what_to_raise(contract),
        )
        for contract in registry.contracts()
        if contract.status != "proposed"
        and locked.get(lock_key(contract), registry.fingerprint(contract))
        != registry.fingerprint(contract)
    )


def unlocked(registry: Registry, locked: Mapping[str, str]) -> tuple[str, ...]:
    """Return the contracts, by `lock_key`, that the lock does not know yet."""
    return tuple(sorted(lock_entries(registry).keys() - locked.keys()))


def lock_text(
    registry: Registry, locked: Mapping[str, str], *, accept_changes: bool = False
) -> str:
    """Return the text of a lock that also knows the new contracts of a registry.

    Args:
        registry: The contracts as they are now.
        locked: The entries so far; they are kept.
        accept_changes: Overwrite the fingerprint of contracts that changed their meaning.

    Raises:
        BreakingChangeError: A meaning changed under the same version, and that is not accepted.
    """
    changed = check_lock(registry, locked)
    if changed and not accept_changes:
        problems = "\n".join(f"  {problem}" for problem in changed)
        raise BreakingChangeError(
            f"{counted(len(changed), 'contract')} changed in meaning\n{problems}",
            hint="Give each a new version, or accept the changes on purpose.",
        )
    entries = {**locked, **lock_entries(registry)}
    document = {"format": _FORMAT, "contracts": dict(sorted(entries.items()))}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_lock(
    directory: Path | str, registry: Registry, *, accept_changes: bool = False
) -> tuple[str, ...]:
    """Bring the lock of a directory up to date and return the keys that are new in it.

    The file is replaced as a whole, so a reader never sees half of it.

    Raises:
        BreakingChangeError: A meaning changed under the same version, and that is not accepted.
        ContractFilesError: The lock that is there cannot be understood.
    """
    locked = read_lock(Path(directory)) or {}
    text = lock_text(registry, locked, accept_changes=accept_changes)
    target = Path(directory) / LOCK_NAME
    draft = target.with_suffix(".lock.new")
    draft.write_text(text, "utf-8")
    draft.replace(target)
    return unlocked(registry, locked)


def _entries(document: object) -> Mapping[str, str]:
    contracts = document.get("contracts") if isinstance(document, dict) else None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError(f'expected "format": {_FORMAT}')
    if not isinstance(contracts, dict) or not all(
        isinstance(value, str) for value in contracts.values()
    ):
        raise ValueError('expected "contracts": a mapping of names to fingerprints')
    return contracts


def _what_to_raise(contract: Contract) -> str:
    if isinstance(contract, EventContract):
        return (
            f"Raise minor to {contract.minor + 1} if every old event still fits, else add "
            f"version {contract.version + 1} in a file of its own."
        )
    return f"Add version {contract.version + 1} in a file of its own and deprecate this one."
