"""What the lake needs of a catalog and of the place where files are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table

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
