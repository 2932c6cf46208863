"""Ways to damage a file of a data directory, each a pure function of a seed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

Damage = Callable[[Path, Random], str]


def flip(path: Path, random: Random) -> str:
    """Change a few bits anywhere."""
    content = bytearray(path.read_bytes())
    places = [random.randrange(len(content)) for _ in range(random.choice([1, 3, 20]))]
    for place in places:
        content[place] ^= 1 << random.randrange(8)
    path.write_bytes(content)
    return f"bits flipped at {places}"


def truncate(path: Path, random: Random) -> str:
    """Cut the end off."""
    size = random.randrange(path.stat().st_size)
    with path.open("r+b") as file:
        file.truncate(size)
    return f"cut to {size} bytes"


def zero(path: Path, random: Random) -> str:
    """Overwrite a stretch with zeros, as a disk does that lost its blocks."""
    content = bytearray(path.read_bytes())
    start = random.randrange(len(content))
    length = random.choice([512, 4096, len(content)])
    content[start : start + length] = bytes(len(content[start : start + length]))
    path.write_bytes(content)
    return f"{length} bytes zeroed from {start}"


def scramble(path: Path, random: Random) -> str:
    """Overwrite a stretch with noise."""
    content = bytearray(path.read_bytes())
    start = random.randrange(len(content))
    length = min(random.choice([16, 512, 8192]), len(content) - start)
    content[start : start + length] = random.randbytes(length)
    path.write_bytes(content)
    return f"{length} bytes of noise from {start}"


def empty(path: Path, random: Random) -> str:
    """Leave nothing but the name."""
    del random
    path.write_bytes(b"")
    return "emptied"


def remove(path: Path, random: Random) -> str:
    """Take the file away."""
    del random
    path.unlink()
    return "removed"


WAYS: dict[str, Damage] = {
    way.__name__: way for way in (flip, truncate, zero, scramble, empty, remove)
}


def kinds(data_dir: Path) -> dict[str, list[Path]]:
    """Return the files of each kind that a platform left behind."""
    lake = data_dir / "lake"
    found = {
        "log": [data_dir / "log.sqlite"],
        "log-wal": [data_dir / "log.sqlite-wal"],
        "log-shm": [data_dir / "log.sqlite-shm"],
        "control": [data_dir / "control.sqlite"],
        "control-wal": [data_dir / "control.sqlite-wal"],
        "catalog": [lake / "catalog.sqlite"],
        "catalog-wal": [lake / "catalog.sqlite-wal"],
        "metadata": sorted(lake.glob("*/*/metadata/*.json")),
        "manifest": sorted(lake.glob("*/*/metadata/*.avro")),
        "parquet": sorted(lake.glob("*/*/data/**/*.parquet")),
        "snapshot": [data_dir / "live.snapshot"],
        "lock": [data_dir / "LOCK"],
    }
    return {
        kind: [path for path in paths if path.exists() and path.stat().st_size]
        for kind, paths in found.items()
    }


def copied(source: Path, target: Path) -> Path:
    """Return a copy of a whole data directory under the same path names."""
    shutil.copytree(source, target)
    return target
