"""Whether contracts compile: by the compilers that a platform and its exports use, each alone.

`up`, `contracts publish` and `contracts lint` read contract files through here, so that what lint
passes also starts. A job submits what `quality.compilable` passes: it has no DuckDB.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

from agentflow.contracts import EventContract, MetricContract, Reading, Registry
from agentflow.errors import ContractFilesError, FileProblem
from agentflow.export.osi import osi_model
from agentflow.lint import read_directory
from agentflow.metrics import plan_metric
from agentflow.metrics.evaluator import compile_cells, compile_movers
from agentflow.metrics.sql import QuerySpec, metric_query
from processing.definitions.compiled import Definitions
from processing.history.engine import Engine, QuerySession
from processing.history.views import event_view
from processing.lake.columns import arrow_schema, iceberg_schema, layout
from processing.lake.reader import Slice
from quality.compilable import HINT, does_not_compile, failure, gate_problems

_NOTHING_HELD = Slice(files=(), until=0, complete=0, version=("", None), field_ids={})
_HOUR_US = 3_600_000_000
_MEMORY_MIB = 256
_DEADLINE = timedelta(seconds=10)


def load_compiled(directory: Path) -> Registry:
    """Read the contracts of a directory that will be put in force.

    Raises:
        ContractFilesError: Something is wrong, or does not compile; it lists all there is.
    """
    reading = read_compiled(directory)
    if reading.problems:
        raise ContractFilesError(reading.problems)
    return reading.registry


def read_compiled(directory: Path) -> Reading:
    """Read what can be read; what does not compile is a problem like any other."""
    reading = read_directory(directory)
    if reading.problems:
        return reading
    return Reading(reading.registry, compile_problems(reading.registry))


def compile_problems(registry: Registry) -> tuple[FileProblem, ...]:
    """Return what no check refused and some compiler does: by file and line, in the files' order.

    Each event is compiled for the gate and as columns of the lake, each metric for the live engine,
    as SQL that DuckDB binds to those columns, and as an exported model. Nothing is stored or read.
    """
    problems = list(gate_problems(registry))
    if not problems:  # else each metric over such an event would be blamed for it
        engine = Engine(Path("/nonexistent"), threads=1, memory_limit_mib=_MEMORY_MIB)
        try:
            with engine.session() as session:
                problems = list(_lake_problems(registry, session))
                problems = problems or list(_metric_problems(registry, session))
        finally:
            engine.close()
    return tuple(sorted(problems or _of_all(registry), key=lambda each: (each.file, each.line)))


def _lake_problems(registry: Registry, session: QuerySession) -> Iterator[FileProblem]:
    for event in registry.events.values():
        why = failure(partial(_lake, event, session))
        if why is not None:
            yield does_not_compile(registry, event, ("fields",), why)


def _lake(contract: EventContract, session: QuerySession) -> None:
    table = layout(contract)
    iceberg_schema(table.columns)
    arrow_schema(table.columns)
    view = event_view(contract.ref, table, held=_NOTHING_HELD, tail=None)
    session.view(str(contract.ref), view)


def _metric_problems(registry: Registry, session: QuerySession) -> Iterator[FileProblem]:
    for metric in registry.metrics.values():
        why = failure(partial(_metric, metric, registry, session))
        if why is not None:
            yield does_not_compile(registry, metric, ("value",), why)


def _metric(contract: MetricContract, registry: Registry, session: QuerySession) -> None:
    plan = plan_metric(contract, events=registry.events)
    compile_movers([plan])
    compile_cells(plan)
    asked = QuerySpec("default", by=plan.dimensions, grain_us=_HOUR_US)
    query = metric_query(plan, asked, events=registry.events)
    session.rows(f"EXPLAIN {query.text}", query.parameters, deadline=_DEADLINE)
    osi_model(registry, [contract])


def _of_all(registry: Registry) -> Iterator[FileProblem]:
    """Yield why contracts that compile alone do not compile together."""
    why = failure(lambda: compile_movers(list(Definitions.compile(registry).plans.values())))
    if why is not None:
        yield FileProblem(".", 0, f"the contracts do not compile together: {why}", HINT)
