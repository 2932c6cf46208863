"""The lake in a folder: a SQLite catalog and local files, for one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from threading import RLock

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, TableAlreadyExistsError
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from sqlalchemy import URL, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from agentflow.contracts import Registry
from agentflow.errors import StorageError
from agentflow.events.table import NAMESPACE
from processing.lake.catalog import SYSTEM, Lake
from processing.lake.coverage import Recorded
from processing.lake.folder import folder_properties, path_in
from processing.lake.landing import FindsItsCommit
from processing.lake.port import Behind, LakeTableName


class _Catalog(FindsItsCommit, SqlCatalog):
    """PyIceberg's catalog in SQLite."""


class EmbeddedCatalog:
    """Tables in SQLite: one query reads all their pointers, so they are of one instant."""

    properties: Mapping[str, str] = {}

    def __init__(self, catalog: SqlCatalog) -> None:
        self._catalog = catalog
        self._lock = RLock()
        self._loaded: dict[LakeTableName, Table] = {}

    def names(self) -> set[LakeTableName]:
        """Return the name of every table."""
        return set(self._pointers())

    def current(
        self, names: Iterable[LakeTableName], *, markers: Iterable[LakeTableName], behind: Behind
    ) -> dict[LakeTableName, Table]:
        """Return tables as they were at one instant; one that has not moved is not read again."""
        del behind  # nothing is, at one instant
        wanted = {*names, *markers}
        with self._lock:
            pointers = self._pointers()
            for name in wanted:
                loaded = self._loaded.get(name)
                if loaded is None or loaded.metadata_location != pointers.get(name):
                    self._loaded[name] = self._catalog.load_table(name)
            return {name: self._loaded[name] for name in wanted}

    def fresh(self, name: LakeTableName) -> Table:
        """Return a handle of one's own; the tables' properties forbid retries."""
        return self._catalog.load_table(name)

    def create(
        self,
        name: LakeTableName,
        schema: Schema,
        spec: PartitionSpec,
        properties: Mapping[str, str],
    ) -> None:
        """Make a table, unless another process was faster."""
        try:
            self._catalog.create_table(
                name, schema, partition_spec=spec, properties=dict(properties)
            )
        except TableAlreadyExistsError:
            return
        except SQLAlchemyError as error:
            if name not in self.names():  # it may have been made anyway
                raise StorageError(f'table "{".".join(name)}" cannot be made: {error}') from error

    def close(self) -> None:
        """Release the catalog's connections."""
        self._catalog.engine.dispose()

    def _pointers(self) -> dict[LakeTableName, str | None]:
        columns = (
            IcebergTables.table_namespace,
            IcebergTables.table_name,
            IcebergTables.metadata_location,
        )
        try:
            with self._catalog.engine.connect() as connection:
                rows = connection.execute(
                    select(*columns).where(IcebergTables.catalog_name == self._catalog.name)
                ).all()
        except SQLAlchemyError as error:
            raise StorageError("the lake's catalog cannot be read") from error
        return {(row[0], row[1]): row[2] for row in rows}


class LocalFiles:
    """Files in a folder, found by what follows it in their locations."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def local(self, location: str) -> str:
        """Return the path of a location."""
        return path_in(self.directory, location)

    def older_than(self, location: str, cutoff_us: int) -> Iterator[str]:
        """Yield the files under *location* last changed before an instant."""
        for file in Path(path_in(self.directory, location)).rglob("*"):
            if file.is_file() and file.stat().st_mtime < cutoff_us / 1_000_000:
                yield str(file)

    def delete(self, location: str) -> None:
        """Delete a file."""
        Path(path_in(self.directory, location)).unlink(missing_ok=True)


def open_lake(directory: Path, registry: Registry) -> Lake:
    """Open or create the lake under *directory* (`catalog.sqlite` and one folder per table).

    Raises:
        StorageError: The catalog cannot be opened.
        ContractError: A contract cannot be stored beside what the lake holds.
    """
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    database = URL.create("sqlite", database=str(directory / "catalog.sqlite"))  # `%` and `?` too
    try:
        _share(directory / "catalog.sqlite")
        catalog = _Catalog(
            "agentflow",
            uri=database.render_as_string(),
            warehouse=directory.as_uri(),
            **folder_properties(directory),
        )
        for namespace in (NAMESPACE, SYSTEM):
            if not catalog.namespace_exists(namespace):
                _create_namespace(catalog, namespace)
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StorageError(
            f'the catalog in "{directory}" cannot be opened',
            hint="Move the folder aside: the lake is rebuilt from the log.",
        ) from error
    return Lake(EmbeddedCatalog(catalog), LocalFiles(directory), registry, coverage=Recorded())


def _share(file: Path) -> None:
    """Let readers of the catalog go on while a commit is written."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _create_namespace(catalog: SqlCatalog, namespace: str) -> None:
    try:
        catalog.create_namespace(namespace)
    except (NamespaceAlreadyExistsError, IntegrityError):
        return  # another process was faster with the same name
