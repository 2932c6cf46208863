"""Stored keys on every database, whatever happens to them, beside a model that means the same."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, select

from agentflow.clock import ManualClock
from agentflow.errors import KeyEndedError, NotFoundError, ParameterError, StorageError
from agentflow.settings import Settings
from control_store.keys.hashing import (
    SECRET_FILE,
    KeyHashing,
    hashing_in,
    hashing_of,
    made_in,
)
from control_store.keys.issuing import KeyIssuer, KeyRequest, NewKey
from control_store.keys.key_text import MODES, PATTERN, Mode, claims_to_be_stored, fault_of, new_key
from control_store.keys.port import Grant, KeyMatch, KeyUse, StoredKey
from control_store.keys.tables import api_key_digests, api_keys
from control_store.store import ControlStore
from control_store.wiring import key_hashing
from tests.control_store.conftest import Opened

GRANT = Grant(("metrics:read",), metrics=("revenue",), statuses=("approved",))
KEY = StoredKey("key_1", "acme", "board", "ada", "live", GRANT, 1_000, "acme/1", expires_us=9_000)
HASHING = KeyHashing(bytes(32))


@given(st.binary(min_size=24, max_size=24), st.sampled_from(MODES))
def test_every_key_is_recognised_by_its_form(drawn: bytes, mode: Mode) -> None:
    """By this platform, and by what looks for secrets in public places."""
    key = new_key(mode, lambda _: drawn)

    assert (fault_of(key.encode()), claims_to_be_stored(key.encode())) == (None, True)
    assert re.search(PATTERN, f'curl -H "X-API-Key: {key}" …') is not None


@given(st.binary(min_size=24, max_size=24), st.data())
def test_a_key_with_a_slip_is_known_without_a_look(drawn: bytes, data: st.DataObject) -> None:
    """One character another, two exchanged, one left out or typed twice, another mode."""
    key = new_key("live", lambda _: drawn)
    place = data.draw(st.integers(8, len(key) - 2))
    other = data.draw(st.sampled_from("0123456789ABCXYZabcxyz-é "))
    slips = {
        key[:place] + other + key[place + 1 :],
        key[:place] + key[place + 1] + key[place] + key[place + 2 :],
        key[:place] + key[place + 1 :],
        key[:place] + key[place] + key[place:],
        key.replace("live", "test"),
        key.swapcase(),
        "",
        key * 100,
    }

    for slip in slips - {key}:
        text = slip.encode()
        assert not claims_to_be_stored(text) or fault_of(text) is not None


def test_different_draws_are_different_keys() -> None:
    """All 192 bits are in the text."""
    keys = {new_key("live", lambda _: (1 << bit).to_bytes(24, "big")) for bit in range(192)}  # noqa: B023

    assert len(keys) == 192


def test_a_key_is_found_by_its_digest_alone(store: ControlStore) -> None:
    """All that was said of it comes back."""
    store.keys.add(KEY, b"digest")

    assert store.key_directory.match(b"digest") == KeyMatch(KEY, b"digest")
    assert store.key_directory.match(b"other") is None
    assert store.keys.key("key_1") == KEY
    assert store.keys.key("key_2") is None


def test_the_database_does_not_hold_the_key(store: ControlStore) -> None:
    """Neither it, nor something from which it could be made."""
    made = issuer(store).issue(KeyRequest("acme", "board", "ada", GRANT), who="ada")

    with store.database.reading() as connection:
        rows = [connection.execute(select(each)).all() for each in (api_keys, api_key_digests)]
    assert made.text not in repr(rows)
    assert made.text[8:40] not in repr(rows)
    assert made.text not in repr(made)


def test_a_rotated_key_has_two_texts_until_the_first_ends(store: ControlStore) -> None:
    """The same key: its name, its rights and its use go on. A second rotation ends no later."""
    store.keys.add(KEY, b"first")

    store.keys.rotate("key_1", b"second", now_us=2_000, ends_us=5_000)
    store.keys.rotate("key_1", b"third", now_us=3_000, ends_us=8_000)

    ends = {
        digest: match.ends_us
        for digest in (b"first", b"second", b"third")
        if (match := store.key_directory.match(digest)) is not None
    }
    assert ends == {b"first": 5_000, b"second": 8_000, b"third": None}


def test_what_has_ended_is_not_rotated(store: ControlStore) -> None:
    """A new text would open it again."""
    store.keys.add(KEY, b"digest")
    with pytest.raises(KeyEndedError, match="has expired"):
        store.keys.rotate("key_1", b"second", now_us=9_000, ends_us=9_001)
    store.keys.revoke("key_1", now_us=2_000, who="ada")
    with pytest.raises(KeyEndedError, match="was revoked"):
        store.keys.rotate("key_1", b"second", now_us=2_001, ends_us=3_000)
    with pytest.raises(NotFoundError, match='API key "key_2" does not exist'):
        store.keys.rotate("key_2", b"second", now_us=2_001, ends_us=3_000)

    assert store.key_directory.match(b"second") is None


def test_a_key_is_revoked_once(store: ControlStore) -> None:
    """Who did it first stays known."""
    store.keys.add(KEY, b"digest")

    first = store.keys.revoke("key_1", now_us=2_000, who="ada")
    again = store.keys.revoke("key_1", now_us=3_000, who="bob")

    assert first == again == replace(KEY, revoked_us=2_000, revoked_by="ada")
    with pytest.raises(NotFoundError):
        store.keys.revoke("key_2", now_us=2_000, who="ada")


def test_keys_are_listed_by_tenant_in_the_order_they_were_made(store: ControlStore) -> None:
    """One tenant's administrator does not learn of another's keys."""
    for number, tenant in enumerate(["acme", "umbrella", "acme"]):
        key = replace(KEY, id=f"key_{number}", tenant=tenant)
        store.keys.add(key, b"digest %d" % number)

    assert [key.id for _, key in store.keys.keys("acme")] == ["key_0", "key_2"]
    assert [key.id for _, key in store.keys.keys(None, after=1, limit=1)] == ["key_1"]


def test_use_adds_up_and_its_instant_never_goes_back(store: ControlStore) -> None:
    """Several replicas note it, each from a clock of its own."""
    store.keys.add(KEY, b"digest")
    before = store.key_directory.generation()

    store.key_directory.note_uses({"key_1": KeyUse(3, 7_000), "key_gone": KeyUse(1, 1)})
    store.key_directory.note_uses({"key_1": KeyUse(2, 6_000)})
    store.key_directory.note_uses({})

    assert store.keys.key("key_1") == replace(KEY, uses=5, last_used_us=7_000)
    assert store.key_directory.generation() == before


def issuer(store: ControlStore, clock: ManualClock | None = None) -> KeyIssuer:
    numbers = count(1)
    return KeyIssuer(
        store.keys,
        HASHING,
        clock or ManualClock(1),
        lambda size: next(numbers).to_bytes(size, "big"),
    )


class KeyMachine(RuleBasedStateMachine):
    """The life of keys, in a store and in a dictionary; another replica follows the changes."""

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        self.store = opened()
        with self.store.database.writing() as connection:
            for table in (api_keys, api_key_digests):
                connection.execute(delete(table))
        self.clock = ManualClock(1)
        self.issuer = issuer(self.store, self.clock)
        self.known: dict[bytes, KeyMatch] = {}
        self.followed: dict[bytes, KeyMatch] = {}
        self.generation = 0

    def made(self, new: NewKey) -> None:
        digest = HASHING.digest(new.text.encode())
        self.known[digest] = KeyMatch(new.key, digest)

    def ids(self) -> list[str]:
        return sorted({each.key.id for each in self.known.values()})

    @rule(step=st.integers(0, 50))
    def time_passes(self, step: int) -> None:
        self.clock._now_us += step  # noqa: SLF001 - in microseconds

    @rule(tenant=st.sampled_from(["acme", "t\0"]), lives=st.none() | st.integers(1, 90))
    def create(self, tenant: str, lives: int | None) -> None:
        expires_us = None if lives is None else self.clock.now_us() + lives
        wanted = KeyRequest(tenant, "\\0", "ada", GRANT, "test", expires_us)
        self.made(self.issuer.issue(wanted, who="ada"))

    @rule(data=st.data(), overlap_us=st.integers(0, 60))
    def rotate(self, data: st.DataObject, overlap_us: int) -> None:
        if not self.known:
            return
        key_id = data.draw(st.sampled_from(self.ids()))
        now_us = self.clock.now_us()
        key = next(each.key for each in self.known.values() if each.key.id == key_id)
        ended = key.revoked_us is not None
        if ended or (key.expires_us is not None and key.expires_us <= now_us):
            with pytest.raises(KeyEndedError):
                self.issuer.rotate(key, overlap_us=overlap_us)
            return
        new, ends_us = self.issuer.rotate(key, overlap_us=overlap_us), now_us + overlap_us
        for digest, each in self.known.items():
            if each.key.id == key_id and (each.ends_us is None or each.ends_us > ends_us):
                self.known[digest] = replace(each, ends_us=ends_us)
        self.made(new)

    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        if not self.known:
            return
        key_id = data.draw(st.sampled_from(self.ids()))
        revoked = self.store.keys.revoke(key_id, now_us=self.clock.now_us(), who="ada")
        for digest, each in self.known.items():
            if each.key.id == key_id:
                self.known[digest] = replace(each, key=revoked)

    @rule(limit=st.integers(1, 3))
    def another_replica_looks(self, limit: int) -> None:
        while self.store.key_directory.generation() > self.generation:
            self.generation, found = self.store.key_directory.changes(
                after=self.generation, limit=limit
            )
            self.followed |= {each.digest: each for each in found}
        assert self.followed == self.known

    @invariant()
    def every_digest_finds_its_key(self) -> None:
        found = {digest: self.store.key_directory.match(digest) for digest in self.known}
        assert found == self.known

    def teardown(self) -> None:
        self.store.close()


def test_any_life_of_keys_is_what_the_model_says(opened: Opened) -> None:
    """And another process that asks what changed knows the same, however little it asks for."""
    run_state_machine_as_test(
        lambda: KeyMachine(opened),
        settings=settings(max_examples=10, stateful_step_count=15, deadline=None),
    )


@pytest.fixture
def secret_of(tmp_path: Path) -> Path:
    return tmp_path / SECRET_FILE


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path, secret_of: Path) -> None:
    """Every key would be lost with another one."""
    assert hashing_in(tmp_path) is None

    first, again = made_in(tmp_path), made_in(tmp_path)
    found = hashing_in(tmp_path)

    assert found is not None
    assert first.digest(b"key") == again.digest(b"key") == found.digest(b"key")
    assert stat.S_IMODE(secret_of.stat().st_mode) == 0o600


def test_a_secret_that_others_can_read_or_that_is_damaged_is_refused(
    tmp_path: Path, secret_of: Path
) -> None:
    """As ssh refuses a key: it may be known already."""
    made_in(tmp_path)
    secret_of.chmod(0o640)
    with pytest.raises(StorageError, match="others can read"):
        made_in(tmp_path)
    secret_of.chmod(0o600)
    for damaged in (b"", b"short\n", b"\xff" * 64):
        secret_of.write_bytes(damaged)
        with pytest.raises(StorageError, match="is not a secret that AgentFlow made"):
            made_in(tmp_path)


def test_other_secrets_and_other_purposes_give_other_digests() -> None:
    """A database that is copied to another platform opens nothing there."""
    one, other = hashing_of("a" * 32), hashing_of("b" * 32)

    digests = {one.digest(b"key"), other.digest(b"key"), one.secret_for("key"), one.digest(b"kez")}

    assert len(digests) == 4
    with pytest.raises(ParameterError, match="less than 32 characters"):
        hashing_of("a" * 31)


def test_replicas_that_share_keys_need_one_secret(tmp_path: Path) -> None:
    """With a file of each they would not know each other's; the setting counts before the file."""
    shared = Settings(data_dir=tmp_path, control_url="postgresql://x@localhost/x")
    named = Settings(data_dir=tmp_path, key_secret="s" * 32)
    alone = Settings(data_dir=tmp_path)

    assert key_hashing(shared, make=True) is None
    assert key_hashing(alone, make=False) is None
    made, given = key_hashing(alone, make=True), key_hashing(named, make=True)
    assert made is not None
    assert given is not None
    assert made.digest(b"key") != given.digest(b"key") == hashing_of("s" * 32).digest(b"key")
    assert "s" * 32 not in f"{named!r} {given!r}"
