"""Cursors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import CursorError
from processing.write.sealing import Seal
from serving.read.cursors import Cursors

CURSORS = Cursors(Seal(b"a secret"))


@given(st.integers(0, 2**62), st.lists(st.text(max_size=10), max_size=4))
def test_a_cursor_leads_back_to_where_it_was_made(position: int, question: list[str]) -> None:
    """And so on every replica that has the same key."""
    cursor = CURSORS.write(position, *question)

    assert Cursors(Seal(b"a secret")).read(cursor, *question) == position


@given(st.text(max_size=80))
def test_what_nobody_made_is_refused(text: str) -> None:
    """A guess is an error with a code, never another page."""
    with pytest.raises(CursorError):
        CURSORS.read(text, "listing")


def test_a_cursor_is_bound_to_its_listing_and_tenant() -> None:
    """Else a cursor of one tenant would be a question about another's data."""
    cursor = CURSORS.write(7, "deadletter", "acme")

    with pytest.raises(CursorError):
        CURSORS.read(cursor, "deadletter", "umbrella")
    with pytest.raises(CursorError):
        CURSORS.read(cursor, "deadletteracme")
