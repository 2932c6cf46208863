"""All control state, from one database into another that holds nothing yet."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import insert, select

from agentflow.errors import StorageError
from control_store.database import Database
from control_store.schema import HELD
from control_store.sqlite.opening import open_control

_ROWS_AT_ONCE: Final = 1_000


def copy_all(source: Database, target: Database) -> None:
    """Copy every row as it is at one instant; *target* has all of them afterwards, or none.

    Raises:
        StorageError: *target* holds something already.
        UnavailableError: One of them does not answer.
    """
    with target.writing() as writing, source.reading() as reading:
        for table in HELD:
            if writing.execute(select(1).select_from(table).limit(1)).first() is not None:
                raise StorageError(
                    f"the control store holds something already: table {table.name} has rows",
                    hint="Name a new database or schema with AGENTFLOW_CONTROL_URL.",
                )
            rows = reading.execute(select(table).execution_options(yield_per=_ROWS_AT_ONCE))
            for some in rows.mappings().partitions():
                writing.execute(insert(table), [dict(row) for row in some])


def save_to_file(source: Database, path: Path) -> None:
    """Write all that *source* holds to a new file, which is a control store of its own.

    Raises:
        StorageError: The file cannot be written.
        UnavailableError: *source* does not answer.
    """
    with closing(open_control(path).store) as saved:
        copy_all(source, saved.database)


def load_from_file(path: Path, target: Database) -> None:
    """Put all that the file holds into *target*; the file may be of an earlier version.

    Raises:
        StorageError: *target* holds something already, or the file cannot be read.
        UnavailableError: *target* does not answer.
    """
    with closing(open_control(path).store) as saved:
        copy_all(saved.database, target)
