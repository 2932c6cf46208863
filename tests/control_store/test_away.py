"""PostgreSQL is killed, stopped, or was never there: what needs it says so, the rest goes on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from agentflow.contracts import Registry
from agentflow.errors import UnavailableError
from agentflow.supervision import Supervisor
from control_store.idempotency.port import Done, New
from control_store.postgres.opening import open_postgres
from control_store.store import ControlStore
from stack.probe import wait_until
from stack.services.postgres import Postgres
from tests.control_store.conftest import new_database
from tests.control_store.outages import OUTAGES, Outage
from tests.control_store.platforms import COUNT, LIMITS, PATIENCE_SECONDS, placed, shop

pytestmark = pytest.mark.xdist_group("postgres")

ANSWER = Done(202, {}, b"{}")


@pytest.fixture(params=OUTAGES)
def outage(request: pytest.FixtureRequest) -> Outage:
    return OUTAGES[request.param]


def back(store: ControlStore) -> bool:
    """Tell whether the store answers again; it is asked as the platform asks it."""
    store.check()
    try:
        store.require()
    except UnavailableError:
        return False
    return True


def test_a_call_ends_soon_and_the_next_at_once(
    postgres: Postgres, database: str, outage: Outage
) -> None:
    """A caller never waits as long as the outage lasts, and only the first waits at all."""
    activity = Supervisor().activity("control-store", "control")
    store = open_postgres(database, activity, LIMITS)
    store.idempotency.begin("t", "before", b"body", now_us=1)

    with outage(postgres):
        with pytest.raises(UnavailableError, match="does not answer") as first:
            store.idempotency.finish("t", "before", ANSWER, now_us=2)
        began = time.monotonic()
        refused = 0
        for number in range(50):
            with pytest.raises(UnavailableError, match="does not answer"):
                store.idempotency.begin("t", f"meanwhile-{number}", b"body", now_us=3)
            refused += time.monotonic() - began < LIMITS.seconds
        status = activity.status
        assert refused > 1

    assert status.state == "failing"
    assert status.since_us is not None
    assert "AGENTFLOW_CONTROL_URL" in (first.value.hint or "")
    assert wait_until(lambda: back(store), within=PATIENCE_SECONDS)
    assert store.idempotency.begin("t", "before", b"body", now_us=4) == New(resumed=True)
    assert store.idempotency.begin("t", "meanwhile-1", b"other", now_us=5) == New()
    assert activity.status.state == "recovered"
    store.close()


def test_no_secret_of_the_url_is_shown(postgres: Postgres) -> None:
    """Errors go to clients, health and logs."""
    url = f"postgresql://user:tops3cret@127.0.0.1:{postgres.port() + 1}/control"
    store = open_postgres(url, limits=LIMITS)

    with pytest.raises(UnavailableError) as caught:
        store.require()

    shown = f"{caught.value} {caught.value.hint} {caught.value.__cause__} {store.database!r}"
    assert f"127.0.0.1:{postgres.port() + 1}/control" in shown
    assert "tops3cret" not in shown
    store.close()


def test_only_what_needs_the_store_waits_for_it(
    postgres: Postgres, database: str, outage: Outage, tmp_path: Path, orders: Registry
) -> None:
    """Reads and events go on while it is away; nothing of a refused request is stored."""
    with shop(tmp_path / "data", orders, database) as served:
        (first,) = served.send(placed("a", "key-a"))
        (refused,) = served.send(("POST", "/v1/events", {"json": {"type": "order.created"}}))
        letter = refused.json()["dead_letter"]

        with outage(postgres):
            answers = served.send(
                *(placed(f"refused-{number}", f"key-{number}") for number in range(20)),
                *(placed(f"plain-{number}") for number in range(5)),
                *(("GET", COUNT, {}) for _ in range(5)),
                ("GET", "/v1/changelog", {}),
                ("GET", "/v1/deadletter", {}),
                ("POST", f"/v1/deadletter/{letter}/discard", {"json": {"note": "no"}}),
                ("POST", "/v1/contracts/publish", {}),
            )
            health, count = served.control(), served.get(COUNT)["value"]
            ready = served.send(("GET", "/v1/health/ready", {}))[0].status_code
        served.until(lambda: served.control()["status"] != "failing")
        again = served.send(placed("refused-1", "key-1"), placed("a", "key-a"))
        after = served.get(COUNT)["value"]

    assert [answer.status_code for answer in answers] == [503] * 20 + [200] * 10 + [503] * 4
    problem = answers[0].json()
    assert problem["code"] == "unavailable"
    assert "does not answer" in problem["detail"]
    assert "go on" in problem["hint"]
    assert (health["status"], "fails since" in health["detail"]) == ("failing", True)
    assert ready == 200
    assert (count, after) == (6, 7)
    assert [answer.status_code for answer in again] == [200, 200]
    assert again[1].content == first.content


def test_a_platform_starts_without_its_store_and_takes_it_when_it_comes(
    postgres: Postgres, tmp_path: Path, orders: Registry
) -> None:
    """Start-up always succeeds; the history of contracts is written once it can be."""
    from processing.publication.publishing import record_changes

    url = new_database(postgres)
    with OUTAGES["killed"](postgres):
        opening = shop(tmp_path / "data", orders, url)
        served = opening.__enter__()
        changes = record_changes(served.platform, orders, known=None)
        (sent,) = served.send(placed("a"))
        health, waiting = served.control(), served.platform.recorder.waiting

    served.until(lambda: served.platform.recorder.waiting == 0)
    changelog = served.get("/v1/changelog")["changes"]
    opening.__exit__(None, None, None)

    assert sent.status_code == 200
    assert health["status"] == "failing"
    assert waiting == len(changes) == len(changelog) > 0


def test_answers_are_the_same_from_two_platforms(
    database: str, tmp_path: Path, orders: Registry
) -> None:
    """A client whose retry reaches another replica gets the answer that the first one gave."""
    with (
        shop(tmp_path / "one", orders, database) as one,
        shop(tmp_path / "two", orders, database) as two,
    ):
        (first,) = one.send(placed("a", "key"))
        (again,) = two.send(placed("a", "key"))

        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"
        assert json.loads(two.send(("GET", COUNT, {}))[0].content)["value"] == 0
