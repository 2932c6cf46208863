"""Differences between two readings of one event contract of the same major version."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.contracts.compatibility.change import Difference, Impact
from agentflow.contracts.compatibility.fields import field_differences
from agentflow.contracts.fingerprint import scalar_meaning
from agentflow.contracts.model import EventContract, Rule, duration
from agentflow.errors import ExpressionError
from agentflow.expressions import parse_scalar
from agentflow.expressions.nodes import fields_of

_DOCUMENTATION = ("owner", "description", "sunset", "status")


def event_differences(old: EventContract, new: EventContract) -> Iterator[Difference]:
    """Yield what changed, judged by the compatibility mode the old contract promised.

    `backward`: what was accepted stays accepted and means the same. `full`: also, nothing is
    accepted that was refused before but for new optional fields. `none`: no promise was made.
    """
    widened: Impact = "breaking" if old.compatibility == "full" else "compatible"
    found = list(_differences(old, new, widened))
    if old.compatibility == "none":
        found = [_released(difference) for difference in found]
    yield from found
    moved = any(difference.impact == "compatible" for difference in found)
    broke = any(difference.impact == "breaking" for difference in found)
    if new.minor < old.minor:
        message = f"went back from {old.minor} to {new.minor}"
        yield Difference("breaking", "minor", message)
    elif moved and not broke and new.minor == old.minor:
        message = f"must go up from {old.minor}, the contract changed compatibly"
        yield Difference("breaking", "minor", message)


def _released(difference: Difference) -> Difference:
    if difference.impact != "breaking":
        return difference
    return Difference("compatible", difference.path, difference.message, difference.fields)


def _differences(old: EventContract, new: EventContract, widened: Impact) -> Iterator[Difference]:
    yield from _fields(old, new, widened)
    yield from _rules(old, new, widened)
    yield from _derived(old, new)
    for key in ("key", "event_time"):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            yield Difference("breaking", key, f"was {before}, is {after}", None)
    if old.corrects != new.corrects:
        yield Difference("breaking", "corrects", "what it corrects changed", None)
    if old.supersedes != new.supersedes:
        yield Difference("breaking", "supersedes", "which version counts changed", None)
    yield from _lateness(old, new, widened)
    if old.compatibility != new.compatibility:
        looser = ("none", "backward", "full")
        weaker = looser.index(new.compatibility) < looser.index(old.compatibility)
        message = f"was {old.compatibility}, is {new.compatibility}"
        yield Difference("breaking" if weaker else "compatible", "compatibility", message)
    for key in _DOCUMENTATION:
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            yield Difference("documentation", key, f"{key} changed")


def _fields(old: EventContract, new: EventContract, widened: Impact) -> Iterator[Difference]:
    for name, field in old.fields.items():
        if name not in new.fields:
            hint = _renamed(name, old, new)
            yield Difference("breaking", f"fields.{name}", f"removed{hint}", frozenset({name}))
        else:
            yield from field_differences(name, field, new.fields[name], widened=widened)
    for name, field in new.fields.items():
        if name in old.fields:
            continue
        impact: Impact = "breaking" if field.required else "compatible"
        how = "required" if field.required else "optional"
        touched = None if field.required else frozenset({name})
        yield Difference(impact, f"fields.{name}", f"new {how} field", touched)


def _renamed(name: str, old: EventContract, new: EventContract) -> str:
    """Guess the new name of a removed field: the only new one of exactly its shape."""
    shape = old.fields[name].model_copy(update={"description": ""})
    alike = [
        other
        for other, field in new.fields.items()
        if other not in old.fields and field.model_copy(update={"description": ""}) == shape
    ]
    return f', renamed to "{alike[0]}"?' if len(alike) == 1 else ""


def _rules(old: EventContract, new: EventContract, widened: Impact) -> Iterator[Difference]:
    before = {rule.name: rule for rule in old.rules}
    after = {rule.name: rule for rule in new.rules}
    for name in [*before, *(name for name in after if name not in before)]:
        yield from _rule(name, before.get(name), after.get(name), widened)


def _rule(name: str, old: Rule | None, new: Rule | None, widened: Impact) -> Iterator[Difference]:
    path = f"rules.{name}"
    rejects = new is not None and new.on_fail == "reject"
    if old is None:
        yield Difference("breaking" if rejects else "compatible", path, "new rule", None)
    elif new is None:
        impact: Impact = widened if old.on_fail == "reject" else "compatible"
        yield Difference(impact, path, "rule removed")
    elif scalar_meaning(old.check) != scalar_meaning(new.check):
        yield Difference(
            "breaking" if rejects else "compatible", path, "rule checks otherwise", None
        )
    elif old.on_fail != new.on_fail:
        message = f"was {old.on_fail}, is {new.on_fail}"
        yield Difference("breaking" if rejects else widened, f"{path}.on_fail", message, None)
    elif old.message != new.message:
        yield Difference("documentation", f"{path}.message", "message reworded")


def _derived(old: EventContract, new: EventContract) -> Iterator[Difference]:
    for name, text in old.derived.items():
        path, touched = f"derived.{name}", frozenset({name})
        if name not in new.derived:
            yield Difference("breaking", path, "removed", touched)
        elif scalar_meaning(text) != scalar_meaning(new.derived[name]):
            yield Difference("breaking", path, "is computed otherwise", touched)
    for name in new.derived:
        if name not in old.derived:
            yield Difference(
                "compatible", f"derived.{name}", "new derived field", frozenset({name})
            )


def _lateness(old: EventContract, new: EventContract, widened: Impact) -> Iterator[Difference]:
    for key in ("accept", "ahead"):
        before, after = getattr(old.lateness, key), getattr(new.lateness, key)
        if before == after:
            continue
        narrower = duration(after) < duration(before)
        message = f"was {before}, is {after}"
        yield Difference("breaking" if narrower else widened, f"lateness.{key}", message, None)


def derived_from(event: EventContract, names: frozenset[str]) -> frozenset[str]:
    """Return these fields and the derived ones that are computed from them."""
    computed = set()
    for name, text in event.derived.items():
        try:
            if fields_of(parse_scalar(text)) & names:
                computed.add(name)
        except ExpressionError:
            continue
    return names | computed
