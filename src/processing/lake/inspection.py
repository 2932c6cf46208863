"""Look at the lake's files before they are used, and say which tables cannot be.

Iceberg's files carry no checksums: what still parses and decodes passes here. A number that came
out wrong anyway is found by `GET /v1/verify`, which compares with the log's own state.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
from pyiceberg.table import StaticTable, Table

from agentflow.errors import StorageError, StorageFullError
from agentflow.wording import counted
from ingestion.log.faults import DRIVER_ERRORS, damaged
from processing.lake.catalog import BATCH_TABLE, LakeTableName
from processing.lake.coverage import covered
from processing.lake.folder import folder_properties, path_in
from processing.lake.reader import DataFile, planned

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
CATALOG_FILE: Final = "catalog.sqlite"
READ_BYTES: Final = 64 << 20
"""Lakes up to this size are read whole when they open; of larger ones, each table's last file."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A table that cannot be used as it is.

    Attributes:
        problem: What is wrong, with the name of the file.
        listed: Whether its list of files can be read, so that the others still give their rows.
    """

    table: LakeTableName
    problem: str
    listed: bool

    def __str__(self) -> str:
        """Render for the operator."""
        return f'table "{".".join(self.table)}": {self.problem}'


class CatalogDamagedError(StorageError):
    """Nothing can be found without the catalog: the whole lake has to be written again."""

    code = "storage_corrupt"


def inspect(directory: Path) -> Sequence[Damage]:
    """Return the damaged tables of the lake under *directory*; none when there is no lake yet.

    Raises:
        CatalogDamagedError: The catalog is damaged, or gone while tables are there.
    """
    written = {
        (path.parent.name, path.name)
        for path in directory.glob("*/*")
        if next(path.glob("data/**/*.parquet"), None) is not None
    }
    if not (directory / CATALOG_FILE).exists():
        if written:
            raise CatalogDamagedError("the lake's catalog is gone")
        return []
    located = pointers(directory / CATALOG_FILE)
    damages = [
        Damage(name, "the catalog does not know it", listed=False)
        for name in sorted(written - located.keys())
    ]
    listed: dict[LakeTableName, Sequence[DataFile]] = {}
    for name, location in located.items():
        files = _listed(directory, name, location)
        if isinstance(files, Damage):
            damages.append(files)
        else:
            listed[name] = files
    every = sum(file.size_bytes for files in listed.values() for file in files) <= READ_BYTES
    for name, files in listed.items():
        damages += _unreadable(name, files, every=every)
    return damages


def require_damage(error: BaseException) -> None:
    """Raise when *error* is about the machine and not about the bytes in the files.

    A full disk, a missing right or too many open files must never cost a healthy lake.

    Raises:
        StorageFullError: The disk is full.
        StorageError: Files can be neither opened nor written.
    """
    cause: BaseException | None = error
    while cause is not None:
        number = getattr(cause, "errno", None)
        full = (
            isinstance(cause, sqlite3.Error)
            and getattr(cause, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
        )
        if full or number in _FULL:
            raise StorageFullError(
                "no space left for the lake", hint="Free disk space and start again."
            ) from error
        if (
            isinstance(cause, MemoryError)
            or number in _FORBIDDEN
            or (isinstance(cause, sqlite3.Error) and not damaged(cause))
        ):
            raise StorageError(f"the lake cannot be opened: {cause}") from error
        cause = cause.__cause__ or cause.__context__


def pointers(catalog: Path) -> dict[LakeTableName, str]:
    """Return where the metadata of each table is.

    Raises:
        CatalogDamagedError: The catalog cannot be read.
    """
    try:
        with closing(sqlite3.connect(catalog, timeout=10)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
            if found != ["ok"]:
                raise CatalogDamagedError(f"the lake's catalog is damaged: {found[0]}")
            connection.execute("SELECT * FROM iceberg_namespace_properties").fetchall()
            rows = connection.execute(
                "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables"
            ).fetchall()
    except DRIVER_ERRORS as error:
        require_damage(error)
        raise CatalogDamagedError(f"the lake's catalog is damaged: {error}") from error
    if not all(isinstance(value, str) for row in rows for value in row):
        raise CatalogDamagedError("the lake's catalog is damaged: a row makes no sense")
    return {(row[0], row[1]): row[2] for row in rows}


def _listed(directory: Path, name: LakeTableName, location: str) -> Sequence[DataFile] | Damage:
    """Read a table's metadata and manifests, or say what is wrong with them."""
    path = Path(location)
    try:
        path = Path(path_in(directory, location))
        if not path.is_file():
            return Damage(name, f'file "{path.name}" is gone', listed=False)
        table = StaticTable.from_metadata(location, folder_properties(directory))
        if Path(path_in(directory, table.location())) != directory.joinpath(*name):
            return Damage(name, f'file "{path.name}" belongs to another table', listed=False)
        _require_positions(name, table)
        return () if name == BATCH_TABLE else planned(table, "")
    except Exception as error:  # noqa: BLE001 - damaged bytes make their readers raise anything
        require_damage(error)
        problem = f'"{path.name}" or what it lists cannot be read: {type(error).__name__} {error}'
        return Damage(name, problem, listed=False)


def _require_positions(name: LakeTableName, table: Table) -> None:
    """Raise when the table does not say which offsets it covers."""
    if name[0] == BATCH_TABLE[0]:
        covered(table, "dead_letters")
    if name[1] != "dead_letters":
        covered(table, "validated")


def _unreadable(name: LakeTableName, files: Sequence[DataFile], *, every: bool) -> list[Damage]:
    damages = []
    for file in files:
        read = every or file is files[-1]
        try:
            problem = _problem(file, read=read)
        except Exception as error:  # noqa: BLE001 - as above
            require_damage(error)
            problem = f"{type(error).__name__} {error}"
        if problem:
            text = f'file "{Path(file.path).name}" ({counted(file.rows, "event")}): {problem}'
            damages.append(Damage(name, text, listed=True))
    return damages


def _problem(file: DataFile, *, read: bool) -> str | None:
    path = Path(file.path)
    if not path.is_file():
        return "it is gone"
    if path.stat().st_size != file.size_bytes:
        return f"it has {path.stat().st_size} bytes instead of {file.size_bytes}"
    if not read:
        return None
    with pq.ParquetFile(path) as parquet:
        offsets = [
            offset
            for batch in parquet.iter_batches()
            for offset in batch.column("log_offset").to_pylist()
        ]
    if len(offsets) != file.rows or (offsets[0], offsets[-1]) != (
        file.first_offset,
        file.last_offset,
    ):
        return "its rows are not those its table lists"
    return None
