"""The order of the checks, one set for each kind of contract."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.contracts.model import Contract, EntityContract, EventContract, MetricContract
from agentflow.contracts.registry import Registry
from agentflow.contracts.tables import SourceContract
from agentflow.errors import FileProblem
from agentflow.lint.context import LintContext
from agentflow.lint.entities import entity_problems
from agentflow.lint.events import event_problems
from agentflow.lint.metrics import metric_problems
from agentflow.lint.tables import source_problems


def lint(
    registry: Registry, *, unreadable: frozenset[tuple[str, str]] = frozenset()
) -> tuple[FileProblem, ...]:
    """Return everything that does not fit together, in the order of the files.

    Args:
        registry: The contracts that have the right shape.
        unreadable: Kinds and names of contracts whose files have other problems already.
    """
    found = [
        problem
        for contract in registry.contracts()
        for problem in _problems(contract, LintContext(contract, registry, unreadable))
    ]
    return tuple(
        sorted(set(found), key=lambda problem: (problem.file, problem.line, problem.message))
    )


def _problems(contract: Contract, context: LintContext) -> Iterator[FileProblem]:
    for key in ("owner", "description"):
        if not getattr(contract, key).strip():
            yield context.problem(key, message=f'"{key}" is empty')
    match contract:
        case EventContract():
            yield from event_problems(contract, context)
        case EntityContract():
            yield from entity_problems(contract, context)
        case MetricContract():
            yield from metric_problems(contract, context)
        case SourceContract():
            yield from source_problems(contract, context)
