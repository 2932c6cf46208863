"""Differences between two readings of one metric or entity version."""

from __future__ import annotations

from collections.abc import Iterator

from agentflow.contracts.compatibility.change import Difference
from agentflow.contracts.fingerprint import meaning
from agentflow.contracts.model import EntityContract, EntitySource, MetricContract, SessionWindow
from agentflow.contracts.registry import Registry
from agentflow.contracts.tables import SourceContract
from agentflow.events import EventRef

_DOCUMENTATION = ("owner", "description", "status", "sunset")


def metric_differences(
    old: MetricContract, new: MetricContract, *, before: Registry, after: Registry
) -> Iterator[Difference]:
    """Yield what changed in a metric, its meaning followed into the events it reads."""
    yield from _meaning(old, new, before=before, after=after)
    for key, word in (("dimensions", "dimension"), ("windows", "window")):
        earlier, later = set(getattr(old, key)), set(getattr(new, key))
        for name in sorted(earlier - later):
            yield Difference("breaking", key, f'{word} "{name}" removed')
        for name in sorted(later - earlier):
            yield Difference("compatible", key, f'{word} "{name}" added')
    if old.freshness != new.freshness:
        message = f"was {old.freshness.p95}, is {new.freshness.p95}"
        yield Difference("compatible", "freshness.p95", message)
    for key in (*_DOCUMENTATION, "examples", "tags"):
        if getattr(old, key) != getattr(new, key):
            yield Difference("documentation", key, f"{key} changed")


def _meaning(
    old: MetricContract, new: MetricContract, *, before: Registry, after: Registry
) -> Iterator[Difference]:
    earlier, later = meaning(old, before.events), meaning(new, after.events)
    for key in ("unit", "scale"):
        if earlier[key] != later[key]:
            yield Difference("breaking", key, f"was {earlier[key]}, is {later[key]}")
    if earlier["value"] != later["value"]:
        yield Difference("breaking", "value", "the value is computed otherwise")
    elif earlier.get("reads") != later.get("reads"):
        yield Difference("breaking", "reads", "a field it reads means something else")
    elif earlier.get("corrections") != later.get("corrections"):
        yield Difference("breaking", "moved_by", "other events take back or amend what it counts")


def entity_differences(old: EntityContract, new: EntityContract) -> Iterator[Difference]:
    """Yield what changed in an entity."""
    if old.key != new.key:
        yield Difference("breaking", "key", f"was {old.key}, is {new.key}")
    before = {source.ref: source for source in old.sources}
    after = {source.ref: source for source in new.sources}
    for ref in sorted(before.keys() | after.keys()):
        yield from _source(ref, before.get(ref), after.get(ref))
    for name in sorted(old.relations.keys() | new.relations.keys()):
        earlier, later = old.relations.get(name), new.relations.get(name)
        if earlier is None:
            yield Difference("compatible", f"relations.{name}", "new relation")
        elif later != earlier:
            verb = "removed" if later is None else "leads elsewhere"
            yield Difference("breaking", f"relations.{name}", f"relation {verb}")
    yield from _session(old.session, new.session)
    for key in _DOCUMENTATION:
        if getattr(old, key) != getattr(new, key):
            yield Difference("documentation", key, f"{key} changed")


def source_differences(old: SourceContract, new: SourceContract) -> Iterator[Difference]:
    """Yield what changed in how a table becomes events; the past is not told again."""
    for key in SourceContract.model_fields:
        before, after = getattr(old, key), getattr(new, key)
        if before == after or key in {"kind", "name", "version"}:
            continue
        if key in _DOCUMENTATION:
            yield Difference("documentation", key, f"{key} changed")
        elif key == "columns" and before.items() <= after.items():
            yield Difference("compatible", key, "reads more columns")
        elif key == "epoch" and after > before:
            yield Difference("compatible", key, f"was {before}, is {after}")
        else:
            yield Difference("breaking", key, f"{key} changed", None)


def _session(old: SessionWindow | None, new: SessionWindow | None) -> Iterator[Difference]:
    if old is None and new is not None:
        yield Difference("compatible", "session", "new sessions")
    elif old is not None and new is None:
        yield Difference("breaking", "session", "removed")
    elif old is not None and new is not None and old.length != new.length:
        yield Difference("breaking", "session.gap", f"was {old.gap}, is {new.gap}")


def _source(
    ref: EventRef, old: EntitySource | None, new: EntitySource | None
) -> Iterator[Difference]:
    path = f"sources.{ref}"
    if old is None:
        yield Difference("compatible", path, "new source")
        return
    if new is None:
        yield Difference("breaking", path, "removed")
        return
    if old.key != new.key:
        yield Difference("breaking", f"{path}.key", f"was {old.key}, is {new.key}")
    for name in sorted(old.sets.keys() | new.sets.keys()):
        before, after = old.sets.get(name), new.sets.get(name)
        if before is None:
            yield Difference("compatible", f"{path}.sets.{name}", "new attribute")
        elif after != before:
            verb = "no longer set" if after is None else f"was {before}, is {after}"
            yield Difference("breaking", f"{path}.sets.{name}", f"attribute {verb}")
