"""What may be granted: nothing that says one thing and does another, and no more than one has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from agentflow.clock import to_rfc3339
from agentflow.errors import ParameterError
from agentflow.wording import quoted
from control_store.keys.port import Grant
from serving.access.callers import Caller
from serving.access.scopes import Scope, scopes_of
from serving.access.sight import Sight, sight_of

_UNNARROWED: Final = (Scope.ADMIN, Scope.OPERATE, Scope.PUBLISH)
_OF_KIND: Final = {
    "metrics": frozenset({Scope.METRICS_READ}),
    "entities": frozenset({Scope.ENTITIES_READ}),
    "events": frozenset(
        {Scope.EVENTS_READ, Scope.EVENTS_WRITE, Scope.DEAD_LETTERS_READ, Scope.TRIAGE}
    ),
}


class Objection(NamedTuple):
    """Why something is not granted.

    Attributes:
        member: What of the request is meant.
    """

    member: str
    message: str
    hint: str


def objections(
    wanted: Grant, *, expires_us: int | None, now_us: int, granter: Caller | None
) -> list[Objection]:
    """Return everything that speaks against a grant; nothing when it may be made.

    Args:
        wanted: What is to be granted.
        expires_us: When it is to end.
        now_us: The present instant.
        granter: Who grants it; None for an operator who has the store itself.
    """
    try:
        scopes = scopes_of(wanted.scopes)
    except ParameterError as error:
        return [Objection("scopes", str(error), error.hint or "")]
    found = [*_contradictions(wanted, scopes)]
    if not scopes:
        found.append(Objection("scopes", "a key needs a scope", "As in metrics:read."))
    if expires_us is not None and expires_us <= now_us:
        at = to_rfc3339(expires_us)
        hint = "Name an instant to come, or leave it out."
        found.append(Objection("expires_at", f"{at} has passed", hint))
    if granter is not None:
        found += _beyond(wanted, scopes, expires_us, granter)
    return found


def _contradictions(wanted: Grant, scopes: frozenset[Scope]) -> Iterator[Objection]:
    lists = {"metrics": wanted.metrics, "entities": wanted.entities, "events": wanted.events}
    given = {name: names for name, names in lists.items() if names is not None}
    whole = next((scope for scope in _UNNARROWED if scope in scopes), None)
    for name, names in given.items():
        if not names:
            hint = "Leave it out for all of them, and leave its scope out for none."
            yield Objection(name, f"{quoted(name)} names nothing", hint)
        elif whole is None and not scopes & _OF_KIND[name]:
            words = ", ".join(sorted(scope.value for scope in _OF_KIND[name]))
            message = f"{quoted(name)} narrows no scope of this key"
            yield Objection(name, message, f"Add one of these scopes: {words}.")
    if whole is not None and (given or wanted.statuses is not None):
        message = f"a key with the scope {quoted(whole)} cannot be narrowed: it is about everything"
        hint = "Make two keys, or leave out what narrows it."
        yield Objection(next(iter(given), "statuses"), message, hint)
    if wanted.statuses is not None and not wanted.statuses:
        hint = 'As in ["approved"]; leave it out for all.'
        yield Objection("statuses", '"statuses" names nothing', hint)


def _beyond(
    wanted: Grant, scopes: frozenset[Scope], expires_us: int | None, granter: Caller
) -> Iterator[Objection]:
    """Yield what the granter does not have."""
    if more := sorted(scopes - granter.scopes):
        message = f"you do not have the scope {quoted(more[0])} that you grant"
        yield Objection("scopes", message, "Grant scopes that you have.")
    if not within(sight_of(wanted, scopes), granter.sight):
        message = "you grant what does not exist for you"
        yield Objection("scopes", message, "Narrow it at least as your own key is narrowed.")
    ends_us = granter.expires_us
    if ends_us is not None and (expires_us is None or expires_us > ends_us):
        at = to_rfc3339(ends_us)
        hint = f"Let it end at {at} or before."
        yield Objection("expires_at", f"your own key ends at {at}", hint)


def within(inner: Sight, outer: Sight) -> bool:
    """Tell whether everything that exists for one exists for the other."""
    pairs = (
        (inner.metrics, outer.metrics),
        (inner.entities, outer.entities),
        (inner.events, outer.events),
        (inner.statuses, outer.statuses),
    )
    return all(most is None or (names is not None and names <= most) for names, most in pairs)
