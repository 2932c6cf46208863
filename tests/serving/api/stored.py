"""Stored keys for tests: made without HTTP, in a store that can be away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from agentflow.errors import UnavailableError
from control_store.keys.hashing import KeyHashing
from control_store.keys.issuing import KeyIssuer, KeyRequest, NewKey
from control_store.keys.port import Grant, KeyDirectory, KeyMatch, KeyUse
from serving.server.app import AccessOptions
from tests.serving.api.conftest import Served, serving

HASHING = KeyHashing(bytes(32))
STORED = AccessOptions(key_hashing=HASHING)
_drawn = count(1)


def drawn(size: int) -> bytes:
    """Return bytes that were not drawn before."""
    return next(_drawn).to_bytes(size, "big")


class Directory:
    """A real directory that counts what it is asked, and can be away.

    Attributes:
        between: Is called after a key was looked up, before the answer is known.
    """

    def __init__(self, real: KeyDirectory) -> None:
        self._real = real
        self.away = False
        self.lookups = 0
        self.between: Callable[[], None] | None = None

    def _require(self) -> None:
        if self.away:
            raise UnavailableError("the control store does not answer", hint="Start it.")

    def match(self, digest: bytes) -> KeyMatch | None:
        self.lookups += 1
        self._require()
        found = self._real.match(digest)
        between, self.between = self.between, None
        if between is not None:
            between()
        return found

    def generation(self) -> int:
        self._require()
        return self._real.generation()

    def changes(self, *, after: int, limit: int = 1_000) -> tuple[int, Sequence[KeyMatch]]:
        self._require()
        return self._real.changes(after=after, limit=limit)

    def note_uses(self, uses: Mapping[str, KeyUse]) -> None:
        self._require()
        self._real.note_uses(uses)


class Vault:
    """A platform that takes stored keys, and what makes them."""

    def __init__(self, served: Served, directory: Directory) -> None:
        self.served = served
        self.directory = directory
        self.stored = served.api.context.stored_keys
        self.issuer = KeyIssuer(served.platform.keys, HASHING, served.clock, drawn)

    def make(self, *scopes: str, tenant: str = "acme", expires_us: int | None = None,
             **narrowed: tuple[str, ...]) -> NewKey:  # fmt: skip
        """Make a key; by default one that may read."""
        grant = replace(Grant(scopes or ("read",)), **narrowed)  # type: ignore[arg-type]
        wanted = KeyRequest(tenant, "a key", "ada", grant, expires_us=expires_us)
        return self.issuer.issue(wanted, who="ada")

    def get(self, url: str, key: NewKey | str) -> tuple[int, Any]:
        """Send a GET with a key; return the status and the code of the problem, or the body."""
        text = key if isinstance(key, str) else key.text
        answer = self.served.get(url, headers={"X-API-Key": text})
        body = answer.json()
        return answer.status_code, body.get("code", body)

    def look(self) -> None:
        """Hear of what changed, as the task in the background does twice a second."""
        self.served.run(self.stored.look())


@contextmanager
def vault(data_dir: Path, **options: Any) -> Iterator[Vault]:  # noqa: ANN401 - of `serving`
    """Serve a platform that takes stored keys."""
    access = options.pop("access", STORED)
    with serving(data_dir, access=access, **options) as served:
        stored = served.api.context.stored_keys
        directory = Directory(stored._directory)  # noqa: SLF001 - to be away
        stored._directory = directory  # noqa: SLF001
        yield Vault(served, directory)
