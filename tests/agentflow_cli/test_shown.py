"""A number whose age is not known is not one that never moved."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from agentflow_cli.shown import trust
from agentflow_sdk import Answer
from agentflow_sdk.models import Window

_CONTRACT: Final = {"version": 1, "fingerprint": "sha256:00", "status": "approved"}
_MILLISECONDS: Final = st.none() | st.integers(0, 10**9)


def answer(age_ms: int | None, idle_ms: int | None, events: int) -> Answer:
    return Answer.model_validate(
        {
            "metric": "fees",
            "value": "5.00",
            "status": "fresh",
            "window": {"name": "all"},
            "contract": _CONTRACT,
            "events": events,
            "age_ms": age_ms,
            "source_idle_ms": idle_ms,
        }
    )


@given(age_ms=_MILLISECONDS, idle_ms=_MILLISECONDS, events=st.integers(0, 3))
def test_only_a_number_that_nothing_could_move_never_moved(
    age_ms: int | None, idle_ms: int | None, events: int
) -> None:
    """Whether events came is known by `events`, `age_ms` and `source_idle_ms`, all three."""
    said = trust(answer(age_ms, idle_ms, events))

    assert ("never moved" in said) == (not events and age_ms is None and idle_ms is None)
    assert ("moved earlier" in said) == (events > 0 and age_ms is None)
    assert (" ago" in said) == (age_ms is not None)


def test_a_number_without_events_says_no_more_than_that() -> None:
    """It may have moved long ago, or have been corrected away."""
    assert trust(answer(None, 41, 0)) == "fees, all: fresh, 0 events, exact, contract v1 approved"


def test_a_range_does_not_say_when_it_moved() -> None:
    """An answer about the past does not know it."""
    past = answer(None, None, 0).model_copy(update={"window": Window(name=None)})

    assert "moved" not in trust(past)
