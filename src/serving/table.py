"""The moving table of metrics that a terminal shows."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from processing.definitions import Definitions
from processing.platform import Platform
from serving.read.answer import Answer, Answerer
from serving.read.metric_query import MetricQuery, check_query

_MOST_GROUPS = 3


class MetricTable:
    """Renders the present answers of every metric in force, first window each."""

    def __init__(self, platform: Platform, tenant: str) -> None:
        self._platform = platform
        self._tenant = tenant
        self._answerer = Answerer(platform)
        self._definitions: Definitions | None = None
        self._queries: list[MetricQuery] = []
        self._seen: dict[str, str] = {}

    def render(self) -> Table:
        """Return the table as of now; values that changed since the last time stand out."""
        table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
        for title in ("metric", "window", "value", "unit", "events", "age", "contract"):
            table.add_column(title, justify="right" if title in _NUMERIC else "left")
        for query in self._bound():
            table.add_row(*self._row(query))
        return table

    def lines(self) -> list[str]:
        """Return one plain line per metric, for output that is not a terminal."""
        return [" ".join(str(cell) for cell in self._row(query)) for query in self._bound()]

    def _bound(self) -> list[MetricQuery]:
        """Return one question for each metric, asked again whenever contracts changed."""
        definitions = self._platform.definitions
        if self._definitions is not definitions:
            names = dict.fromkeys(_names(self._platform))
            self._queries = [check_query(definitions, name) for name in names]
            self._definitions = definitions
        return self._queries

    def _row(self, query: MetricQuery) -> list[Text]:
        answer = self._answerer.answer(query, self._tenant)
        contract, value = query.plan.contract, shown(answer)
        moved = self._seen.get(contract.name) not in {None, value}
        self._seen[contract.name] = value
        return [
            Text(contract.name),
            Text(query.window, style="dim"),
            Text(value, style="bold green" if moved else "bold"),
            Text("" if contract.unit in query.plan.dimensions else contract.unit, style="dim"),
            Text(f"{answer.document.events:,}", style="dim"),
            Text(self._age(answer), style="dim"),
            Text(f"v{contract.version}", style="dim"),
        ]

    def _age(self, answer: Answer) -> str:
        if answer.moved_at_us is None:
            return "-"
        seconds = max(self._platform.clock.now_us() - answer.moved_at_us, 0) / 1_000_000
        return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.0f} s"


_NUMERIC = frozenset({"value", "events", "age"})


def shown(answer: Answer) -> str:
    """Return a value for people: money per currency, nothing as a dash."""
    document = answer.document
    if document.value is None and document.groups:
        parts = [
            f"{group.value} {group.unit or ''}".rstrip() for group in document.groups[:_MOST_GROUPS]
        ]
        more = " …" if len(document.groups) > _MOST_GROUPS else ""
        return "  ".join(parts) + more
    if document.value is None:
        return "-"
    money = document.unit is not None and document.unit.isupper()
    return f"{document.value} {document.unit}" if money else str(document.value)


def _names(platform: Platform) -> list[str]:
    return [contract.name for contract in platform.registry.metrics.values()]
