"""What was sent and what was acknowledged, and whether log, lake and metrics agree with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from threading import Lock

import msgspec
from pyiceberg.catalog.sql import SqlCatalog

from ingestion.log.port import DEAD_LETTERS, RAW, VALIDATED
from ingestion.log.reader import LogReader
from serving.access.keys import token_secret
from serving.read.offsets import Offsets
from tests.chaos.expected import FORMULAS, Cell, cells, settled
from tests.chaos.servers import SECRET, Client, Json
from tests.chaos.shop import Document

_OFFSETS = Offsets(token_secret(SECRET, ()))
Name = tuple[str, str]
"""Tenant and event id."""


@dataclass
class Sent:
    """An event that was sent at least once."""

    document: Document
    offset: int | None = None


@dataclass
class Ledger:
    """Thread-safe.

    Attributes:
        refused_acknowledged: Dead letters, by tenant; what is refused again is none of its own.
        unanswered: Events that were stored although their sender was not told so at first.
    """

    events: dict[Name, Sent] = field(default_factory=dict)
    refused_sent: int = 0
    refused_acknowledged: set[tuple[str, int]] = field(default_factory=set)
    acknowledged: int = 0
    duplicates: int = 0
    unanswered: int = 0
    problems: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def copy(self) -> Ledger:
        """Return one that goes on by itself."""
        with self.lock:
            events = {name: Sent(sent.document, sent.offset) for name, sent in self.events.items()}
            letters = set(self.refused_acknowledged)
            return replace(
                self,
                events=events,
                refused_acknowledged=letters,
                problems=list(self.problems),
                lock=Lock(),
            )

    def sending(self, tenant: str, documents: Iterable[Document | bytes]) -> None:
        """Note what is about to be sent."""
        with self.lock:
            for document in documents:
                if isinstance(document, bytes):
                    self.refused_sent += 1
                else:
                    self.events.setdefault((tenant, document["id"]), Sent(document))

    def answered(self, tenant: str, outcomes: Iterable[Json]) -> None:
        """Note what was answered; an event's offset must never change."""
        with self.lock:
            for outcome in outcomes:
                if outcome["status"] == "rejected":
                    self.refused_acknowledged.add((tenant, outcome["dead_letter"]))
                    continue
                at = _OFFSETS.meant(tenant, VALIDATED, outcome["offset"])
                sent = self.events[tenant, outcome["id"]]
                if sent.offset is not None and at != sent.offset:
                    self.problems.append(f"{outcome['id']} was at {sent.offset}, is at {at}")
                if sent.offset is not None and outcome["status"] == "accepted":
                    self.problems.append(f"{outcome['id']} was accepted twice")
                self.acknowledged += sent.offset is None
                self.unanswered += sent.offset is None and outcome["status"] == "duplicate"
                self.duplicates += outcome["status"] == "duplicate"
                sent.offset = at

    def kept(self, tenant: str, names: Iterable[Name]) -> list[Document]:
        """Return the documents, as they were sent, of those of *names* that are the tenant's."""
        return [self.events[name].document for name in names if name[0] == tenant]

    def acknowledged_at(self) -> dict[Name, int]:
        return {name: sent.offset for name, sent in self.events.items() if sent.offset is not None}


@dataclass(frozen=True)
class Stored:
    """What log or lake hold: offsets by event, and how many records of each kind."""

    offsets: Mapping[Name, int]
    doubled: list[Name]
    refused: int
    raw: int
    accepted: int


def in_log(data_dir: Path) -> Stored:
    """Read the log of a platform that is not running."""
    reader = LogReader(data_dir / "log.sqlite")
    names: list[tuple[Name, int]] = []
    start = 0
    while records := reader.read(VALIDATED, start=start, limit=5_000):
        for record in records:
            event_id = msgspec.msgpack.decode(record.value)
            names.append(((record.headers["tenant"], _id(event_id)), record.offset))
        start = records[-1].offset + 1
    refused, raw = _records(reader, DEAD_LETTERS), _records(reader, RAW)
    reader.close()
    return _stored(names, refused, raw)


def _id(value: object) -> str:
    found = value[0] if isinstance(value, list) else None
    assert isinstance(found, str)
    return found


def _records(reader: LogReader, topic: str) -> int:
    start = total = 0
    while records := reader.read(topic, start=start, limit=5_000):
        total, start = total + len(records), records[-1].offset + 1
    return total


def in_lake(data_dir: Path) -> Stored:
    """Read every event table through PyIceberg alone."""
    directory = data_dir / "lake"
    catalog = SqlCatalog(
        "agentflow",
        uri=f"sqlite:///{directory / 'catalog.sqlite'}",
        warehouse=directory.as_uri(),
    )
    names: list[tuple[Name, int]] = []
    for identifier in catalog.list_tables("events"):
        table = catalog.load_table(identifier)
        rows = table.scan(selected_fields=("tenant", "event_id", "log_offset")).to_arrow()
        names += [((row["tenant"], row["event_id"]), row["log_offset"]) for row in rows.to_pylist()]
    refused = catalog.load_table(("agentflow", "dead_letters")).scan().to_arrow().num_rows
    catalog.engine.dispose()
    return _stored(names, refused, 0)


def _stored(names: list[tuple[Name, int]], refused: int, raw: int) -> Stored:
    seen = Counter(name for name, _ in names)
    doubled = [name for name, times in seen.items() if times > 1]
    return Stored(dict(names), doubled, refused, raw, len(names))


def require_same(ledger: Ledger, log: Stored, lake: Stored) -> None:
    """Fail unless what was acknowledged is in both once, and what was never sent in neither."""
    acknowledged = ledger.acknowledged_at()
    assert not ledger.problems, ledger.problems[:5]
    for what, stored in (("log", log), ("lake", lake)):
        lost = [name for name, at in acknowledged.items() if stored.offsets.get(name) != at]
        assert not lost, f"{len(lost)} acknowledged events are not in the {what}: {lost[:5]}"
        assert not stored.doubled, f"in the {what} twice: {stored.doubled[:5]}"
        assert stored.offsets.keys() <= ledger.events.keys(), f"the {what} made something up"
        acknowledged_letters = len(ledger.refused_acknowledged)
        assert acknowledged_letters <= stored.refused <= ledger.refused_sent, what
    assert log.offsets == lake.offsets
    assert log.refused == lake.refused


def require_metrics(
    client: Client, documents: Iterable[Document], *, windows: tuple[str, ...] = ("all", "24h")
) -> int:
    """Fail unless every metric equals its recompute; return how many numbers were compared."""
    events = settled(documents)
    compared = 0
    for contract in client.get("/v1/metrics").json["metrics"]:
        name, version = contract["name"], contract["version"]
        formula = FORMULAS[name, version]
        by = tuple(contract["dimensions"])
        for window in windows:
            answer = client.get(
                f"/v1/metrics/{name}?version={version}&window={window}&by={','.join(by)}"
            )
            assert answer.status == 200, answer.body
            shown = answer.json
            start, end = (_instant(shown["window"][edge]) for edge in ("start", "end"))
            wanted = cells(formula, events, by=by, start=start, end=end)
            found = {
                tuple(group["dimensions"].get(key) for key in by): _number(group["value"])
                for group in shown["groups"]
            }
            empty = formula(Cell([]))
            for key in wanted.keys() | found.keys():
                given, asked = found.get(key, empty), wanted.get(key, empty)
                assert given == asked, f"{name}@{version} {window} {key}: {given} is not {asked}"
            compared += len(found)
    return compared


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def require_recomputed(client: Client, metric: str) -> None:
    """Let the lake catch up, and compare one metric with it."""
    answer = client.get(f"/v1/metrics/{metric}?window=all&explain=full")
    assert answer.status == 200, answer.body
    assert answer.json["recompute"]["equal"], answer.body


def require_verified(client: Client) -> int:
    """Fail unless the platform's own recompute agrees; return how much it compared."""
    numbers, more = 0, ""
    while True:
        answer = client.get(f"/v1/verify?limit=50{more}")
        assert answer.status == 200, answer.body
        found = answer.json
        wrong = [metric["metric"] for metric in found["metrics"] if not metric["equal"]]
        assert found["verified"], f"not equal to the recompute from the lake: {wrong}"
        numbers += found["numbers"]
        if found["next_cursor"] is None:
            return numbers
        more = f"&cursor={found['next_cursor']}"
