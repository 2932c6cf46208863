"""Tables that were truncated: what their rows counted goes on counting, and answers say so."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

import msgspec

from agentflow.contracts import Registry
from agentflow.contracts.model import MetricContract
from agentflow.errors import StorageError, UnavailableError
from agentflow.events import EventRef
from control_store.triage.port import TriageStatus, TriageStore
from ingestion.log.port import DEAD_LETTERS, CommitLog, Record

REASON: Final = "cdc_truncated"
_READ_AT_ONCE: Final = 1_000
_CLOSED: Final = frozenset({TriageStatus.DISCARDED, TriageStatus.REPLAYED})


@dataclass(frozen=True, slots=True)
class Truncation:
    """A TRUNCATE that is not dealt with yet.

    Attributes:
        place: What events of the table name as their source, `/cdc/<topic>`.
        dead_letter: Its offset among the dead letters; discarding it ends the matter.
        received_us: When it became known.
        tenant: Whose dead letter it is.
    """

    place: str
    dead_letter: int
    received_us: int
    tenant: str


class _Letter(msgspec.Struct):
    source: str | None = None


_letter: Final = msgspec.json.Decoder(_Letter).decode


class Truncations:
    """The open truncations of a log. `refresh` may run in a thread, `of` is read meanwhile."""

    def __init__(self, log: CommitLog, triage: TriageStore) -> None:
        self._log = log
        self._triage = triage
        self._read = 0
        self._known: dict[int, Truncation] = {}
        self._open: Sequence[Truncation] = ()
        self._closed: frozenset[int] = frozenset()
        self._refreshing = Lock()

    def refresh(self) -> None:
        """Look at new dead letters, and at what was decided about those that are known.

        While decisions cannot be read, those of before count, and what is new is open.
        """
        with self._refreshing:
            end = self._log.end(DEAD_LETTERS)
            while self._read < end:
                limit = min(_READ_AT_ONCE, end - self._read)
                for record in self._log.read(DEAD_LETTERS, start=self._read, limit=limit):
                    self._note(record)
                self._read += limit
            with suppress(UnavailableError, StorageError):  # the store's own part says so
                decided = self._triage.triage(list(self._known)) if self._known else {}
                self._closed = frozenset(
                    offset for offset, each in decided.items() if each.status in _CLOSED
                )
            self._open = tuple(
                each for offset, each in self._known.items() if offset not in self._closed
            )

    def of(
        self,
        metric: MetricContract,
        registry: Registry,
        tenant: str,
        *,
        as_of_us: int | None = None,
    ) -> Truncation | None:
        """Return an open truncation of a table whose rows the metric counts for *tenant*.

        Args:
            metric: The metric.
            registry: The contracts; tables and what they emit are found there.
            tenant: Whose numbers are read.
            as_of_us: Ignore what became known after this instant; None ignores nothing.
        """
        known = (each for each in self._open if as_of_us is None or each.received_us <= as_of_us)
        return next((each for each in known if _counts(metric, each, registry, tenant)), None)

    def _note(self, record: Record) -> None:
        if record.headers.get("reason") != REASON:
            return
        place = _letter(record.value).source
        if place is not None:
            self._known[record.offset] = Truncation(
                place, record.offset, record.timestamp_us, record.headers["tenant"]
            )


def _counts(
    metric: MetricContract, truncation: Truncation, registry: Registry, tenant: str
) -> bool:
    """Tell whether a metric counts rows of a table whose deletion it would take back.

    The rows of a table are of one tenant, or of those that a column names.
    """
    moved_by = {EventRef.parse(text) for text in metric.moved_by}
    return any(
        emission.ref in moved_by
        for table in registry.tables.values()
        if f"/cdc/{table.topic}" == truncation.place
        and (table.write or table.delete)
        and (not isinstance(table.tenant, str) or table.tenant == tenant)
        for emissions in table.emissions.values()
        for emission in emissions
    )
