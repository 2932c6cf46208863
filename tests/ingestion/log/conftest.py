"""Logs to test, every implementation of the port, and short ways to write batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import pytest

from agentflow.events import RawEvent
from ingestion.log.opening import Opened, open_log
from ingestion.log.port import Accept, Batch, CommitLog, NewRecord, Reject
from tests.fakes.memory_log import MemoryLog


class Make:
    """Builds what a log is given; names stand for digests."""

    def digest(self, name: object) -> bytes:
        return blake2b(str(name).encode(), digest_size=16).digest()

    def accept(self, name: object, *links: object, value: bytes | None = None) -> Accept:
        return Accept(
            identity=self.digest(name),
            type="order.created",
            version=1,
            tenant="t",
            key=b"ORD-1",
            value=f"value of {name}".encode() if value is None else value,
            occurred_us=1_000,
            links=tuple(self.digest(link) for link in links),
        )

    def reject(self, reason: str = "schema", *, same: object = None) -> Reject:
        detail = b'{"pointer":"/data"}'
        identity = None if same is None else self.digest(("letter", same))
        return Reject(tenant="t", reason=reason, detail=detail, type="x", identity=identity)

    def batch(self, *verdicts: Accept | Reject) -> Batch:
        raws = [RawEvent(b"raw %d" % n, "t", n) for n in range(len(verdicts))]
        return Batch(raws, verdicts)

    def accepts(self, *names: object) -> Batch:
        return self.batch(*(self.accept(name) for name in names))

    def new(self, value: bytes, key: bytes | None = None) -> NewRecord:
        return NewRecord(key, value, {"h": "1"}, 7)


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture(params=["sqlite", "sqlite with everything merged", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CommitLog]:
    """Every implementation of `CommitLog`; SQLite's also with its digest index always on disk."""
    if request.param == "memory":
        yield MemoryLog()
        return
    staged = 0 if "merged" in request.param else 1_000
    sqlite = open_log(tmp_path / "log.sqlite", staged_identities=staged, staged_links=staged).log
    yield sqlite
    sqlite.close()


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open the same file again and again; each call closes the log it opened before."""
    opened: list[Opened] = []

    def opening(**options: int) -> Opened:
        for earlier in opened:
            earlier.log.close()
        opened.append(open_log(tmp_path / "log.sqlite", **options))
        return opened[-1]

    yield opening
    for earlier in opened:
        earlier.log.close()
