"""The contracts in force as each caller sees them: every route reads them here."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final, Protocol

from agentflow.contracts import Registry
from processing.definitions import Definitions
from quality.gate import Gate
from serving.access.callers import Caller
from serving.access.sight import WHOLE, Sight

_MOST_KEPT: Final = 256
_MOST_GATES: Final = 16
NOTHING: Final = Sight(frozenset(), frozenset(), frozenset())
"""What exists for a caller who has not said who they are, where there are keys."""


class Defined(Protocol):
    """What has contracts in force."""

    @property
    def definitions(self) -> Definitions:
        """The contracts, compiled."""
        ...


class Views:
    """Contracts by sight, made when they are first needed. One event loop.

    Args:
        defined: What has them.
    """

    def __init__(self, defined: Defined) -> None:
        self._defined = defined
        self._whole = defined.definitions
        self._kept: OrderedDict[Sight, Definitions] = OrderedDict()
        self._gates: dict[Sight, tuple[Registry, Gate]] = {}

    def definitions(self, sight: Sight) -> Definitions:
        """Return the contracts in force that exist for a caller, compiled."""
        whole = self._defined.definitions
        if sight is WHOLE or sight.whole:
            return whole
        if whole is not self._whole:
            self._whole = whole
            self._kept.clear()
        shown = self._kept.get(sight)
        if shown is None:
            shown = replace(whole, registry=whole.registry.showing(sight.shows))
            if len(self._kept) >= _MOST_KEPT:
                self._kept.popitem(last=False)
            self._kept[sight] = shown
        return shown

    def registry(self, sight: Sight) -> Registry:
        """Return the contracts in force that exist for a caller."""
        return self.definitions(sight).registry

    def gate(self, sight: Sight) -> Gate:
        """Return what judges events by the contracts that exist for a caller."""
        definitions = self.definitions(sight)
        if sight.whole:
            return definitions.gate
        registry = definitions.registry
        made = self._gates.get(sight)
        if made is None or made[0] is not registry:
            if len(self._gates) >= _MOST_GATES:
                self._gates.clear()
            made = self._gates[sight] = (registry, Gate(registry))
        return made[1]

    def of(self, caller: Caller | None) -> Registry:
        """Return the contracts that exist for a caller; none for one who is not known."""
        return self.registry(NOTHING if caller is None else caller.sight)
