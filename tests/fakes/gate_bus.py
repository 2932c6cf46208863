"""A gate's bus in memory: many gates may share one, and each may be cut off at any commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agentflow.errors import UnavailableError
from ingestion.gate.port import GateProgress, Settlement, SupersededError
from ingestion.log.port import RAW, NewRecord, Record


@dataclass
class Server:
    """What all gates share.

    Attributes:
        raw: Records of each raw partition.
        topics: What was written, by topic.
    """

    raw: list[list[NewRecord]]
    topics: dict[str, list[NewRecord]] = field(default_factory=dict)
    identities: dict[bytes, bytes] = field(default_factory=dict)
    commits: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    leader: str | None = None
    lake_id: str | None = None


class MemoryGateBus:
    """A `GateBus` of one gate.

    Attributes:
        cut: What happens to the next commit: `before` or `after` it is stored, its answer is lost.
    """

    def __init__(self, server: Server, *, holder: str = "only") -> None:
        self.server = server
        self.cut: str | None = None
        self._holder = holder

    def lead(self) -> bool:
        self.server.leader = self.server.leader or self._holder
        return self.server.leader == self._holder

    def resign(self) -> None:
        if self.server.leader == self._holder:
            self.server.leader = None

    def claim_lake(self, lake_id: str) -> bool:
        self.server.lake_id = self.server.lake_id or lake_id
        return self.server.lake_id == lake_id

    def progress(self) -> GateProgress:
        places = {n: self.server.positions.get(n, 0) for n in range(len(self.server.raw))}
        return GateProgress(self.server.commits, places)

    def read(self, positions: Mapping[int, int], *, limit: int) -> Sequence[Record]:
        return [
            Record(RAW, n, at, new.key, new.value, new.headers, new.timestamp_us)
            for n, start in positions.items()
            for at, new in enumerate(self.server.raw[n][start : start + limit], start)
        ]

    def known(self, identities: Iterable[bytes]) -> Mapping[bytes, bytes]:
        held = self.server.identities
        return {each: held[each] for each in identities if each in held}

    def commit(self, progress: GateProgress, settlement: Settlement) -> GateProgress:
        cut, self.cut = self.cut, None
        if cut == "before":
            raise UnavailableError("cut off")
        if progress.commits != self.server.commits:
            raise SupersededError
        for topic, record in settlement.outcomes:
            self.server.topics.setdefault(topic, []).append(record)
        self.server.identities |= settlement.identities
        self.server.positions |= settlement.positions
        self.server.commits += 1
        if cut == "after":
            raise UnavailableError("cut off")
        return self.progress()

    def trim(self, *, before: Mapping[str, int], raw: Mapping[int, int]) -> None:
        del before, raw  # memory is not scarce here

    def close(self) -> None:
        """Nothing to let go."""
