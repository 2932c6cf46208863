"""What the commands that run the platform share: settings, logs, the console for people."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from agentflow.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console


def settings_with(options: Mapping[str, object]) -> Settings:
    """Return the environment's settings with the options that were given on top."""
    given = {name: value for name, value in options.items() if value is not None}
    return Settings(**given)


@contextmanager
def demo_settings(options: Mapping[str, object]) -> Iterator[Settings]:
    """Give settings for a demonstration: on data of its own, deleted after it, unless told."""
    if options.get("data_dir") is not None:
        yield settings_with(options)
        return
    with tempfile.TemporaryDirectory(prefix="agentflow-demo-") as directory:
        yield settings_with({**options, "data_dir": Path(directory)})


def people() -> Console:
    """Return the console for people's text, stderr, and send logs there too."""
    from rich.console import Console

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return Console(stderr=True)
