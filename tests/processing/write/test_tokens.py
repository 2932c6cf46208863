"""Tokens merge, compare, survive as text, and belong to one log."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import TokenError
from processing.write.sealing import Seal, SealError
from processing.write.tokens import Token

SEAL = Seal(b"a secret of the deployment")

TOKENS = st.dictionaries(st.sampled_from(["validated/0", "a/1", "b/2"]), st.integers(0, 2**62)).map(
    lambda ends: Token("log", ends)
)


@given(token=TOKENS)
def test_a_token_survives_as_text(token: Token) -> None:
    """It travels through headers and query parameters."""
    text = token.encode(SEAL)

    assert Token.decode(text, SEAL) == token
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
        token = Token.decode(text, SEAL)

        assert all(end >= 0 for end in token.ends.values())


def test_negative_and_endless_tokens_are_refused() -> None:
    """Both are made, not received."""
    with pytest.raises(TokenError):
        Token.decode(Token("log", {"a/1": -1}).encode(SEAL), SEAL)
    with pytest.raises(TokenError):
        Token.decode("A" * 5000, SEAL)


@given(
    content=st.binary(max_size=200).map(lambda raw: raw.rstrip(b" ")), about=st.binary(max_size=9)
)
def test_what_is_sealed_is_read_with_the_same_secret_about_the_same_thing(
    content: bytes, about: bytes
) -> None:
    """A replica and a restarted process have the same secret; nobody else can say anything."""
    for salted in (True, False):
        text = SEAL.write(content, about=about, salted=salted)
        assert Seal(b"a secret of the deployment").read(text, about=about) == content
        for seal, thing in ((Seal(b"another"), about), (SEAL, about + b"x")):
            with pytest.raises(SealError):
                seal.read(text, about=thing)


@given(end=st.integers(0, 2**40), bit=st.integers(0, 7), place=st.integers(0, 200))
def test_a_changed_token_is_refused(end: int, bit: int, place: int) -> None:
    """Else a tenant could find positions by trying."""
    text = Token("log", {"validated/0": end}).encode(SEAL)
    raw = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= 1 << bit

    with pytest.raises(TokenError):
        Token.decode(urlsafe_b64encode(raw).rstrip(b"=").decode(), SEAL)


def test_tokens_of_one_position_differ_and_have_one_length() -> None:
    """Who asks again and again would see from equal ones when others send nothing."""
    texts = {Token("log", {"validated/0": 7}).encode(SEAL) for _ in range(9)}
    texts |= {Token("log", {"validated/0": 10**5}).encode(SEAL)}

    assert len(texts) == 10
    assert len({len(text) for text in texts}) == 1


def test_a_token_of_an_earlier_version_is_told_so() -> None:
    """It was readable: base64 of JSON."""
    old = urlsafe_b64encode(b'["log",{"validated/0":7}]').rstrip(b"=").decode()

    with pytest.raises(TokenError) as caught:
        Token.decode(old, SEAL)

    assert "earlier version" in str(caught.value.hint)
