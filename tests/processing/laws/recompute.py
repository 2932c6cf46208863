"""The other way to the same numbers: DuckDB over the log, through the views history reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from agentflow.contracts import EventContract
from agentflow.events import Event, EventRef
from agentflow.metrics.sql import metric_query
from processing.history.duckdb_history import _row
from processing.history.engine import Engine
from processing.history.views import event_view
from processing.lake.columns import Layout
from processing.lake.reader import Slice
from processing.lake.rows import StoredEvent, rows_of
from processing.verification.checks import Check, Cut, compare, question

NOTHING_HELD = Slice(files=(), until=0, complete=0, version=("", None), field_ids={})
DEADLINE = timedelta(seconds=30)


class Recompute:
    """DuckDB, set up as history does it, with Arrow tables where the lake's files would be."""

    def __init__(
        self, events: Mapping[EventRef, EventContract], layouts: Mapping[EventRef, Layout]
    ) -> None:
        self._events = events
        self._layouts = layouts
        self._engine = Engine(Path("/nonexistent"), threads=1, memory_limit_mib=512)

    def checks(self, cuts: Sequence[Cut], log: Sequence[tuple[int, Event]]) -> list[Check]:
        """Compute every cut again from the events of *log*."""
        stored: dict[EventRef, list[StoredEvent]] = {}
        for offset, event in log:
            stored.setdefault(event.ref, []).append(StoredEvent(offset, event))
        checks: list[Check] = []
        with self._engine.session() as session:
            shown: set[EventRef] = set()
            for cut in cuts:
                asked = question(cut)
                query = metric_query(cut.plan, asked, events=self._events)
                for ref in query.reads:
                    if ref not in shown:
                        name = f"tail of {ref}"
                        layout = self._layouts[ref]
                        session.relation(name, rows_of(layout, stored.get(ref, [])))
                        view = event_view(ref, layout, held=NOTHING_HELD, tail=name)
                        session.view(str(ref), view)
                        shown.add(ref)
                rows = session.rows(query.text, query.parameters, deadline=DEADLINE)
                checks.append(compare(cut, [_row(cut.plan, asked, row) for row in rows]))
        return checks

    def close(self) -> None:
        self._engine.close()
