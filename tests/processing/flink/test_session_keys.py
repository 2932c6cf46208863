"""Whose sessions a record of the validated topic belongs to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentflow.contracts import Contract, Registry
from agentflow.contracts.model import SessionWindow
from agentflow.events.identity import identity_key
from agentflow.lint import load
from processing.flink.session_keys import SessionKeys, entities_with_sessions, key_columns
from processing.transformations.stream import StreamGate, StreamRecord

REGISTRY = load(Path("contracts"))
VISIT = REGISTRY.entity("visit")
AT_US = 1_767_268_800_000_000


def row(*values: object) -> tuple[object, ...]:
    return values


def keys(*more: Contract, instead: Contract | None = None) -> SessionKeys:
    kept = [each for each in REGISTRY.contracts() if each != instead]
    return SessionKeys((*kept, *more), row)


def record(type_: str = "page.viewed", **data: object) -> tuple[bytes, str, str]:
    """Return the arguments of the function for an event as the gate writes it."""
    document = {"id": "e", "source": "/s", "type": type_, "data": data}
    headers = {"tenant": b"acme", "received_us": str(AT_US).encode()}
    raw = StreamRecord("raw", 0, 0, AT_US, None, json.dumps(document).encode(), headers)
    answer = StreamGate(REGISTRY).output(raw)
    assert answer.topic == "validated", answer
    return answer.record.value, answer.record.headers["type"], answer.record.headers["version"]


def test_an_event_belongs_to_whom_its_contract_names() -> None:
    """Not to the key of its record, which keeps another order."""
    found = keys().row(*record(session_id="S", page="/", user_id="U1"))

    assert found == ("acme", identity_key("acme", "/s", "e").hex(), "U1")


@pytest.mark.parametrize(
    "arguments",
    [
        record("order.cancelled", order_id="A"),
        (b"\xc1", "page.viewed", "1"),
        (b"", "page.viewed", "1"),
        (None, "page.viewed", "1"),
        (record(session_id="S", page="/")[0], "page.viewed", "9"),
        (record(session_id="S", page="/")[0], None, None),
    ],
)
def test_what_is_nobodys_or_cannot_be_read_belongs_to_none(
    arguments: tuple[bytes | None, str | None, str | None],
) -> None:
    """One record must not stop the job, at the same record, for ever."""
    assert keys().row(*arguments) == (None, None, None)


def test_an_event_of_a_guest_belongs_to_none() -> None:
    """Everybody without a name is not one visitor."""
    assert keys().row(*record(session_id="S", page="/"))[2] is None


def test_the_version_in_force_decides_and_every_version_names_events() -> None:
    """As on the timeline, where an event is found whichever version names it."""
    last = VISIT.model_copy(
        update={
            "version": 2,
            "sources": VISIT.sources[1:],
            "session": SessionWindow(gap="5m"),
        }
    )
    registry = Registry.of([*REGISTRY.contracts(), last])

    assert [each.session for each in entities_with_sessions(registry)] == [last.session]
    assert key_columns(registry) == {"visit": ["visit_1", "visit_2"]}
    viewed = keys(last).row(*record(session_id="S", page="/", user_id="U1"))
    clicked = keys(last).row(
        *record("page.clicked", session_id="S", element="buy_now", user_id="U1")
    )
    assert viewed[2:] == ("U1", None)
    assert clicked[2:] == ("U1", "U1")


def test_an_entity_that_lost_its_gap_has_no_column() -> None:
    """Nobody would read it."""
    without = VISIT.model_copy(update={"version": 2, "session": None})

    assert key_columns(Registry.of([*REGISTRY.contracts(), without])) == {}
