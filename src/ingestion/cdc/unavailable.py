"""What PostgreSQL did not send because it did not change, and how Debezium marks it. Pure.

A large value (TOAST) that an update leaves alone is not in the log, unless the table has REPLICA
IDENTITY FULL. Debezium writes a marker in its place that fits the column's type; for some types it
has none and writes null (`may_be_unsent`). Every type is in `tests/golden/cdc`.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5
from typing import Final
from uuid import UUID

from agentflow.contracts.tables import ColumnType
from ingestion.cdc.change import RowImage, Scalar

_MARKER: Final = "__debezium_unavailable_value"
_BYTES: Final = _MARKER.encode()
_MAP: Final = f'{{"{_MARKER}":"{_MARKER}"}}'
_SCALARS: Final = frozenset({_MARKER, b64encode(_BYTES).decode(), _MAP})
_UUID: Final = str(UUID(bytes=md5(_BYTES, usedforsecurity=False).digest(), version=3))
_ITEMS: Final = _SCALARS | {_UUID}
_NUMBERS: Final = list(_BYTES)
_UNMARKED: Final = frozenset({"json", "bytes"})


def filled(
    after: RowImage | None, before: RowImage | None
) -> tuple[RowImage | None, tuple[str, ...]]:
    """Take what was not sent from the row as it was, if that is known.

    Returns:
        The row, and the columns whose value is not known: they hold None.
    """
    if after is None:
        return None, ()
    missing = [name for name, value in after.items() if unsent(value)]
    if not missing:
        return after, ()
    known = {
        name: before[name]
        for name in missing
        if before is not None and before.get(name) is not None and not unsent(before[name])
    }
    row = {name: known.get(name) if name in missing else after[name] for name in after}
    return row, tuple(name for name in missing if name not in known)


def unsent(value: Scalar) -> bool:
    """Tell whether a value is Debezium's marker for one that was not sent."""
    if isinstance(value, str):
        return value in _SCALARS
    if isinstance(value, list):
        return value == _NUMBERS or (
            len(value) == 1 and isinstance(value[0], str) and value[0] in _ITEMS
        )
    return isinstance(value, dict) and value == {_MARKER: _MARKER}


def may_be_unsent(kind: ColumnType) -> bool:
    """Tell whether a null may be a value that was not sent: arrays and bits have no marker."""
    return kind in _UNMARKED
