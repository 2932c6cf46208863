"""The accepted events of the log: read on from a position, found by identity or by entity."""

from __future__ import annotations

from collections.abc import Sequence

from agentflow.events.identity import identity_key
from ingestion.log.port import VALIDATED, CommitLog, Record


class AcceptedEvents:
    """Reads accepted events. Any thread; every method reads the log's file.

    Attributes:
        log_id: Names the log; offsets mean nothing under another one.
    """

    def __init__(self, log: CommitLog) -> None:
        self.log_id = log.log_id
        self._log = log

    def read(self, *, start: int, limit: int) -> Sequence[Record]:
        """Return up to *limit* records at or after *start*, in offset order."""
        return self._log.read(VALIDATED, start=start, limit=limit)

    def find(self, tenant: str, source: str, event_id: str) -> Record | None:
        """Return the event with an identity; None if none was accepted."""
        offset = self._log.find_identity(identity_key(tenant, source, event_id))
        records = () if offset is None else self._log.read_offsets(VALIDATED, [offset])
        return records[0] if records else None

    def linked(self, link: bytes, *, before: int) -> Sequence[Record]:
        """Return the events with a link and an offset below *before*, in offset order."""
        return self._log.read_offsets(VALIDATED, self._log.linked(link, before=before))
