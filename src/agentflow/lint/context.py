"""Where a check stands: the contracts it may look at, and how it reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date

from agentflow.contracts.model import Contract, EventContract
from agentflow.contracts.registry import Registry
from agentflow.contracts.scope import declared_scope
from agentflow.contracts.source import SourceFile
from agentflow.errors import ExpressionError, FileProblem
from agentflow.events import EventRef
from agentflow.expressions import Scope, infer, parse_scalar
from agentflow.suggestions import nearest_or_all


class LintContext:
    """One contract under check, among the others.

    Attributes:
        unreadable_events: Names claimed by files that could not be read; speaking of them is no
            mistake.
        unreadable_entities: The same, of entities.
    """

    def __init__(
        self, contract: Contract, registry: Registry, unreadable: frozenset[tuple[str, str]]
    ) -> None:
        self.registry = registry
        self.unreadable_events = {name for kind, name in unreadable if kind == "event"}
        self.unreadable_entities = {name for kind, name in unreadable if kind == "entity"}
        self._source: SourceFile = registry.source(contract)

    def problem(self, *path: str | int, message: str, hint: str | None = None) -> FileProblem:
        """Describe what is wrong at a key path of the contract under check."""
        return self._source.problem(path, message, hint)

    def event(self, ref: EventRef) -> EventContract | None:
        """Return an event contract, if there is one."""
        return self.registry.events.get(ref)

    def no_event(self, *path: str | int, ref: EventRef) -> Iterator[FileProblem]:
        """Yield the problem that an event does not exist, unless its file is already reported."""
        if ref.type in self.unreadable_events:
            return
        known = [str(known) for known in self.registry.events]
        yield self.problem(
            *path,
            message=f'event "{ref}" does not exist',
            hint=nearest_or_all(str(ref), sorted(known)),
        )

    def lifetime(self, status: str, sunset: str | None) -> Iterator[FileProblem]:
        """Check that what is deprecated says until when, and nothing else does."""
        if status == "deprecated" and sunset is None:
            hint = 'Add sunset: "2027-06-30", the last day it is served.'
            yield self.problem("status", message='deprecated without "sunset"', hint=hint)
        if sunset is None:
            return
        if status != "deprecated":
            yield self.problem("sunset", message=f'"sunset" is for deprecated, this is {status}')
        try:
            date.fromisoformat(sunset)
        except ValueError:
            message = f'"sunset" must be a date such as 2027-06-30, not "{sunset}"'
            yield self.problem("sunset", message=message)


def scope_of(event: EventContract) -> Scope:
    """Return the types of an event's fields, leaving out derived fields that are broken."""
    declared = declared_scope(event)
    scope = dict(declared)
    for name, text in event.derived.items():
        with suppress(ExpressionError):
            scope[name] = infer(parse_scalar(text), declared)
    return scope


def broken(event: EventContract) -> frozenset[str]:
    """Return the derived fields that have no type; what reads them is not to blame."""
    return frozenset(event.derived) - frozenset(scope_of(event))
