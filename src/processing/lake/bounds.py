"""Offsets that a table holds, from the bounds its manifests keep: no data file is opened."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Final

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Table
from pyiceberg.types import LongType

_KEPT: Final = 4_096


class Bounds:
    """The greatest values of whole-number columns. Safe to share by threads.

    A manifest never changes, so what it says is kept: a commit costs reading what it added.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, dict[int, int]] = {}

    def greatest(self, table: Table) -> dict[str, int]:
        """Return the greatest value of every such column that has one, by name."""
        snapshot = table.current_snapshot()
        if snapshot is None:
            return {}
        names = {
            field.field_id: field.name
            for field in table.schema().fields
            if isinstance(field.field_type, LongType)
        }
        found: dict[str, int] = {}
        for manifest in snapshot.manifests(table.io):
            if manifest.content != ManifestContent.DATA:
                continue
            known = self._known.get(manifest.manifest_path)
            if known is None:
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                known = _greatest(entry.data_file.upper_bounds or {} for entry in entries)
                self._keep(manifest.manifest_path, known)
            for field_id, value in known.items():
                if (name := names.get(field_id)) is not None:
                    found[name] = max(value, found.get(name, value))
        return found

    def _keep(self, path: str, greatest: dict[int, int]) -> None:
        with self._lock:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[path] = greatest


def _greatest(bounds: Iterable[dict[int, bytes]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for upper in bounds:
        for field_id, encoded in upper.items():
            if len(encoded) == 8:  # noqa: PLR2004 - other types are left out by name, above
                value = int(from_bytes(LongType(), encoded))
                found[field_id] = max(value, found.get(field_id, value))
    return found
