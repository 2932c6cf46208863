"""Decisions about dead letters in a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Row, bindparam, func, select

from control_store.database import Database
from control_store.triage.port import Triage, TriageStatus
from control_store.triage.tables import triage

_AT_ONCE: Final = 1_000
_NAMES: Final = tuple(each.name for each in fields(Triage))
_COLUMNS: Final = tuple(triage.c[name] for name in _NAMES)
_OF: Final = select(*_COLUMNS).where(triage.c.offset.in_(bindparam("offsets", expanding=True)))
_PAGE: Final = (
    select(*_COLUMNS)
    .where(triage.c.status == bindparam("wanted"), triage.c.offset > bindparam("after"))
    .order_by(triage.c.offset)
    .limit(bindparam("most"))
)
_COUNTS: Final = select(triage.c.status, func.count()).group_by(triage.c.status)


class SqlTriage:
    """A `TriageStore` in a database."""

    def __init__(self, database: Database) -> None:
        """Keep decisions in *database*."""
        self._database = database
        insert = database.insert(triage).values(**{name: bindparam(name) for name in _NAMES})
        self._upsert = insert.on_conflict_do_update(
            index_elements=["offset"],
            set_={name: insert.excluded[name] for name in _NAMES if name != "offset"},
        )

    def decide(self, triage: Triage) -> None:
        """Store the decision; the latest call for an offset wins."""
        values = {name: getattr(triage, name) for name in _NAMES}
        with self._database.writing() as connection:
            connection.execute(self._upsert, values | {"status": triage.status.value})

    def triage(self, offsets: Sequence[int]) -> Mapping[int, Triage]:
        """Return the decisions about *offsets*; those still open are left out."""
        with self._database.reading() as connection:
            return {
                row.offset: _triage(row)
                for some in _slices(offsets)
                for row in connection.execute(_OF, {"offsets": some})
            }

    def triaged(
        self, status: TriageStatus, *, after: int = -1, limit: int = 100
    ) -> Sequence[Triage]:
        """Return decisions with *status* for offsets above *after*, in offset order."""
        asked = {"wanted": status.value, "after": after, "most": limit}
        with self._database.reading() as connection:
            return [_triage(row) for row in connection.execute(_PAGE, asked)]

    def counts(self) -> Mapping[TriageStatus, int]:
        """Return how many dead letters have each status, without those never triaged."""
        with self._database.reading() as connection:
            return {TriageStatus(status): number for status, number in connection.execute(_COUNTS)}


def _slices(offsets: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(offsets), _AT_ONCE):
        yield offsets[start : start + _AT_ONCE]


def _triage(row: Row[Any]) -> Triage:
    offset, status, *rest = tuple(row)
    return Triage(offset, TriageStatus(status), *rest)
