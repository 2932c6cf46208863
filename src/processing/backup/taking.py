"""Take a backup of a data directory, also while a platform runs on it.

The order makes the cut consistent: the lake first, then the live state, the control store, and the
log last. Whatever the others know of, the log of the backup has; what the lake lacks is written
from the log after a restore, as after any restart.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog

from agentflow.clock import Clock, to_rfc3339
from agentflow.errors import StorageError
from agentflow.wording import quoted
from control_store.elsewhere import ControlElsewhere
from control_store.keys.hashing import SECRET_FILE
from control_store.wiring import CONTROL_FILE
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from ingestion.log.private import keep_private
from ingestion.log.reader import LogReader
from processing.backup.archive import room_told, target_at
from processing.backup.databases import copy_database
from processing.backup.manifest import MANIFEST_FILE, Manifest, SavedFile, SavedPositions
from processing.backup.port import BackupTarget, Counted
from processing.lake.copying import CATALOG_FILE, LakeCut, read_cut
from processing.live.snapshot import SNAPSHOT_FILE

log = structlog.get_logger()

Progress = Callable[[str, float], None]
"""Is told what is being done and the fraction of it that is done."""

LOGS: Final = ("log.sqlite", "replica.sqlite")
_PASSES: Final = 8


def take_backup(
    data_dir: Path,
    target: Path,
    *,
    clock: Clock,
    leaves_out: Sequence[str] = (),
    control: ControlElsewhere | None = None,
    progress: Progress = lambda _what, _fraction: None,
) -> Manifest:
    """Copy what is in *data_dir* to *target*: a new folder, or a new file `….tar`.

    A control store that is elsewhere is copied too, into the file that the directory would have.

    Raises:
        StorageFullError: The disk of the backup is full; nothing is left of it.
        StorageError: There is nothing to back up, something is at *target*, or files cannot be
            read.
        UnavailableError: The control store does not answer.
    """
    _require_data(data_dir, target)
    keep_private()
    with room_told(target):
        to = target_at(target)
        try:
            with tempfile.TemporaryDirectory(
                prefix=f"{target.name}.", dir=target.absolute().parent
            ) as scratch:
                taking = _Taking(data_dir, to, Path(scratch), control, progress)
                manifest = taking.run(clock, leaves_out)
            to.finish()
        except BaseException:
            to.discard()
            raise
    log.info("backup.taken", target=str(target), files=len(manifest.files))
    return manifest


class _Taking:
    def __init__(
        self,
        data_dir: Path,
        to: BackupTarget,
        scratch: Path,
        control: ControlElsewhere | None,
        progress: Progress,
    ) -> None:
        self._data_dir, self._to, self._scratch, self._progress = data_dir, to, scratch, progress
        self._control_elsewhere = control
        self._saved: dict[str, SavedFile] = {}

    def run(self, clock: Clock, leaves_out: Sequence[str]) -> Manifest:
        lake = self._lake() if (self._data_dir / "lake" / CATALOG_FILE).exists() else None
        with suppress(FileNotFoundError), (self._data_dir / SNAPSHOT_FILE).open("rb") as file:
            self._add(SNAPSHOT_FILE, file)
        with suppress(FileNotFoundError), (self._data_dir / SECRET_FILE).open("rb") as file:
            self._add(SECRET_FILE, file)  # without it no stored key would be known
        self._control()
        made_at = to_rfc3339(clock.now_us())
        log_id, ends = None, None
        for name in LOGS:
            copy = self._database(name)
            if copy is not None:
                log_id, ends = _ends(copy)
        manifest = Manifest(
            version=version("agentflow"),
            made_at=made_at,
            log_id=log_id,
            log=ends,
            lake=lake,
            leaves_out=tuple(leaves_out),
            files=tuple(sorted(self._saved.values(), key=lambda file: file.name)),
        )
        text = manifest.model_dump_json(indent=1).encode()
        self._to.add(MANIFEST_FILE, Counted(io.BytesIO(text)), len(text))
        return manifest

    def _lake(self) -> SavedPositions:
        """Save the lake as of one instant: its catalog, and every file that belongs to it.

        Files never change, but the sweep of a running platform may delete one before its turn
        comes. Then a newer catalog is taken: what was copied already need not be copied again.
        """
        catalog = self._data_dir / "lake" / CATALOG_FILE
        for number in range(_PASSES):
            copy = self._scratch / f"{number}-{CATALOG_FILE}"
            copy_database(catalog, copy, lambda _fraction: None)
            try:
                cut = read_cut(copy, self._data_dir / "lake")
                self._save_files(cut)
            except FileNotFoundError as error:
                log.info("backup.lake_moved_on", why=str(error))
                continue
            wanted = {f"lake/{name}" for name in cut.files}
            self._saved = {name: file for name, file in self._saved.items() if name in wanted}
            with copy.open("rb") as file:
                self._add(f"lake/{CATALOG_FILE}", file)
            covered = cut.positions
            return SavedPositions(validated=covered.validated, dead_letters=covered.dead_letters)
        raise StorageError(
            f"the lake dropped files faster than they could be copied, {_PASSES} times",
            hint="Take the backup to a quicker disk, or while the platform is stopped.",
        )

    def _save_files(self, cut: LakeCut) -> None:
        for done, name in enumerate(cut.files):
            self._progress("lake", done / len(cut.files))
            if f"lake/{name}" not in self._saved:
                with (self._data_dir / "lake" / name).open("rb") as file:
                    self._add(f"lake/{name}", file)

    def _control(self) -> None:
        if self._control_elsewhere is None:
            self._database(CONTROL_FILE)
            return
        self._progress("control store", 0)
        copy = self._scratch / CONTROL_FILE
        self._control_elsewhere.save(copy)
        with copy.open("rb") as file:
            self._add(CONTROL_FILE, file)

    def _database(self, name: str) -> Path | None:
        path = self._data_dir / name
        if not path.exists():
            return None
        copy = self._scratch / name
        copy_database(path, copy, lambda fraction: self._progress(name, fraction))
        with copy.open("rb") as file:
            self._add(name, file)
        return copy

    def _add(self, name: str, file: io.BufferedReader) -> None:
        size_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
        source = Counted(file)
        self._to.add(name, source, size_bytes)
        self._saved[name] = SavedFile(name=name, size_bytes=source.size_bytes, sha256=source.sha256)


def _require_data(data_dir: Path, target: Path) -> None:
    if not any((data_dir / name).exists() for name in (*LOGS, CONTROL_FILE)):
        raise StorageError(
            f"directory {quoted(data_dir)} holds no data of a platform",
            hint="Name it with --data-dir or AGENTFLOW_DATA_DIR.",
        )
    if target.absolute().is_relative_to(data_dir.absolute()):
        raise StorageError(
            f"a backup at {quoted(target)} would be part of the data directory",
            hint="Name a place outside of it, best on another disk.",
        )


def _ends(copy: Path) -> tuple[str, SavedPositions]:
    reader = LogReader(copy)
    try:
        ends = SavedPositions(
            validated=reader.end(VALIDATED), dead_letters=reader.end(DEAD_LETTERS)
        )
        return reader.log_id, ends
    finally:
        reader.close()
