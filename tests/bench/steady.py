"""The shop with metrics that hold no more after an hour than after some minutes.

By nature a window of a day fills for a day, and what counts distinct values of all time, or their
extremes and quantiles, keeps each of them (ADR 0022). Whatever else grows while events arrive is
seen only where neither does: every window is as long as the run allows, and `all` stays where it is
a sum or a count.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from agentflow.metrics import MetricPlan
from processing.definitions import Definitions
from tests.bench.world import CONTRACTS, shop

_WINDOWS: Final = re.compile(r"^windows: .*$", re.MULTILINE)
_OF_ONE_SIZE: Final = frozenset({"sum", "count"})


def write_steady_shop(directory: Path, *, window: str) -> None:
    """Write the shop's contracts to *directory* with no window but *window*, and `all` of sums."""
    shutil.copytree(CONTRACTS, directory, ignore=shutil.ignore_patterns("contracts.lock"))
    for (name, version), plan in Definitions.compile(shop()).plans.items():
        path = directory / "metrics" / f"{name}.v{version}.yaml"
        windows = f"windows: [{window}, all]" if _of_one_size(plan) else f"windows: [{window}]"
        text, replaced = _WINDOWS.subn(windows, path.read_text())
        if replaced != 1:
            raise ValueError(f"{path.name} does not say its windows on one line")
        path.write_text(text)


def _of_one_size(plan: MetricPlan) -> bool:
    return all(atom.kind in _OF_ONE_SIZE for atom in plan.atoms)
