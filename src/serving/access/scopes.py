"""What callers may do: scopes by action, and the words that stand for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from agentflow.errors import ParameterError
from agentflow.suggestions import nearest_and
from agentflow.wording import quoted


class Scope(StrEnum):
    """One kind of action. An operation demands one of them."""

    READ = "read"
    METRICS_READ = "metrics:read"
    EVENTS_READ = "events:read"
    ENTITIES_READ = "entities:read"
    DEAD_LETTERS_READ = "deadletters:read"
    EVENTS_WRITE = "events:write"
    TRIAGE = "deadletters:triage"
    PUBLISH = "contracts:publish"
    OPERATE = "operate"
    ADMIN = "admin"


EVERYTHING: Final = frozenset(Scope)
_READING: Final = frozenset(
    {
        Scope.READ,
        Scope.METRICS_READ,
        Scope.EVENTS_READ,
        Scope.ENTITIES_READ,
        Scope.DEAD_LETTERS_READ,
    }
)
ROLES: Final[Mapping[str, frozenset[Scope]]] = MappingProxyType(
    {
        "read": _READING,
        "write": frozenset({Scope.EVENTS_WRITE}),
        "operate": frozenset({Scope.OPERATE}),
        "admin": EVERYTHING,
    }
)
"""The words of `AGENTFLOW_API_KEYS`; stored keys take them too."""
WORDS: Final[Mapping[str, frozenset[Scope]]] = MappingProxyType(
    {
        **{scope.value: frozenset({scope}) for scope in (Scope.EVENTS_WRITE, Scope.PUBLISH)},
        **{scope.value: frozenset({scope, Scope.READ}) for scope in _READING},
        Scope.TRIAGE.value: frozenset({Scope.TRIAGE, Scope.DEAD_LETTERS_READ, Scope.READ}),
        **ROLES,
    }
)
"""Every word, and the scopes it stands for: what reads anything reads its contracts as well."""


def scopes_of(words: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes that words stand for.

    >>> sorted(scopes_of(["metrics:read"]))
    [<Scope.METRICS_READ: 'metrics:read'>, <Scope.READ: 'read'>]

    Raises:
        ParameterError: A word stands for none.
    """
    found: set[Scope] = set()
    for word in words:
        if word not in WORDS:
            hint = nearest_and(word, WORDS, f"Known scopes: {', '.join(sorted(WORDS))}.")
            raise ParameterError(f"scope {quoted(word)} does not exist", hint=hint)
        found |= WORDS[word]
    return frozenset(found)
