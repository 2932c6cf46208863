"""The shop with few of its metrics: to open a platform with all and compare them takes long."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

CONTRACTS = Path(__file__).parents[2] / "contracts"


def few_metrics(directory: Path, metrics: Collection[str]) -> Path:
    """Copy the shop's contracts, of its metrics only those of these names (`name.v1` for one)."""
    shutil.copytree(CONTRACTS, directory)
    for file in (directory / "metrics").iterdir():
        name, _, version = file.stem.rpartition(".")
        if not {name, f"{name}.{version}"} & set(metrics):
            file.unlink()
    (directory / "contracts.lock").unlink()
    return directory
