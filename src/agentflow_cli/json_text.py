"""JSON that was typed or is in a file: read strictly, refused in words that quote what is wrong."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

import click

from agentflow.wording import quoted

_SHOWN: Final = 20


def json_of(text: str, what: str, *, hint: str = "") -> Any:  # noqa: ANN401  # any JSON
    """Return the value of a JSON text; *what* names it in messages.

    Raises:
        UsageError: It is not JSON, or has a member twice: one of them would be lost.
    """
    from quality.repetition import repeated_anywhere  # the gate is heavy, `--help` is not

    try:
        value = json.loads(text, parse_constant=_refused)
    except RecursionError as error:
        raise click.UsageError(f"{what} is nested too deeply") from error
    except json.JSONDecodeError as error:
        message = f"{what} is not JSON: {_fault(text, error)}"
        raise click.UsageError(f"{message}. {hint}" if hint else message) from error
    except _ConstantError as error:
        raise click.UsageError(f"{what} is not JSON: it has no number {error}") from error
    if (place := repeated_anywhere(text)) is not None:
        raise click.UsageError(f"{what} has the member {quoted(place)} more than once")
    return value


class _ConstantError(Exception):
    """NaN or infinity."""


def _refused(constant: str) -> NoReturn:
    raise _ConstantError(constant)


def _fault(text: str, error: json.JSONDecodeError) -> str:
    place = f"line {error.lineno}, character {error.colno}"
    rest = text[error.pos : error.pos + _SHOWN].split("\n", maxsplit=1)[0]
    if not text.strip():
        return "it is empty"
    if not text[error.pos :].strip():
        return f"it ends too early, at {place}"
    if error.msg.startswith("Unterminated"):
        return f"the text that begins at {place} is not closed"
    return f"{quoted(rest)} at {place}" if rest else f"unexpected line end at {place}"
