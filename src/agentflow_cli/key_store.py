"""Stored keys without a platform: in its data directory while it is stopped, or in PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agentflow.clock import SystemClock, to_rfc3339
from agentflow_cli.failure import REFUSED, Failure

if TYPE_CHECKING:
    from agentflow.settings import Settings
    from control_store.keys.issuing import KeyIssuer, NewKey
    from control_store.keys.key_text import Mode
    from control_store.keys.port import KeyStore, StoredKey

OPERATOR = "operator"
"""Who did what was done without the API."""
_AT_ONCE = 1_000
_LISTS = ("metrics", "entities", "events", "statuses")


@dataclass(frozen=True, slots=True)
class DirectKeys:
    """The same as the API does, by who has the store itself: of any tenant, without a key."""

    store: KeyStore
    issuer: KeyIssuer

    def keys(self) -> list[dict[str, Any]]:
        """Return all keys, oldest first."""
        found: list[dict[str, Any]] = []
        after = 0
        while page := self.store.keys(None, after=after, limit=_AT_ONCE):
            found += [_shown(key) for _, key in page]
            after = page[-1][0]
        return found

    def key(self, key_id: str) -> dict[str, Any]:
        """Return one key.

        Raises:
            NotFoundError: There is none.
        """
        return _shown(self._found(key_id))

    def create_key(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        tenant: str = "default",
        expires_at: str | None = None,
        **more: object,
    ) -> dict[str, Any]:
        """Make a key; *more* as in the body of `POST /v1/keys`.

        Raises:
            Failure: It contradicts itself.
        """
        from control_store.keys.issuing import KeyRequest
        from control_store.keys.port import Grant
        from serving.access.granting import objections
        from serving.read.query_string import instant

        lists: dict[str, Any] = {name: more[name] for name in _LISTS if more.get(name) is not None}
        grant = Grant(tuple(scopes), **{name: tuple(lists[name]) for name in lists})
        expires_us = None if expires_at is None else instant("expires_at", expires_at)
        now_us = SystemClock().now_us()
        against = objections(grant, expires_us=expires_us, now_us=now_us, granter=None)
        if against:
            first, *rest = against
            raise Failure(
                first.message,
                exit_code=REFUSED,
                code="body_invalid",
                hint=first.hint,
                details=tuple(each.message for each in rest),
            )
        mode: Mode = "test" if more.get("mode") == "test" else "live"
        owner = str(more.get("owner", ""))
        wanted = KeyRequest(tenant, name, owner, grant, mode, expires_us)
        return _issued(self.issuer.issue(wanted, who=OPERATOR), None)

    def rotate_key(self, key_id: str, *, overlap_seconds: int) -> dict[str, Any]:
        """Give a key another text.

        Raises:
            NotFoundError: There is none.
            KeyEndedError: It was revoked, or has expired.
        """
        overlap_us = overlap_seconds * 1_000_000
        new = self.issuer.rotate(self._found(key_id), overlap_us=overlap_us)
        return _issued(new, to_rfc3339(SystemClock().now_us() + overlap_us))

    def revoke_key(self, key_id: str) -> dict[str, Any]:
        """End a key.

        Raises:
            NotFoundError: There is none.
        """
        now_us = SystemClock().now_us()
        return _shown(self.store.revoke(key_id, now_us=now_us, who=OPERATOR))

    def _found(self, key_id: str) -> StoredKey:
        from control_store.keys.store import unknown_key_id

        key = self.store.key(key_id)
        if key is None:
            raise unknown_key_id(key_id)
        return key


@contextmanager
def direct_keys(data_dir: Path) -> Iterator[DirectKeys]:
    """Open the store that a platform in *data_dir* has.

    Raises:
        DataDirectoryLockedError: It runs, and its keys are in that directory: ask it.
        Failure: Keys are in PostgreSQL, and the settings do not say what they are hashed with.
        UnavailableError: The database does not answer.
    """
    from agentflow_cli.service import people, settings_with
    from control_store.keys.issuing import KeyIssuer
    from control_store.wiring import key_hashing
    from ingestion.log.private import make_private

    people()
    make_private(data_dir)
    settings = settings_with({"data_dir": data_dir})
    with ExitStack() as opened:
        if not settings.control_url.get_secret_value():
            opened.enter_context(_alone(settings.data_dir))
        hashing = key_hashing(settings, make=True)
        if hashing is None:
            raise Failure(
                "AGENTFLOW_CONTROL_URL is set, and AGENTFLOW_KEY_SECRET is not",
                exit_code=REFUSED,
                code="stored_keys_off",
                hint="Set it to what every replica has; `openssl rand -hex 32` makes one.",
            )
        store = opened.enter_context(_store(settings))
        yield DirectKeys(store, KeyIssuer(store, hashing, SystemClock(), secrets.token_bytes))


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Keep a platform out of a data directory.

    Raises:
        DataDirectoryLockedError: One runs on it.
    """
    from agentflow.errors import DataDirectoryLockedError
    from ingestion.log.lock import DataDirectoryLock

    try:
        with DataDirectoryLock(data_dir):
            yield
    except DataDirectoryLockedError as error:
        error.hint = "If a platform runs there, leave --data-dir out: it is asked over HTTP."
        raise


@contextmanager
def _store(settings: Settings) -> Iterator[KeyStore]:
    from agentflow.supervision import Activity
    from control_store.wiring import control_of

    activity = Activity("control-store", "control", SystemClock())
    with closing(control_of(settings)(settings.data_dir, activity).store) as store:
        store.require()
        yield store.keys


def _shown(key: StoredKey) -> dict[str, Any]:
    from serving.api.keys import key_shape

    shown: dict[str, Any] = msgspec.to_builtins(key_shape(key, SystemClock().now_us()))
    return shown


def _issued(new: NewKey, previous_ends_at: str | None) -> dict[str, Any]:
    return {**_shown(new.key), "key": new.text, "previous_ends_at": previous_ends_at}
