"""Which contracts exist for a caller: everything else is answered like what does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from agentflow.contracts import Contract
from control_store.keys.port import Grant
from serving.access.scopes import Scope

_OF_EVENTS: Final = frozenset(
    {Scope.EVENTS_READ, Scope.EVENTS_WRITE, Scope.DEAD_LETTERS_READ, Scope.TRIAGE}
)
_OF_ALL: Final = frozenset({Scope.OPERATE, Scope.PUBLISH, Scope.ADMIN})


@dataclass(frozen=True, slots=True)
class Sight:
    """The contracts that exist for a caller, by kind and status; None means all of them."""

    metrics: frozenset[str] | None = None
    entities: frozenset[str] | None = None
    events: frozenset[str] | None = None
    statuses: frozenset[str] | None = None

    @property
    def whole(self) -> bool:
        """Whether everything exists for the caller."""
        return self == WHOLE

    def shows(self, contract: Contract) -> bool:
        """Tell whether a contract exists for the caller."""
        if self.statuses is not None and contract.status not in self.statuses:
            return False
        if contract.kind == "source":  # it names events: who may see them all may see it
            return self.events is None
        names = {"metric": self.metrics, "entity": self.entities, "event": self.events}
        named = names[contract.kind]
        return named is None or contract.name in named

    def digest(self) -> str:
        """Return a short text that is equal for equal sights."""
        parts = [
            None if names is None else sorted(names)
            for names in (self.metrics, self.entities, self.events, self.statuses)
        ]
        return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


WHOLE: Final = Sight()


def sight_of(grant: Grant, scopes: frozenset[Scope]) -> Sight:
    """Return what exists for a key: what its scopes are about, and of that what it names."""
    if scopes & _OF_ALL:
        return WHOLE
    return Sight(
        metrics=_names(grant.metrics, about=Scope.METRICS_READ in scopes),
        entities=_names(grant.entities, about=Scope.ENTITIES_READ in scopes),
        events=_names(grant.events, about=bool(scopes & _OF_EVENTS)),
        statuses=None if grant.statuses is None else frozenset(grant.statuses),
    )


def _names(named: tuple[str, ...] | None, *, about: bool) -> frozenset[str] | None:
    if not about:
        return frozenset()
    return None if named is None else frozenset(named)
