"""What a cancel or an update does to an event that was already counted, in any order of arrival.

An event type that others correct, and the events that correct it, form a *group* per tenant and
key. The effective event is a fold of its group: gone if anything retracts it, else with each
replaced field taken from the newest update by (event time, id, source). A new event in a group
therefore moves metrics by the difference of two folds, which is what makes late and early
corrections equal.

Where events are versions of a row (`supersedes`) the group is a row: `processing.live.versions`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentflow.contracts.fold import replaceable
from agentflow.contracts.model import EventContract
from agentflow.contracts.scope import attribute_of
from agentflow.events import Event, EventRef
from processing.live.port import GroupKey, GroupLog
from processing.live.versions import Versions

GROUPS_KEPT = 4_096
_Age = tuple[int, str, str]


class Cause(NamedTuple):
    """Why a metric moved, when it was not simply a new event of its own.

    Attributes:
        event: The correction that arrived.
        before: The effective event that was taken back, if one counted.
        after: The effective event that counts now, if one does.
    """

    event: Event
    before: Event | None
    after: Event | None


Amend = Callable[[Event, Mapping[str, object]], Event]
"""Returns the event with declared fields replaced and derived fields recomputed."""


@dataclass(frozen=True, slots=True)
class _Role:
    """The part an event type plays.

    Attributes:
        on: The field that holds the group's key.
        sequence: The attribute that orders versions of a row; None where there are none.
    """

    base: EventRef
    on: str
    sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """One change of what counts: take *before* back, then count *after*."""

    cause: Event | Cause
    before: Event | None
    after: Event | None


class _Group:
    """The events of one key, folded as they come: the cost of one more is that of its fields.

    Attributes:
        bases: Events that are corrected, as they arrived.
        retracted: Whether anything takes them back.
        changes: What replaces their fields now.
        ages: How new the event is that each of the changes is from.
    """

    __slots__ = ("ages", "bases", "changes", "retracted")

    def __init__(self) -> None:
        self.bases: list[Event] = []
        self.retracted = False
        self.changes: dict[str, object] = {}
        self.ages: dict[str, _Age] = {}


class Corrections:
    """The correction rules of a registry, with the recent groups in memory.

    Not thread-safe. Events must be offered in offset order, each once.
    """

    def __init__(
        self,
        events: Iterable[EventContract],
        *,
        amend: Amend,
        log: GroupLog,
        groups_kept: int = GROUPS_KEPT,
    ) -> None:
        self._amend = amend
        self._log = log
        self._groups_kept = groups_kept
        self._groups: OrderedDict[GroupKey, _Group | Versions] = OrderedDict()
        self._roles: dict[EventRef, _Role] = {}
        self._effects: dict[EventRef, str] = {}
        self._replaces: dict[EventRef, tuple[str, ...]] = {}
        contracts = {contract.ref: contract for contract in events}
        for contract in contracts.values():
            if contract.supersedes is not None:
                self._roles[contract.ref] = _role(contract, contract.supersedes.on)
        for contract in contracts.values():
            correction = contract.corrects
            if correction is None or correction.ref not in contracts:
                continue
            role = _role(contracts[correction.ref], correction.on)
            self._roles[contract.ref] = self._roles[correction.ref] = role
            self._effects[contract.ref] = correction.effect
            self._replaces[contract.ref] = replaceable(contract, contracts[correction.ref])

    def prepare(self, events: Sequence[tuple[int, Event]]) -> None:
        """Look up the groups of a batch of events at once, which `effects` then finds in memory."""
        keys = dict.fromkeys(
            key
            for _, event in events
            if (key := self._key(event)).value is not None and key not in self._groups
        )
        if not keys:
            return
        found = self._log.groups(keys, before=events[0][0])
        for key in keys:
            self._keep(key, found.get(key, ()))

    def _key(self, event: Event) -> GroupKey:
        role = self._roles[event.ref]
        return GroupKey(
            event.tenant, role.base, role.on, getattr(event.data, attribute_of(role.on))
        )

    def concerns(self, ref: EventRef) -> bool:
        """Tell whether events of that version are corrected, or correct others, or are rows."""
        return ref in self._roles

    def corrected_by(self, ref: EventRef) -> EventRef | None:
        """Return what events of that version correct, if they do."""
        role = self._roles.get(ref)
        return role.base if role is not None and ref in self._effects else None

    def effects(self, event: Event, offset: int) -> list[Effect]:
        """Remember *event* and return how it changes what counts of its group's base events."""
        key = self._key(event)
        if key.value is None:
            return [] if event.ref in self._effects else [Effect(event, None, event)]
        group = self._group(key, offset)
        if isinstance(group, Versions):
            return self._superseded(group, event, self._roles[event.ref])
        if event.ref == key.base:
            group.bases.append(event)
            now = self._effective(event, group)
            return [] if now is None else [Effect(event, None, now)]
        earlier = [self._effective(base, group) for base in group.bases]
        self._correct(group, event)
        pairs = zip(earlier, (self._effective(base, group) for base in group.bases), strict=True)
        return [
            Effect(Cause(event, before, after), before, after)
            for before, after in pairs
            if before != after
        ]

    def _superseded(self, row: Versions, event: Event, role: _Role) -> list[Effect]:
        before = row.effective()
        _learn(row, event, role)
        after = row.effective()
        if before is after:
            return []
        if before is None:
            return [Effect(event if event is after else Cause(event, None, after), None, after)]
        return [Effect(Cause(event, before, after), before, after)]

    def _effective(self, base: Event, group: _Group) -> Event | None:
        """Return what counts of *base*, or None when it was retracted."""
        if group.retracted:
            return None
        return self._amend(base, group.changes) if group.changes else base

    def _correct(self, group: _Group, event: Event) -> None:
        if self._effects[event.ref] == "retract":
            group.retracted = True
        else:
            self._replace(event, group.changes, group.ages)

    def _replace(self, event: Event, changes: dict[str, object], newest: dict[str, _Age]) -> None:
        age = (event.occurred_us, event.id, event.source)
        for name in self._replaces[event.ref]:
            value = getattr(event.data, attribute_of(name))
            if value is not None and (name not in newest or newest[name] < age):
                changes[name], newest[name] = value, age

    def _group(self, key: GroupKey, offset: int) -> _Group | Versions:
        group = self._groups.get(key)
        if group is None:
            found = self._log.groups((key,), before=offset)
            return self._keep(key, found.get(key, ()))
        self._groups.move_to_end(key)
        return group

    def _keep(self, key: GroupKey, events: Iterable[Event]) -> _Group | Versions:
        role = self._roles[key.base]
        group = self._groups[key] = _Group() if role.sequence is None else Versions()
        for event in events:
            if isinstance(group, Versions):
                _learn(group, event, role)
            elif event.ref == key.base:
                group.bases.append(event)
            else:
                self._correct(group, event)
        if len(self._groups) > self._groups_kept:
            self._groups.popitem(last=False)
        return group


def _role(base: EventContract, on: str) -> _Role:
    superseding = base.supersedes
    return _Role(base.ref, on, attribute_of(superseding.sequence) if superseding else None)


def _learn(row: Versions, event: Event, role: _Role) -> None:
    """Tell a row of one more of its versions, or that it is gone."""
    sequence = getattr(event.data, role.sequence or "")
    if event.ref == role.base:
        row.add(event, sequence)
    else:
        row.take_back(sequence)


class NoGroupLog:
    """For engines that see every event of every group themselves: nothing earlier exists."""

    def groups(
        self, keys: Collection[GroupKey], *, before: int
    ) -> Mapping[GroupKey, Sequence[Event]]:
        """Return nothing."""
        del keys, before
        return {}
