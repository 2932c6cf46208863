"""Live state as a whole: rebuilt from its snapshot and the log's tail, or all the log; saved."""

from __future__ import annotations

from pathlib import Path

import structlog

from agentflow.clock import Clock
from ingestion.log.port import VALIDATED, CommitLog
from processing.definitions import Definitions
from processing.live import LiveEngine, snapshot
from processing.live.groups import LoggedGroups
from processing.recovery.rebuild import Progress, Rebuilt, feed, logged_events, no_progress
from processing.runtime.fork import run_in_fork

log = structlog.get_logger()


class LiveState:
    """A live engine, the log it follows, and the file its state is saved in."""

    def __init__(self, engine: LiveEngine, log: CommitLog, data_dir: Path, clock: Clock) -> None:
        self._engine = engine
        self._log = log
        self._path = data_dir / snapshot.SNAPSHOT_FILE
        self._clock = clock

    def clear(self, definitions: Definitions) -> None:
        """Forget everything, as before the first event; call `rebuild` next."""
        groups = LoggedGroups(self._log, definitions.gate)
        self._engine.clear(definitions.corrections(groups))

    def rebuild(self, definitions: Definitions, *, progress: Progress = no_progress) -> Rebuilt:
        """Bring an empty engine to the end of the log; blocks."""
        engine, gate = self._engine, definitions.gate
        end = self._log.end(VALIDATED)
        reason = self._restore(definitions, end)
        if reason is None:
            tail = logged_events(self._log, gate, start=engine.next_offset)
            count = feed(engine, tail, clock=self._clock, total=end, progress=progress)
            return Rebuilt("snapshot", count)
        # The log holds all the lake does, and every chunk of it has a checksum.
        events = logged_events(self._log, gate, start=0)
        count = feed(engine, events, clock=self._clock, total=end, progress=progress)
        return Rebuilt("log", count, reason)

    def _restore(self, definitions: Definitions, end: int) -> str | None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return "there is no snapshot"
        reason = snapshot.restore(
            self._engine,
            content,
            log_id=self._log.log_id,
            fingerprints=definitions.meanings,
            gate=definitions.gate,
            end=end,
        )
        if reason is not None:
            log.warning("snapshot.ignored", reason=reason)
            # Later it could seem to fit: a log that lost its end grows beyond it again.
            self._path.unlink(missing_ok=True)
        return reason

    async def save(self, definitions: Definitions) -> None:
        """Write the state as it is now to disk, while it moves on.

        Raises:
            UnavailableError: It could not be written.
        """
        await run_in_fork(lambda: self._write(definitions))

    def save_last(self, definitions: Definitions) -> None:
        """Write it at the end; blocks.

        Without it the next start takes longer, and that is all: a full disk must not matter.
        """
        try:
            self._write(definitions)
        except OSError as error:
            log.warning("snapshot.failed", reason=str(error))

    def _write(self, definitions: Definitions) -> None:
        content = snapshot.dump(
            self._engine,
            log_id=self._log.log_id,
            fingerprints=definitions.meanings,
            gate=definitions.gate,
        )
        snapshot.write(self._path, content)
