"""The lake of a cluster: a REST catalog, files on S3, written by a Flink job or by this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, RLock
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    RESTError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from requests import PreparedRequest, RequestException, Response, Session
from requests.adapters import HTTPAdapter

from agentflow.contracts import Registry
from agentflow.errors import StorageError
from agentflow.events.table import NAMESPACE
from processing.lake.cached_files import CachedFiles
from processing.lake.catalog import SYSTEM, Lake
from processing.lake.landing import FindsItsCommit
from processing.lake.location import Location
from processing.lake.port import Behind, Coverage, LakeTableName

_FAILURES: Final = (RequestException, RESTError, OSError, ValidationError)
_AT_ONCE: Final = 8
_FORGET_SECONDS: Final = 60.0
"""A table is read again after so long in any case: what merges left behind may be swept later."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Loaded:
    table: Table
    markers: tuple[str, ...]
    at_seconds: float


class _Bounded(HTTPAdapter):
    """Requests that end: PyIceberg's own wait for as long as a catalog keeps silent."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        super().__init__()

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:  # noqa: ANN401 - the library's
        """Send with a limit where none was given."""
        options["timeout"] = options.get("timeout") or self._seconds
        return super().send(request, *args, **options)


class CheckedRestCatalog(FindsItsCommit, RestCatalog):
    """PyIceberg's client; an answer that is lost or cut says nothing about a commit."""

    unclear = (*FindsItsCommit.unclear, RequestException, ValidationError)


class _Catalog(CheckedRestCatalog):
    def __init__(self, location: Location) -> None:
        self._within_seconds = location.answers_within_seconds
        super().__init__("agentflow", **location.properties())

    def _create_session(self) -> Session:
        session = super()._create_session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Bounded(self._within_seconds))
        return session


class RemoteCatalog:
    """Tables behind HTTP: each is a request, so only what can have changed is asked for again."""

    properties: Mapping[str, str] = {
        # Java's retries add the same files to the newest state, which is safe; ours are forbidden
        "commit.retry.num-retries": "4",
        "write.metadata.delete-after-commit.enabled": "true",
        "write.distribution-mode": "none",
        # the progress says what an empty commit would: see `coverage`
        "flink.max-continuous-empty-commits": "1000000000",
    }

    def __init__(self, connect: Callable[[], RestCatalog], warehouse: str) -> None:
        """Prepare; *connect* is called at the first request, and again until it succeeds."""
        self._connect = connect
        self._connecting = Lock()
        self._connection: RestCatalog | None = None
        self._warehouse = warehouse.rstrip("/")
        self._lock = RLock()
        self._loaded: dict[LakeTableName, _Loaded] = {}
        self._requests = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lake-catalog")

    @property
    def _catalog(self) -> RestCatalog:
        """The connection, with both namespaces of the lake behind it.

        Raises:
            StorageError: The catalog does not answer.
        """
        with self._connecting:
            if self._connection is None:
                catalog = _asked(self._connect)
                _create_namespaces(catalog)
                self._connection = catalog
            return self._connection

    def names(self) -> set[LakeTableName]:
        """Return the name of every table."""
        found = [
            name
            for space in (NAMESPACE, SYSTEM)
            for name in _asked(lambda space=space: self._catalog.list_tables(space))  # type: ignore[misc]
        ]
        return {(name[-2], name[-1]) for name in found}

    def current(
        self, names: Iterable[LakeTableName], *, markers: Iterable[LakeTableName], behind: Behind
    ) -> dict[LakeTableName, Table]:
        """Read the markers, then those tables that the markers do not know to be as they were."""
        with self._lock:
            marked = self._load(markers, ())
            said = tuple(table.metadata_location for table in marked.values())
            old = [
                name
                for name in names
                if name not in marked and self._outdated(name, marked, said, behind)
            ]
            self._load(old, said)
            kept = {name: self._loaded[name].table for name in names if name not in marked}
            return marked | kept

    def _outdated(
        self,
        name: LakeTableName,
        marked: Mapping[LakeTableName, Table],
        said: tuple[str, ...],
        behind: Behind,
    ) -> bool:
        loaded = self._loaded.get(name)
        if loaded is None or time.monotonic() - loaded.at_seconds > _FORGET_SECONDS:
            return True
        lacks = behind(marked, loaded.table)
        return loaded.markers != said if lacks is None else lacks

    def _load(
        self, names: Iterable[LakeTableName], said: tuple[str, ...]
    ) -> dict[LakeTableName, Table]:
        wanted = list(names)
        now = time.monotonic()
        loads = [self._requests.submit(self._read, name) for name in wanted]
        tables = {name: load.result() for name, load in zip(wanted, loads, strict=True)}
        for name, table in tables.items():
            self._loaded[name] = _Loaded(table, said, now)
        return tables

    def _read(self, name: LakeTableName) -> Table:
        table: Table = _asked(lambda: self._catalog.load_table(name))
        return table

    def fresh(self, name: LakeTableName) -> Table:
        """Return a handle of its own that does not retry, whatever the table says to Java."""
        table = self._read(name)
        table.metadata.properties["commit.retry.num-retries"] = "0"
        return table

    def create(
        self,
        name: LakeTableName,
        schema: Schema,
        spec: PartitionSpec,
        properties: Mapping[str, str],
    ) -> None:
        """Make a table, unless another process was faster."""

        def make() -> None:
            try:
                self._catalog.create_table(
                    name,
                    schema,
                    location=f"{self._warehouse}/{'/'.join(name)}",
                    partition_spec=spec,
                    properties=dict(properties),
                )
            except TableAlreadyExistsError:
                return
            except _FAILURES:
                if name not in self.names():  # it may have been made anyway
                    raise

        _asked(make)

    def close(self) -> None:
        """Release connections."""
        self._requests.shutdown(wait=False, cancel_futures=True)
        if self._connection is not None:
            self._connection.close()


def open_remote_lake(
    location: Location,
    registry: Registry,
    *,
    cache: Path,
    coverage: Coverage,
    patient: bool = False,
) -> Lake:
    """Open or create the lake at *location*; its files are read through the folder *cache*.

    A *patient* lake opens although no catalog answers; see `Lake`.

    Raises:
        StorageError: The catalog cannot be reached, unless patient.
        ContractError: A contract cannot be stored beside what the lake holds.
    """
    catalog = RemoteCatalog(lambda: _Catalog(location), location.warehouse)
    files = CachedFiles(location, cache)
    return Lake(catalog, files, registry, coverage=coverage, patient=patient)


def _create_namespaces(catalog: RestCatalog) -> None:
    for space in (NAMESPACE, SYSTEM):
        try:
            _asked(lambda space=space: catalog.create_namespace(space))  # type: ignore[misc]
        except NamespaceAlreadyExistsError:
            continue


def _asked(request: Callable[[], _T]) -> _T:
    try:
        return request()
    except _FAILURES as error:
        raise StorageError(
            f"the lake's catalog does not answer: {type(error).__name__}",
            hint="See that AGENTFLOW_LAKE_CATALOG and the S3 endpoint are up; it is tried again.",
        ) from error
