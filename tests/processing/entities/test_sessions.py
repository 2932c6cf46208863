"""Sessions are what the gap says, whatever came first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.clock import to_rfc3339
from agentflow.contracts import EntityContract
from agentflow.events import Event, RawEvent
from agentflow.lint import load
from processing.entities.folding import fold_entity
from processing.entities.sessions import Session, sessions_of
from quality import Accepted, Gate

START_US = 1_767_268_800_000_000
REGISTRY = load(Path("contracts"))
GATE = Gate(REGISTRY)
VISIT = REGISTRY.entity("visit")
GAP_MS = 30 * 60 * 1_000
Stored = tuple[int, Event]


def viewed(at_us: int, *, event_id: str = "e", page: str = "/") -> Event:
    """Return a page view of U1 so long after the start."""
    document = {
        "id": event_id,
        "type": "page.viewed",
        "time": to_rfc3339(START_US + at_us),
        "data": {"session_id": "S", "page": page, "user_id": "U1"},
    }
    verdict = GATE.judge(RawEvent(json.dumps(document).encode(), "t", START_US + at_us))
    assert isinstance(verdict, Accepted), verdict
    return verdict.event


def of(events: Sequence[Stored], contract: EntityContract = VISIT) -> Sequence[Session]:
    return sessions_of(fold_entity(contract, "U1", events))


def ids(sessions: Sequence[Session]) -> list[list[str]]:
    return [[event.id for _, event in session.entity.timeline] for session in sessions]


# ──●─────────────gap─────────────●──   one session: windows that touch are merged, as Flink does
# ──●─────────────gap──────────────┊●   two
@pytest.mark.parametrize(("later_ms", "sessions"), [(GAP_MS, 1), (GAP_MS + 1, 2)])
def test_a_pause_longer_than_the_gap_ends_a_session(later_ms: int, sessions: int) -> None:
    """The edge belongs to the session; a stream job and a fold must not differ by one event."""
    events = [(0, viewed(0, event_id="a")), (1, viewed(later_ms * 1_000, event_id="b"))]

    assert len(of(events)) == sessions


def test_a_session_counts_in_whole_milliseconds() -> None:
    """Flink has no smaller ones: what is less than one apart must not make a difference here."""
    events = [
        (0, viewed(1, event_id="a")),
        (1, viewed(GAP_MS * 1_000 + 999, event_id="b")),
    ]

    (session,) = of(events)

    assert session.start_us == START_US
    assert session.last_us == START_US + GAP_MS * 1_000
    assert session.end_us == session.last_us + GAP_MS * 1_000


def test_a_late_event_joins_two_sessions() -> None:
    """What was said of them is said anew."""
    first, last = (0, viewed(0, event_id="a")), (1, viewed(2 * GAP_MS * 1_000, event_id="c"))
    between = (2, viewed(GAP_MS * 1_000, event_id="b"))

    assert ids(of([first, last])) == [["a"], ["c"]]
    assert ids(of([first, last, between])) == [["a", "b", "c"]]


def test_a_session_says_what_its_own_events_say() -> None:
    """The last page of this morning is not the last page of tonight."""
    events = [
        (0, viewed(0, event_id="a", page="/morning")),
        (1, viewed(9 * GAP_MS * 1_000, event_id="b", page="/night")),
    ]

    pages = [each.entity.attributes["last_page"].value for each in of(events)]

    assert pages == ["/morning", "/night"]


def test_a_session_is_open_before_its_end() -> None:
    """Until then something may still join."""
    (session,) = of([(0, viewed(0))])

    assert session.open(session.end_us - 1)
    assert not session.open(session.end_us)


def test_an_entity_without_a_gap_has_no_sessions() -> None:
    """Most entities have no use for them."""
    assert of([(0, viewed(0))], REGISTRY.entity("user")) == ()


INSTANTS = st.lists(
    st.integers(0, 12).map(lambda step: step * GAP_MS * 500) | st.integers(0, 10**10)
)


@given(INSTANTS, st.randoms(use_true_random=False), st.integers(0, 3))
def test_sessions_are_the_connected_events(
    instants: list[int], random: object, copies: int
) -> None:
    """Order and copies mean nothing; every event is in one session; the naive reading agrees."""
    events = [(at, viewed(us, event_id=f"e{at}")) for at, us in enumerate(instants)]
    given_ = events + [(len(events) + at, event) for at, event in events[:copies]]
    random.shuffle(given_)  # type: ignore[attr-defined]

    sessions = of(given_)

    members = [set(part) for part in ids(sessions)]
    assert sorted(map(sorted, members)) == sorted(map(sorted, _connected(events)))
    assert sum(each.events for each in sessions) == len(events)
    starts = [each.start_us for each in sessions]
    assert starts == sorted(starts)
    assert all(a.end_us < b.start_us for a, b in pairwise(sessions))


def _connected(events: Sequence[Stored]) -> list[set[str]]:
    """Join whatever is at most a gap apart until nothing changes."""
    at_ms = {event.id: event.occurred_us // 1_000 for _, event in events}
    groups = [{name} for name in at_ms]
    for (one, one_ms), (other, other_ms) in product(at_ms.items(), repeat=2):
        if abs(one_ms - other_ms) <= GAP_MS:
            near = [group for group in groups if group & {one, other}]
            groups = [group for group in groups if group not in near]
            groups.append(set().union(*near))
    return groups
