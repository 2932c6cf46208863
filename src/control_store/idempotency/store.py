"""Idempotency keys in a database: a claim is durable before the work starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from control_store.database import Database
from control_store.idempotency.port import (
    IDEMPOTENCY_TTL_US,
    Attempt,
    Conflict,
    Done,
    InProgress,
    New,
)
from control_store.idempotency.tables import idempotency

_KEY: Final = (
    idempotency.c.tenant == bindparam("a_tenant"),
    idempotency.c.key == bindparam("a_key"),
)
_OURS: Final = idempotency.c.owner == bindparam("an_owner")
_FOUND: Final = select(idempotency).where(*_KEY).with_for_update()
_CLAIM_AGAIN: Final = (
    update(idempotency)
    .where(*_KEY)
    .values(
        fingerprint=bindparam("a_fingerprint"),
        begun_us=bindparam("at_us"),
        owner=bindparam("an_owner"),
        status=None,
        headers=None,
        body=None,
    )
)
_ANSWER: Final = (
    update(idempotency)
    .where(*_KEY, _OURS)
    .values(
        begun_us=bindparam("at_us"),
        status=bindparam("a_status"),
        headers=bindparam("some_headers"),
        body=bindparam("a_body"),
    )
)
_FORGET: Final = delete(idempotency).where(*_KEY, _OURS, idempotency.c.status.is_(None))
_OLD: Final = select(idempotency.c.tenant, idempotency.c.key).where(
    idempotency.c.begun_us <= bindparam("until_us")
)
_DROP: Final = delete(idempotency).where(*_KEY, idempotency.c.begun_us <= bindparam("until_us"))
_ATTEMPTS: Final = 10


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who works on a request that is claimed and not answered.

    Attributes:
        owner: Names this process in its claims.
        lease_us: For so long a claim of another process counts; 0 when there can be none.
    """

    owner: str
    lease_us: int


class SqlIdempotency:
    """An `IdempotencyStore` in a database.

    Attributes:
        lease_us: For so long an unanswered claim of another process counts.
    """

    def __init__(self, database: Database, ownership: Ownership) -> None:
        """Claim keys as *ownership* says."""
        self._database = database
        self._ownership = ownership
        self.lease_us = ownership.lease_us
        self._working: set[tuple[str, str]] = set()
        self._claim = database.prepared(
            database.insert(idempotency)
            .values(
                tenant=bindparam("a_tenant"),
                key=bindparam("a_key"),
                fingerprint=bindparam("a_fingerprint"),
                begun_us=bindparam("at_us"),
                owner=bindparam("an_owner"),
            )
            .on_conflict_do_nothing()
        )
        self._answer = database.prepared(_ANSWER)

    def begin(self, tenant: str, key: str, fingerprint: bytes, *, now_us: int) -> Attempt:
        """Claim *key*; see `IdempotencyStore.begin`.

        A claim is durable before the work starts, so that a second body is refused even after a
        crash. A claim whose process is gone has no owner: the same body is told to do the work
        again, which is harmless because every event inside counts once. Where other processes share
        the database, one that is silent for the lease is taken to be gone.
        """
        claimed = False
        try:
            with self._database.writing() as connection:
                attempt = self._attempt(connection, tenant, key, fingerprint, now_us)
                if claimed := isinstance(attempt, New):
                    self._working.add((tenant, key))
        except BaseException:
            if claimed:
                self._working.discard((tenant, key))
            raise
        return attempt

    def _attempt(
        self, connection: Connection, tenant: str, key: str, fingerprint: bytes, now_us: int
    ) -> Attempt:
        mine = self._mine(tenant, key)
        claim = {**mine, "a_fingerprint": fingerprint, "at_us": now_us}
        for _ in range(_ATTEMPTS):
            if self._claim(connection, claim):
                return New()
            row = connection.execute(_FOUND, mine).one_or_none()
            if row is not None:
                break
        else:
            return InProgress(now_us)  # others claim and abandon it all the time
        attempt = self._found(row, fingerprint, now_us, working=(tenant, key) in self._working)
        if isinstance(attempt, New):
            connection.execute(_CLAIM_AGAIN, claim)
        return attempt

    def _found(self, row: Row[Any], fingerprint: bytes, now_us: int, *, working: bool) -> Attempt:
        _, _, known, begun_us, status, headers, body, owner = tuple(row)
        if begun_us <= now_us - IDEMPOTENCY_TTL_US and not working:
            return New()
        if known != fingerprint:
            return Conflict()
        if status is not None:
            return Done(status, json.loads(headers), body)
        theirs = owner != self._ownership.owner and now_us - begun_us < self.lease_us
        return InProgress(begun_us) if working or theirs else New(resumed=True)

    def finish(self, tenant: str, key: str, answer: Done, *, now_us: int) -> None:
        """Store the answer; the 24 hours count from here."""
        answered = {
            **self._mine(tenant, key),
            "at_us": now_us,
            "a_status": answer.status,
            "some_headers": json.dumps(dict(answer.headers)),
            "a_body": answer.body,
        }
        try:
            with self._database.writing() as connection:
                self._answer(connection, answered)
        finally:
            self._working.discard((tenant, key))

    def abandon(self, tenant: str, key: str) -> None:
        """Forget a claim without an answer; an answered key stays."""
        try:
            with self._database.writing() as connection:
                connection.execute(_FORGET, self._mine(tenant, key))
        finally:
            self._working.discard((tenant, key))

    def expire(self, *, now_us: int) -> int:
        """Delete what is older than 24 hours, but for what is being worked on."""
        until = {"until_us": now_us - IDEMPOTENCY_TTL_US}
        with self._database.writing() as connection:
            old = connection.execute(_OLD, until).all()
            gone = [
                {"a_tenant": tenant, "a_key": key, **until}
                for tenant, key in old
                if (tenant, key) not in self._working
            ]
            if gone:
                connection.execute(_DROP, gone)
        return len(gone)

    def _mine(self, tenant: str, key: str) -> dict[str, str]:
        return {"a_tenant": tenant, "a_key": key, "an_owner": self._ownership.owner}
