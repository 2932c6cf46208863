"""A row that a mapping cannot read: `replay` sends it in the event's place, to be a dead letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from agentflow.events import UNMAPPED
from quality import codes
from quality.verdict import Violation

_HINT: Final = "Fix the row or the mapping, then replay the file: what counted stays counted."
_LONGEST: Final = 2_000


class _Row(msgspec.Struct):
    row: Annotated[int, msgspec.Meta(ge=1)]
    problem: str


_decode: Final = msgspec.json.Decoder(_Row).decode


def row_unmapped(name: str | None, members: Mapping[str, msgspec.Raw]) -> Violation | None:
    """Return why a row became no event, when a document stands for one; None when it does not.

    Args:
        name: The document's type, which no contract has.
        members: The document.
    """
    if name is None or not name.endswith(UNMAPPED) or "data" not in members:
        return None
    try:
        row = _decode(members["data"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    message = f"row {row.row}: {row.problem}"[:_LONGEST]
    return Violation(codes.ROW_UNMAPPED, "/data/cells", message, _HINT)
