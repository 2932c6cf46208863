"""What the Redis driver reports, in the errors of AgentFlow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import exceptions

from agentflow.errors import AgentFlowError, StorageError, StorageFullError, UnavailableError

LOST: Final = "redis lost what it held: its log is another one now"
LOST_HINT: Final = (
    "Restore its append-only file and start everything again; or start over with another "
    "AGENTFLOW_REDIS_PREFIX and other data directories: the lake keeps what it covers."
)


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what the driver raises inside into errors of AgentFlow.

    Args:
        place: Where the server is, without secrets.

    Raises:
        UnavailableError: Trying again later can help.
        StorageError: It cannot; an operator has to act.
    """
    try:
        yield
    except exceptions.RedisError as error:
        raise _translated(error, place) from error


def _translated(error: exceptions.RedisError, place: str) -> AgentFlowError:
    if isinstance(error, exceptions.AuthenticationError):
        return UnavailableError(
            f'redis at "{place}" refused the user or the password',
            hint="Check user and password in AGENTFLOW_REDIS_URL.",
        )
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM" in str(error):
        return StorageFullError(
            f'redis at "{place}" has no memory left for events',
            hint="Raise maxmemory; events are never evicted for newer ones.",
        )
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        return UnavailableError(
            f'redis at "{place}" cannot be reached',
            hint="Check AGENTFLOW_REDIS_URL and that the server runs.",
        )
    if "equal or smaller" in str(error):
        return StorageError(
            "redis has an entry whose id is not of the form 0-n, so no offset can follow it",
            hint="Entries are added with the id 0-*; move that stream aside, and start over.",
        )
    if "DB index" in str(error):
        return StorageError(
            f'redis at "{place}" has no database of that number',
            hint="Correct the end of AGENTFLOW_REDIS_URL: redis://host:6379/0.",
        )
    return StorageError(f"redis refused: {error}", hint="See the server's log.")
