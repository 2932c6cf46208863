"""Which files a lake in a folder consists of, by a copy of its catalog."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyiceberg.table import StaticTable

from processing.lake.catalog import BATCH_TABLE
from processing.lake.coverage import recorded
from processing.lake.folder import folder_properties, path_of
from processing.lake.inspection import CATALOG_FILE, pointers
from processing.lake.maintenance import referenced
from processing.lake.positions import Positions

__all__ = ["CATALOG_FILE", "LakeCut", "read_cut"]


@dataclass(frozen=True, slots=True)
class LakeCut:
    """The lake at the instant of a catalog.

    Attributes:
        files: Every file its tables refer to, as paths in the lake's folder.
        positions: What every table holds.
    """

    files: tuple[str, ...]
    positions: Positions


def read_cut(catalog: Path, directory: Path) -> LakeCut:
    """Read what *catalog*, or a copy of it, says of the lake in *directory*.

    Raises:
        FileNotFoundError: A file is gone: the lake moved on, and the catalog with it.
        StorageError: The catalog cannot be read.
    """
    directory = directory.absolute()
    files: set[str] = set()
    positions = Positions()
    for name, location in pointers(catalog).items():
        table = StaticTable.from_metadata(location, folder_properties(directory))
        former = {path_of(table, entry.metadata_file) for entry in table.metadata.metadata_log}
        files.update(
            str(Path(path).relative_to(directory))
            for path in referenced(table)
            if path not in former or Path(path).exists()  # nothing reads those
        )
        if name == BATCH_TABLE:
            positions = recorded(table)
    return LakeCut(tuple(sorted(files)), positions)
