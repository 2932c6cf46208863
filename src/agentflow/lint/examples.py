"""Checks of a metric's examples: that they speak of events and dimensions that exist."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.contracts.model import MetricContract
from agentflow.errors import FileProblem
from agentflow.events import EventRef
from agentflow.lint.context import LintContext
from agentflow.lint.values import enums_of
from agentflow.suggestions import nearest_or_all
from agentflow.wording import quoted

ENVELOPE_KEYS = frozenset({"time", "id", "tenant", "source"})


def example_problems(metric: MetricContract, context: LintContext) -> Iterator[FileProblem]:
    """Yield what is wrong with the examples of a metric."""
    for index, example in enumerate(metric.examples):
        for position, given in enumerate(example.given):
            path = ("examples", index, "given", position)
            if len(given) != 1:
                message = f"each item gives one event, this one {len(given)}"
                yield context.problem(*path, message=message)
            for written, data in given.items():
                yield from _event(written, data, path, context)
        if not example.then:
            message = "an example without an expected value proves nothing"
            yield context.problem("examples", index, "then", message=message)
        for key in example.then:
            yield from _filter(key, index, metric, context)


def _event(
    written: str, data: dict[str, object], path: tuple[str | int, ...], context: LintContext
) -> Iterator[FileProblem]:
    name, _, version = written.partition("@")
    refs = [
        ref
        for ref in context.registry.events
        if ref.type == name and version in {"", str(ref.version)}
    ]
    if not refs:
        ref = EventRef(name, int(version) if version.isascii() and version.isdigit() else 1)
        yield from context.no_event(*path, written, ref=ref)
        return
    fields = context.registry.events[max(refs)].fields
    for field in data.keys() - fields.keys() - ENVELOPE_KEYS:
        message = f'"{field}" is not a field of "{max(refs)}"'
        hint = nearest_or_all(field, sorted(fields))
        yield context.problem(*path, written, field, message=message, hint=hint)


def _filter(
    key: str, index: int, metric: MetricContract, context: LintContext
) -> Iterator[FileProblem]:
    for part in filter(None, key.split(",")):
        name, equals, value = part.partition("=")
        if not equals or name not in metric.dimensions:
            message = f'"{part}" does not say dimension=value of a declared dimension'
            hint = f"Dimensions: {', '.join(metric.dimensions) or 'none'}."
            yield context.problem("examples", index, "then", key, message=message, hint=hint)
            continue
        enums = enums_of([context.registry.events[r] for r in metric.refs if context.event(r)])
        if name in enums and value not in enums[name]:
            message = f'"{name}" is never {quoted(value)}, its enum does not have it'
            hint = nearest_or_all(value, sorted(enums[name]))
            yield context.problem("examples", index, "then", key, message=message, hint=hint)
