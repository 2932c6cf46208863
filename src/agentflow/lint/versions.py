"""Checks of events that are versions of rows, and of what takes such rows back."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.contracts.model import EventContract, Supersession
from agentflow.errors import FileProblem
from agentflow.lint.context import LintContext
from agentflow.suggestions import nearest_or_all

_ORDERED = ("string", "integer")


def version_problems(
    event: EventContract, superseding: Supersession, context: LintContext
) -> Iterator[FileProblem]:
    """Yield what is wrong with an event whose newest version counts."""
    for key, name in (("on", superseding.on), ("sequence", superseding.sequence)):
        field = event.fields.get(name)
        if field is None:
            message = f'"{name}" is not a field of this event'
            hint = nearest_or_all(name, sorted(event.fields))
            yield context.problem("supersedes", key, message=message, hint=hint)
        elif not field.required:
            yield context.problem("supersedes", key, message=f'"{name}" must be a required field')
        elif field.type not in _ORDERED:
            message = f'"{name}" must be a string or an integer, it is {field.type}'
            yield context.problem("supersedes", key, message=message)
    if superseding.on == superseding.sequence:
        yield context.problem("supersedes", message="a key cannot be its own sequence")
    if event.corrects is not None:
        message = "a correction has no versions: it is the version of a row that is corrected"
        yield context.problem("supersedes", message=message)


def taking_back_problems(
    event: EventContract, target: EventContract, context: LintContext
) -> Iterator[FileProblem]:
    """Yield what is wrong with a correction of an event that is a version of a row."""
    correction, superseding = event.corrects, target.supersedes
    if correction is None or superseding is None:
        return
    if correction.effect != "retract":
        message = f'"{target.ref}" is replaced by its next version, not by a correction'
        hint = f'Let the change be another "{target.ref}".'
        yield context.problem("corrects", "effect", message=message, hint=hint)
    if correction.on != superseding.on:
        message = f'must be "{superseding.on}", by which "{target.ref}" tells its rows apart'
        yield context.problem("corrects", "on", message=message)
    here, there = event.fields.get(superseding.sequence), target.fields.get(superseding.sequence)
    if here is None or not here.required:
        message = f'"{superseding.sequence}" must be a required field, as in "{target.ref}"'
        hint = "It says which versions of the row this takes back."
        yield context.problem("fields", message=message, hint=hint)
    elif there is not None and here.type != there.type:
        message = f'"{superseding.sequence}" is {here.type} here and {there.type} there'
        yield context.problem("fields", superseding.sequence, message=message)
