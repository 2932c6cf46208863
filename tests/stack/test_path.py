"""The whole path on one machine: pgbench through Debezium, and a shop under kill -9, all proved."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from agentflow.lint import load
from agentflow_cli import main
from agentflow_sdk import AgentFlow, AgentFlowError, Answer, ProblemError, Retry
from ingestion.generate import Profile, read_scenario
from stack import install
from stack.path import StreamPath
from stack.probe import wait_until
from stack.services import Flink, LakeFlink, Postgres
from stack.services.api import Api
from tests.stack.lake_world import located, opened
from tests.stack.path_world import (
    ACCEPTED,
    LAKE_LAG,
    STREAM_LAG,
    figure,
    good_lines,
    stored,
    validated_end,
)

ROOT = Path(__file__).parents[2]
SEED = 20_261_127
BATCH = 100
CAMPAIGN_SECONDS = 7_200
KILLS = int(os.environ.get("AGENTFLOW_PATH_KILLS", "2"))
EVENTS = BATCH * (2 * KILLS + 2)
PATIENCE = 480.0
PGBENCH = install.Program("pgbench", "postgresql-15", "/usr/lib/postgresql/15/bin")
TRANSACTIONS = 250
BACKLOG = 2_000
OVERLOAD_SECONDS = 8.0

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(900 + 120 * KILLS)]


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's contracts without its own databases, and those of pgbench."""
    directory = tmp_path_factory.mktemp("path") / "contracts"
    shutil.copytree(ROOT / "contracts", directory)
    shutil.rmtree(directory / "sources")
    shutil.copytree(ROOT / "examples" / "pgbench" / "contracts", directory, dirs_exist_ok=True)
    (directory / "contracts.lock").unlink()
    _lock(directory)
    return directory


def _lock(directory: Path) -> None:
    locked = CliRunner().invoke(main, ["contracts", "lock", "--contracts-dir", str(directory)])
    assert locked.exit_code == 0, locked.output


@pytest.fixture(scope="module")
def path(contracts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamPath]:
    planned = StreamPath(
        tmp_path_factory.mktemp("stream"),
        contracts,
        prefix="path",
        databases={"pgbench": Postgres()},
        settings={"AGENTFLOW_BACKLOG_EVENTS": str(BACKLOG)},
        lake_seconds=2,
    )
    with planned.running() as running:
        yield running


@pytest.fixture(scope="module")
def client(path: StreamPath) -> Iterator[AgentFlow]:
    with AgentFlow(path.api.url, timeout_seconds=60) as found:
        yield found


def by_branch(client: AgentFlow, metric: str) -> dict[int, Decimal]:
    answer = client.metric(metric, window="all", by="branch_id")
    return {
        int(str(group.dimensions["branch_id"])): Decimal(group.value or 0)
        for group in answer.groups
    }


def on_the_source(postgres: Postgres, sql: str) -> dict[int, Decimal]:
    rows = postgres.execute(sql, database="bench").splitlines()
    return {int(row.split("|")[0]): Decimal(row.split("|")[1]) for row in rows}


def equal_to_the_source(client: AgentFlow, postgres: Postgres) -> None:
    """Wait until the counts are there; then every sum must be right, at once."""
    history = "SELECT bid, {} FROM pgbench_history GROUP BY bid"
    counts = on_the_source(postgres, history.format("count(*)"))
    arrived = wait_until(lambda: by_branch(client, "movements") == counts, within=PATIENCE)
    assert arrived, f"{by_branch(client, 'movements')} of {counts}"
    assert by_branch(client, "moved") == on_the_source(postgres, history.format("sum(delta)"))
    balances = on_the_source(postgres, "SELECT bid, bbalance FROM pgbench_branches")
    assert wait_until(lambda: by_branch(client, "branch_balance") == balances, within=PATIENCE)


@pytest.fixture(scope="module")
def postgres(path: StreamPath) -> Postgres:
    """The source, with the tables of pgbench, captured."""
    found = path.databases["pgbench"]
    assert isinstance(found, Postgres)
    found.execute("CREATE DATABASE bench")
    command = [PGBENCH.path, "-i", "-s", "2", "-q", found.dsn("bench")]
    subprocess.run(command, check=True, timeout=60)
    found.execute("ALTER TABLE pgbench_branches REPLICA IDENTITY FULL", database="bench")
    path.capture()
    return found


def pgbench(postgres: Postgres, *options: str) -> subprocess.Popen[bytes]:
    """Start two clients that move money between branches."""
    command = [PGBENCH.path, "-n", "-c", "2", *options, postgres.dsn("bench")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_pgbench_equals_select_on_the_source(
    path: StreamPath, client: AgentFlow, postgres: Postgres
) -> None:
    """A workload nobody here wrote: between runs, and after kills of Connect and of Flink."""
    run = ("-t", str(TRANSACTIONS), "-R", "200")

    with pgbench(postgres, *run) as first:
        seen = wait_until(lambda: sum(by_branch(client, "movements").values()) > 0, within=PATIENCE)
        assert seen, "nothing arrived while it ran"
        assert first.wait(timeout=PATIENCE) == 0
    equal_to_the_source(client, postgres)

    with pgbench(postgres, *run) as second:
        path.connect.kill()
        for cluster in (path.flink, path.lake_flink):
            cluster.taskmanager.kill()
            cluster.taskmanager.start()
        path.connect.restart()
        assert second.wait(timeout=PATIENCE) == 0
    path.flink.wait_ready()
    path.lake_flink.wait_ready()
    equal_to_the_source(client, postgres)


def test_kills_lose_and_double_nothing(
    path: StreamPath, client: AgentFlow, postgres: Postgres, contracts: Path, tmp_path: Path
) -> None:
    """Stack = embedded = lake for every metric, whoever is killed while shop and bank are busy."""
    chance = random.Random(SEED)
    registry = load(contracts)
    profile = Profile(rate=200, duplicate=0.02, bad=0.01, late=0.02, out_of_order=0.05)
    world = read_scenario(contracts, registry)
    start_us = int(time.time() * 1_000_000) - 60_000_000
    generated = world.generator(seed=SEED, start_us=start_us, profile=profile).events()
    lines = [event.value for event in islice(generated, EVENTS)]
    batches = [lines[start : start + BATCH] for start in range(0, len(lines), BATCH)]
    kills = dict(
        zip(sorted(chance.sample(range(len(batches)), KILLS)), _victims(chance), strict=False)
    )

    token: str | None = None
    with pgbench(postgres, "-T", str(CAMPAIGN_SECONDS), "-R", "20") as bank:
        try:
            for number, batch in enumerate(batches):
                if (victim := kills.get(number)) is not None:
                    _kill(path, victim)
                token = _offered(client, batch)
                if victim is not None:
                    _revive(path, victim)
                token = token or _sent(client, batch)
            assert bank.poll() is None, "the bank was not busy until the end"
        finally:
            bank.terminate()

    embedded = Api(contracts, dict)
    with (
        embedded.running(tmp_path / "embedded"),
        AgentFlow(embedded.url, timeout_seconds=60) as twin,
    ):
        for batch in batches:
            twin.send_lines(batch)
        assert token is not None
        _covered(client, token)
        assert _numbers(client) == _numbers(twin), f"seed {SEED}, kills {kills}"
        assert sum(1 for _ in client.dead_letters()) == sum(1 for _ in twin.dead_letters())
    equal_to_the_source(client, postgres)
    _lake_caught_up(path)
    verification = client.verify()
    assert verification.verified, [check for check in verification.metrics if not check.equal]


def test_too_much_is_refused_with_a_time_and_what_was_taken_counts_once(
    path: StreamPath, contracts: Path
) -> None:
    """The backlog stays within its limit, and is gone soon after."""
    start_us = int(time.time() * 1_000_000) - 3_600_000_000
    batches = good_lines(contracts, seed=SEED + 1, start_us=start_us, batch=BATCH)
    visible, validated = figure(path, ACCEPTED), validated_end(path)
    taken, most, waits, refusals = 0, 0, list[float](), set[tuple[int, str]]()

    job = path.flink.taskmanager.pid
    os.kill(job, signal.SIGSTOP)  # on a machine that is busy a sender may not outrun the job
    try:
        with AgentFlow(path.api.url, timeout_seconds=60, retry=Retry(attempts=1)) as client:
            deadline = time.monotonic() + OVERLOAD_SECONDS
            while time.monotonic() < deadline:
                try:
                    taken += client.send_lines(next(batches)).accepted
                except ProblemError as refused:
                    refusals.add((refused.status, refused.code))
                    waits.append(refused.retry_after_seconds or 0)
                most = max(most, figure(path, STREAM_LAG))
    finally:
        os.kill(job, signal.SIGCONT)

    assert refusals == {(429, "backlog_full")}, f"{taken} events taken, {most} at once"
    assert min(waits) >= 1
    assert most <= BACKLOG + BATCH
    assert wait_until(lambda: figure(path, STREAM_LAG) == 0, within=60)
    assert figure(path, ACCEPTED) - visible == validated_end(path) - validated == taken


def test_the_lake_waits_for_its_store_and_numbers_do_not(
    path: StreamPath, client: AgentFlow, contracts: Path, tmp_path: Path
) -> None:
    """While S3 is down events are judged and counted; later each is stored once."""
    start_us = int(time.time() * 1_000_000) - 1_800_000_000
    batches = good_lines(contracts, seed=SEED + 2, start_us=start_us, batch=BATCH)
    _lake_caught_up(path)
    before, visible, sent = stored(path, tmp_path / "before"), figure(path, ACCEPTED), 0

    path.s3.kill()
    try:
        for batch in islice(batches, 5):
            receipt = client.send_lines(batch)
            client.wait(receipt.token, seconds=30)
            sent += receipt.accepted
            assert figure(path, ACCEPTED) - visible == sent
        assert wait_until(lambda: "lake" in _ailing(path, client), within=60)
    finally:
        path.s3.restart()

    _lake_caught_up(path)
    after = stored(path, tmp_path / "after")
    assert len(after) == len(set(after)) == len(before) + sent
    assert "lake" not in _ailing(path, client)


def test_a_field_that_is_added_is_stored_from_then_on(
    path: StreamPath, client: AgentFlow, contracts: Path, tmp_path: Path
) -> None:
    """Older rows have none; jobs go on from their checkpoints, by the contracts as they are now."""
    orders = [_order(number) for number in range(4)]
    client.wait(client.send_lines(orders[:2]).token, seconds=30)
    contract = contracts / "events" / "order.created.v1.yaml"
    field = "  gift: {type: boolean, description: Whether it is a present.}\n"
    added = contract.read_text().replace("version: 1\n", "version: 1\nminor: 1\n")
    contract.write_text(added.replace("rules:\n", f"{field}rules:\n"))
    (contracts / "metrics" / "gifts.v1.yaml").write_text(GIFTS)
    _lock(contracts)

    since = {job: path.stop_job(job) for job in ("gate", "lake")}
    path.api.restart()
    for job, checkpoint in since.items():
        path.start_job(job, since=checkpoint)
    client.wait(client.send_lines([_order(4), *map(_gift, (5, 6, 7))]).token, seconds=60)

    _lake_caught_up(path)
    lake = opened(located(path.catalog), load(contracts), tmp_path / "cache")
    fields = ("order_id", "gift")
    table = lake.table(("events", "order_created_v1")).scan(selected_fields=fields).to_arrow()
    found = {row["order_id"]: row["gift"] for row in table.to_pylist()}
    lake.close()
    assert {found[f"gift-{number}"] for number in (0, 1, 4)} == {None}
    assert {found[f"gift-{number}"] for number in (5, 6, 7)} == {True}
    assert sum(gift is not None for gift in found.values()) == 3
    assert client.metric("gifts", window="all").value == 3
    verification = client.verify()
    assert verification.verified, [check for check in verification.metrics if not check.equal]


GIFTS = """\
kind: metric
name: gifts
version: 1
status: approved
owner: shop
description: Orders that are presents.
unit: orders
value: count(order.created) filter (where gift)
moved_by: [order.cancelled@1, order.created@1]
dimensions: [country]
windows: [1h, all]
examples:
  - given:
      - order.created: {order_id: A, amount: "10.00", currency: EUR, gift: true}
      - order.created: {order_id: B, amount: "10.00", currency: EUR}
    then: {"": 1}
"""


def _order(number: int, **more: object) -> bytes:
    data = {"order_id": f"gift-{number}", "amount": "10.00", "currency": "EUR", **more}
    named = {"specversion": "1.0", "id": f"gift-{number}", "source": "/test"}
    return json.dumps({**named, "type": "order.created", "data": data}).encode()


def _gift(number: int) -> bytes:
    return _order(number, gift=True)


def _lake_caught_up(path: StreamPath) -> None:
    assert wait_until(lambda: figure(path, LAKE_LAG) == 0, within=PATIENCE), figure(path, LAKE_LAG)


def _ailing(path: StreamPath, client: AgentFlow) -> set[str]:
    """Return what health and `agentflow doctor` both name as not well."""
    parts = dict(client.health()["components"])
    ill = {name for name, part in parts.items() if part["status"] != "ok"}
    asked = ["doctor", "--json", "--url", path.api.url, "--data-dir", str(path.api.data_directory)]
    findings = json.loads(CliRunner().invoke(main, asked).stdout)
    return ill & {found["name"] for found in findings if found["status"] == "problem"}


def _victims(chance: random.Random) -> list[str]:
    """Name who dies, in turn; first those that no other test kills while events are on their way.

    Platforms die in `test_serving`, the lake's JobManager in `test_lake_job`, Connect and workers
    above.
    """
    clusters = (Flink.name, LakeFlink.name)
    first = ["kafka", f"{Flink.name} jobmanager"]
    again = ["api", "connect", f"{LakeFlink.name} jobmanager"]
    again += [f"{each} taskmanager" for each in clusters]
    chance.shuffle(first)
    chance.shuffle(again)
    everyone = [*first, *again]
    return [everyone[number % len(everyone)] for number in range(KILLS)]


def _kill(path: StreamPath, victim: str) -> None:
    if part := _part(victim):
        _cluster(path, victim).processes[part].kill()
    else:
        service = {"api": path.api, "kafka": path.kafka, "connect": path.connect}[victim]
        service.kill()
        service.restart()


def _revive(path: StreamPath, victim: str) -> None:
    cluster = _cluster(path, victim)
    if _part(victim) == "taskmanager":
        cluster.taskmanager.start()
        cluster.wait_ready()
    elif _part(victim) == "jobmanager":
        path.restart_cluster(cluster)


def _part(victim: str) -> str:
    return victim.partition(" ")[2]


def _cluster(path: StreamPath, victim: str) -> Flink:
    return path.lake_flink if victim.startswith(LakeFlink.name) else path.flink


def _offered(client: AgentFlow, batch: list[bytes]) -> str | None:
    """Send once; while a victim is away the backlog may be full, which only its return mends."""
    try:
        return str(client.send_lines(batch).token)
    except AgentFlowError:
        return None


def _sent(client: AgentFlow, batch: list[bytes]) -> str:
    """Send as a client does that must not lose anything: again, until it is acknowledged."""
    deadline = time.monotonic() + PATIENCE
    while (token := _offered(client, batch)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return token


def _covered(client: AgentFlow, token: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            client.wait(token, seconds=30)
        except AgentFlowError:
            assert time.monotonic() < deadline, "what was acknowledged is not visible"
        else:
            return


def _numbers(client: AgentFlow) -> Mapping[str, object]:
    """Every metric, by all its dimensions, since ever."""
    found: dict[str, object] = {}
    for metric in client.metrics():
        if (
            "all" in metric.windows
            and metric.status != "deprecated"
            and "branch_id" not in metric.dimensions
        ):
            answer = client.metric(metric.name, window="all", by=",".join(metric.dimensions))
            found[metric.name] = _cells(answer)
    return found


def _cells(answer: Answer) -> list[tuple[str, object, int]]:
    return sorted(
        (str(sorted(group.dimensions.items(), key=str)), group.value, group.events)
        for group in answer.groups
    )
