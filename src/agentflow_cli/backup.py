"""`agentflow backup` and `agentflow restore`: a data directory, kept elsewhere and brought back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow.wording import counted
from agentflow_cli.options import json_option
from agentflow_cli.output import Watch, emit, progress, say

if TYPE_CHECKING:
    from agentflow.settings import Settings
    from processing.backup import Manifest

_data_dir = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="The platform's data directory."
)


@click.command()
@click.argument("target", type=click.Path(path_type=Path), metavar="DIR|FILE.tar")
@_data_dir
@json_option
def backup(*, target: Path, data_dir: Path | None, as_json: bool) -> None:
    """Copy the data directory to a new folder, or a new file that ends with `.tar`.

    A control store in PostgreSQL is copied into it as well.

    A platform may run on it and take events: the backup is of one instant, with every event that
    was accepted before. It leaves out contracts and settings: keep those in version control. Keys
    that are stored are in it, with `key-secret`: keep it as you keep the data directory.
    """
    from agentflow.clock import SystemClock
    from agentflow_cli.service import people, settings_with
    from control_store.wiring import control_elsewhere
    from processing.backup import take_backup

    people()
    settings = settings_with({"data_dir": data_dir})
    with progress(f"backup of {settings.data_dir}") as bar:
        manifest = take_backup(
            settings.data_dir,
            target,
            clock=SystemClock(),
            leaves_out=_elsewhere(settings),
            control=control_elsewhere(settings),
            progress=_shown(bar),
        )
    _tell(manifest, as_json=as_json, done=f"{settings.data_dir} is saved at {target}")


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="DIR|FILE.tar")
@_data_dir
@json_option
def restore(*, source: Path, data_dir: Path | None, as_json: bool) -> None:
    """Make a new data directory of a backup; each file is compared with its checksum.

    The directory must not exist, or be empty; with AGENTFLOW_CONTROL_URL, so must the control store
    there. `agentflow up` then starts on it, on this machine or another, with the contracts that
    were in use.
    """
    from agentflow_cli.service import people, settings_with
    from control_store.wiring import control_elsewhere
    from processing.backup import restore_backup

    people()
    settings = settings_with({"data_dir": data_dir})
    with progress(f"restoring {settings.data_dir}") as bar:
        manifest = restore_backup(
            source,
            settings.data_dir,
            control=control_elsewhere(settings),
            progress=_shown(bar),
        )
    _tell(manifest, as_json=as_json, done=f"{source} is restored to {settings.data_dir}")


def _shown(bar: Watch) -> Callable[[str, float], None]:
    def show(what: str, done: float) -> None:
        bar.note(what)
        bar.fraction(done)

    return show


def _elsewhere(settings: Settings) -> tuple[str, ...]:
    """Return what the platform of these settings keeps outside of its data directory."""
    from ingestion.buses import BUSES

    bus = BUSES.get(settings.bus)
    events = () if bus is None else (bus.holds(settings),)
    if not settings.lake_catalog:
        return events
    return (
        *events,
        f"the lake: its tables are at {settings.lake_warehouse or settings.lake_catalog}",
    )


def _tell(manifest: Manifest, *, as_json: bool, done: str) -> None:
    if as_json:
        emit(manifest.model_dump(mode="json", exclude={"files"}) | _sums(manifest))
        return
    say(f"{done}: {counted(len(manifest.files), 'file')}, {manifest.size_bytes:,} bytes")
    say(f"as of {manifest.made_at}")
    if manifest.log is not None:
        held = manifest.log
        say(f"log: {counted(held.validated, 'event')}, {counted(held.dead_letters, 'dead letter')}")
    if manifest.lake is not None:
        rest = "" if manifest.lake == manifest.log else "; the rest is written to it after a start"
        say(f"lake: {counted(manifest.lake.validated, 'event')}{rest}")
    for part in manifest.leaves_out:
        say(f"not in it: {part}")


def _sums(manifest: Manifest) -> dict[str, int]:
    return {"files": len(manifest.files), "size_bytes": manifest.size_bytes}
