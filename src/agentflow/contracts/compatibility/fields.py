"""Differences between two versions of one event field: who would refuse whose documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from agentflow.contracts.compatibility.change import Difference, Impact
from agentflow.contracts.model import FieldContract


def field_differences(
    name: str, old: FieldContract, new: FieldContract, *, widened: Impact
) -> Iterator[Difference]:
    """Yield what changed in a field.

    Args:
        name: The field.
        old: As it was.
        new: As it is.
        widened: How to judge that more is accepted than before.
    """

    def said(key: str, impact: Impact, message: str) -> Difference:
        return Difference(impact, f"fields.{name}.{key}", message, frozenset({name}))

    for key in ("type", "scale", "unit"):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            yield said(key, "breaking", f"was {_shown(before)}, is {_shown(after)}")
    if old.required != new.required:
        impact: Impact = "breaking" if new.required else widened
        now = "required" if new.required else "optional"
        yield said("required", impact, f"the field became {now}")
    yield from _limits(old, new, widened=widened, said=said)
    yield from _enum(old, new, widened=widened, said=said)
    if old.pattern != new.pattern:
        loosened = new.pattern is None
        message = f"was {_shown(old.pattern)}, is {_shown(new.pattern)}"
        yield said("pattern", widened if loosened else "breaking", message)
    if old.pii != new.pii:
        now = "is now" if new.pii else "is no longer"
        yield said("pii", "compatible", f"the field {now} personal data")
    for key in ("description", "examples"):
        if getattr(old, key) != getattr(new, key):
            yield said(key, "documentation", f"{key} reworded")


_Said = Callable[[str, Impact, str], Difference]


def _limits(
    old: FieldContract, new: FieldContract, *, widened: Impact, said: _Said
) -> Iterator[Difference]:
    for key in ("minimum", "min_length", "maximum", "max_length"):
        before, after = getattr(old, key), getattr(new, key)
        if before == after:
            continue
        narrower = _narrower(before, after, lower=key.startswith("min"))
        message = f"was {_shown(before)}, is {_shown(after)}"
        yield said(key, "breaking" if narrower else widened, message)


def _narrower(before: Decimal | int | None, after: Decimal | int | None, *, lower: bool) -> bool:
    if after is None or before is None:
        return before is None
    return after > before if lower else after < before


def _enum(
    old: FieldContract, new: FieldContract, *, widened: Impact, said: _Said
) -> Iterator[Difference]:
    if old.enum == new.enum:
        return
    if old.enum is None:
        yield said("enum", "breaking", f"only {', '.join(new.enum or ())} are allowed now")
        return
    if new.enum is None:
        yield said("enum", widened, "every value is allowed now")
        return
    if gone := set(old.enum) - set(new.enum):
        yield said("enum", "breaking", f"{', '.join(sorted(gone))} no longer allowed")
    if come := set(new.enum) - set(old.enum):
        yield said("enum", widened, f"{', '.join(sorted(come))} allowed too")
    if not gone and not come:
        yield said("enum", "documentation", "the order of the values changed")


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)
