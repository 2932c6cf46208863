"""What the lake needs: catalog, files and coverage; and what a platform needs of its writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from agentflow.contracts import Registry
from processing.lake.positions import Positions
from quality import Gate

LakeTableName = tuple[str, str]
Behind = Callable[[Mapping[LakeTableName, Table], Table], bool | None]
"""Whether markers know of rows that a table, as given, does not show; None when none can tell."""


class TableCatalog(Protocol):
    """Names and current states of Iceberg tables. Safe to share by threads.

    Conformance: `tests/processing/lake` runs on every implementation.
    """

    @property
    def properties(self) -> Mapping[str, str]:
        """What new tables of this catalog are told, beside what all tables of the lake are."""
        ...

    def names(self) -> set[LakeTableName]:
        """Return the name of every table.

        Raises:
            StorageError: The catalog cannot be read.
        """
        ...

    def current(
        self, names: Iterable[LakeTableName], *, markers: Iterable[LakeTableName], behind: Behind
    ) -> dict[LakeTableName, Table]:
        """Return *names* and *markers* so that no marker is newer than any other table.

        A marker says what other tables hold; a table may show more than that, never less, unless
        *behind* says so after it was read again.

        Raises:
            StorageError: The catalog cannot be read.
        """
        ...

    def fresh(self, name: LakeTableName) -> Table:
        """Return a handle of one's own, which does not retry commits: retries must check first.

        Raises:
            StorageError: The catalog cannot be read.
        """
        ...

    def create(
        self,
        name: LakeTableName,
        schema: Schema,
        spec: PartitionSpec,
        properties: Mapping[str, str],
    ) -> None:
        """Make a table, unless another process was faster with the same one.

        Raises:
            StorageError: The catalog cannot be written.
        """
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class DataFiles(Protocol):
    """Where the lake's immutable files can be read and deleted. Safe to share by threads."""

    @property
    def directory(self) -> Path:
        """The only folder that a query may read."""
        ...

    def local(self, location: str) -> str:
        """Return a path in `directory` with the content of *location*.

        Raises:
            StorageError: It cannot be read.
        """
        ...

    def older_than(self, location: str, cutoff_us: int) -> Iterable[str]:
        """Yield the location of every file under *location* last changed before an instant."""
        ...

    def delete(self, location: str) -> None:
        """Delete a file; one that is gone is fine."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """Tables of the lake, read together, and what they hold.

    Attributes:
        positions: Before these offsets every table of the lake is complete.
        until: Before this offset of its topic, each table is; it may be ahead of the others.
    """

    tables: Mapping[LakeTableName, Table]
    positions: Positions
    until: Mapping[LakeTableName, int]


class Coverage(Protocol):
    """How to know what is covered."""

    @property
    def markers(self) -> tuple[LakeTableName, ...]:
        """Tables that say what other tables hold; they are read before those."""
        ...

    @property
    def wants_all(self) -> bool:
        """Whether the markers mean nothing without all other tables."""
        ...

    def held(self, tables: Mapping[LakeTableName, Table]) -> Held:
        """Return what *tables*, markers among them, hold.

        Raises:
            StorageError: They do not say.
        """
        ...

    def behind(self, markers: Mapping[LakeTableName, Table], table: Table) -> bool | None:
        """Tell whether *table* as given lacks rows the markers know of; None: cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class TableHealth:
    """One table.

    Attributes:
        snapshots: How many are kept.
        files: Data files of the current snapshot.
        last_commit_us: When it last changed; None when it never did.
        covered: Offset of its topic before which it is complete.
    """

    table: str
    rows: int
    files: int
    size_bytes: int
    snapshots: int
    last_commit_us: int | None
    covered: int


@dataclass(frozen=True, slots=True)
class LakeHealth:
    """All tables at one instant, and what every one of them covers.

    Attributes:
        rivals: Jobs that take turns in committing; a job that took another's place does not.
    """

    positions: Positions
    tables: Sequence[TableHealth]
    rivals: Sequence[str] = ()


class LakeSync(Protocol):
    """Who brings events to the lake: a thread of this process, or a job elsewhere.

    Every method may be called from any thread. Conformance: `tests/processing/lake/test_port.py`.
    """

    @property
    def covered(self) -> Positions:
        """What the lake holds."""
        ...

    @property
    def seen(self) -> LakeHealth | None:
        """What the last look at the lake showed; None before the first."""
        ...

    @property
    def maintained(self) -> int:
        """How often maintenance was done since the start."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """Why the last attempt to write or to look failed; None while all is well."""
        ...

    @property
    def readable(self) -> bool:
        """Whether the lake can be read, as far as this knows: false when looking at it failed."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def notify(self, ends: Positions) -> None:
        """Say that the log's topics now end at *ends*; returns at once."""
        ...

    def adopt(self, registry: Registry, gate: Gate) -> None:
        """Go by other contracts from now on.

        Raises:
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        ...

    def flush(self, goal: Positions, *, timeout: timedelta) -> bool:
        """Wait until *goal* is covered; False when that took longer than *timeout*.

        Raises:
            StorageError: It failed.
        """
        ...

    def close(self) -> None:
        """Finish and stop."""
        ...
