"""Parts of regular expressions that contracts do not have, by the names they are known by."""

from __future__ import annotations

from re import _constants as ops  # type: ignore[attr-defined]  # not in typeshed
from typing import Any, Final

_RULE: Final = "Put the second condition into a rule, or write out what may stand there."
_OUT: Final = "Write out what may be repeated, or compare two fields in a rule."
_GREEDY: Final = "Leave it out: every pattern runs in linear time here."


class RefusedError(Exception):
    """The pattern has a part that other engines do not have, or that cannot be bounded."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def inline_flags() -> RefusedError:
    """Return the refusal of flags within a pattern."""
    return RefusedError("inline flags, such as (?i), are not supported", "Write both cases: [Aa].")


def unsupported(op: object, arguments: Any) -> RefusedError:  # noqa: ANN401  # of the parser
    """Return the refusal of a part that the standard library's parser calls *op*."""
    match op:
        case ops.ASSERT | ops.ASSERT_NOT:
            ahead = arguments[0] > 0
            sign = ("" if ahead else "<") + ("=" if op == ops.ASSERT else "!")
            name = "lookahead" if ahead else "lookbehind"
            return RefusedError(f"{name}, (?{sign}…), is not supported", _RULE)
        case ops.GROUPREF:
            return RefusedError(f"a backreference, \\{arguments}, is not supported", _OUT)
        case ops.GROUPREF_EXISTS:
            return RefusedError("a conditional group, (?(1)…), is not supported", _OUT)
        case ops.ATOMIC_GROUP:
            return RefusedError("an atomic group, (?>…), is not supported", _GREEDY)
        case ops.POSSESSIVE_REPEAT:
            return RefusedError("possessive repetition, as in a++, is not supported", _GREEDY)
        case _:
            return RefusedError(f"{str(op).lower().replace('_', ' ')} is not supported")
