"""Checks of event contracts."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.contracts.fold import replaceable
from agentflow.contracts.model import Correction, EventContract, duration
from agentflow.errors import FileProblem
from agentflow.lint.context import LintContext
from agentflow.lint.fields import field_problems, name_taken
from agentflow.lint.values import expression_type
from agentflow.lint.versions import taking_back_problems, version_problems
from agentflow.suggestions import nearest_or_all


def event_problems(event: EventContract, context: LintContext) -> Iterator[FileProblem]:
    """Yield what is wrong with an event contract."""
    yield from context.lifetime(event.status, event.sunset)
    yield from field_problems(event, context)
    yield from _key(event, context)
    yield from _event_time(event, context)
    yield from _lateness(event, context)
    yield from _rules(event, context)
    yield from _derived(event, context)
    if event.corrects is not None:
        yield from _correction(event, event.corrects, context)
    if event.supersedes is not None:
        yield from version_problems(event, event.supersedes, context)


def _key(event: EventContract, context: LintContext) -> Iterator[FileProblem]:
    if event.key is None:
        return
    field = event.fields.get(event.key)
    if field is None:
        message = f'key "{event.key}" is not a field of this event'
        yield context.problem(
            "key", message=message, hint=nearest_or_all(event.key, sorted(event.fields))
        )
    elif field.type not in {"string", "integer"}:
        message = f'key "{event.key}" must be a string or an integer, it is {field.type}'
        yield context.problem("key", message=message)
    elif not field.required:
        message = f'key "{event.key}" must be a required field'
        yield context.problem("fields", event.key, message=message, hint="Add required: true.")


def _event_time(event: EventContract, context: LintContext) -> Iterator[FileProblem]:
    if event.event_time is None:
        return
    field = event.fields.get(event.event_time)
    if field is None:
        message = f'event_time "{event.event_time}" is not a field of this event'
        hint = nearest_or_all(event.event_time, sorted(event.fields))
        yield context.problem("event_time", message=message, hint=hint)
    elif field.type != "timestamp":
        message = f'event_time "{event.event_time}" must be a timestamp, it is {field.type}'
        yield context.problem("event_time", message=message)


def _lateness(event: EventContract, context: LintContext) -> Iterator[FileProblem]:
    for key in ("accept", "ahead"):
        try:
            duration(getattr(event.lateness, key))
        except OverflowError:
            yield context.problem("lateness", key, message=f'"{key}" is longer than time itself')


def _rules(event: EventContract, context: LintContext) -> Iterator[FileProblem]:
    names = [rule.name for rule in event.rules]
    for index, rule in enumerate(event.rules):
        if rule.name in names[:index]:
            message = f'rule "{rule.name}" is given twice'
            yield context.problem("rules", index, "name", message=message)
        for found in expression_type(
            context, "rules", index, "check", text=rule.check, event=event
        ):
            if isinstance(found, FileProblem):
                yield found
            elif found.kind != "boolean":
                message = f'rule "{rule.name}" must be true or false, it is {found.kind}'
                yield context.problem("rules", index, "check", message=message)


def _derived(event: EventContract, context: LintContext) -> Iterator[FileProblem]:
    for name, text in event.derived.items():
        path = ("derived", name)
        if name in event.fields:
            yield context.problem(*path, message=f'"{name}" is both a field and derived')
        if message := name_taken(name):
            yield context.problem(*path, message=message, hint="Give it another name.")
        for found in expression_type(context, *path, text=text, event=event):
            if isinstance(found, FileProblem):
                yield found
            elif found.kind == "null":
                yield context.problem(*path, message=f'"{name}" is always null')


def _correction(
    event: EventContract, correction: Correction, context: LintContext
) -> Iterator[FileProblem]:
    target = context.event(correction.ref)
    if target is None:
        yield from context.no_event("corrects", "event", ref=correction.ref)
        return
    if target.corrects is not None or target.ref == event.ref:
        message = f'"{target.ref}" is a correction itself and cannot be corrected'
        yield context.problem("corrects", "event", message=message)
    yield from _tie(event, target, context)
    yield from taking_back_problems(event, target, context)
    if correction.effect == "replace":
        yield from _replaced(event, target, context)


def _tie(
    event: EventContract, target: EventContract, context: LintContext
) -> Iterator[FileProblem]:
    on = event.corrects.on if event.corrects else ""
    types = []
    for side in (event, target):
        field = side.fields.get(on)
        if field is None:
            message = f'"{on}" is not a field of "{side.ref}"'
            hint = nearest_or_all(on, sorted(side.fields))
            yield context.problem("corrects", "on", message=message, hint=hint)
        elif not field.required:
            message = f'"{on}" must be required in "{side.ref}"'
            yield context.problem("corrects", "on", message=message)
        else:
            types.append(field.type)
    if len(set(types)) > 1:
        message = f'"{on}" is {types[0]} here and {types[1]} in "{target.ref}"'
        yield context.problem("corrects", "on", message=message)
    for other in context.registry.corrections_of(target.ref):
        if other.ref < event.ref and other.corrects is not None and other.corrects.on != on:
            message = f'must be "{other.corrects.on}", by which "{other.ref}" corrects it too'
            yield context.problem("corrects", "on", message=message)


def _replaced(
    event: EventContract, target: EventContract, context: LintContext
) -> Iterator[FileProblem]:
    on = event.corrects.on if event.corrects else ""
    shared = (event.fields.keys() & target.fields.keys()) - {on}
    if not replaceable(event, target):
        message = f'shares no field with "{target.ref}" but "{on}", so it replaces nothing'
        yield context.problem("corrects", "effect", message=message)
    for name in sorted(shared):
        here, there = event.fields[name], target.fields[name]
        if (here.type, here.scale, here.unit) != (there.type, there.scale, there.unit):
            message = f'"{name}" must have the type, scale and unit it has in "{target.ref}"'
            yield context.problem("fields", name, message=message)
