"""API keys."""

from __future__ import annotations

import pytest

from agentflow.errors import ParameterError
from serving.access.keys import ApiKey, Keys, parse_keys
from serving.access.scopes import EVERYTHING, ROLES

SECRET = b"a secret of the process"


def test_a_key_names_its_tenant_and_scopes() -> None:
    """The tenant comes from the key and from nothing a caller writes."""
    keys = Keys(parse_keys("k-one:acme:read,k-two:umbrella"), secret=SECRET)

    first, second = keys.caller(b"k-one", 0), keys.caller(b"k-two", 0)

    assert first is not None
    assert (first.tenant, first.scopes) == ("acme", ROLES["read"])
    assert second is not None
    assert (second.tenant, second.scopes) == ("umbrella", EVERYTHING)


@pytest.mark.parametrize("key", [None, b"", b"k-on", b"k-one ", b"k-onee", b"\xff" * 4096])
def test_anything_else_is_nobody(key: bytes | None) -> None:
    """A prefix or a longer key must not do."""
    assert Keys([ApiKey("k-one", "acme")], secret=SECRET).caller(key, 0) is None


def test_without_keys_everybody_is_the_default_tenant() -> None:
    """A laptop needs no key."""
    caller = Keys([], secret=SECRET).caller(None, 0)

    assert caller is not None
    assert caller.tenant == "default"


def test_keys_are_not_held_in_the_clear() -> None:
    """A dump of the process, a log or a `repr` must not give them away."""
    keys = Keys([ApiKey("very-secret-key", "acme")], secret=SECRET)

    assert "very-secret-key" not in repr(vars(keys))
    assert "very-secret-key" not in repr(ApiKey("very-secret-key", "acme"))


@pytest.mark.parametrize("text", ['["k1:acme:read+write"]', '{"k1": "acme:read+write"}'])
def test_json_means_the_same_as_commas(text: str) -> None:
    """Secrets managers hand out JSON."""
    assert parse_keys(text) == parse_keys("k1:acme:read+write")


@pytest.mark.parametrize(
    "text", ["k1", "k1:", ":acme", "k1:acme:read:x", "k1:acme:reed", "[1", "k1:a,k1:b"]
)
def test_a_wrong_entry_is_refused_without_showing_it(text: str) -> None:
    """Start-up errors end up in logs."""
    with pytest.raises(ParameterError) as caught:
        parse_keys(text)

    assert "k1" not in str(caught.value)


@pytest.mark.parametrize("text", ['{"k": "acme:read", "k": "umbrella"}', "k:acme,k:umbrella"])
def test_a_key_that_is_given_twice_is_refused_in_every_form(text: str) -> None:
    """The last one would win, and give a key to another tenant."""
    with pytest.raises(ParameterError, match="an API key is given twice"):
        parse_keys(text)
