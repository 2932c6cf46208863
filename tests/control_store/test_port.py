"""The conformance suite of the control ports: every implementation passes all of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from control_store.changelog.port import ContractChange
from control_store.idempotency.port import Conflict, Done, InProgress, New
from control_store.store import ControlStore
from control_store.triage.port import Triage, TriageStatus

DAY_US = 24 * 3600 * 1_000_000
ANSWER = Done(202, {"content-type": "application/json"}, b'{"token":"\xff"}')
CHANGE = ContractChange(1_000, "metric", "revenue", 1, "sha256:a", "new metric")
TRIAGE = Triage(7, TriageStatus.FIXED, "currency was empty", "ada", 1_000, fixed_value=b"{}")


def test_a_key_is_new_once(store: ControlStore) -> None:
    """The second request must not do the work again while the first is at it."""
    assert store.idempotency.begin("t", "k", b"body", now_us=5) == New()

    assert store.idempotency.begin("t", "k", b"body", now_us=6) == InProgress(5)


def test_a_finished_key_gives_the_same_answer_byte_for_byte(store: ControlStore) -> None:
    """A retry cannot tell that it is one."""
    store.idempotency.begin("t", "k", b"body", now_us=5)
    store.idempotency.finish("t", "k", ANSWER, now_us=6)

    assert store.idempotency.begin("t", "k", b"body", now_us=7) == ANSWER


def test_another_body_is_refused(store: ControlStore) -> None:
    """One key, one request: before and after the answer."""
    store.idempotency.begin("t", "k", b"body", now_us=5)
    before = store.idempotency.begin("t", "k", b"other", now_us=6)
    store.idempotency.finish("t", "k", ANSWER, now_us=7)

    assert before == store.idempotency.begin("t", "k", b"other", now_us=8) == Conflict()


def test_tenants_do_not_share_keys(store: ControlStore) -> None:
    """A key is a secret of its tenant, and so is the answer."""
    store.idempotency.begin("t", "k", b"body", now_us=5)
    store.idempotency.finish("t", "k", ANSWER, now_us=6)

    assert store.idempotency.begin("u", "k", b"other", now_us=7) == New()


def test_an_abandoned_key_may_be_tried_again(store: ControlStore) -> None:
    """A refusal without effect (full disk, wrong JSON) must not stick to the key."""
    store.idempotency.begin("t", "k", b"body", now_us=5)
    store.idempotency.abandon("t", "k")

    assert store.idempotency.begin("t", "k", b"other", now_us=6) == New()


def test_an_answer_cannot_be_abandoned(store: ControlStore) -> None:
    """What had an effect stays answered."""
    store.idempotency.begin("t", "k", b"body", now_us=5)
    store.idempotency.finish("t", "k", ANSWER, now_us=6)
    store.idempotency.abandon("t", "k")

    assert store.idempotency.begin("t", "k", b"body", now_us=7) == ANSWER


def test_a_key_is_free_again_24_hours_after_its_answer(store: ControlStore) -> None:
    """Storage is bounded, and clients know for how long a retry is safe."""
    store.idempotency.begin("t", "k", b"body", now_us=0)
    store.idempotency.finish("t", "k", ANSWER, now_us=10)

    assert store.idempotency.begin("t", "k", b"body", now_us=DAY_US + 9) == ANSWER
    assert store.idempotency.begin("t", "k", b"other", now_us=DAY_US + 10) == New()


def test_expiry_deletes_the_old_and_spares_the_rest(store: ControlStore) -> None:
    """Also sparing a request that has been running for a day."""
    for key in ("old", "young"):
        store.idempotency.begin("t", key, b"body", now_us=0)
    store.idempotency.begin("t", "running", b"body", now_us=0)
    store.idempotency.finish("t", "old", ANSWER, now_us=0)
    store.idempotency.finish("t", "young", ANSWER, now_us=1)

    assert store.idempotency.expire(now_us=DAY_US) == 1
    assert store.idempotency.begin("t", "young", b"body", now_us=DAY_US) == ANSWER
    assert store.idempotency.begin("t", "running", b"body", now_us=DAY_US) == InProgress(0)


def test_a_thousand_parallel_requests_have_one_effect(store: ControlStore) -> None:
    """Promise 18: exactly one of them is told to do the work."""
    with ThreadPoolExecutor(16) as threads:
        attempts = list(
            threads.map(
                lambda _: store.idempotency.begin("t", "k", b"body", now_us=5), range(1_000)
            )
        )

    assert attempts.count(New()) == 1
    assert attempts.count(InProgress(5)) == 999


def test_a_dead_letter_is_open_until_somebody_decides(store: ControlStore) -> None:
    """Arriving costs the control store nothing."""
    assert store.triage.triage([7]) == {}

    store.triage.decide(TRIAGE)

    assert store.triage.triage([6, 7, 8]) == {7: TRIAGE}


def test_the_latest_decision_wins(store: ControlStore) -> None:
    """Fixed, then replayed: one state per dead letter."""
    replayed = replace(TRIAGE, status=TriageStatus.REPLAYED, decided_us=2_000, replayed_as=99)
    store.triage.decide(TRIAGE)
    store.triage.decide(replayed)

    assert store.triage.triage([7]) == {7: replayed}
    assert store.triage.counts() == {TriageStatus.REPLAYED: 1}


def test_decisions_are_paged_by_status_in_offset_order(store: ControlStore) -> None:
    """A list command pages through thousands without holding them."""
    for offset in (5, 3, 9, 4):
        status = TriageStatus.DISCARDED if offset == 4 else TriageStatus.FIXED
        store.triage.decide(replace(TRIAGE, offset=offset, status=status))

    first = store.triage.triaged(TriageStatus.FIXED, limit=2)
    rest = store.triage.triaged(TriageStatus.FIXED, after=first[-1].offset)

    assert [entry.offset for entry in [*first, *rest]] == [3, 5, 9]
    assert store.triage.counts() == {TriageStatus.FIXED: 3, TriageStatus.DISCARDED: 1}


def test_the_changelog_keeps_order_and_numbers(store: ControlStore) -> None:
    """A reader resumes after the last number it saw."""
    second = replace(CHANGE, version=2, fingerprint="sha256:b")

    assert store.changelog.publish(CHANGE)
    assert store.changelog.publish(second)

    assert store.changelog.changes() == [(1, CHANGE), (2, second)]
    assert store.changelog.changes(after=1) == [(2, second)]
    assert store.changelog.changes(limit=1) == [(1, CHANGE)]


def test_a_restart_publishes_nothing_twice(store: ControlStore) -> None:
    """Contracts are published at every start; only a new meaning is news, and so is going back."""
    changed = replace(CHANGE, fingerprint="sha256:b")

    news = [
        store.changelog.publish(change) for change in (CHANGE, CHANGE, changed, changed, CHANGE)
    ]

    assert news == [True, False, True, False, True]
