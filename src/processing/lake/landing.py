"""Find one's own commit before a catalog's "conflict" is believed.

A catalog can store a commit and still answer with an error: its answer was lost and a proxy sent
the request again, its own store hung up, it was restarted in between. PyIceberg takes "conflict"
for a proof that nothing landed and deletes the manifests of a snapshot that may be the table's
newest. Here no answer is such a proof: what is left over is deleted by the sweep, which knows what
the table refers to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

import structlog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    RESTError,
)
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import AddSnapshotUpdate, TableRequirement, TableUpdate
from sqlalchemy.exc import SQLAlchemyError

log = structlog.get_logger()


class _Commits(Protocol):
    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse: ...

    def load_table(self, identifier: tuple[str, ...]) -> Table: ...


class FindsItsCommit(_Commits if TYPE_CHECKING else object):  # type: ignore[misc]
    """Mixed into a PyIceberg catalog, before it: all commits of all tables pass here."""

    unclear: ClassVar[tuple[type[Exception], ...]] = (
        CommitFailedException,
        RESTError,
        SQLAlchemyError,
    )
    """After these the commit may have landed or not."""

    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        """Commit; an error counts only after the table was looked at.

        Raises:
            CommitStateUnknownException: Nothing of this commit can be seen. Its files are kept.
        """
        try:
            stored: CommitTableResponse = super().commit_table(table, requirements, updates)
        except self.unclear as error:
            landed = self._landed(table, updates)
            if landed is None:
                raise CommitStateUnknownException(str(error)) from error
            log.warning("lake.commit_found", table=".".join(table.name()), answer=str(error))
            return CommitTableResponse(
                metadata=landed.metadata, metadata_location=landed.metadata_location
            )
        return stored

    def _landed(self, table: Table, updates: tuple[TableUpdate, ...]) -> Table | None:
        """Return the table as it is now when it has a snapshot of this commit."""
        added = {
            update.snapshot.snapshot_id
            for update in updates
            if isinstance(update, AddSnapshotUpdate)
        }
        if not added:
            return None
        away: tuple[type[Exception], ...] = (*self.unclear, NoSuchTableError, OSError)
        try:
            current = self.load_table(table.name())
        except away:
            return None  # the next attempt reads the table before it writes
        known = {snapshot.snapshot_id for snapshot in current.metadata.snapshots}
        return current if added & known else None
