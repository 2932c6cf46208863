"""Find Iceberg's files in the folder where the lake is now.

Iceberg writes absolute locations into its metadata, manifests and catalog. Only their last parts
count here, from the namespace on: `events/order_created_v1/data/…` is looked for in the lake's own
folder. A lake that was moved or copied opens as it is and never touches the place it came from (ADR
0021).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlparse

from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table
from pyiceberg.typedef import EMPTY_DICT, Properties

from agentflow.events.table import NAMESPACE
from processing.transformations.layout import SYSTEM

FOLDER: Final = "agentflow.folder"
"""The property of a catalog that says where its lake is."""
_NAMESPACE: Final = re.compile(rf"(?=/(?:{NAMESPACE}|{SYSTEM})/)")
_TAIL: Final = re.compile(rf"/((?:{NAMESPACE}|{SYSTEM})/[^/]+(?:/(?:metadata|data)(?:/.*)?)?)/?\Z")


class ForeignLocationError(OSError):
    """A location that is in no table of a lake."""


class FolderIO(PyArrowFileIO):
    """Reads and writes files of the lake in the folder that the property `FOLDER` names."""

    @staticmethod
    def parse_location(location: str, properties: Properties = EMPTY_DICT) -> tuple[str, str, str]:
        """Return scheme, host and path as PyIceberg asks for every file."""
        return "file", "", path_in(Path(properties[FOLDER]), location)


def folder_properties(directory: Path) -> dict[str, str]:
    """Return what PyIceberg wants to be told to find files in *directory*."""
    return {"py-io-impl": f"{__name__}.{FolderIO.__name__}", FOLDER: str(directory)}


def path_in(directory: Path, location: str) -> str:
    """Return the path of a location in the lake in *directory*, wherever it was written.

    Raises:
        ForeignLocationError: It is in no table.

    >>> path_in(Path("/now/lake"), "file:///be%20fore/lake/events/shop_v1/data/a.parquet")
    '/now/lake/events/shop_v1/data/a.parquet'
    """
    within = within_lake(location)
    if within is None:
        raise ForeignLocationError(f'location "{location}" is not in the lake in "{directory}"')
    return f"{directory}/{within}"


def within_lake(location: str) -> str | None:
    """Return the path of a location relative to its lake; None when it is in no table.

    >>> within_lake("s3://lake/shop/events/shop_v1/data/a.parquet")
    'events/shop_v1/data/a.parquet'
    """
    path = local_path(location)
    found = None
    for namespace in _NAMESPACE.finditer(path):
        found = _TAIL.match(path, namespace.start()) or found
    return None if found is None or ".." in found[1].split("/") else found[1]


def path_of(table: Table, location: str) -> str:
    """Return the path of a file of *table*; a location that is not local as it is."""
    if isinstance(table.io, FolderIO):
        return path_in(Path(table.io.properties[FOLDER]), location)
    return local_path(location)


def local_path(location: str) -> str:
    """Return the path of a `file://` location; any other text as it is.

    >>> local_path("file:///data/a%20b.parquet")
    '/data/a b.parquet'
    """
    return unquote(urlparse(location).path) if location.startswith("file:") else location
