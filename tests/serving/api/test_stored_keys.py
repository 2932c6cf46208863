"""Stored keys at the door: known from memory, and never open again once they were closed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agentflow.clock import ManualClock
from agentflow.errors import UnavailableError
from agentflow.timers import ManualTimers
from control_store.keys.hashing import KeyHashing
from control_store.keys.issuing import KeyIssuer, KeyRequest
from control_store.keys.port import Grant
from serving.server.app import AccessOptions
from tests.serving.api.conftest import NOW_US, Wire, order
from tests.serving.api.stored import STORED, Vault, drawn, vault

METRIC = "/v1/metrics/order_count?window=1h"
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """Serve a platform whose time is told to pass."""
    patient = AccessOptions(key_hashing=STORED.key_hashing, wrong_keys_per_minute=0)
    timers = ManualTimers(ManualClock(NOW_US))
    directory = tmp_path_factory.mktemp("door")
    with vault(directory, timers=timers, keys="env:acme", access=patient) as found:
        yield found


@pytest.fixture
def door(platform: Vault) -> Vault:
    """Give the platform with a store that answers, of which nothing was asked yet."""
    platform.directory.away = False
    platform.look()
    platform.directory.lookups = 0
    return platform


def in_a_minute(door: Vault) -> int:
    return door.served.clock.now_us() + MINUTE_US


def test_a_key_is_looked_up_once(door: Vault) -> None:
    """A hot read does not wait for a database; and the configured key works beside it."""
    key = door.make()

    answers = [door.get(METRIC, key)[0] for _ in range(5)]

    assert answers == [200] * 5
    assert door.directory.lookups == 1
    assert door.get(METRIC, "env")[0] == 200


def test_a_mistyped_key_is_refused_without_a_lookup(door: Vault) -> None:
    """Its checksum says so, and so does the answer, which does not repeat it."""
    key = door.make().text
    other = "a" if key[20] != "a" else "b"
    slips = [key[:-1], key + "0", key * 200, f"{key[:20]}-{key[21:]}", key[:20] + other + key[21:]]
    foreign = [key.swapcase(), key[8:], "af_live"]

    answers = [door.served.get(METRIC, headers={"X-API-Key": text}) for text in slips + foreign]

    codes = [answer.json()["code"] for answer in answers]
    assert codes == ["key_malformed"] * len(slips) + ["key_unknown"] * len(foreign)
    assert {answer.status_code for answer in answers} == {401}
    assert all(answer.json()["hint"] and key[8:-1] not in answer.text for answer in answers)
    assert door.directory.lookups == 0


def test_a_key_of_another_platform_is_unknown(door: Vault) -> None:
    """It has the right form; the digest of the same text under another secret is another one."""
    elsewhere = KeyIssuer(
        door.served.platform.keys, KeyHashing(b"x" * 32), door.served.clock, drawn
    )
    wanted = KeyRequest("acme", "foreign", "ada", Grant(("read",)))
    foreign = elsewhere.issue(wanted, who="ada")

    first, again = door.get(METRIC, foreign), door.get(METRIC, foreign)

    assert first == again == (401, "key_unknown")
    assert door.directory.lookups == 1


def test_a_key_sent_twice_is_refused(door: Vault) -> None:
    """Which of them would count?"""
    key = door.make().text
    answer = door.served.get(METRIC, headers=[("X-API-Key", key), ("X-API-Key", key)])

    assert (answer.status_code, answer.json()["code"]) == (400, "header_invalid")


def test_a_revoked_key_is_refused_on_the_hot_path_and_behind(door: Vault) -> None:
    """From the next look on, which is twice a second; and it says when it was revoked."""
    key, other = door.make(), door.make()
    assert door.get(METRIC, key)[0] == door.get(METRIC, other)[0] == 200

    door.served.platform.keys.revoke(key.key.id, now_us=NOW_US, who="ada")
    door.look()

    assert door.get(METRIC, key) == (401, "key_revoked")
    assert door.get("/v1/catalog", key) == (401, "key_revoked")
    assert door.get(METRIC, other)[0] == 200


def test_a_revocation_between_a_lookup_and_its_answer_is_not_missed(door: Vault) -> None:
    """Else the key would be known from memory as it was before, and no change would come."""
    key = door.make()

    def revoke() -> None:
        door.served.platform.keys.revoke(key.key.id, now_us=NOW_US, who="ada")
        door.stored._generation = door.directory.generation()  # noqa: SLF001 - as a look does

    door.directory.between = revoke

    assert door.get(METRIC, key) == (401, "key_revoked")


def test_an_expired_key_stays_closed_when_the_clock_is_set_back(
    door: Vault,
) -> None:
    """The time that has been does not come again."""
    key = door.make(expires_us=in_a_minute(door))
    assert door.get(METRIC, key)[0] == 200
    door.served.clock.advance(timedelta(minutes=1))
    assert door.get(METRIC, key) == (401, "key_expired")

    door.served.clock.advance(-timedelta(hours=1))

    assert door.get(METRIC, key) == (401, "key_expired")
    door.served.clock.advance(timedelta(hours=1))


def test_a_rotated_key_works_in_both_texts_until_the_first_ends(
    door: Vault,
) -> None:
    """A fleet takes the new one over without a pause."""
    key = door.make()
    door.get(METRIC, key)
    new = door.issuer.rotate(key.key, overlap_us=MINUTE_US)
    door.look()
    assert (door.get(METRIC, key)[0], door.get(METRIC, new)[0]) == (200, 200)

    door.served.clock.advance(timedelta(minutes=1))

    assert (door.get(METRIC, key)[1], door.get(METRIC, new)[0]) == ("key_expired", 200)


def test_known_keys_work_while_the_store_is_away_for_as_long_as_is_said(
    door: Vault,
) -> None:
    """What was revoked stays closed, what is not known is told why, and then nothing is open."""
    known, revoked, unknown = door.make(), door.make(), door.make()
    door.get(METRIC, known)
    door.get(METRIC, revoked)
    door.served.platform.keys.revoke(revoked.key.id, now_us=NOW_US, who="ada")
    door.look()

    door.directory.away = True
    door.served.clock.advance(timedelta(seconds=299))

    assert door.get(METRIC, known)[0] == 200
    assert door.get(METRIC, revoked) == (401, "key_revoked")
    assert door.get(METRIC, unknown) == (503, "unavailable")
    door.served.clock.advance(timedelta(seconds=2))
    assert door.get(METRIC, known) == (503, "unavailable")
    assert door.get(METRIC, "env")[0] == 200

    door.directory.away = False
    door.look()
    assert (door.get(METRIC, known)[0], door.get(METRIC, unknown)[0]) == (200, 200)


def test_an_address_that_guesses_is_not_looked_up(tmp_path: Path) -> None:
    """The limit comes before the database."""
    access = AccessOptions(key_hashing=STORED.key_hashing, wrong_keys_per_minute=3)
    with vault(tmp_path, access=access) as door:
        right = door.make()
        foreign = [door.make().text for _ in range(5)]
        door.stored.hashing = KeyHashing(b"another secret, so that none is known")

        answers = [door.get(METRIC, text)[1] for text in foreign]

        assert answers == ["key_unknown"] * 3 + ["rate_limited"] * 2
        assert door.directory.lookups == 3
        assert door.get("/v1/health", right)[0] == 200
        assert door.directory.lookups == 3


def test_a_stream_ends_with_a_reason_when_its_key_is_revoked_or_expires(door: Vault) -> None:
    """What is open was opened by a key that was in force."""
    revoked, expiring = door.make(), door.make(expires_us=in_a_minute(door))
    door.served.send(order("o-1"), headers={"X-API-Key": "env"})

    async def ends(url: str, key: str) -> list[object]:
        async with Wire(door.served, url, x_api_key=key) as wire:
            first = await wire.messages(1) if "metrics" in url else []
            door.served.platform.keys.revoke(revoked.key.id, now_us=NOW_US, who="ada")
            await door.stored.look()
            if key == expiring.text:
                door.served.clock.advance(timedelta(minutes=1))
            door.stored.end_streams()
            [last] = await wire.messages(1)
        return [len(first), last["event"], last["data"]["code"]]

    metrics = "/v1/stream/metrics?metric=order_count"
    told = [door.served.run(ends(metrics, revoked.text))]
    told += [door.served.run(ends(url, expiring.text)) for url in (metrics,)]

    assert told == [[1, "end", "key_revoked"], [1, "end", "key_expired"]]
    assert door.stored._followers == {}  # noqa: SLF001


def test_a_stream_of_events_ends_too(door: Vault) -> None:
    """Even while nothing comes that could wake it."""
    key = door.make()

    async def ends() -> str:
        async with Wire(door.served, "/v1/stream/events", x_api_key=key.text) as wire:
            await wire.next_bytes()
            door.served.platform.keys.revoke(key.key.id, now_us=NOW_US, who="ada")
            await door.stored.look()
            door.stored.end_streams()
            [last] = await wire.messages(1)
        code: str = last["data"]["code"]
        return code

    assert door.served.run(ends()) == "key_revoked"


def test_what_a_key_is_used_for_is_noted_now_and_then(door: Vault) -> None:
    """Not with every request; and nothing is forgotten while the store is away."""
    key = door.make()
    for _ in range(4):
        door.get(METRIC, key)
    assert uses(door, key.key.id) == (0, None)

    door.directory.away = True
    with pytest.raises(UnavailableError):
        door.served.run(door.stored.note_uses())
    door.directory.away = False
    door.get(METRIC, key)
    door.served.run(door.stored.note_uses())
    door.served.run(door.stored.note_uses())

    assert uses(door, key.key.id) == (5, door.served.clock.now_us())


def uses(door: Vault, key_id: str) -> tuple[int, int | None]:
    found = door.served.platform.keys.key(key_id)
    assert found is not None
    return found.uses, found.last_used_us


def test_a_platform_that_finds_keys_in_its_store_does_not_answer_everyone(tmp_path: Path) -> None:
    """Another replica made them, and this one lacks the secret: nobody, rather than anyone."""
    with vault(tmp_path, access=AccessOptions()) as door:
        assert door.served.get(METRIC).status_code == 200
        key = door.make()

        door.look()

        assert door.served.get(METRIC).status_code == 401
        assert door.get(METRIC, key) == (401, "key_unknown")


def test_a_key_that_was_forgotten_is_looked_up_again(
    door: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded however many keys there are; what they were used for is kept."""
    monkeypatch.setattr("serving.access.keys.MOST_HELD", 2)
    keys = [door.make() for _ in range(4)]

    for key in [*keys, *keys]:
        assert door.get(METRIC, key)[0] == 200
    door.served.run(door.stored.note_uses())

    assert [uses(door, key.key.id)[0] for key in keys] == [2] * 4
