"""What a merge of lake files needed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

_WRITE_AND_READ = """
import processing.lake.maintenance
import pyarrow as pa
import pyarrow.parquet as pq

held = pa.BufferOutputStream()
pq.write_table(pa.table({"text": [str(number) for number in range(100_000)]}), held)
assert pq.read_table(pa.BufferReader(held.getvalue())).num_rows == 100_000
own = [name for name in pa.supported_memory_backends() if name != "system"]
for name in own:
    print(name, getattr(pa, name + "_memory_pool")().max_memory() or 0)
"""


def test_arrow_keeps_no_memory_of_its_own() -> None:
    """Its readers and writers of files once took theirs from an allocator that keeps it."""
    ran = subprocess.run(
        [sys.executable, "-c", _WRITE_AND_READ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    taken = dict(line.split() for line in ran.stdout.splitlines())
    assert taken
    assert set(taken.values()) == {"0"}
