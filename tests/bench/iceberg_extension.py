"""The same question over the same lake, by DuckDB 2.0 over files and by 1.5.5's Iceberg extension.

uv run --frozen python -m tests.bench.iceberg_extension fill build/lake
uv run --no-project --python 3.11 --with duckdb==1.5.5 --with duckdb-extension-iceberg \
    --with duckdb-extension-avro python tests/bench/iceberg_extension.py ask build/lake
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb

QUESTION = """
SELECT currency, SUM(amount), COUNT(*)
FROM {orders} AS o
WHERE NOT EXISTS (SELECT 1 FROM {cancelled} AS c WHERE c.order_id = o.order_id)
GROUP BY currency
"""


def fill(directory: Path) -> None:
    """Write 300,000 orders of ten days in 15 batches, and ask over their files."""
    from processing.lake import LakeReader, LakeWriter, open_lake
    from tests.bench.test_lake import CREATED, GATE, REGISTRY
    from tests.bench.test_lake import fill as batches
    from tests.fakes.memory_log import MemoryLog

    log = MemoryLog()
    lake = open_lake(directory / "lake", REGISTRY)
    writer = LakeWriter(lake, log, GATE, batch_events=30_000)
    for _ in batches(log, writer, batches=15, size=20_000):
        pass
    refs = (CREATED, REGISTRY.event("order.cancelled").ref)
    tables = [lake.table(lake.name(ref)) for ref in refs]
    locations = [table.metadata_location.removeprefix("file://") for table in tables]
    (directory / "locations.json").write_text(json.dumps(locations))
    reader = LakeReader(lake, GATE)
    orders, cancelled = (f"read_parquet({list(reader.files(ref))!r})" for ref in refs)
    ask(duckdb.connect(), orders, cancelled)


def ask(connection: duckdb.DuckDBPyConnection, orders: str, cancelled: str) -> None:
    """Print the answer, the first time and the best of five more."""
    connection.execute("SET threads = 1")
    text = QUESTION.format(orders=orders, cancelled=cancelled)
    took = []
    answer: list[tuple[object, ...]] = []
    for _ in range(6):
        start = time.perf_counter()
        answer = connection.execute(text).fetchall()
        took.append((time.perf_counter() - start) * 1000)
    print(duckdb.__version__, answer, f"{took[0]:.0f} ms first, {min(took[1:]):.0f} ms again")


def ask_extension(directory: Path) -> None:
    """Ask through `iceberg_scan`, with the extensions beside the interpreter's packages."""
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for packages in filter(None, map(Path, sys.path)):
        for extension in sorted(packages.glob("duckdb_extension_*/**/*.duckdb_extension")):
            connection.execute(f"LOAD '{extension}'")
    locations = json.loads((directory / "locations.json").read_text())
    ask(connection, *(f"iceberg_scan('{location}')" for location in locations))


if __name__ == "__main__":
    {"fill": fill, "ask": ask_extension}[sys.argv[1]](Path(sys.argv[2]))
