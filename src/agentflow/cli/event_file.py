"""Read an event given as a file, and no more of it than an event may have."""

from __future__ import annotations

import json
from typing import IO, Any, Final

import click

MAX_BYTES: Final = 1024 * 1024
"""What the gate takes; a longer event would be a dead letter."""


def read_event(file: IO[str], what: str) -> Any:  # noqa: ANN401  # any JSON
    """Return the JSON in *file*; *what* names the option in messages.

    Raises:
        UsageError: It is longer than an event may be, or is not JSON.
    """
    try:
        text = file.read(MAX_BYTES + 1)
        if len(text.encode()) > MAX_BYTES:
            raise click.UsageError(
                f"{what}: {file.name} is longer than {MAX_BYTES} bytes, which no event may be; "
                "see `agentflow replay` for many events"
            )
        return json.loads(text)
    except RecursionError as error:
        raise click.UsageError(f"{what}: {file.name} is nested too deeply") from error
    except ValueError as error:
        raise click.UsageError(f"{what}: {file.name} is not JSON: {error}") from error
