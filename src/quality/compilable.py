"""Whether event contracts compile for the gate, with the line of what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from agentflow.contracts import EventContract, MetricContract, Registry
from agentflow.errors import AgentFlowError, FileProblem
from agentflow.wording import quoted
from quality.compile import compiled

KeyPath = tuple[str | int, ...]

HINT = "Make it shorter or simpler; if it is simple already, please report it with this contract."
_LONGEST = 300
"""Characters of a compiler's own words: some repeat the whole expression."""


def gate_problems(registry: Registry) -> Iterator[FileProblem]:
    """Yield what no check of a contract refused, and the compiler of the gate does."""
    for event in registry.events.values():
        why = failure(partial(compiled, event))
        if why is not None:
            yield does_not_compile(registry, event, _part_that_fails(event), why)


def does_not_compile(
    registry: Registry, contract: EventContract | MetricContract, path: KeyPath, why: str
) -> FileProblem:
    """Return what a compiler said as a problem of the contract's file."""
    message = f"{contract.kind} {quoted(contract.name)} does not compile: {why}"
    return registry.source(contract).problem(path, message, HINT)


def failure(compile_it: Callable[[], object]) -> str | None:
    """Return why something does not compile, whatever the compiler raises; None when it does."""
    try:
        compile_it()
    except AgentFlowError as error:
        return _shortened(str(error))
    except (RecursionError, MemoryError):  # the latter is what Python's parser says
        return "an expression is nested too deep"
    except Exception as error:  # noqa: BLE001 - a compiler may fail in any way
        return _shortened(f"{type(error).__name__}: {error}")
    return None


def _part_that_fails(contract: EventContract) -> KeyPath:
    """Return the first rule or derived field that does not compile alone, else the whole."""
    bare = contract.model_copy(update={"rules": (), "derived": {}})
    for number, rule in enumerate(contract.rules):
        if failure(partial(compiled, bare.model_copy(update={"rules": (rule,)}))):
            return ("rules", number, "check")
    for name, text in contract.derived.items():
        if failure(partial(compiled, bare.model_copy(update={"derived": {name: text}}))):
            return ("derived", name)
    return ("name",)


def _shortened(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
