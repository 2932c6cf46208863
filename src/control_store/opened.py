"""What opening a control store gives, wherever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from agentflow.supervision import Activity
from control_store.store import ControlStore


@dataclass(frozen=True, slots=True)
class ControlReport:
    """What opening found and did.

    Attributes:
        outcome: `created`, `opened`, or `replaced`: moved aside, readable rows copied.
        kept: Rows copied per table, when replaced.
    """

    outcome: Literal["created", "opened", "replaced"]
    problems: tuple[str, ...] = ()
    quarantined: tuple[Path, ...] = ()
    kept: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class OpenedControl:
    """The store, and what had to be done to open it."""

    store: ControlStore
    report: ControlReport


OpenControl: TypeAlias = Callable[[Path, Activity], OpenedControl]
"""Opens the store of a data directory, which tells the activity how it fares."""
