"""Which regular expressions of contracts run in linear time, and why the others are refused.

Patterns run on Python's engine, which goes back and tries again. It does so for nothing, at a cost
that is bounded by the length of the text, where each character leaves it one way to go on: where
what may follow never begins alike (a *one-unambiguous* expression, Brüggemann-Klein 1993). What is
ambiguous is admitted while `max_length` keeps the number of ways small.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from re import _constants as ops  # type: ignore[attr-defined]  # not in typeshed
from re import _parser  # type: ignore[attr-defined]  # not in typeshed
from typing import Any

from agentflow.contracts.pattern_refusals import (
    PatternRefusedError,
    inline_flags,
    read_differently,
    unsupported,
)

MAX_STEPS = 100_000
"""Ways to be tried for one text, at most: some milliseconds."""
MAX_PLACES = 2_000
_UNBOUNDED = 1_000_000
_REPEATS = frozenset({ops.MAX_REPEAT, ops.MIN_REPEAT})
_PLACES = frozenset({ops.AT_BEGINNING, ops.AT_END, ops.AT_BOUNDARY, ops.AT_NON_BOUNDARY})
_CLASSES = {
    ops.CATEGORY_DIGIT: r"\d", ops.CATEGORY_NOT_DIGIT: r"\D", ops.CATEGORY_SPACE: r"\s",
    ops.CATEGORY_NOT_SPACE: r"\S", ops.CATEGORY_WORD: r"\w", ops.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip
_HINT = "Set a max_length, or begin it with ^ and let no two parts in a row match the same."


_Item = tuple[Any, Any]  # as the standard library's parser gives it: an opcode and its arguments
_Tree = list[_Item]


def pattern_problem(pattern: str, *, max_length: int | None) -> tuple[str, str | None] | None:
    """Return why a pattern is refused and what would work, or None.

    >>> pattern_problem("^[a-z]+(-[a-z]+)*$", max_length=None)
    >>> pattern_problem("(a+)+$", max_length=None)[0]
    'pattern can take more than linear time'
    """
    try:
        tree = _tree(pattern)
        places = _Places()
        places.of(tree)
    except (re.error, OverflowError) as error:
        return f"pattern does not compile, {error}", None
    except PatternRefusedError as error:
        return f"pattern is refused: {error}", error.hint
    except RecursionError:
        return "pattern is nested too deep", None
    longest = _UNBOUNDED if max_length is None else max_length
    begun = bool(tree) and tree[0] == (ops.AT, ops.AT_BEGINNING)
    ways = places.ways(longest) * (1 if begun or not places.loops else longest)
    steps = places.alternatives * (1 if ways == 1 else ways * longest)
    if not places.exponential and steps <= MAX_STEPS:
        return None
    return "pattern can take more than linear time", _HINT


def _tree(pattern: str) -> _Tree:
    if refused := read_differently(pattern):
        raise refused
    re.compile(pattern, re.ASCII)
    tree = _parser.parse(pattern, re.ASCII)
    if tree.state.flags != re.ASCII.value:
        raise inline_flags()
    return list(tree)


@dataclass(slots=True)
class _Part:
    """Where a part may begin and end, and whether it may match nothing."""

    first: list[frozenset[int]]
    last: list[int]
    empty: bool


@dataclass(frozen=True, slots=True)
class _Loop:
    """A part repeated a varying number of times, by its places; *times* it stands in a row."""

    low: int
    high: int
    places: range
    times: int


@dataclass(slots=True)
class _Places:
    """The places of a pattern where a character is read, with what may follow each (Glushkov).

    Attributes:
        loops: What is repeated a varying number of times.
        exponential: Whether there may be two ways on within such a loop.
        alternatives: In how many ways the pattern may begin its alternatives, at most.
    """

    loops: list[_Loop] = field(default_factory=list)
    exponential: bool = False
    alternatives: int = 1
    _count: int = 0
    _follow: list[list[frozenset[int]]] = field(default_factory=list)
    _ambiguous: set[int] = field(default_factory=set)
    _within: int = 0
    _times: int = 1

    def ways(self, longest: int) -> int:
        """Return in how many ways a text of *longest* characters may be read, at most."""
        ways = 1
        for loop in self.loops:
            if self._ambiguous.intersection(loop.places):
                turns = max(min(loop.high, longest) - loop.low + 1, 1)
                for _ in range(min(loop.times, 64)):
                    ways = min(ways * turns, _UNBOUNDED**2)
        return ways

    def of(self, tree: _Tree) -> _Part:
        """Add a sequence."""
        whole = _Part([], [], empty=True)
        for item in tree:
            part = self._item(item)
            self._join(whole.last, part.first)
            first = self._choice(whole.first, part.first) if whole.empty else whole.first
            last = part.last + whole.last if part.empty else part.last
            whole = _Part(first, last, whole.empty and part.empty)
        return whole

    def _item(self, item: _Item) -> _Part:
        match item:
            case (ops.AT, place):
                if place not in _PLACES:
                    raise PatternRefusedError(
                        "of the places in a text only ^, $ and \\b are supported",
                        "Write ^ and $ for the beginning and the end.",
                    )
                return _Part([], [], empty=True)
            case (ops.SUBPATTERN, (_, on, off, inner)):
                if on or off:
                    raise inline_flags()
                return self.of(list(inner))
            case (ops.BRANCH, (_, branches)):
                return self._branches([self.of(list(branch)) for branch in branches])
            case (op, (low, high, inner)) if op in _REPEATS:
                return self._repeat(int(low), int(high), list(inner))
            case _:
                return self._character(_characters(item))

    def _branches(self, parts: list[_Part]) -> _Part:
        first: list[frozenset[int]] = []
        for part in parts:
            first = self._choice(first, part.first)
        last = [place for part in parts for place in part.last]
        if sum(part.empty for part in parts) > 1:
            self._fork()  # two ways to read nothing are two ways on
        return _Part(first, last, any(part.empty for part in parts))

    def _repeat(self, low: int, high: int, inner: _Tree) -> _Part:
        if low == high:
            return self._row(low, inner)
        start = self._count
        loops = high > 1
        self._within += loops
        part = self.of(inner)
        if loops:
            self._join(part.last, part.first)
            self.exponential |= part.empty
        elif part.empty:
            self._fork()
        self._within -= loops
        self.loops.append(_Loop(low, high, range(start, self._count), self._times))
        return _Part(part.first, part.last, part.empty or low == 0)

    def _row(self, count: int, inner: _Tree) -> _Part:
        """Two copies stand for any number of them: what joins these joins the others."""
        if count == 0:
            return _Part([], [], empty=True)
        self._times *= count
        part = self.of(inner)
        if count > 1:
            again = self.of(inner)
            self._join(part.last, again.first)
            last = again.last + (part.last if again.empty else [])
            first = self._choice(part.first, again.first) if part.empty else part.first
            part = _Part(first, last, part.empty)
        self._times //= count
        return part

    def _character(self, characters: frozenset[int]) -> _Part:
        if self._count == MAX_PLACES:
            raise PatternRefusedError(f"it reads at more than {MAX_PLACES} places")
        self._follow.append([])
        self._count += 1
        return _Part([characters], [self._count - 1], empty=False)

    def _join(self, ends: Iterable[int], first: list[frozenset[int]]) -> None:
        for end in ends:
            if _alike(self._follow[end], first):
                self._ambiguous.add(end)
                self.exponential |= self._within > 0
            self._follow[end] = [*self._follow[end], *first]

    def _choice(
        self, one: list[frozenset[int]], other: list[frozenset[int]]
    ) -> list[frozenset[int]]:
        if _alike(one, other):
            self._fork()
        return [*one, *other]

    def _fork(self) -> None:
        """Note that there are two ways on from one place."""
        self.exponential |= self._within > 0
        for _ in range(min(self._times, 64)):
            self.alternatives = min(self.alternatives * 2, _UNBOUNDED**2)


def _alike(one: list[frozenset[int]], other: list[frozenset[int]]) -> bool:
    """Tell whether some character goes on both ways."""
    seen = frozenset[int]().union(*one)
    return any(seen & characters for characters in other)


def _characters(item: _Item) -> frozenset[int]:
    """Return which of the sample characters one place reads."""
    match item:
        case (ops.LITERAL, code):
            return frozenset({_sample(code)})
        case (ops.NOT_LITERAL, code):
            return _ALL - {_sample(code)}
        case (ops.ANY, _):
            return _ALL - {ord("\n")}
        case (ops.IN, parts):
            return _class(list(parts))
        case (op, arguments):
            raise unsupported(op, arguments)


_OTHER = 128
_ALL = frozenset(range(_OTHER + 1))
"""ASCII, and one that stands for every other character: two of those may always be alike."""


def _sample(code: object) -> int:
    assert isinstance(code, int)  # noqa: S101 - the parser's
    return min(code, _OTHER)


def _class(parts: _Tree) -> frozenset[int]:
    found: set[int] = set()
    negated = False
    for part in parts:
        match part:
            case (ops.NEGATE, _):
                negated = True
            case (ops.LITERAL, code):
                found.add(_sample(code))
            case (ops.RANGE, (low, high)):
                found |= set(range(_sample(low), _sample(high) + 1))
            case (ops.CATEGORY, category):
                reads = re.compile(_CLASSES[category], re.ASCII)
                found |= {code for code in _ALL if reads.match(chr(code))}
    if negated:
        return (_ALL - found) | {_OTHER}
    return frozenset(found)
