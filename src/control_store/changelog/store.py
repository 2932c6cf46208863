"""The history of contracts in a database: numbered without a gap when several publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Final

from sqlalchemy import bindparam, func, insert, select

from control_store.changelog.port import ContractChange
from control_store.changelog.tables import changelog
from control_store.database import Database

_COLUMNS: Final = tuple(changelog.c[each.name] for each in fields(ContractChange))
_LATEST: Final = (
    select(changelog.c.fingerprint)
    .where(
        changelog.c.kind == bindparam("kind"),
        changelog.c.name == bindparam("name"),
        changelog.c.version == bindparam("version"),
    )
    .order_by(changelog.c.sequence.desc())
    .limit(1)
)
_LAST: Final = select(func.coalesce(func.max(changelog.c.sequence), 0))
_PAGE: Final = (
    select(changelog.c.sequence, *_COLUMNS)
    .where(changelog.c.sequence > bindparam("after"))
    .order_by(changelog.c.sequence)
    .limit(bindparam("most"))
)


class SqlChangelog:
    """A `ChangelogStore` in a database."""

    def __init__(self, database: Database) -> None:
        """Keep the history in *database*."""
        self._database = database

    def publish(self, change: ContractChange) -> bool:
        """Append *change* unless that contract version's latest fingerprint is the same."""
        asked = {"kind": change.kind, "name": change.name, "version": change.version}
        with self._database.writing(alone=changelog) as connection:
            latest = connection.execute(_LATEST, asked).one_or_none()
            if latest is not None and latest[0] == change.fingerprint:
                return False
            sequence = connection.execute(_LAST).scalar_one() + 1
            connection.execute(insert(changelog), {"sequence": sequence, **asdict(change)})
        return True

    def changes(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, ContractChange]]:
        """Return (sequence number from 1, change) above *after*, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(_PAGE, {"after": after, "most": limit})
            return [(sequence, ContractChange(*columns)) for sequence, *columns in rows]
