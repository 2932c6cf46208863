"""Keep a data directory to the user it belongs to: folders 0700, files 0600."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

OWN: Final = (
    "LOCK", "control.sqlite", "key-secret", "lake", "live.snapshot", "log.sqlite", "replica.sqlite",
)  # fmt: skip
"""What the names in a data directory begin with."""
_OTHERS: Final = 0o077


def keep_private() -> None:
    """Let this process make files and folders that only its user can read, from now on."""
    os.umask(_OTHERS)


def make_private(directory: Path) -> None:
    """Make *directory* unless it is there, and close it and its files to other users.

    From now on this process makes files that only its user can read. A directory that an earlier
    version left open is closed; one that also holds files of others is left as it is, which is
    logged, and only the platform's own files in it are closed.
    """
    keep_private()
    directory.mkdir(parents=True, exist_ok=True)
    if not _open(directory):
        return
    entries = list(directory.iterdir())
    own = [entry for entry in entries if entry.name.startswith(OWN)]
    left = [path for entry in own for path in _tree(entry) if not _close(path)]
    shared = len(own) < len(entries)
    if shared or not _close(directory) or left:
        log.warning(
            "data_directory.open_to_others",
            directory=str(directory),
            mode=oct(stat.S_IMODE(directory.stat().st_mode)),
            shared=shared,
            hint="Give it a directory of its own that belongs to its user, with mode 0700.",
        )


def _tree(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path):
            yield from (Path(folder, name) for name in (*folders, *files))


def _open(path: Path) -> bool:
    return bool(stat.S_IMODE(path.lstat().st_mode) & _OTHERS)


def _close(path: Path) -> bool:
    """Take the rights of others away; False when they cannot be taken."""
    if path.is_symlink():
        return True
    try:
        if _open(path):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)
    except FileNotFoundError:
        return True  # a file of SQLite or of a commit that has ended
    except PermissionError:
        return False
    return True
