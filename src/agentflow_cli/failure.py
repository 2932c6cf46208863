"""How a command ends when it cannot do what it was asked: a message, a hint, an exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

import click

from agentflow.errors import (
    AgentFlowError,
    ContractFilesError,
    ParameterError,
    StorageError,
    UnavailableError,
)
from agentflow.wording import counted

NO: Final = 1
"""It ran, and the answer is no: a problem was found, a number differs, an example fails."""
USAGE: Final = 2
"""The command line is wrong; or a change breaks (`contracts diff`), or drifts (`topics`)."""
UNREACHED: Final = 3
"""The platform cannot be reached or cannot run."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells number it."""
REFUSED: Final = 4
"""The platform refused: an unknown name, a rejected event, a missing key."""


class Failure(click.ClickException):  # reads as what it is where it is raised
    """Ends the command; shown on stderr, as JSON when the command was asked for JSON."""

    def __init__(
        self,
        message: str,
        *,
        exit_code: int,
        code: str = "failed",
        hint: str | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.exit_code: int = exit_code  # type: ignore[misc]  # click declares it on the class
        self.code = code
        self.hint = hint
        self.details = details
        self.as_json = False

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message, its details and the hint."""
        if self.as_json:
            error = {"code": self.code, "message": self.message, "hint": self.hint}
            click.echo(json.dumps({"error": {**error, "details": self.details}}), err=True)
            return
        from agentflow_cli.output import visible

        mark = click.style("error", fg="red", bold=True)
        click.echo(f"{mark}: {visible(self.message)}", file, err=True)
        for detail in self.details:
            click.echo(f"  {visible(detail)}", file, err=True)
        if self.hint:
            click.echo(f"{click.style('hint', fg='yellow')}: {self.hint}", file, err=True)


@contextmanager
def failing() -> Iterator[None]:
    """Turn the errors that AgentFlow raises on purpose, and Ctrl-C, into failures."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Failure("interrupted", exit_code=INTERRUPTED, code="interrupted") from interrupt
    except ContractFilesError as error:
        details = tuple(str(problem) for problem in error.problems)
        count = len(error.problems)
        message = f"{counted(count, 'problem')} in contract files"
        raise Failure(message, exit_code=NO, code=error.code, details=details) from error
    except AgentFlowError as error:
        raise Failure(
            str(error), exit_code=_exit_code(error), code=error.code, hint=error.hint
        ) from error


def _exit_code(error: AgentFlowError) -> int:
    if isinstance(error, ParameterError):
        return USAGE
    return UNREACHED if isinstance(error, StorageError | UnavailableError) else REFUSED
