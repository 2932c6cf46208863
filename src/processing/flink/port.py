"""What a Flink function needs of the kernel: records become rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

MakeRow = Callable[..., Any]
"""Makes Flink's row of positional values."""


class RowMaker(Protocol):
    """What turns records into rows. Conformance: `tests/processing/flink/test_port.py`."""

    def row(self, record: bytes | None, type_: str | None, version: str | None) -> Any:  # noqa: ANN401 - Flink's
        """Return the row of a record; never raises."""
