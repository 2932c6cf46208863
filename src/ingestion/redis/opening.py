"""Open the bus on a Redis server, and check that the server keeps what it acknowledges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from agentflow.errors import ParameterError, StorageError
from ingestion.log.opening import random_id
from ingestion.log.port import RAW
from ingestion.redis.bus import RedisBus
from ingestion.redis.faults import translated
from ingestion.redis.names import log_id_key

PREFIX: Final = "agentflow"
_TIMEOUT_SECONDS: Final = 10
_WANTED: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",  # events and identities are not a cache
}


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """Which server, and how the bus is called there.

    Attributes:
        url: `redis://user:password@host:port/0`, or `rediss://` for TLS.
        prefix: Keys are `<prefix>:<topic>:<partition>`.
        raw_partitions: How many partitions the raw topic has.
        capacity_records: Most records that wait for the server before intake says so.
    """

    url: str = field(repr=False)
    prefix: str = PREFIX
    raw_partitions: int = 1
    capacity_records: int = 100_000

    @property
    def place(self) -> str:
        """Where the server is, without secrets."""
        return place_of(self.url)

    @property
    def raw_topic(self) -> str:
        """The server's name of the raw topic: its partitions are keys that begin so."""
        return f"{self.prefix}:{RAW}"


def opened_bus(config: RedisConfig) -> RedisBus:
    """Connect and return the bus; see `open_redis_bus`."""
    return open_redis_bus(config.url, prefix=config.prefix, partitions={RAW: config.raw_partitions})


def place_of(url: str) -> str:
    """Return the host and port of an address.

    >>> place_of("redis://me:secret@localhost:6379/0")
    'localhost:6379'
    """
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path


def connection_options() -> dict[str, Any]:
    """Return what every client of ours has: no answer is waited for without end."""
    return {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}


def malformed() -> ParameterError:
    """Return what to say of an address that cannot be read."""
    return ParameterError("the address of redis is malformed", hint="Write redis://host:6379/0.")


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
    client, place = connected(url), place_of(url)
    with translated(place):
        key = log_id_key(prefix)
        client.set(key, new_id(), nx=True)
        log_id = client.get(key).decode()
    return RedisBus(client, place=place, prefix=prefix, log_id=log_id, partitions=partitions)


def connected(url: str) -> Any:  # noqa: ANN401 - see `RedisBus`
    """Return a client of a server that keeps what it acknowledges.

    Raises:
        ParameterError: The address is malformed.
        UnavailableError: The server does not answer, or refuses the password.
        StorageError: The server would lose events that it acknowledged.
    """
    place = place_of(url)
    try:
        client: Any = Redis.from_url(url, **connection_options(), retry=Retry(NoBackoff(), 0))
    except ValueError as error:
        raise malformed() from error
    with translated(place):
        _check(client, place)
    return client


def _check(client: Any, place: str) -> None:  # noqa: ANN401 - see `RedisBus`
    """Refuse a server that acknowledges before it has written.

    Raises:
        StorageError: It does, and says how to change it.
    """
    try:
        found = {name: client.config_get(name).get(name) for name in _WANTED}
    except exceptions.ResponseError:  # a managed server that hides its configuration
        return
    wanted = {name: value for name, value in _WANTED.items() if found[name] != value}
    if wanted:
        said = ", ".join(f"{name} {found[name]}" for name in wanted)
        fix = "; ".join(f"CONFIG SET {name} {value}" for name, value in wanted.items())
        raise StorageError(f'redis at "{place}" may lose events: {said}', hint=f"Run {fix}.")
