"""A model of the control store, compared with each database over any sequence of calls."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete

from control_store.changelog.port import ContractChange
from control_store.idempotency.port import (
    IDEMPOTENCY_TTL_US,
    Attempt,
    Conflict,
    Done,
    InProgress,
    New,
)
from control_store.idempotency.store import SqlIdempotency
from control_store.schema import HELD
from control_store.triage.port import Triage, TriageStatus
from tests.control_store.conftest import Opened

NAMES = st.tuples(st.sampled_from(["acme", "Acme", "t\0", "ü\\0"]), st.sampled_from(["k", "k "]))
BODIES = st.sampled_from([b"", b"\0other"])
TEXTS = st.text(max_size=8) | st.sampled_from(["\0", "\\", "\\0", "\\\\0\0", "'; --", "%s %(x)s"])
ANSWERS = st.builds(
    Done,
    st.integers(200, 599),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    st.binary(max_size=20),
)
DECISIONS = st.builds(
    Triage,
    offset=st.integers(0, 5) | st.just(2**63 - 1),
    status=st.sampled_from(TriageStatus),
    note=TEXTS,
    who=TEXTS,
    decided_us=st.integers(0, 2**63 - 1),
    replayed_as=st.none() | st.integers(0, 2**63 - 1),
    fixed_value=st.none() | st.binary(max_size=9),
)
CHANGES = st.builds(
    ContractChange,
    st.integers(0, 2**63 - 1),
    st.sampled_from(["event", "metric"]),
    st.sampled_from(["revenue", "x"]),
    st.integers(1, 2),
    st.sampled_from(["sha256:a", "sha256:b"]),
    TEXTS,
)
STEPS = st.sampled_from([0, 1, 29_000_000, 30_000_000, IDEMPOTENCY_TTL_US - 1, IDEMPOTENCY_TTL_US])


@dataclass(frozen=True)
class Claim:
    """What the model knows of a key."""

    body: bytes
    since_us: int
    working: bool
    ours: bool = True
    answer: Done | None = None


class ControlMachine(RuleBasedStateMachine):
    """One store, opened again and again, beside dictionaries that mean the same."""

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        self.opened = opened
        self.store = opened()
        with self.store.database.writing() as connection:
            for table in HELD:
                connection.execute(delete(table))
        self.now_us = 1
        self.claims: dict[tuple[str, str], Claim] = {}
        self.decided: dict[int, Triage] = {}
        self.published: list[ContractChange] = []

    @property
    def lease_us(self) -> int:
        """For how long a claim of another process counts."""
        idempotency = self.store.idempotency
        assert isinstance(idempotency, SqlIdempotency)
        return idempotency.lease_us

    @rule(step=STEPS)
    def time_passes(self, step: int) -> None:
        self.now_us += step

    @rule(name=NAMES, body=BODIES)
    def begin(self, name: tuple[str, str], body: bytes) -> None:
        expected = self.attempt(self.claims.get(name), body)
        assert self.store.idempotency.begin(*name, body, now_us=self.now_us) == expected
        if isinstance(expected, New):
            self.claims[name] = Claim(body, self.now_us, working=True)

    def attempt(self, known: Claim | None, body: bytes) -> Attempt:
        if known is None:
            return New()
        age_us = self.now_us - known.since_us
        if age_us >= IDEMPOTENCY_TTL_US and not known.working:
            return New()
        if body != known.body:
            return Conflict()
        if known.answer is not None:
            return known.answer
        if known.working or (not known.ours and age_us < self.lease_us):
            return InProgress(known.since_us)
        return New(resumed=True)

    @rule(name=NAMES, answer=ANSWERS)
    def finish(self, name: tuple[str, str], answer: Done) -> None:
        known = self.claims.get(name)
        if known is None or not known.working:
            return
        self.store.idempotency.finish(*name, answer, now_us=self.now_us)
        self.claims[name] = replace(known, since_us=self.now_us, working=False, answer=answer)

    @rule(name=NAMES)
    def abandon(self, name: tuple[str, str]) -> None:
        known = self.claims.get(name)
        self.store.idempotency.abandon(*name)
        if known is not None and known.ours and known.answer is None:
            del self.claims[name]

    @rule()
    def expire(self) -> None:
        until_us = self.now_us - IDEMPOTENCY_TTL_US
        old = [
            name
            for name, known in self.claims.items()
            if known.since_us <= until_us and not known.working
        ]
        assert self.store.idempotency.expire(now_us=self.now_us) == len(old)
        for name in old:
            del self.claims[name]

    @rule(triage=DECISIONS)
    def decide(self, triage: Triage) -> None:
        self.store.triage.decide(triage)
        self.decided[triage.offset] = triage

    @rule(change=CHANGES)
    def publish(self, change: ContractChange) -> None:
        key = (change.kind, change.name, change.version)
        same = [each for each in self.published if (each.kind, each.name, each.version) == key]
        news = not same or same[-1].fingerprint != change.fingerprint
        assert self.store.changelog.publish(change) == news
        if news:
            self.published.append(change)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.opened()
        self.claims = {
            name: replace(known, working=False, ours=False) for name, known in self.claims.items()
        }

    @invariant()
    def everything_is_there(self) -> None:
        offsets = [*range(6), 2**63 - 1]
        assert self.store.triage.triage(offsets) == self.decided
        assert [change for _, change in self.store.changelog.changes()] == self.published
        for status in TriageStatus:
            listed = self.store.triage.triaged(status, limit=9)
            wanted = [each for each in self.decided.values() if each.status == status]
            assert list(listed) == sorted(wanted, key=lambda each: each.offset)

    def teardown(self) -> None:
        self.store.close()


def test_any_sequence_of_calls_does_what_the_model_does(opened: Opened) -> None:
    """What callers rely on is the same on both, restarts, odd texts and odd clocks included."""
    run_state_machine_as_test(
        lambda: ControlMachine(opened),
        settings=settings(max_examples=12, stateful_step_count=20, deadline=None),
    )
