"""Stored keys as requests are checked: looked up once, then known in memory until they change.

A hot read may not wait for a database. So a key that was found is kept, and twice a second the
store is asked whether any key changed, by one number; what changed is then replaced. A platform
whose store is away goes on with the keys it knows, for as long as the operator says and no longer:
meanwhile it would not hear of a revocation.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import structlog

from agentflow.clock import Clock, to_rfc3339
from agentflow.errors import AgentFlowError, StorageError, UnavailableError
from agentflow.supervision import Supervisor
from agentflow.timers import Timers
from control_store.keys.hashing import KeyHashing
from control_store.keys.key_text import claims_to_be_stored, fault_of
from control_store.keys.port import KeyDirectory, KeyMatch, KeyUse, StoredKey
from serving.access.callers import Caller
from serving.access.keys import HeldKey, Keys
from serving.access.scopes import scopes_of
from serving.access.sight import sight_of
from serving.http.problems import Problem, problem_of

log = structlog.get_logger()
T = TypeVar("T")

LOOK_EVERY_SECONDS: Final = 0.5
END_EVERY_SECONDS: Final = 0.25
NOTE_EVERY_SECONDS: Final = 60.0
AWAY_SECONDS: Final = 300.0
_THREADS: Final = 4
_MOST_WAITING: Final = 64
_MOST_UNKNOWN: Final = 1_024
_AT_ONCE: Final = 1_000

OnEnd = Callable[[Problem], None]


class StoredKeys:
    """Finds callers by stored keys. One event loop; `start` what runs in the background.

    Args:
        directory: Where keys are stored.
        hashing: What they are found by; None where no stored key is taken.
        clock: Tells when they end.
        timers: Measure for how long the store has been away.
        away_seconds: For so long what is known of keys is relied on without the store.
    """

    def __init__(
        self,
        directory: KeyDirectory,
        hashing: KeyHashing | None,
        *,
        clock: Clock,
        timers: Timers,
        away_seconds: float = AWAY_SECONDS,
    ) -> None:
        self._directory = directory
        self.hashing = hashing
        self._clock = clock
        self._timers = timers
        self._away_seconds = away_seconds
        self._keys = Keys((), secret=b"")
        self._generation = -1
        self._unknown: set[bytes] = set()
        self._followers: dict[bytes, tuple[HeldKey, list[OnEnd]]] = {}
        self._uses: dict[str, KeyUse] = {}
        self._waiting = 0
        self._looking = asyncio.Lock()
        # of their own: a store that does not answer must not keep others from a thread
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="keys")

    def attach(self, keys: Keys) -> None:
        """Keep in *keys* what is found."""
        self._keys = keys

    # Finding a caller

    async def find(self, key: bytes) -> Caller | Problem:
        """Return who holds a key, or why nobody does who may ask."""
        if not claims_to_be_stored(key):
            return _UNKNOWN
        if (fault := fault_of(key)) is not None:
            return _mistyped(fault)
        held = self._keys.held(key)
        if held is None or held.key is None or not self._keys.trusted:
            found = await self._looked_up(key)
            if isinstance(found, Problem):
                return found
            held = found
        if (problem := self._fault(held)) is not None:
            return problem
        held.uses += 1
        held.used_us = self._clock.now_us()
        return held.caller

    async def _looked_up(self, key: bytes) -> HeldKey | Problem:
        if self.hashing is None:
            return _UNKNOWN
        digest = self.hashing.digest(key)
        if digest in self._unknown and self._keys.trusted:
            return _UNKNOWN
        if self._waiting >= _MOST_WAITING:
            return _CROWDED
        self._waiting += 1
        try:
            if self._generation < 0:
                await self.look()
            match = await self._matched(digest)
        except (UnavailableError, StorageError) as error:
            return _away(error)
        finally:
            self._waiting -= 1
        if match is None or not hmac.compare_digest(match.digest, digest):
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown.add(digest)
            return _UNKNOWN
        return self._hold(self._keys.digest(key), match)

    async def _matched(self, digest: bytes) -> KeyMatch | None:
        """Look a key up; again when keys changed meanwhile, for that may have been this one."""
        while True:
            generation = self._generation
            match = await self._in_thread(partial(self._directory.match, digest))
            if generation == self._generation:
                return match

    def _hold(self, digest: bytes, match: KeyMatch) -> HeldKey:
        known = self._keys.stored(match.digest)
        if known is not None:
            _update(known, match)
            return known
        followed = self._followers.get(match.digest)
        held = HeldKey(digest, caller_of(match), match.key, _ends_us(match))
        if followed is not None:
            held = followed[0]
            _update(held, match)
        gone = self._keys.hold(held, match.digest)
        if gone is not None:
            self._count(gone)
        return held

    def _fault(self, held: HeldKey) -> Problem | None:
        """Return why a key that was found is not taken."""
        key = held.key
        if key is None:
            return None
        if key.revoked_us is not None:
            return _revoked(key)
        if self._keys.over(held, self._clock.now_us()):
            return _expired(key, held)
        return None

    # Hearing of changes

    def start(self, supervisor: Supervisor) -> Sequence[asyncio.Task[None]]:
        """Begin to hear of changes, to end streams, and to note what keys are used for."""
        return (
            supervisor.task("api-keys", "control", self._watch),
            supervisor.task("api-key-streams", "control", self._end_streams),
            supervisor.task("api-key-uses", "control", self._note_uses),
        )

    async def _watch(self) -> None:
        while True:
            with suppress(UnavailableError, StorageError):  # the store's own status says it
                await self.look()
            await self._timers.sleep(LOOK_EVERY_SECONDS)

    async def look(self) -> None:
        """Ask what changed, and go by it.

        Raises:
            UnavailableError: The store does not answer.
            StorageError: It cannot be read.
        """
        async with self._looking:
            asked_at = self._timers.seconds()
            generation = await self._in_thread(self._directory.generation)
            if generation > 0:
                self._keys.close_to_anyone()
            if self._generation < 0:
                self._generation = generation  # nothing is known yet that could have changed
            while generation > self._generation:
                changes = partial(self._directory.changes, after=self._generation, limit=_AT_ONCE)
                self._generation, found = await self._in_thread(changes)
                self._unknown.clear()
                for match in found:
                    self._apply(match)
            self._keys.trusted_until = asked_at + self._away_seconds

    def _apply(self, match: KeyMatch) -> None:
        known = self._keys.stored(match.digest)
        if known is not None:
            _update(known, match)
        followed = self._followers.get(match.digest)
        if followed is not None:
            _update(followed[0], match)

    # Ending streams

    def follow(self, caller: Caller, on_end: OnEnd) -> Callable[[], None]:
        """Call *on_end* once the key of *caller* has ended; returns what stops that."""
        digest = caller.stored
        if digest is None:
            return lambda: None
        held = self._keys.stored(digest)
        if held is None:  # forgotten since it was checked
            on_end(_CROWDED)
            return lambda: None
        followers = self._followers.setdefault(digest, (held, []))[1]
        followers.append(on_end)

        def leave() -> None:
            followers.remove(on_end)
            if not followers:
                self._followers.pop(digest, None)

        return leave

    async def _end_streams(self) -> None:
        while True:
            self.end_streams()
            await self._timers.sleep(END_EVERY_SECONDS)

    def end_streams(self) -> None:
        """Tell those who follow keys which have ended."""
        for held, followers in list(self._followers.values()):
            problem = self._fault(held) or (None if self._keys.trusted else _UNTRUSTED)
            if problem is not None:
                for on_end in tuple(followers):
                    on_end(problem)

    # What keys are used for

    def _count(self, held: HeldKey) -> None:
        if held.key is None or not held.uses:
            return
        before = self._uses.get(held.key.id, KeyUse(0, 0))
        last_us = max(before.last_us, held.used_us)
        self._uses[held.key.id] = KeyUse(before.count + held.uses, last_us)
        held.uses = 0

    async def _note_uses(self) -> None:
        while True:
            await self._timers.sleep(NOTE_EVERY_SECONDS)
            with suppress(UnavailableError, StorageError):  # told already; noted next time
                await self.note_uses()

    async def note_uses(self) -> None:
        """Write down how often keys were used.

        Raises:
            UnavailableError: The store does not answer; nothing is forgotten.
            StorageError: It cannot be written.
        """
        for held in self._keys.all_stored():
            self._count(held)
        if not self._uses:
            return
        uses, self._uses = self._uses, {}
        try:
            await self._in_thread(partial(self._directory.note_uses, uses))
        except BaseException:
            for key_id, use in uses.items():
                more = self._uses.get(key_id, KeyUse(0, 0))
                last_us = max(use.last_us, more.last_us)
                self._uses[key_id] = KeyUse(use.count + more.count, last_us)
            raise

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def caller_of(match: KeyMatch) -> Caller:
    """Return who holds a stored key."""
    key = match.key
    scopes = scopes_of(key.grant.scopes)
    return Caller(
        tenant=key.tenant,
        scopes=scopes,
        bucket=f"{key.tenant}/{key.id}",
        sight=sight_of(key.grant, scopes),
        expires_us=_ends_us(match),
        stored=match.digest,
    )


def _ends_us(match: KeyMatch) -> int | None:
    ends = [each for each in (match.key.expires_us, match.ends_us) if each is not None]
    return min(ends, default=None)


def _update(held: HeldKey, match: KeyMatch) -> None:
    """Go by what the store says now; what was revoked stays revoked."""
    if held.key is not None and held.key.revoked_us is not None:
        return
    held.key, held.ends_us, held.caller = match.key, _ends_us(match), caller_of(match)


_UNKNOWN: Final = Problem(
    "key_unknown",
    "the API key is not known",
    "Check that it is a key of this platform: one of AGENTFLOW_API_KEYS, or a stored one.",
)
_CROWDED: Final = Problem(
    "unavailable",
    "too many API keys are being looked up at once",
    "Send it again in a second.",
)
_UNTRUSTED: Final = Problem(
    "unavailable",
    "the control store has been away for so long that API keys cannot be relied on",
    "Start it, or check AGENTFLOW_CONTROL_URL; then open the stream again.",
)


def _mistyped(fault: str) -> Problem:
    return Problem(
        "key_malformed",
        f"the API key is mistyped or cut off: {fault}",
        "Copy it again as a whole, from where it was kept when it was made.",
    )


def _away(error: AgentFlowError) -> Problem:
    problem = problem_of(error)
    return Problem(
        "unavailable",
        f"the API key cannot be looked up: {problem.detail}",
        "Send it again when the control store is back; keys that were used lately are known.",
    )


def _revoked(key: StoredKey) -> Problem:
    at = to_rfc3339(key.revoked_us or 0)
    return Problem(
        "key_revoked", f"the API key {key.id} was revoked at {at}", "Ask for another key."
    )


def _expired(key: StoredKey, held: HeldKey) -> Problem:
    at = to_rfc3339(held.ends_us or 0)
    if held.ends_us == key.expires_us:
        hint = "Ask for another key."
        return Problem("key_expired", f"the API key {key.id} expired at {at}", hint)
    return Problem(
        "key_expired",
        f"this text of the API key {key.id} ended at {at}, when the key was rotated",
        "Use the text that the rotation gave.",
    )
