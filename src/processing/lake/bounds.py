"""Offsets that a table holds, from the bounds its manifests keep: no data file is opened."""

from __future__ import annotations

from threading import Lock
from typing import Final

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import LongType

_KEPT_MANIFESTS: Final = 4_096
_KEPT_SNAPSHOTS: Final = 256
_LONG_BYTES: Final = 8


class ColumnBounds:
    """The greatest values of whole-number columns. Safe to share by threads.

    A snapshot never changes, nor does a manifest, so what they say is kept: a commit costs reading
    what it added, and a table without one costs nothing. (PyIceberg reads the list of a snapshot's
    manifests again each time.)
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._manifests: dict[str, list[dict[int, int]]] = {}
        self._snapshots: dict[str, list[dict[int, int]]] = {}

    def greatest(self, table: Table) -> dict[str, int]:
        """Return the greatest value of every such column that has one, by name."""
        found: dict[str, int] = {}
        for file in self.files(table):
            for name, value in file.items():
                found[name] = max(value, found.get(name, value))
        return found

    def files(self, table: Table) -> list[dict[str, int]]:
        """Return the same for each file of the table, in no order."""
        snapshot = table.current_snapshot()
        if snapshot is None:
            return []
        names = {
            field.field_id: field.name
            for field in table.schema().fields
            if isinstance(field.field_type, LongType)
        }
        return [
            {names[field_id]: value for field_id, value in file.items() if field_id in names}
            for file in self._held(snapshot, table)
        ]

    def _held(self, snapshot: Snapshot, table: Table) -> list[dict[int, int]]:
        known = self._snapshots.get(snapshot.manifest_list)
        if known is None:
            known = [
                file
                for manifest in snapshot.manifests(table.io)
                if manifest.content == ManifestContent.DATA
                for file in self._listed(manifest, table)
            ]
            self._keep(self._snapshots, snapshot.manifest_list, known, most=_KEPT_SNAPSHOTS)
        return known

    def _listed(self, manifest: ManifestFile, table: Table) -> list[dict[int, int]]:
        known = self._manifests.get(manifest.manifest_path)
        if known is None:
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            known = [_whole(entry.data_file.upper_bounds or {}) for entry in entries]
            self._keep(self._manifests, manifest.manifest_path, known, most=_KEPT_MANIFESTS)
        return known

    def _keep(
        self,
        kept: dict[str, list[dict[int, int]]],
        location: str,
        files: list[dict[int, int]],
        *,
        most: int,
    ) -> None:
        with self._lock:
            if len(kept) >= most:
                kept.clear()
            kept[location] = files


def _whole(upper: dict[int, bytes]) -> dict[int, int]:
    """Return what are eight bytes; columns of other types are left out by name, above."""
    return {
        field_id: int(from_bytes(LongType(), encoded))
        for field_id, encoded in upper.items()
        if len(encoded) == _LONG_BYTES
    }
