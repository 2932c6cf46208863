"""What the Redis driver reports, in the errors of AgentFlow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from agentflow.errors import AgentFlowError, StorageError, StorageFullError, UnavailableError


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what the driver raises inside into errors of AgentFlow.

    Args:
        place: Where the server is, without secrets.

    Raises:
        UnavailableError: Trying again later can help.
        StorageError: It cannot; somebody has to act.
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
            f'redis at "{place}" cannot be reached: {error}',
            hint="Check AGENTFLOW_REDIS_URL and that the server runs.",
        )
    return StorageError(f"redis refused: {error}", hint="See the server's log.")
