"""The lake: every accepted event and dead letter in Iceberg tables derived from the contracts."""

from processing.lake.catalog import Lake, open_lake
from processing.lake.health import LakeHealth, TableHealth, lake_health
from processing.lake.keeper import LakeKeeper
from processing.lake.maintenance import Compacted, compact, sweep
from processing.lake.positions import Positions
from processing.lake.reader import LakeReader
from processing.lake.rows import Stored
from processing.lake.thread import LakeThread
from processing.lake.writer import LakeWriter

__all__ = [
    "Compacted",
    "Lake",
    "LakeHealth",
    "LakeKeeper",
    "LakeReader",
    "LakeThread",
    "LakeWriter",
    "Positions",
    "Stored",
    "TableHealth",
    "compact",
    "lake_health",
    "open_lake",
    "sweep",
]
