"""Read an event given as a file, and no more of it than an event may have."""

from __future__ import annotations

from typing import IO, Any, Final

import click

from agentflow_cli.json_text import json_of

MAX_BYTES: Final = 1024 * 1024
"""What the gate takes; a longer event would be a dead letter."""


def read_event(file: IO[str], what: str) -> Any:  # noqa: ANN401  # any JSON
    """Return the JSON in *file*; *what* names the option in messages.

    Raises:
        UsageError: It is longer than an event may be, is not text, or is not JSON.
    """
    try:
        text = file.read(MAX_BYTES + 1)
        if len(text.encode()) > MAX_BYTES:
            raise click.UsageError(
                f"{what}: {file.name} is longer than {MAX_BYTES} bytes, which no event may be; "
                "see `agentflow replay` for many events"
            )
    except UnicodeError as error:
        byte = (
            f": it has the byte 0x{error.object[error.start]:02x}"
            if isinstance(error, UnicodeDecodeError)
            else ""
        )
        raise click.UsageError(
            f"{what}: {file.name} is not text in UTF-8{byte}; "
            "an event is a JSON object in a text file"
        ) from error
    return json_of(text, f"{what}: {file.name}")
