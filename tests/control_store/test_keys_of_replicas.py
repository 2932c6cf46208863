"""Two replicas share keys in a real PostgreSQL: what one closes, the other closes too."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from agentflow.clock import SystemClock
from agentflow.supervision import Supervisor, ended
from agentflow.timers import SystemTimers
from control_store.keys.hashing import KeyHashing
from control_store.keys.issuing import KeyIssuer, KeyRequest
from control_store.keys.port import Grant
from control_store.postgres.database import Limits
from control_store.postgres.opening import open_postgres
from serving.access.callers import Caller
from serving.access.keys import Keys
from serving.access.stored_keys import END_EVERY_SECONDS, LOOK_EVERY_SECONDS, StoredKeys
from serving.http.problems import Problem
from stack.services.postgres import Postgres
from tests.control_store.outages import killed

HASHING = KeyHashing(bytes(32))
PATIENCE_SECONDS = 20.0
pytestmark = pytest.mark.xdist_group("postgres")


class Replica:
    """What checks keys in one of several processes."""

    def __init__(self, url: str) -> None:
        self.store = open_postgres(url, limits=Limits(1.0, 4))
        self.stored = StoredKeys(
            self.store.key_directory, HASHING, clock=SystemClock(), timers=SystemTimers()
        )
        self.keys = Keys((), secret=b"here", stored=True)
        self.stored.attach(self.keys)
        self.tasks = self.stored.start(Supervisor())

    async def asked(self, key: str) -> str:
        """Return what a request with that key is told."""
        found: Caller | Problem | None = self.keys.caller(key.encode(), SystemClock().now_us())
        found = found or await self.stored.find(key.encode())
        return found.code if isinstance(found, Problem) else "taken"

    async def takes(self, key: str) -> None:
        """Wait until a key is taken: the server does not say when it is back."""
        while await self.asked(key) != "taken":  # noqa: ASYNC110 - it sends no notice
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        await ended(self.tasks)
        self.store.close()


def test_a_revocation_is_felt_on_another_replica_within_a_second(database: str) -> None:
    """By the key that the other replica knows already, and by its open streams."""

    async def felt() -> tuple[list[str], list[str]]:
        one, other = Replica(database), Replica(database)
        issuer = KeyIssuer(one.store.keys, HASHING, SystemClock(), secrets.token_bytes)
        wanted = KeyRequest("acme", "board", "ada", Grant(("read",)))
        new = await asyncio.to_thread(issuer.issue, wanted, who="ada")
        before = [await one.asked(new.text), await other.asked(new.text)]
        caller = other.keys.caller(new.text.encode(), 1)
        assert caller is not None
        told: list[str] = []
        ended_at = asyncio.Event()

        def on_end(problem: Problem) -> None:
            told.append(problem.code)
            ended_at.set()

        other.stored.follow(caller, on_end)
        revoke = one.store.keys.revoke
        await asyncio.to_thread(revoke, new.key.id, now_us=2, who="ada")
        await asyncio.wait_for(ended_at.wait(), PATIENCE_SECONDS)
        before.append(await other.asked(new.text))
        await one.close()
        await other.close()
        return before, told[:1]

    asked, told = asyncio.run(felt())

    assert asked == ["taken", "taken", "key_revoked"]
    assert told == ["key_revoked"]
    assert LOOK_EVERY_SECONDS + END_EVERY_SECONDS < 1


def test_what_was_known_goes_on_while_postgres_is_away(database: str, postgres: Postgres) -> None:
    """What was revoked stays closed, and what is not known is told why."""

    async def asked() -> list[str]:
        replica = Replica(database)
        issuer = KeyIssuer(replica.store.keys, HASHING, SystemClock(), secrets.token_bytes)
        grant = Grant(("read",))
        known, revoked, unknown = [
            await asyncio.to_thread(issuer.issue, KeyRequest("acme", "a", "b", grant), who="ada")
            for _ in range(3)
        ]
        assert await replica.asked(known.text) == await replica.asked(revoked.text) == "taken"
        await asyncio.to_thread(replica.store.keys.revoke, revoked.key.id, now_us=2, who="ada")
        await replica.stored.look()
        with killed(postgres):
            told = [await replica.asked(each.text) for each in (known, revoked, unknown)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await replica.takes(unknown.text)
        await replica.close()
        return [*told, "taken"]

    assert asyncio.run(asked()) == ["taken", "key_revoked", "unavailable", "taken"]
