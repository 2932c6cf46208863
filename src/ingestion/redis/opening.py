"""Open the bus on a Redis server, and check that the server keeps what it acknowledges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from agentflow.errors import ParameterError, StorageError
from ingestion.log.opening import random_id
from ingestion.redis.bus import RedisBus
from ingestion.redis.faults import translated

PREFIX: Final = "agentflow"
_TIMEOUT_SECONDS: Final = 10
_WRITTEN: Final = {"appendonly": "yes", "appendfsync": "always"}
_POLICY: Final = "maxmemory-policy"
_EVICTS_ANYTHING: Final = "allkeys"


def open_redis_bus(
    url: str,
    *,
    prefix: str = PREFIX,
    partitions: Mapping[str, int] | None = None,
    new_id: Callable[[], str] = random_id,
) -> RedisBus:
    """Connect to the server at *url* and return its bus.

    Args:
        url: `redis://user:password@host:port/0`, or `rediss://` for TLS.
        prefix: Keys are `<prefix>:<topic>:<partition>`.
        partitions: How many partitions topics have; one, unless it is said. Never change it while
            events wait: keys move.
        new_id: Makes the id of a new log.

    Raises:
        ParameterError: The address is malformed.
        UnavailableError: The server does not answer, or refuses the password.
        StorageError: The server would lose events that it acknowledged.
    """
    place = urlsplit(url).hostname or url.partition("@")[2]
    try:
        client: Any = Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise ParameterError(
            "the address of redis is malformed", hint="Write redis://host:6379/0."
        ) from error
    with translated(place):
        _check(client, place)
        key = f"{prefix}:log_id"
        client.set(key, new_id(), nx=True)
        log_id = client.get(key).decode()
    return RedisBus(client, place=place, prefix=prefix, log_id=log_id, partitions=partitions)


def _check(client: Any, place: str) -> None:  # noqa: ANN401 - see `RedisBus`
    """Refuse a server that acknowledges before it has written.

    Raises:
        StorageError: It does, and says how to change it.
    """
    try:
        found = {name: client.config_get(name).get(name) for name in (*_WRITTEN, _POLICY)}
    except exceptions.ResponseError:  # a managed server that hides its configuration
        return
    wanted = {name: value for name, value in _WRITTEN.items() if found[name] != value}
    if str(found[_POLICY]).startswith(_EVICTS_ANYTHING):
        wanted[_POLICY] = "noeviction"
    if wanted:
        said = ", ".join(f"{name} {found[name]}" for name in wanted)
        fix = "; ".join(f"CONFIG SET {name} {value}" for name, value in wanted.items())
        raise StorageError(f'redis at "{place}" may lose events: {said}', hint=f"Run {fix}.")
