"""Stored keys in a database: every change has a number, by which others hear of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, case, func, insert, or_, select, update

from agentflow.errors import KeyEndedError, NotFoundError
from agentflow.wording import quoted
from control_store.database import Database
from control_store.keys.port import Grant, KeyMatch, KeyUse, StoredKey
from control_store.keys.tables import api_key_digests, api_keys

_FIELDS: Final = tuple(name for name in StoredKey.__slots__ if name != "grant")
_COLUMNS: Final = (api_keys.c.grant, *(api_keys.c[name] for name in _FIELDS))
_KEY: Final = select(*_COLUMNS).where(api_keys.c.id == bindparam("an_id"))
_PAGE: Final = (
    select(api_keys.c.number, *_COLUMNS)
    .where(api_keys.c.number > bindparam("after"))
    .order_by(api_keys.c.number)
    .limit(bindparam("most"))
)
_OF_TENANT: Final = _PAGE.where(api_keys.c.tenant == bindparam("a_tenant"))
_LAST_NUMBER: Final = select(func.coalesce(func.max(api_keys.c.number), 0))
_GENERATION: Final = select(func.coalesce(func.max(api_keys.c.changed), 0))
_FOUND: Final = select(api_key_digests.c.digest, api_key_digests.c.ends_us, *_COLUMNS).join(
    api_keys, api_keys.c.id == api_key_digests.c.key_id
)
_MATCH: Final = _FOUND.where(api_key_digests.c.digest == bindparam("a_digest"))
_CHANGED: Final = (
    select(api_keys.c.id, api_keys.c.changed)
    .where(api_keys.c.changed > bindparam("after"))
    .order_by(api_keys.c.changed)
    .limit(bindparam("most"))
)
_OF_IDS: Final = _FOUND.where(api_keys.c.id.in_(bindparam("ids", expanding=True)))
_END: Final = (
    update(api_key_digests)
    .where(
        api_key_digests.c.key_id == bindparam("an_id"),
        or_(api_key_digests.c.ends_us.is_(None), api_key_digests.c.ends_us > bindparam("until")),
    )
    .values(ends_us=bindparam("until"))
)
_ADD_DIGEST: Final = insert(api_key_digests)
_TOUCH: Final = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("an_id"))
    .values(changed=bindparam("generation"))
)
_REVOKE: Final = _TOUCH.values(revoked_us=bindparam("at_us"), revoked_by=bindparam("who"))
_USED: Final = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("an_id"))
    .values(
        uses=api_keys.c.uses + bindparam("more"),
        last_used_us=case(
            (api_keys.c.last_used_us >= bindparam("at_us"), api_keys.c.last_used_us),
            else_=bindparam("at_us"),
        ),
    )
)
_decode_grant: Final = msgspec.json.Decoder(Grant).decode


class SqlKeys:
    """A `KeyStore` and a `KeyDirectory` in a database."""

    def __init__(self, database: Database) -> None:
        """Keep keys in *database*."""
        self._database = database

    def add(self, key: StoredKey, digest: bytes) -> None:
        """Store a new key that is found by *digest*."""
        row = {name: getattr(key, name) for name in _FIELDS}
        row["grant"] = msgspec.json.encode(key.grant).decode()
        with self._database.writing(alone=api_keys) as connection:
            row["number"] = connection.execute(_LAST_NUMBER).scalar_one() + 1
            row["changed"] = connection.execute(_GENERATION).scalar_one() + 1
            connection.execute(insert(api_keys), row)
            connection.execute(_ADD_DIGEST, _digest_row(digest, key.id, key.created_us))

    def rotate(self, key_id: str, digest: bytes, *, now_us: int, ends_us: int) -> StoredKey:
        """Let a key be found by *digest* too; see `KeyStore.rotate`."""
        with self._database.writing(alone=api_keys) as connection:
            key = _required(connection, key_id)
            _require_in_force(key, now_us)
            connection.execute(_END, {"an_id": key_id, "until": ends_us})
            connection.execute(_ADD_DIGEST, _digest_row(digest, key_id, now_us))
            connection.execute(_TOUCH, _next_change(connection, key_id))
        return key

    def revoke(self, key_id: str, *, now_us: int, who: str) -> StoredKey:
        """End a key at once; see `KeyStore.revoke`."""
        with self._database.writing(alone=api_keys) as connection:
            key = _required(connection, key_id)
            if key.revoked_us is not None:
                return key
            change = _next_change(connection, key_id)
            connection.execute(_REVOKE, {**change, "at_us": now_us, "who": who})
            return _required(connection, key_id)

    def key(self, key_id: str) -> StoredKey | None:
        """Return one key."""
        with self._database.reading() as connection:
            return _one(connection, key_id)

    def keys(
        self, tenant: str | None, *, after: int = 0, limit: int = 100
    ) -> Sequence[tuple[int, StoredKey]]:
        """Return (number from 1, key) above *after*, oldest first; of one tenant, or of all."""
        asked: dict[str, object] = {"after": after, "most": limit}
        statement = _PAGE
        if tenant is not None:
            asked["a_tenant"], statement = tenant, _OF_TENANT
        with self._database.reading() as connection:
            return [(row[0], _key(row[1:])) for row in connection.execute(statement, asked)]

    def match(self, digest: bytes) -> KeyMatch | None:
        """Return the key that is found by *digest*, whether it is still in force or not."""
        with self._database.reading() as connection:
            row = connection.execute(_MATCH, {"a_digest": digest}).one_or_none()
        return None if row is None else _match(row)

    def generation(self) -> int:
        """Return a number that grows whenever a key changes; 0 while there never was one."""
        with self._database.reading() as connection:
            found: int = connection.execute(_GENERATION).scalar_one()
        return found

    def changes(self, *, after: int, limit: int = 1_000) -> tuple[int, Sequence[KeyMatch]]:
        """Return what changed behind a generation; see `KeyDirectory.changes`."""
        with self._database.reading() as connection:
            changed = connection.execute(_CHANGED, {"after": after, "most": limit}).all()
            ids = [row.id for row in changed]
            rows = connection.execute(_OF_IDS, {"ids": ids}).all() if ids else []
        order = {key_id: place for place, key_id in enumerate(ids)}
        found = sorted((_match(row) for row in rows), key=lambda each: order[each.key.id])
        return (changed[-1].changed if changed else after), found

    def note_uses(self, uses: Mapping[str, KeyUse]) -> None:
        """Add how often keys were used, by id."""
        if not uses:
            return
        rows = [
            {"an_id": key_id, "more": use.count, "at_us": use.last_us}
            for key_id, use in sorted(uses.items())
        ]
        with self._database.writing() as connection:
            connection.execute(_USED, rows)


def _digest_row(digest: bytes, key_id: str, now_us: int) -> dict[str, object]:
    return {"digest": digest, "key_id": key_id, "created_us": now_us, "ends_us": None}


def _next_change(connection: Connection, key_id: str) -> dict[str, object]:
    return {"an_id": key_id, "generation": connection.execute(_GENERATION).scalar_one() + 1}


def _one(connection: Connection, key_id: str) -> StoredKey | None:
    row = connection.execute(_KEY, {"an_id": key_id}).one_or_none()
    return None if row is None else _key(row)


def _required(connection: Connection, key_id: str) -> StoredKey:
    key = _one(connection, key_id)
    if key is None:
        raise unknown_key_id(key_id)
    return key


def unknown_key_id(key_id: str) -> NotFoundError:
    """Return the error of an id that no key has."""
    return NotFoundError(
        f"API key {quoted(key_id)} does not exist",
        hint="List keys with their ids; the key itself is not its id.",
    )


def _require_in_force(key: StoredKey, now_us: int) -> None:
    hint = "Create another one."
    if key.revoked_us is not None:
        raise KeyEndedError(f"API key {quoted(key.id)} was revoked", hint=hint)
    if key.expires_us is not None and key.expires_us <= now_us:
        raise KeyEndedError(f"API key {quoted(key.id)} has expired", hint=hint)


def _match(row: Row[Any]) -> KeyMatch:
    digest, ends_us, *rest = tuple(row)
    return KeyMatch(_key(rest), bytes(digest), ends_us)


def _key(row: Sequence[Any]) -> StoredKey:
    grant, *rest = row
    return StoredKey(grant=_decode_grant(grant), **dict(zip(_FIELDS, rest, strict=True)))
