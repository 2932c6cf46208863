"""All contracts of one directory, by name and version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from agentflow.contracts.fingerprint import fingerprint
from agentflow.contracts.model import Contract, EntityContract, EventContract, MetricContract
from agentflow.contracts.source import SourceFile
from agentflow.contracts.tables import SourceContract
from agentflow.errors import ContractError, UnknownContractError
from agentflow.events import EventRef
from agentflow.suggestions import nearest_and
from agentflow.versions import versioned

Versioned: TypeAlias = tuple[str, int]
Key: TypeAlias = tuple[str, str, int]
"""Kind, name, version."""
_K = TypeVar("_K")
_C = TypeVar("_C", EventContract, MetricContract, EntityContract, SourceContract)


def key_of(contract: Contract) -> Key:
    """Return what makes a contract unique in a registry."""
    return (contract.kind, contract.name, contract.version)


@dataclass(frozen=True, slots=True)
class Registry:
    """The contracts in force. Immutable; made by `load`, or by `Registry.of` from values.

    Whatever picks one by its name takes `revenue@2` too, as lists show it.

    Attributes:
        events: By name and major version.
        metrics: By name and version; several versions of one metric live side by side.
        entities: By name and version.
        tables: SourceFile contracts: which events the changes of a database table become.
        sources: Where each contract was read from, for messages and for showing its text.
        fingerprints: Hash of the meaning of each contract, `sha256:…`.
    """

    events: Mapping[EventRef, EventContract]
    metrics: Mapping[Versioned, MetricContract]
    entities: Mapping[Versioned, EntityContract]
    tables: Mapping[Versioned, SourceContract]
    sources: Mapping[Key, SourceFile] = field(repr=False)
    fingerprints: Mapping[Key, str] = field(repr=False)

    @classmethod
    def of(
        cls, contracts: Iterable[Contract], *, sources: Mapping[Key, SourceFile] | None = None
    ) -> Registry:
        """Build a registry from contract values.

        Raises:
            ContractError: Two contracts have the same kind, name and version.
        """
        by_key: dict[Key, Contract] = {}
        for contract in contracts:
            key = key_of(contract)
            if key in by_key:
                raise ContractError(f'{key[0]} "{key[1]}" version {key[2]} is given twice')
            by_key[key] = contract
        ordered = [by_key[key] for key in sorted(by_key)]
        events = {c.ref: c for c in ordered if c.kind == "event"}
        return cls(
            events=MappingProxyType(events),
            metrics=MappingProxyType(
                {(c.name, c.version): c for c in ordered if c.kind == "metric"}
            ),
            entities=MappingProxyType(
                {(c.name, c.version): c for c in ordered if c.kind == "entity"}
            ),
            tables=MappingProxyType(
                {(c.name, c.version): c for c in ordered if c.kind == "source"}
            ),
            sources=MappingProxyType(dict(sources or {})),
            fingerprints=MappingProxyType(
                {key_of(contract): fingerprint(contract, events) for contract in ordered}
            ),
        )

    def contracts(self) -> tuple[Contract, ...]:
        """Return every contract: events, entities, metrics, sources, each by name and version."""
        return (
            *self.events.values(),
            *self.entities.values(),
            *self.metrics.values(),
            *self.tables.values(),
        )

    def event(self, name: str, version: int | None = None) -> EventContract:
        """Return an event contract; without a version, the one new events are judged by.

        Raises:
            UnknownContractError: There is none.
        """
        return _pick("event", name, version, self.events.values())

    def metric(self, name: str, version: int | None = None) -> MetricContract:
        """Return a metric contract; without a version, the newest approved one, else the newest.

        Raises:
            UnknownContractError: There is none.
        """
        return _pick("metric", name, version, self.metrics.values())

    def entity(self, name: str, version: int | None = None) -> EntityContract:
        """Return an entity contract; without a version, the newest approved one, else the newest.

        Raises:
            UnknownContractError: There is none.
        """
        return _pick("entity", name, version, self.entities.values())

    def table(self, name: str, version: int | None = None) -> SourceContract:
        """Return a source contract; without a version, the newest approved one, else the newest.

        Raises:
            UnknownContractError: There is none.
        """
        return _pick("source", name, version, self.tables.values())

    def moved_by(self, ref: EventRef) -> tuple[MetricContract, ...]:
        """Return every metric version that an event of this type can move."""
        return tuple(metric for metric in self.metrics.values() if ref in metric.refs)

    def corrections_of(self, ref: EventRef) -> tuple[EventContract, ...]:
        """Return the event types that take back or amend events of this type."""
        return tuple(
            event
            for event in self.events.values()
            if event.corrects is not None and event.corrects.ref == ref
        )

    def entities_of(self, ref: EventRef) -> tuple[EntityContract, ...]:
        """Return the entities on which an event of this type sets attributes."""
        return tuple(
            entity
            for entity in self.entities.values()
            if any(source.ref == ref for source in entity.sources)
        )

    @property
    def narrowed(self) -> bool:
        """Whether only some contracts are shown."""
        return isinstance(self.events, _Shown)

    def showing(self, shows: Callable[[Contract], bool]) -> Registry:
        """Return the contracts as a reader sees them for whom only some exist.

        No other is listed, picked by its name or suggested. What a contract that is shown refers to
        is still found by that reference, so that it means what it does.
        """
        return replace(
            self,
            events=_Shown(self.events, shows),
            metrics=_Shown(self.metrics, shows),
            entities=_Shown(self.entities, shows),
            tables=_Shown(self.tables, shows),
        )

    def source(self, contract: Contract) -> SourceFile:
        """Return where a contract was read from; contracts built from values have no lines."""
        return self.sources.get(key_of(contract), SourceFile())

    def fingerprint(self, contract: Contract) -> str:
        """Return the hash of a contract's meaning, `sha256:…`."""
        return self.fingerprints[key_of(contract)]


class _Shown(Mapping[_K, _C]):
    """Contracts of which only some are listed; all of them are found by their key."""

    __slots__ = ("_all", "_listed")

    def __init__(self, contracts: Mapping[_K, _C], shows: Callable[[Contract], bool]) -> None:
        self._all: Mapping[_K, _C] = contracts
        self._listed: dict[_K, _C] = {key: each for key, each in contracts.items() if shows(each)}

    def __getitem__(self, key: _K) -> _C:
        return self._all[key]

    def __iter__(self) -> Iterator[_K]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)

    def __contains__(self, key: object) -> bool:
        return key in self._listed


def _pick(kind: str, name: str, version: int | None, known: Iterable[_C]) -> _C:
    written, (name, version) = name, versioned(name, version)
    contracts = list(known)
    versions = [contract for contract in contracts if contract.name == name]
    if not versions:
        raise _unknown(kind, written, sorted({contract.name for contract in contracts}))
    if version is None:
        return max(versions, key=_preference)
    for contract in versions:
        if contract.version == version:
            return contract
    raise _unknown(kind, f"{name}@{version}", [f"{name}@{c.version}" for c in versions])


def _preference(contract: Contract) -> tuple[int, int]:
    """Approved before proposed before deprecated, then the newest."""
    return (("deprecated", "proposed", "approved").index(contract.status), contract.version)


def _unknown(kind: str, name: str, known: list[str]) -> UnknownContractError:
    error = UnknownContractError(kind, name, known=known)
    error.hint = nearest_and(name, known, error.hint or "")
    return error
