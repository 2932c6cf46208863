"""From text to lexemes, each with its position for error messages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from agentflow.errors import ExpressionError
from agentflow.wording import quoted

LexemeKind = Literal["name", "number", "text", "operator", "end"]

_LEXEME = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<text>'(?:[^']|'')*')"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)"
    r"|(?P<operator><=|>=|<>|!=|[=<>+\-*/(),])"
)
MAX_LENGTH = 4_000
_HINTS = {
    "&": "Write and.",
    "|": "Write or.",
    "!": "Write not, or != between values.",
    "%": "There is no remainder; text is compared by starts_with, ends_with and contains.",
}


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A word or sign. Names keep their dots and case; `keyword` is the lower-cased text."""

    kind: LexemeKind
    text: str
    position: int

    @property
    def keyword(self) -> str:
        """The text in lower case, as keywords are compared."""
        return self.text.lower()


def lexemes(text: str) -> tuple[Lexeme, ...]:
    """Split *text* into lexemes, ending with one of kind `end`.

    Raises:
        ExpressionError: At the first character that starts no lexeme, or when it is too long.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"expression is longer than {MAX_LENGTH} characters")
    parsed: list[Lexeme] = []
    position = 0
    while position < len(text):
        found = _LEXEME.match(text, position)
        if found is None:
            raise ExpressionError(
                f"unexpected character {quoted(text[position])} at position {position + 1}",
                position=position,
                hint=_HINTS.get(text[position], "Text goes in single quotes: status = 'paid'."),
            )
        kind = found.lastgroup
        if kind in {"name", "number", "text", "operator"}:
            _refuse_unheld(found.group(), position)
            parsed.append(Lexeme(kind, found.group(), position))  # type: ignore[arg-type]
        position = found.end()
    parsed.append(Lexeme("end", "", len(text)))
    return tuple(parsed)


def _refuse_unheld(text: str, position: int) -> None:
    """Refuse characters that no event can hold, and that no SQL engine takes."""
    unheld = next((char for char in text if char == "\0" or "\ud800" <= char <= "\udfff"), None)
    if unheld is not None:
        raise ExpressionError(
            f"a text at position {position + 1} holds U+{ord(unheld):04X}, which no event can",
            position=position,
        )
