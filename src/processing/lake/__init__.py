"""The lake: every accepted event and dead letter in Iceberg tables derived from the contracts."""

from processing.lake.catalog import Lake
from processing.lake.coverage import Progressed, Recorded
from processing.lake.embedded import open_lake
from processing.lake.follower import LakeFollower
from processing.lake.health import lake_health
from processing.lake.location import Location
from processing.lake.maintenance import (
    Compacted,
    compact,
    expire_snapshots,
    remove_repeats,
    sweep,
)
from processing.lake.port import LakeHealth, LakeSync, TableHealth
from processing.lake.positions import Positions
from processing.lake.reader import LakeReader
from processing.lake.rows import StoredEvent
from processing.lake.thread import LakeThread
from processing.lake.writer import LakeWriter

__all__ = [
    "Compacted",
    "Lake",
    "LakeFollower",
    "LakeHealth",
    "LakeReader",
    "LakeSync",
    "LakeThread",
    "LakeWriter",
    "Location",
    "Positions",
    "Progressed",
    "Recorded",
    "StoredEvent",
    "TableHealth",
    "compact",
    "expire_snapshots",
    "lake_health",
    "open_lake",
    "remove_repeats",
    "sweep",
]
