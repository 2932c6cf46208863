"""A snapshot brings everything back, or nothing and says why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from processing.live import LiveEngine, MetricId, snapshot
from tests.processing.live.conftest import REVENUE, Shop


def dumped(shop: Shop) -> bytes:
    definitions = shop.definitions
    return snapshot.dump(
        shop.engine, log_id="log", fingerprints=definitions.meanings, gate=definitions.gate
    )


def restored(
    shop: Shop,
    content: bytes,
    *,
    log_id: str = "log",
    end: int = 100,
    meanings: Mapping[MetricId, str] | None = None,
) -> tuple[LiveEngine, str | None]:
    engine = shop.new_engine()
    reason = snapshot.restore(
        engine,
        content,
        log_id=log_id,
        fingerprints=meanings or shop.definitions.meanings,
        gate=shop.definitions.gate,
        end=end,
    )
    return engine, reason


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """A shop with orders, corrections, sessions and two tenants."""
    shop.send(
        shop.order("A", "50.00", user_id="U", country="DE"),
        shop.order("B", "7.00", user_id="V"),
        shop.event("order.updated", order_id="A", amount="60.00", currency="EUR"),
        shop.event("order.cancelled", order_id="B"),
        shop.event("page.viewed", session_id="S", page="/", load_ms=17),
        shop.event("page.viewed", tenant="u", session_id="S", page="/", load_ms=18),
    )
    return shop


def test_every_number_cause_and_position_comes_back(busy: Shop) -> None:
    """A restart is not to be seen from outside."""
    engine, reason = restored(busy, dumped(busy))

    assert reason is None
    assert engine.next_offset == busy.engine.next_offset
    assert engine.watermark_us == busy.engine.watermark_us
    assert busy.numbers(engine) == busy.numbers()
    for tenant in busy.engine.tenants():
        for metric in busy.engine.plans:
            before, after = busy.engine.state(metric, tenant), engine.state(metric, tenant)
            assert (after.moves, list(after.causes)) == (before.moves, list(before.causes))


def test_the_state_goes_on_from_a_snapshot(busy: Shop) -> None:
    """Corrections of what was counted before the restart find it in the log."""
    busy.engine, _ = restored(busy, dumped(busy))

    busy.send(busy.event("order.cancelled", order_id="A"), busy.order("C", "3.00"))

    assert busy.revenue() == "3.00"


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_is_noticed(busy: Shop, seed: int) -> None:
    """A flipped bit or a torn tail is never read as a number."""
    random, content = Random(seed), bytearray(dumped(busy))
    if seed % 4 == 0:
        del content[random.randrange(len(content)) :]
    else:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)

    engine, reason = restored(busy, bytes(content))

    assert reason == "the snapshot is damaged or of another version"
    assert (engine.next_offset, engine.tenants()) == (0, ())


def test_a_snapshot_of_another_log_is_ignored(busy: Shop) -> None:
    """Its offsets mean nothing here."""
    engine, reason = restored(busy, dumped(busy), log_id="another")

    assert (reason, engine.tenants()) == ("the snapshot belongs to another log", ())


def test_a_snapshot_ahead_of_the_log_is_ignored(busy: Shop) -> None:
    """A log that lost its tail has other events at those offsets soon."""
    engine, reason = restored(busy, dumped(busy), end=3)

    assert (reason, engine.tenants()) == ("the log ends before the snapshot", ())


@pytest.mark.parametrize("change", ["another meaning", "a new metric", "one metric less"])
def test_a_snapshot_of_other_contracts_is_ignored(busy: Shop, change: str) -> None:
    """Numbers of another meaning are wrong numbers."""
    meanings = dict(busy.definitions.meanings)
    if change == "a new metric":
        meanings["brand_new", 1] = "x"
    elif change == "one metric less":
        del meanings[REVENUE]
    else:
        meanings[REVENUE] = "x"

    engine, reason = restored(busy, dumped(busy), meanings=meanings)

    assert (reason, engine.tenants()) == ("the contracts changed since the snapshot", ())


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    """Readers see the old one or the new one; nothing is left beside it."""
    path = tmp_path / "live.snapshot"

    snapshot.write(path, b"old")
    snapshot.write(path, b"new")

    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [
        ("live.snapshot", b"new")
    ]
