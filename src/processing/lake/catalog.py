"""The lake: one Iceberg table for each event version, under one catalog."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from threading import RLock
from typing import Final

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import LongType, NestedField
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from agentflow.contracts import EventContract, Registry
from agentflow.contracts.export.tables import NAMESPACE
from agentflow.errors import ContractError, StorageError
from agentflow.events import EventRef
from processing.lake.columns import DEAD_LETTERS, Column, Layout, iceberg_schema, layout

SYSTEM: Final = "agentflow"
DEAD_LETTER_TABLE: Final = (SYSTEM, "dead_letters")
BATCH_TABLE: Final = (SYSTEM, "batches")
"""Holds no rows: its snapshots say up to where every other table is complete."""

TableName = tuple[str, str]
_ADOPT_ATTEMPTS: Final = 5
_FIRST_PARTITION_ID: Final = 1000

PROPERTIES: Final = {
    "format-version": "2",
    # a retry inside PyIceberg appends what another writer has appended meanwhile: ours re-checks
    "commit.retry.num-retries": "0",
    # without these a commit costs 15 ms at first and 147 ms after 100 (ADR 0006)
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "8",
    "write.metadata.previous-versions-max": "4",
    "write.parquet.compression-codec": "zstd",
}


class Lake:
    """Tables of one registry. Safe to share by threads; commits are checked for conflicts."""

    def __init__(self, directory: Path, catalog: SqlCatalog, registry: Registry) -> None:
        self.directory = directory
        self._catalog = catalog
        self._lock = RLock()
        self._loaded: dict[TableName, Table] = {}
        self._layouts: dict[EventRef, Layout] = {}
        self.adopt(registry)

    def adopt(self, registry: Registry) -> None:
        """Serve the contracts of *registry* from now on; new fields become columns.

        Raises:
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        layouts = {ref: layout(contract) for ref, contract in registry.events.items()}
        _check_names(layouts)
        with self._lock:
            self._create(BATCH_TABLE, (), {})
            self._create(DEAD_LETTER_TABLE, DEAD_LETTERS, {}, day_of="received_at")
            for ref, wanted in layouts.items():
                self._adopt(wanted, _described(registry, registry.events[ref]))
            self._layouts = layouts

    @property
    def layouts(self) -> Mapping[EventRef, Layout]:
        """The table of each event version the lake serves."""
        return self._layouts

    def name(self, ref: EventRef) -> TableName:
        """Return the full name of an event's table."""
        return (NAMESPACE, self._layouts[ref].table)

    def table(self, name: TableName) -> Table:
        """Return one table as it is now."""
        return self.tables([name])[name]

    def tables(self, names: Iterable[TableName]) -> dict[TableName, Table]:
        """Return tables as they were at one instant: one query reads all their pointers.

        A table whose pointer has not moved since the last call is not read again.

        Raises:
            StorageError: The catalog cannot be read.
        """
        wanted = set(names)
        with self._lock:
            pointers = self._pointers()
            for name in wanted:
                loaded = self._loaded.get(name)
                if loaded is None or loaded.metadata_location != pointers.get(name):
                    self._loaded[name] = self._catalog.load_table(name)
            return {name: self._loaded[name] for name in wanted}

    def fresh(self, name: TableName) -> Table:
        """Return a table of one's own, to commit with: handles change when they commit."""
        return self._catalog.load_table(name)

    def all_names(self) -> list[TableName]:
        """Return the name of every table in the catalog, those of former contracts included."""
        return sorted(self._pointers())

    def close(self) -> None:
        """Release the catalog's connections."""
        self._catalog.engine.dispose()

    def _pointers(self) -> dict[TableName, str | None]:
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

    def _create(
        self,
        name: TableName,
        columns: tuple[Column, ...],
        properties: Mapping[str, str],
        *,
        day_of: str | None = None,
    ) -> None:
        if name in self._pointers():
            return
        schema = iceberg_schema(columns) if columns else _EMPTY_SCHEMA
        spec = UNPARTITIONED_PARTITION_SPEC if day_of is None else _by_day(schema, day_of)
        try:
            self._catalog.create_table(
                name, schema, partition_spec=spec, properties={**PROPERTIES, **properties}
            )
        except TableAlreadyExistsError:
            return  # another process was faster with the same table

    def _adopt(self, wanted: Layout, properties: Mapping[str, str]) -> None:
        name = (NAMESPACE, wanted.table)
        self._create(name, wanted.columns, properties, day_of="occurred_at")
        for _ in range(_ADOPT_ATTEMPTS):
            try:
                self._evolve(self.table(name), wanted, properties)
            except CommitFailedException:
                continue
            return
        raise StorageError(f'table "{wanted.table}" is changed by others all the time')

    def _evolve(self, table: Table, wanted: Layout, properties: Mapping[str, str]) -> None:
        """Add the columns that are missing; say which contract the table follows."""
        schema = table.schema()
        known = set(schema.column_names)
        missing = [column for column in wanted.columns if column.name not in known]
        for column in wanted.columns:
            if column.name in known and schema.find_type(column.name) != column.type:
                raise ContractError(
                    f'column "{column.name}" of table "{wanted.table}" has type '
                    f"{schema.find_type(column.name)}, the contract now asks for {column.type}",
                    hint="Raise the event's major version: it gets a table of its own.",
                )
        changed = {
            key: value for key, value in properties.items() if table.properties.get(key) != value
        }
        if not missing and not changed:
            return
        with self.fresh((NAMESPACE, wanted.table)).transaction() as transaction:
            if missing:
                with transaction.update_schema() as update:
                    for column in missing:
                        update.add_column(column.name, column.type, doc=column.description)
            if changed:
                transaction.set_properties(changed)


_EMPTY_SCHEMA: Final = Schema(NestedField(1, "nothing", LongType(), doc="Never written."))


def open_lake(directory: Path, registry: Registry) -> Lake:
    """Open or create the lake under *directory* (`catalog.sqlite` and one folder per table).

    Raises:
        StorageError: The catalog cannot be opened.
        ContractError: A contract cannot be stored beside what the lake holds.
    """
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        _share(directory / "catalog.sqlite")
        catalog = SqlCatalog(
            "agentflow",
            uri=f"sqlite:///{directory / 'catalog.sqlite'}",
            warehouse=directory.as_uri(),
        )
        for namespace in (NAMESPACE, SYSTEM):
            if not catalog.namespace_exists(namespace):
                _create_namespace(catalog, namespace)
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StorageError(
            f'the catalog in "{directory}" cannot be opened',
            hint="Move the folder aside: the lake is rebuilt from the log.",
        ) from error
    return Lake(directory, catalog, registry)


def _share(file: Path) -> None:
    """Let readers of the catalog go on while a commit is written."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _create_namespace(catalog: SqlCatalog, namespace: str) -> None:
    try:
        catalog.create_namespace(namespace)
    except (NamespaceAlreadyExistsError, IntegrityError):
        return  # another process was faster with the same name


def _by_day(schema: Schema, column: str) -> PartitionSpec:
    field = schema.find_field(column)
    day = f"{column.removesuffix('_at')}_day"
    return PartitionSpec(PartitionField(field.field_id, _FIRST_PARTITION_ID, DayTransform(), day))


def _check_names(layouts: Mapping[EventRef, Layout]) -> None:
    """Refuse two event types whose names become one table (`a.b` and `a_b`)."""
    taken: dict[str, EventRef] = {}
    for ref, wanted in layouts.items():
        if wanted.table in taken:
            raise ContractError(
                f'events "{taken[wanted.table]}" and "{ref}" would share table "{wanted.table}"',
                hint="Rename one of them.",
            )
        taken[wanted.table] = ref


def _described(registry: Registry, contract: EventContract) -> dict[str, str]:
    described = {
        "agentflow.contract": contract.name,
        "agentflow.version": f"{contract.version}.{contract.minor}",
        "agentflow.owner": contract.owner,
    }
    key = ("event", contract.name, contract.version)
    if fingerprint := registry.fingerprints.get(key):
        described["agentflow.fingerprint"] = fingerprint
    return described
