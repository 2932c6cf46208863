"""Control state moves between databases: all of it, of one instant, or nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event, Thread

import pytest

from agentflow.clock import SystemClock
from agentflow.contracts import Registry
from agentflow.errors import StorageError, UnavailableError
from control_store.changelog.port import ContractChange
from control_store.elsewhere import ControlElsewhere
from control_store.idempotency.port import Done, New
from control_store.postgres.opening import open_postgres
from control_store.sqlite.opening import open_control
from control_store.store import ControlStore
from control_store.transfer import copy_all
from control_store.triage.port import Triage, TriageStatus
from processing.backup import restore_backup, take_backup
from stack.services.postgres import Postgres
from tests.control_store.conftest import ON_POSTGRES, Opened, new_database
from tests.control_store.outages import killed
from tests.control_store.platforms import LIMITS, placed, shop

ANSWER = Done(202, {"content-type": "application/json"}, b'{"token":"\xff"}')


@pytest.fixture(params=["sqlite", ON_POSTGRES])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> ControlStore:
    """Another store, empty."""
    if request.param == "sqlite":
        return open_control(tmp_path / "target.sqlite").store
    return open_postgres(new_database(request.getfixturevalue("postgres")))


def decide(store: ControlStore, number: int) -> None:
    """Decide, then publish: two transactions."""
    store.triage.decide(Triage(number, TriageStatus.FIXED, "a\0\\", "ada", 1, None, b"\0"))
    store.changelog.publish(ContractChange(1, "metric", f"m{number}", 1, "sha256:a", "added"))


def test_what_is_copied_while_calls_arrive_is_of_one_instant(
    opened: Opened, target: ControlStore
) -> None:
    """A decision without what came before it would be a state that never was."""
    source, writer, done = opened(), opened(), Event()
    for number in range(40):
        source.idempotency.begin("t", f"k{number}", b"body", now_us=1)
        source.idempotency.finish("t", f"k{number}", ANSWER, now_us=1)
    decide(source, 0)

    def write() -> None:
        number = 1
        while not done.is_set():
            decide(writer, number)
            number += 1

    thread = Thread(target=write)
    thread.start()
    copy_all(source.database, target.database)
    done.set()
    thread.join()

    published = target.changelog.changes(limit=10_000)
    decided = target.triage.counts()[TriageStatus.FIXED]
    assert decided - len(published) in {0, 1}
    assert [number for number, _ in published] == list(range(1, len(published) + 1))
    assert target.triage.triage([0]) == source.triage.triage([0])
    assert target.idempotency.begin("t", "k7", b"body", now_us=2) == ANSWER
    for store in (source, writer, target):
        store.close()


def test_nothing_is_copied_to_a_store_that_holds_something(
    opened: Opened, target: ControlStore
) -> None:
    """It may be the only copy of that, and both together would be of no platform."""
    source = opened()
    decide(source, 0)
    target.idempotency.begin("t", "k", b"body", now_us=1)

    with pytest.raises(StorageError, match="holds something already: table idempotency"):
        copy_all(source.database, target.database)

    assert target.changelog.changes() == []
    source.close()
    target.close()


@pytest.mark.xdist_group("postgres")
def test_a_backup_holds_the_store_in_postgresql_and_restores_it_to_another(
    postgres: Postgres, database: str, tmp_path: Path, orders: Registry
) -> None:
    """Taken while requests arrive: an answer that was given before is given after."""
    saved = ControlElsewhere(lambda: open_postgres(database, limits=LIMITS))
    elsewhere = new_database(postgres)
    fresh = ControlElsewhere(lambda: open_postgres(elsewhere, limits=LIMITS))
    with shop(tmp_path / "data", orders, database) as served:
        (first,) = served.send(placed("a", "key-a"))

        async def both() -> None:
            sending = asyncio.to_thread(
                take_backup,
                tmp_path / "data",
                tmp_path / "kept.tar",
                clock=SystemClock(),
                control=saved,
            )
            more = served.client
            taking = asyncio.create_task(sending)
            for number in range(20):
                method, url, options = placed(f"more-{number}", f"key-{number}")
                await more.request(method, url, **options)
            await taking

        served.run(both())
        with killed(postgres), pytest.raises(UnavailableError, match="does not answer"):
            take_backup(tmp_path / "data", tmp_path / "not.tar", clock=SystemClock(), control=saved)
        with killed(postgres), pytest.raises(UnavailableError, match="does not answer"):
            restore_backup(tmp_path / "kept.tar", tmp_path / "new", control=fresh)

    restore_backup(tmp_path / "kept.tar", tmp_path / "new", control=fresh)
    with pytest.raises(StorageError, match="holds something already"):
        restore_backup(tmp_path / "kept.tar", tmp_path / "newer", control=fresh)
    restore_backup(tmp_path / "kept.tar", tmp_path / "in a file")
    with shop(tmp_path / "new", orders, elsewhere) as served:
        (again,) = served.send(placed("a", "key-a"))
    in_file = open_control(tmp_path / "in a file" / "control.sqlite").store
    with_key = in_file.idempotency.begin("default", "key-a", b"other", now_us=1)
    in_file.close()

    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert with_key != New()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("data", "in a file", "kept.tar", "new"),
    ]
    assert not (tmp_path / "new" / "control.sqlite").exists()
