"""Check the log's file before it is used; move a damaged one aside and keep what can be read.

A salvaged log keeps its id, but gives no offset twice: every topic goes on a million offsets later.
A log of which nothing can be read starts empty under a new id; the lake holds the rest.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, Literal

from agentflow.wording import quoted
from ingestion.log import schema
from ingestion.log.chunks import Chunk, intact
from ingestion.log.faults import DRIVER_ERRORS, damaged
from ingestion.log.salvage import copy_readable, skip_offsets
from ingestion.log.wal import dropped_commits

_TAIL_CHUNKS: Final = 2_000

OpenedAs = Literal["created", "opened", "skipped", "salvaged", "replaced"]


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What opening found and did, for the operator and for rebuilding state.

    Attributes:
        outcome: `created`, `opened`, `skipped` (commits in the WAL were lost, offsets moved on),
            `salvaged` (file replaced by what was readable) or `replaced` (nothing was readable).
        problems: What is wrong with the file, in SQLite's words or ours.
        quarantined: Where the damaged files went.
        kept: Records kept per topic, when salvaged.
        lost: Offset ranges lost per topic, when salvaged; a lost tail has no known end.
    """

    outcome: OpenedAs
    problems: tuple[str, ...] = ()
    quarantined: tuple[Path, ...] = ()
    kept: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, tuple[range, ...]] = field(default_factory=dict)

    @property
    def damaged(self) -> bool:
        """Whether anything may have been lost."""
        return self.outcome not in {"created", "opened"}


def recover(path: Path, *, new_id: Callable[[], str], full_check_bytes: int) -> OpenReport:
    """Make *path* openable and say what that took. Safe to be killed at any point and run again."""
    _finish_interrupted(path)
    if not path.exists():
        return OpenReport("created")
    try:
        _require_header(path)
        with closing(schema.connect(path)) as connection:
            problems = _problems(connection, full=path.stat().st_size <= full_check_bytes)
            if not problems:
                return _check_wal(path, connection)
    except DRIVER_ERRORS as error:
        if not damaged(error):
            raise
        problems = [str(error)]
    return _replace(path, problems, new_id=new_id)


def _require_header(path: Path) -> None:
    """Refuse what SQLite would take for an empty, a read-only or a differently paged database.

    Raises:
        sqlite3.DatabaseError: The file does not begin like every log does.
    """
    with path.open("rb") as file:
        if file.read(len(schema.HEADER)) != schema.HEADER:
            raise sqlite3.DatabaseError("file is not an AgentFlow log")


def _problems(connection: sqlite3.Connection, *, full: bool) -> list[str]:
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        return ["the file is not an AgentFlow log"]
    if full:
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
        if found != ["ok"]:
            return found
    if names := schema.differences(connection):
        return [f"not as it was created: {', '.join(names)}"]
    limit = -1 if full else _TAIL_CHUNKS
    for topic in schema.topics(connection):
        rows = connection.execute(
            f"SELECT * FROM {schema.table(topic)} ORDER BY first_offset DESC LIMIT ?",  # noqa: S608 - names only
            (limit,),
        )
        for row in rows:
            if not intact(Chunk._make(row)):
                return [f"a checksum in topic {quoted(topic)} is wrong at offset {row[0]}"]
    return []


def _check_wal(path: Path, connection: sqlite3.Connection) -> OpenReport:
    wal = Path(f"{path}-wal")
    frames = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    commits = dropped_commits(wal, recovered_frames=max(frames, 0))
    if not commits:
        return OpenReport("opened")
    copy = Path(f"{_aside(path)}-wal")
    shutil.copyfile(wal, copy)
    connection.execute("BEGIN IMMEDIATE")
    skip_offsets(connection)
    connection.execute("COMMIT")
    problem = f"the write-ahead file is damaged: {commits} or more commits were dropped"
    return OpenReport("skipped", (problem,), (copy,))


def _replace(path: Path, problems: list[str], *, new_id: Callable[[], str]) -> OpenReport:
    building, ready = Path(f"{path}.salvaging"), Path(f"{path}.salvaged")
    for name in (building, Path(f"{building}-wal"), Path(f"{building}-shm")):
        name.unlink(missing_ok=True)
    salvaged = copy_readable(path, building, new_id=new_id)
    building.rename(ready)
    _sync_directory(path)
    quarantined = _swap_in(path, ready)
    outcome: OpenedAs = "salvaged" if any(salvaged.kept.values()) else "replaced"
    return OpenReport(outcome, tuple(problems), quarantined, salvaged.kept, salvaged.lost)


def _finish_interrupted(path: Path) -> None:
    """Finish a swap that was cut off: `.salvaged` exists only when it is complete."""
    ready = Path(f"{path}.salvaged")
    if ready.exists():
        _swap_in(path, ready)


def _swap_in(path: Path, ready: Path) -> tuple[Path, ...]:
    """Move the damaged files aside, side files first: a stale WAL must never meet the new file."""
    aside = _aside(path)
    quarantined = []
    for suffix in ("-wal", "-shm", ""):
        damaged = Path(f"{path}{suffix}")
        if damaged.exists():
            quarantined.append(damaged.rename(f"{aside}{suffix}"))
    _sync_directory(path)
    ready.rename(path)
    _sync_directory(path)
    return tuple(quarantined)


def _aside(path: Path) -> Path:
    """Return the first `<name>.corrupt-<n>` that no file, side files included, uses."""
    for number in count(1):
        aside = Path(f"{path}.corrupt-{number}")
        if not any(Path(f"{aside}{suffix}").exists() for suffix in ("", "-wal", "-shm")):
            return aside
    raise AssertionError  # pragma: no cover - count() does not end


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
