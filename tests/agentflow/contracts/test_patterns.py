"""Patterns that lint passes run in linear time; the others are refused with what would work."""

from __future__ import annotations

import re
import warnings
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.contracts.patterns import pattern_problem

UNBOUNDED = [
    "^[A-Z]{2}$",
    "^[a-z][a-z_]*$",
    "^[a-z]+(-[a-z]+)*$",
    r"^\d{1,3}(,\d{3})*$",
    "^(foo|bar|baz)$",
    "^https?://.+$",
    r"^\+?[0-9 ]{6,20}$",
    "[0-9]{4}-[0-9]{2}",
    "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$",
    "",
]
REFUSED = {
    "(a+)+$": "more than linear time",
    "^(a*)*$": "more than linear time",
    "^(a|ab|b)*c$": "more than linear time",
    "^(?:[ab]|[ab])*$|^x$": "more than linear time",
    "^(?:x(?:|))*$": "more than linear time",
    "^(?:x(?:a?)?)*$": "more than linear time",
    "^(?:x(?:a?|b?))*$": "more than linear time",
    "^(x?){30}x{30}$": "more than linear time",
    r"^[^@]+@[^@]+\.[a-z]+$": "more than linear time",
    "a+b": "more than linear time",
    r"(a)\1": r"a backreference, \1, is not supported",
    "(?P<x>a)(?P=x)": "a backreference",
    "(?=a)b": "lookahead, (?=…), is not supported",
    "(?!a)b": "lookahead, (?!…)",
    "(?<=a)b": "lookbehind, (?<=…)",
    "(?<!a)b": "lookbehind, (?<!…)",
    "(a)?(?(1)b|c)": "a conditional group",
    "(?>a+)b": "an atomic group",
    "a++b": "possessive repetition",
    "(?i)a": "inline flags, such as (?i), are not supported",
    "(?i:a)b": "inline flags",
    r"\Aa": "only ^, $",
    "[": "does not compile",
    "^[[:alpha:]]+$": '"[[" is not supported',
    "^[^[a]$": '"[[" is not supported',
    "^[a&&b]$": '"&&" in a class is not supported',
    "^[0-9--4]$": '"--" in a class is not supported',
    "a{99999999999}": "does not compile",
    "^" + "(" * 5000 + ")" * 5000: "nested too deep",
}
PARTS = st.sampled_from(["a", "b", "[ab]", ".", "a?", "b{2}", "(ab)"])
PATTERNS = st.recursive(
    PARTS,
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("(?:{})*".format, inner),
        st.builds("(?:{}){{1,9}}".format, inner),
        st.builds("(?:{}){{9}}".format, inner),
    ),
    max_leaves=5,
)


@given(pattern=st.text("[]^-&~|a:\\\\", max_size=8))
def test_no_pattern_makes_python_warn(pattern: str) -> None:
    """Where it does, engines read a class of characters in different ways."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pattern_problem(pattern, max_length=9)


@pytest.mark.parametrize("pattern", UNBOUNDED)
def test_what_leaves_one_way_on_is_admitted(pattern: str) -> None:
    """People write such patterns without knowing that they have a name."""
    assert pattern_problem(pattern, max_length=None) is None


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_may_try_again_is_refused(pattern: str) -> None:
    """An event of a megabyte would hold the gate for hours."""
    found = pattern_problem(pattern, max_length=None)

    assert found is not None
    assert REFUSED[pattern] in found[0]


def test_a_length_admits_what_is_ambiguous_once() -> None:
    """The dots of an address end no part of it for sure, and 254 characters are all it has."""
    assert pattern_problem(r"^[^@]+@[^@]+\.[a-z]+$", max_length=254) is None
    assert pattern_problem("^(a+)+$", max_length=254) is not None


# the same examples each time: no signal ends the engine within a pattern that is let through
@settings(max_examples=300, deadline=None, derandomize=True)
@given(pattern=PATTERNS, text=st.text("ab", max_size=8))
def test_an_admitted_pattern_takes_no_longer_than_its_text(pattern: str, text: str) -> None:
    """Of ten thousand characters that almost match, each is looked at a few times."""
    whole = f"^(?:{pattern})$"
    if pattern_problem(whole, max_length=None) is not None:
        return
    search = re.compile(whole, re.ASCII).search

    started = process_time()
    for doubt in ("a" * 10_000 + "!", "ab" * 5_000 + "!", (text or "b") * 1_000 + "!"):
        search(doubt)

    assert process_time() - started < 1
