"""The lake: one Iceberg table for each event version, under one catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Final

import structlog
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import LongType, NestedField

from agentflow.contracts import EventContract, Registry
from agentflow.errors import ContractError, StorageError
from agentflow.events import EventRef
from agentflow.events.table import NAMESPACE
from processing.lake.attempts import attempted
from processing.lake.columns import LakeColumn, Layout, iceberg_schema, iceberg_type, layout
from processing.lake.port import Coverage, DataFiles, Held, LakeTableName, TableCatalog
from processing.transformations.layout import (
    BATCH_TABLE,
    DEAD_LETTER_TABLE,
    DEAD_LETTERS,
    PROGRESS_TABLE,
    SYSTEM,
    UNREAD,
    UNREAD_TABLE,
    progress_columns,
)

__all__ = ["BATCH_TABLE", "DEAD_LETTER_TABLE", "SYSTEM", "Lake", "LakeTableName"]

log = structlog.get_logger()

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
_MARKER_PROPERTIES: Final = {"write.metadata.metrics.default": "full"}  # bounds of every column


class Lake:
    """Tables of one registry. Safe to share by threads; commits are checked for conflicts."""

    def __init__(
        self,
        catalog: TableCatalog,
        files: DataFiles,
        registry: Registry,
        *,
        coverage: Coverage,
        patient: bool = False,
    ) -> None:
        """Make the tables of *registry*.

        A *patient* lake opens although its catalog does not answer: the tables are made as soon
        as something of the lake is asked for and the catalog does.

        Raises:
            StorageError: The catalog does not answer, unless patient.
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        self.files = files
        self.coverage = coverage
        self._catalog = catalog
        self._lock = RLock()
        self._layouts: dict[EventRef, Layout] = {}
        self._waiting: Registry | None = None
        try:
            self.adopt(registry)
        except StorageError as error:
            if not patient:
                raise
            log.warning("lake.unreachable", why=str(error))
            self._layouts, self._waiting = _layouts(registry), registry

    @property
    def identity(self) -> str:
        """The name of this lake, given when it was made; it stays when the lake is moved."""
        return str(self.table(DEAD_LETTER_TABLE).metadata.table_uuid)

    @property
    def directory(self) -> Path:
        """The folder in which the lake's files can be read."""
        return self.files.directory

    def adopt(self, registry: Registry) -> None:
        """Serve the contracts of *registry* from now on; new fields become columns.

        Raises:
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        layouts = _layouts(registry)
        with self._lock:
            self._create(DEAD_LETTER_TABLE, DEAD_LETTERS, {}, day_of="received_at")
            for marker in self.coverage.markers:
                self._adopt_marker(marker, layouts.values())
            for ref, wanted in layouts.items():
                name = (NAMESPACE, wanted.table)
                described = _described(registry, registry.events[ref])
                self._adopt(name, wanted.columns, described, day_of="occurred_at")
            self._layouts, self._waiting = layouts, None

    @property
    def layouts(self) -> Mapping[EventRef, Layout]:
        """The table of each event version the lake serves."""
        return self._layouts

    def name(self, ref: EventRef) -> LakeTableName:
        """Return the full name of an event's table."""
        return (NAMESPACE, self._layouts[ref].table)

    def table(self, name: LakeTableName) -> Table:
        """Return one table as it is now."""
        return self.tables([name])[name]

    def tables(self, names: Iterable[LakeTableName]) -> dict[LakeTableName, Table]:
        """Return tables as they are; what the markers say of them holds.

        Raises:
            StorageError: The catalog or what it lists cannot be read.
        """
        self._adopt_what_waits()
        markers = self.coverage.markers
        with reading():
            return self._catalog.current(names, markers=markers, behind=self.coverage.behind)

    def held(self, names: Iterable[LakeTableName] = ()) -> Held:
        """Return tables, read together, and the offsets they cover.

        Raises:
            StorageError: The catalog or what it lists cannot be read, or a table does not say
                what it covers.
        """
        wanted = set(names)
        if self.coverage.wants_all:
            wanted |= {DEAD_LETTER_TABLE, UNREAD_TABLE, *map(self.name, self._layouts)}
        tables = self.tables(wanted)
        with reading():
            return self.coverage.held(tables)

    def fresh(self, name: LakeTableName) -> Table:
        """Return a table of one's own, to commit with: handles change when they commit."""
        self._adopt_what_waits()
        return self._catalog.fresh(name)

    def all_names(self) -> list[LakeTableName]:
        """Return the name of every table in the catalog, those of former contracts included."""
        self._adopt_what_waits()
        return sorted(self._catalog.names())

    def close(self) -> None:
        """Release the catalog's connections."""
        self._catalog.close()

    def _adopt_what_waits(self) -> None:
        """Make the tables that could not be made when a patient lake was opened."""
        if self._waiting is not None:
            with self._lock:
                if self._waiting is not None:
                    self.adopt(self._waiting)

    def _create(
        self,
        name: LakeTableName,
        columns: tuple[LakeColumn, ...],
        properties: Mapping[str, str],
        *,
        day_of: str | None = None,
    ) -> None:
        if name in self._catalog.names():
            return
        schema = iceberg_schema(columns) if columns else _EMPTY_SCHEMA
        spec = UNPARTITIONED_PARTITION_SPEC if day_of is None else _by_day(schema, day_of)
        all_properties = {**PROPERTIES, **self._catalog.properties, **properties}
        self._catalog.create(name, schema, spec, all_properties)

    def _adopt_marker(self, marker: LakeTableName, layouts: Iterable[Layout]) -> None:
        if marker == PROGRESS_TABLE:
            self._create(UNREAD_TABLE, UNREAD, {})
            self._adopt(marker, progress_columns(layouts), _MARKER_PROPERTIES)
        else:
            self._create(marker, (), {})

    def _adopt(
        self,
        name: LakeTableName,
        columns: tuple[LakeColumn, ...],
        properties: Mapping[str, str],
        *,
        day_of: str | None = None,
    ) -> None:
        self._create(name, columns, properties, day_of=day_of)
        attempted(
            lambda: self._catalog.fresh(name),
            name,
            lambda table: _evolve(name, table, columns, properties),
        )


@contextmanager
def reading() -> Iterator[None]:
    """Name what is wrong with a store while lists of files are read from it.

    Raises:
        StorageError: They cannot be.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the lake's lists of files cannot be read: {error}",
            hint="See that the disk or the S3 endpoint is up; it is tried again.",
        ) from error


def _evolve(
    name: LakeTableName,
    table: Table,
    columns: tuple[LakeColumn, ...],
    properties: Mapping[str, str],
) -> None:
    """Add the columns that are missing; say which contract the table follows."""
    schema = table.schema()
    known = set(schema.column_names)
    missing = [column for column in columns if column.name not in known]
    for column in columns:
        if column.name in known:
            _require_type(name, schema, column)
    changed = {
        key: value for key, value in properties.items() if table.properties.get(key) != value
    }
    if not missing and not changed:
        return
    with table.transaction() as transaction:
        if missing:
            with transaction.update_schema() as update:
                for column in missing:
                    kind = iceberg_type(column.type)
                    update.add_column(column.name, kind, doc=column.description)
        if changed:
            transaction.set_properties(changed)


_EMPTY_SCHEMA: Final = Schema(NestedField(1, "nothing", LongType(), doc="Never written."))


def _require_type(name: LakeTableName, schema: Schema, column: LakeColumn) -> None:
    wanted, found = iceberg_type(column.type), schema.find_type(column.name)
    if found != wanted:
        raise ContractError(
            f'column "{column.name}" of table "{name[1]}" has type {found}, '
            f"the contract now asks for {wanted}",
            hint="Raise the event's major version: it gets a table of its own.",
        )


def _by_day(schema: Schema, column: str) -> PartitionSpec:
    field = schema.find_field(column)
    day = f"{column.removesuffix('_at')}_day"
    return PartitionSpec(PartitionField(field.field_id, _FIRST_PARTITION_ID, DayTransform(), day))


def _layouts(registry: Registry) -> dict[EventRef, Layout]:
    layouts = {ref: layout(contract) for ref, contract in registry.events.items()}
    _check_names(layouts)
    return layouts


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
