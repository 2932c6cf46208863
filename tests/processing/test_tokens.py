"""Tokens merge, compare, survive as text, and belong to one log."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import TokenError
from processing.tokens import Token

TOKENS = st.dictionaries(st.sampled_from(["validated/0", "a/1", "b/2"]), st.integers(0, 2**62)).map(
    lambda ends: Token("log", ends)
)


@given(token=TOKENS)
def test_a_token_survives_as_text(token: Token) -> None:
    """It travels through headers and query parameters."""
    text = token.encode()

    assert Token.decode(text) == token
    assert text.isascii()
    assert not set(text) & set("+/=&? ")


@given(one=TOKENS, other=TOKENS, third=TOKENS)
def test_a_merged_token_covers_both(one: Token, other: Token, third: Token) -> None:
    """Whoever received several may pass on one."""
    merged = one.merge(other)

    assert one.covered_by(merged)
    assert other.covered_by(merged)
    assert merged == other.merge(one)
    assert merged.merge(third) == one.merge(other.merge(third))
    assert merged.merge(merged) == merged


def test_a_position_that_was_not_reached_is_not_covered() -> None:
    """Else a reader would miss its own event."""
    assert not Token("log", {"a/1": 2}).covered_by(Token("log", {"a/1": 1, "b/2": 9}))
    assert Token("log", {"a/1": 0}).covered_by(Token("log", {}))


def test_tokens_of_two_logs_do_not_mix() -> None:
    """Offsets of another log mean nothing."""
    with pytest.raises(TokenError, match="another log"):
        Token("log", {}).merge(Token("other", {}))
    with pytest.raises(TokenError, match="another log"):
        Token("log", {}).require_log("other")


@given(text=st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_anything_else_is_refused_politely(text: str) -> None:
    """A token comes from outside."""
    with suppress(TokenError):
        token = Token.decode(text)

        assert all(end >= 0 for end in token.ends.values())


def test_negative_and_endless_tokens_are_refused() -> None:
    """Both are made, not received."""
    with pytest.raises(TokenError):
        Token.decode(Token("log", {"a/1": -1}).encode())
    with pytest.raises(TokenError):
        Token.decode("A" * 5000)
