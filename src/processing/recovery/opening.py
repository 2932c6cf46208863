"""Make the lake and the log usable together, whatever happened to either, and say what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from agentflow.contracts import Registry
from agentflow.errors import ContractError
from agentflow.wording import counted
from control_store.opened import ControlReport
from ingestion.log.recovery import OpenReport
from processing.lake import Lake, LakeReader, Location, Recorded, open_lake
from processing.lake.inspection import CatalogDamagedError, Damage, inspect, require_damage
from processing.lake.quarantine import set_lake_aside, set_tables_aside
from processing.live.snapshot import SNAPSHOT_FILE
from processing.recovery.refill import RefillableLog, held_by, lacking, refill
from quality import Gate

log = structlog.get_logger()
Component = Literal["log", "lake", "control", "live"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """Something that had to be repaired.

    Attributes:
        lost: Whether something may be gone for good.
        when: To start, or while it ran.
    """

    component: Component
    detail: str
    lost: bool
    when: Literal["at start", "meanwhile"] = "at start"


def log_recovery(report: OpenReport) -> list[Recovery]:
    """Return what opening the log had to repair."""
    problems = "; ".join(report.problems)
    if not report.damaged:
        return [Recovery("log", problems, lost=False)] if problems else []
    kept = ", ".join(f"{count} {topic}" for topic, count in report.kept.items() if count)
    where = ", ".join(path.name for path in report.quarantined)
    ranges = "; ".join(
        f"{topic} {', '.join(f'{part.start} to {part.stop - 1}' for part in lost)}"
        for topic, lost in report.lost.items()
        if lost
    )
    detail = f"log file {report.outcome}: {problems}; kept: {kept or 'nothing'}; aside: {where}"
    return [Recovery("log", f"{detail}; missing offsets: {ranges or 'unknown'}", lost=True)]


def control_recovery(report: ControlReport) -> list[Recovery]:
    """Return what opening the control store had to repair."""
    if not report.problems:
        return []
    kept = ", ".join(f"{count} {table}" for table, count in report.kept)
    where = ", ".join(path.name for path in report.quarantined)
    detail = f"control file replaced: {'; '.join(report.problems)}; kept: {kept}; aside: {where}"
    return [Recovery("control", detail, lost=True)]


@dataclass(frozen=True, slots=True)
class OpenedLake:
    """The lake, and what had to be done to it and with it."""

    lake: Lake
    recoveries: Sequence[Recovery]


def open_lake_beside(
    source: RefillableLog, data_dir: Path, registry: Registry, gate: Gate
) -> OpenedLake:
    """Open the lake so that log and lake complete each other.

    What the log lost and the lake holds is put back into the log; what the lake lost is written
    again from the log, by the writer, as if it had never been there.

    Raises:
        StorageError: A file can neither be opened nor moved aside.
        ContractError: A contract cannot be stored beside what the lake holds.
    """
    directory = (data_dir / "lake").absolute()
    recoveries: list[Recovery] = []
    try:
        damages = inspect(directory)
    except CatalogDamagedError as error:
        damages = ()
        recoveries.append(_whole_lake_aside(directory, str(error)))
    unlisted = [damage for damage in damages if not damage.listed]
    if unlisted:
        recoveries.append(_tables_aside(directory, unlisted))
    lake, problem = _opened(directory, registry)
    if problem is not None:
        recoveries.append(problem)
    reader = LakeReader(lake, gate)
    if lacking(source, held_by(reader)):
        # It may know events that are now in neither; its offset cannot tell, for offsets go on.
        (data_dir / SNAPSHOT_FILE).unlink(missing_ok=True)
        recoveries.append(_refilled(source, reader, registry, gate))
    unread = [damage for damage in damages if damage.listed]
    if unread and problem is None:
        recoveries.append(_tables_aside(directory, unread))
        lake.adopt(registry)
    for recovery in recoveries:
        log.error("storage.recovered", component=recovery.component, detail=recovery.detail)
    return OpenedLake(lake, recoveries)


def open_remote_beside(
    source: RefillableLog, location: Location, data_dir: Path, registry: Registry, gate: Gate
) -> OpenedLake:
    """Open a lake that is behind a catalog; give the log what it lost and the lake holds.

    Raises:
        StorageError: The catalog or the files cannot be reached.
        ContractError: A contract cannot be stored beside what the lake holds.
    """
    from processing.lake.remote import open_remote_lake  # an embedded start needs no REST client

    cache = data_dir / "lake-cache"
    lake = open_remote_lake(location, registry, cache=cache, coverage=Recorded())
    reader = LakeReader(lake, gate)
    if not lacking(source, held_by(reader)):
        return OpenedLake(lake, ())
    (data_dir / SNAPSHOT_FILE).unlink(missing_ok=True)
    recovery = _refilled(source, reader, registry, gate)
    log.error("storage.recovered", component=recovery.component, detail=recovery.detail)
    return OpenedLake(lake, (recovery,))


def _opened(directory: Path, registry: Registry) -> tuple[Lake, Recovery | None]:
    try:
        return open_lake(directory, registry), None
    except ContractError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged bytes make their readers raise anything
        require_damage(error)
        problem = _whole_lake_aside(directory, f"{type(error).__name__} {error}")
    return open_lake(directory, registry), problem


def _whole_lake_aside(directory: Path, problem: str) -> Recovery:
    aside = set_lake_aside(directory)
    detail = f"{problem}; all tables are written again from the log; aside: {aside.name}"
    return Recovery("lake", detail, lost=False)


def _tables_aside(directory: Path, damages: Sequence[Damage]) -> Recovery:
    aside = set_tables_aside(directory, [damage.table for damage in damages])
    detail = "; ".join(map(str, damages))
    again = "written again from the log; aside"
    return Recovery("lake", f"{detail}; {again}: {aside.name}", lost=False)


def _refilled(
    source: RefillableLog, reader: LakeReader, registry: Registry, gate: Gate
) -> Recovery:
    found = refill(source, reader, registry, gate)
    detail = (
        f"{counted(found.events, 'event')} and {counted(found.dead_letters, 'dead letter')}"
        " came back from the lake; "
        "what was not in it yet, and the raw bytes, are lost"
    )
    if found.unread:
        detail += f"; unreadable there: {'; '.join(found.unread)}"
    return Recovery("log", detail, lost=True)
