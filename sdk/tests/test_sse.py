"""The event-stream parser against the standard, cut in every possible place."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentflow_sdk._sse import ServerSentEvent, SSEParser


def parsed(*chunks: bytes) -> list[ServerSentEvent]:
    parser = SSEParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_examples_of_the_standard() -> None:
    """Section 9.2.6 of the HTML standard, its own examples."""
    assert parsed(b"data: YHOO\ndata: +2\ndata: 10\n\n") == [
        ServerSentEvent("message", "YHOO\n+2\n10", "")
    ]
    assert parsed(
        b": test stream\n\ndata: first event\nid: 1\n\n",
        b"data:second event\nid\n\ndata:  third event\n\n",
    ) == [
        ServerSentEvent("message", "first event", "1"),
        ServerSentEvent("message", "second event", ""),
        ServerSentEvent("message", " third event", ""),
    ]
    assert parsed(b"data\n\ndata\ndata\n\ndata:") == [
        ServerSentEvent("message", "", ""),
        ServerSentEvent("message", "\n", ""),
    ]


def test_unfinished_event_is_dropped_and_its_id_not_kept() -> None:
    """Resuming after an event that was never delivered would lose it."""
    parser = SSEParser()

    events = list(parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n"))

    assert [event.data for event in events] == ["a"]
    assert parser.last_event_id == "1"


def test_id_alone_moves_the_resume_point() -> None:
    """The server may say that nothing up to here concerns this subscriber."""
    parser = SSEParser()

    assert list(parser.feed(b"id: 7\n\n")) == []
    assert parser.last_event_id == "7"


def test_odd_fields_are_ignored() -> None:
    """NUL in an id, a retry that is not a number, unknown names, a byte order mark."""
    parser = SSEParser("before")

    events = list(
        parser.feed("\ufeffid: a\0b\nretry: +5\nretry: 1500\nfoo: bar\ndata: x\n\n".encode())
    )

    assert events == [ServerSentEvent("message", "x", "before")]
    assert parser.retry_ms == 1500


STREAM = (
    "\ufeffid: 1\r\nevent: metric\r\ndata: é\r\n\r\n: hi\rdata: 2\r\r"
    "data: 3\ndata: €\n\nid: 9\n\ndata: z\n\n"
).encode()


@given(st.sets(st.integers(0, len(STREAM))))
def test_cuts_between_bytes_change_nothing(cuts: set[int]) -> None:
    """The network cuts anywhere: in a character, between CR and LF, after a colon."""
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]

    assert parsed(*chunks) == [
        ServerSentEvent("metric", "é", "1"),
        ServerSentEvent("message", "2", "1"),
        ServerSentEvent("message", "3\n€", "1"),
        ServerSentEvent("message", "z", "9"),
    ]
