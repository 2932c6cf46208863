"""Any life of stored keys at the door: nothing that was closed opens, whatever the store does."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from itertools import count
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import delete

from agentflow.clock import ManualClock
from agentflow.errors import UnavailableError
from agentflow.timers import ManualTimers
from control_store.keys.hashing import KeyHashing
from control_store.keys.issuing import KeyIssuer, KeyRequest
from control_store.keys.port import Grant
from control_store.keys.tables import api_key_digests, api_keys
from control_store.sqlite.opening import open_control
from serving.access.callers import Caller
from serving.access.keys import Keys
from serving.access.stored_keys import StoredKeys
from serving.http.problems import Problem
from tests.serving.api.stored import Directory

HASHING = KeyHashing(bytes(32))
AWAY_US = 300_000_000
_drawn = count(1)
_folder = Path(tempfile.mkdtemp(prefix="life-of-keys-"))
_store = open_control(_folder / "control.sqlite").store


def teardown_module() -> None:
    _store.close()
    shutil.rmtree(_folder)


def drawn(size: int) -> bytes:
    return next(_drawn).to_bytes(size, "big")


class Text:
    """What the model knows of one text of a key.

    Attributes:
        known: Whether this process found it, and has not forgotten it.
        heard_revoked: Whether this process knows that the key was revoked.
        ends_us: When it ends in the store; `heard_ends_us` as far as this process knows.
    """

    def __init__(self, text: str, key_id: str, ends_us: int | None) -> None:
        self.text, self.key_id = text, key_id
        self.ends_us = self.heard_ends_us = ends_us
        self.revoked = self.heard_revoked = self.known = False


class DoorMachine(RuleBasedStateMachine):
    """One process that checks keys, and a model of what it must say."""

    def __init__(self) -> None:
        super().__init__()
        with _store.database.writing() as connection:
            for table in (api_keys, api_key_digests):
                connection.execute(delete(table))
        self.clock = ManualClock(1_000_000_000_000)
        self.monotonic = ManualTimers(ManualClock(0))
        self.latest_us = 0
        self.looked_us: int | None = None
        self.directory = Directory(_store.key_directory)
        self.stored = StoredKeys(self.directory, HASHING, clock=self.clock, timers=self.monotonic)
        self.keys = Keys((), secret=b"here", stored=True, seconds=self.monotonic.seconds)
        self.stored.attach(self.keys)
        self.issuer = KeyIssuer(_store.keys, HASHING, self.clock, drawn)
        self.texts: list[Text] = []
        self.loop = asyncio.new_event_loop()
        for lives_us in (None, 60, None):
            self.create(lives_us)

    @property
    def trusted(self) -> bool:
        return (
            self.looked_us is not None and self.monotonic.clock.now_us() - self.looked_us < AWAY_US
        )

    def create(self, lives_us: int | None) -> None:
        expires_us = None if lives_us is None else self.clock.now_us() + lives_us
        wanted = KeyRequest("acme", "a", "b", Grant(("read",)), "live", expires_us)
        new = self.issuer.issue(wanted, who="ada")
        self.texts.append(Text(new.text, new.key.id, expires_us))

    @rule(which=st.integers(0, 2))
    def revoke(self, which: int) -> None:
        text = self.texts[which]
        _store.keys.revoke(text.key_id, now_us=self.clock.now_us(), who="ada")
        text.revoked = True

    @rule(step_us=st.integers(-200, 200))
    def the_clock_moves_or_jumps(self, step_us: int) -> None:
        self.clock._now_us += step_us  # noqa: SLF001 - in microseconds

    @rule(seconds=st.sampled_from([0.5, 100, 299, 301]))
    def time_passes(self, seconds: float) -> None:
        self.monotonic.clock._now_us += int(seconds * 1_000_000)  # noqa: SLF001

    @rule(away=st.booleans())
    def the_store_goes_and_comes(self, away: bool) -> None:  # noqa: FBT001
        self.directory.away = away

    @rule()
    def look(self) -> None:
        try:
            self.loop.run_until_complete(self.stored.look())
        except UnavailableError:
            assert self.directory.away
            return
        assert not self.directory.away
        self.heard()

    def heard(self) -> None:
        self.looked_us = self.monotonic.clock.now_us()
        for each in self.texts:
            each.heard_revoked = each.revoked

    @rule()
    def ask_for_all(self) -> None:
        for text in self.texts:
            self.ask(text)

    @rule(which=st.integers(0, 2))
    def ask_for_one(self, which: int) -> None:
        self.ask(self.texts[which])

    def ask(self, text: Text) -> None:
        first_look = self.looked_us is None and not self.directory.away
        found: Caller | Problem | None = self.keys.caller(text.text.encode(), self.clock.now_us())
        if found is None:
            found = self.loop.run_until_complete(self.stored.find(text.text.encode()))
        said = found.code if isinstance(found, Problem) else "taken"
        assert said == self.expected(text)
        if first_look and not (text.known and self.trusted):
            self.heard()  # the first key that is looked up begins to hear of changes
        if said != "unavailable":
            text.known = True

    def expected(self, text: Text) -> str:
        """Return what is said of a text: from memory while that may be relied on."""
        if not (text.known and self.trusted):
            if self.directory.away:
                return "unavailable"
            text.heard_revoked = text.revoked  # it is looked up
        if text.heard_revoked:
            return "key_revoked"
        if text.ends_us is not None:
            self.latest_us = max(self.latest_us, self.clock.now_us())
            if text.ends_us <= self.latest_us:
                return "key_expired"
        return "taken"

    @invariant()
    def what_was_heard_to_be_over_is_never_taken(self) -> None:
        for each in self.texts:
            if each.heard_revoked:
                assert self.keys.caller(each.text.encode(), self.clock.now_us()) is None

    def teardown(self) -> None:
        self.loop.close()


TestTheLifeOfKeys = DoorMachine.TestCase
TestTheLifeOfKeys.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
