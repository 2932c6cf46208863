"""Try a commit again until it is known to have landed."""

from __future__ import annotations

from collections.abc import Callable
from errno import ENOSPC
from typing import Final, TypeVar

import structlog
from pyiceberg.exceptions import CommitFailedException, RESTError, ValidationException
from pyiceberg.table import Table
from sqlalchemy.exc import SQLAlchemyError

from agentflow.errors import StorageError, StorageFullError
from processing.lake.port import LakeTableName

log = structlog.get_logger()

ATTEMPTS: Final = 8

_T = TypeVar("_T")
_CONFLICTS: Final = (CommitFailedException, RESTError, SQLAlchemyError, ValidationException)
"""The commit may have landed or not: what to do next is found out by reading the table again."""


def attempted(fresh: Callable[[], Table], name: LakeTableName, once: Callable[[Table], _T]) -> _T:
    """Run *once* on the table as it is now, again whenever the commit may not have landed.

    *once* must find out by itself what an earlier run has achieved.

    Raises:
        StorageFullError: The disk is full.
        StorageError: The commit failed for another reason, or others kept winning.
    """
    problem: Exception | None = None
    for attempt in range(ATTEMPTS):
        try:
            return once(fresh())
        except _CONFLICTS as error:
            if "disk is full" in str(error):
                raise _full(name) from error
            log.info(
                "lake.commit_conflicted", table=".".join(name), attempt=attempt, why=str(error)
            )
            problem = error
        except OSError as error:
            if error.errno == ENOSPC:
                raise _full(name) from error
            raise StorageError(f'table "{".".join(name)}" cannot be written: {error}') from error
    raise StorageError(
        f'{ATTEMPTS} commits to table "{".".join(name)}" failed, the last with: {problem}',
        hint="Check that the catalog works and that no other program writes to this lake.",
    ) from problem


def _full(name: LakeTableName) -> StorageFullError:
    return StorageFullError(
        f'the disk is full: table "{".".join(name)}" was not written',
        hint="Free space; the log holds what the lake lacks and writing goes on by itself.",
    )
