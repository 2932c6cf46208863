"""Checks of entity contracts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentflow.contracts.model import EntityContract, EntitySource
from agentflow.errors import FileProblem
from agentflow.lint.context import LintContext, broken, scope_of
from agentflow.suggestions import nearest_or_all

_LITERAL = re.compile(r"'[^']*'\Z")
_KEY_TYPES = ("string", "integer")


def entity_problems(entity: EntityContract, context: LintContext) -> Iterator[FileProblem]:
    """Yield what is wrong with an entity contract."""
    yield from context.lifetime(entity.status, entity.sunset)
    types: dict[str, tuple[str, str]] = {}
    keys: dict[str, str] = {}
    for index, source in enumerate(entity.sources):
        if source.ref in [earlier.ref for earlier in entity.sources[:index]]:
            message = f'event "{source.ref}" is given twice'
            yield context.problem("sources", index, "event", message=message)
        event = context.event(source.ref)
        if event is None:
            yield from context.no_event("sources", index, "event", ref=source.ref)
            continue
        yield from _key(source, index, context, keys)
        yield from _attributes(entity, index, context, types)
    yield from _relations(entity, context)


def _key(
    source: EntitySource, index: int, context: LintContext, keys: dict[str, str]
) -> Iterator[FileProblem]:
    event = context.registry.events[source.ref]
    field = event.fields.get(source.key)
    path = ("sources", index, "key")
    if field is None:
        message = f'"{source.key}" is not a field of "{event.ref}"'
        yield context.problem(
            *path, message=message, hint=nearest_or_all(source.key, sorted(event.fields))
        )
    elif field.type not in _KEY_TYPES:
        message = f'"{source.key}" must be a string or an integer, it is {field.type}'
        yield context.problem(*path, message=message)
    elif keys.setdefault(field.type, str(event.ref)) and len(keys) > 1:
        other = next(ref for kind, ref in keys.items() if kind != field.type)
        message = f'"{source.key}" is {field.type} here, the key of "{other}" is not'
        yield context.problem(*path, message=message)


def _attributes(
    entity: EntityContract, index: int, context: LintContext, types: dict[str, tuple[str, str]]
) -> Iterator[FileProblem]:
    source = entity.sources[index]
    event = context.registry.events[source.ref]
    scope = scope_of(event)
    for attribute, value in source.sets.items():
        path = ("sources", index, "sets", attribute)
        if attribute == entity.key:
            yield context.problem(*path, message=f'"{attribute}" is the key and cannot be set')
        kind = "string" if _LITERAL.match(value) else scope[value].kind if value in scope else None
        if kind is None:
            if value in broken(event):
                continue
            hint = f"{nearest_or_all(value, sorted(scope))} A fixed value is written \"'{value}'\"."
            message = f'"{value}" is not a field of "{event.ref}"'
            yield context.problem(*path, message=message, hint=hint)
            continue
        known, where = types.setdefault(attribute, (kind, str(event.ref)))
        if known != kind:
            message = f'attribute "{attribute}" is {kind} here and {known} from "{where}"'
            yield context.problem(*path, message=message)


def _relations(entity: EntityContract, context: LintContext) -> Iterator[FileProblem]:
    entities = sorted({other.name for other in context.registry.entities.values()})
    attributes = {attribute for source in entity.sources for attribute in source.sets}
    for name, relation in entity.relations.items():
        if relation.to not in entities and relation.to not in context.unreadable_entities:
            message = f'entity "{relation.to}" does not exist'
            hint = nearest_or_all(relation.to, sorted(entities))
            yield context.problem("relations", name, "to", message=message, hint=hint)
        if relation.by not in attributes:
            message = f'no event sets "{relation.by}"'
            hint = nearest_or_all(relation.by, sorted(attributes))
            yield context.problem("relations", name, "by", message=message, hint=hint)
