"""Parts of regular expressions that contracts do not have, by the names they are known by."""

from __future__ import annotations

import re
from re import _constants as ops  # type: ignore[attr-defined]  # not in typeshed
from typing import Any, Final

_RULE: Final = "Put the second condition into a rule, or write out what may stand there."
_OUT: Final = "Write out what may be repeated, or compare two fields in a rule."
_DIFFERENTLY: Final = "is not supported: engines read it differently"
_TOKENS: Final = re.compile(r"\\.|\[\^?\]?|.", re.DOTALL)
_GREEDY: Final = "Leave it out: every pattern runs in linear time here."


class PatternRefusedError(Exception):
    """The pattern has a part that other engines do not have, or that cannot be bounded."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def inline_flags() -> PatternRefusedError:
    """Return the refusal of flags within a pattern."""
    return PatternRefusedError(
        "inline flags, such as (?i), are not supported", "Write both cases: [Aa]."
    )


def read_differently(pattern: str) -> PatternRefusedError | None:
    r"""Return the refusal of what engines read differently within a class of characters, or None.

    Of `[[:alpha:]]` some make letters, and Python a class of those characters, and a `]`.

    >>> read_differently(r"^[\[a-z]+$")
    >>> print(read_differently("^[[:alpha:]]+$"))
    "[[" is not supported: engines read it differently
    """
    inside = False
    for token in _TOKENS.finditer(pattern):
        text, after = token[0], pattern[token.end() : token.end() + 1]
        if not inside and text[0] == "[":
            inside = True
            if after == "[":
                return PatternRefusedError(
                    f'"[[" {_DIFFERENTLY}', r"Write \[ for a bracket, a-z for letters."
                )
        elif inside and text == "]":
            inside = False
        elif inside and text in "-&~|" and after == text:
            return PatternRefusedError(
                f'"{text}{text}" in a class {_DIFFERENTLY}', "Write it once."
            )
    return None


def unsupported(op: object, arguments: Any) -> PatternRefusedError:  # noqa: ANN401  # of the parser
    """Return the refusal of a part that the standard library's parser calls *op*."""
    match op:
        case ops.ASSERT | ops.ASSERT_NOT:
            ahead = arguments[0] > 0
            sign = ("" if ahead else "<") + ("=" if op == ops.ASSERT else "!")
            name = "lookahead" if ahead else "lookbehind"
            return PatternRefusedError(f"{name}, (?{sign}…), is not supported", _RULE)
        case ops.GROUPREF:
            return PatternRefusedError(f"a backreference, \\{arguments}, is not supported", _OUT)
        case ops.GROUPREF_EXISTS:
            return PatternRefusedError("a conditional group, (?(1)…), is not supported", _OUT)
        case ops.ATOMIC_GROUP:
            return PatternRefusedError("an atomic group, (?>…), is not supported", _GREEDY)
        case ops.POSSESSIVE_REPEAT:
            return PatternRefusedError(
                "possessive repetition, as in a++, is not supported", _GREEDY
            )
        case _:
            return PatternRefusedError(f"{str(op).lower().replace('_', ' ')} is not supported")
