"""The law of change data: metrics over a table's changes equal SELECT on the table, always.

Random histories of a table, delivered with duplicates and in any order, through the gate, the live
engine and the recompute in SQL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.metrics import measure
from ingestion.cdc import Refusal, Sources, documents, normalise
from processing.definitions import Definitions
from processing.lake.columns import layout
from processing.live import LiveEngine
from processing.verification.checks import take_cut
from quality import Accepted
from tests.ingestion.cdc.packs import load_pack
from tests.ingestion.cdc.records import Logical, Row, change_of, render, row
from tests.processing.laws.campaign import ListedGroups
from tests.processing.laws.recompute import Recompute

NOW_US = 1_795_242_396_000_000
HISTORIES = 60
Table = dict[int, Row]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_pack(tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="module")
def recompute(registry: Registry) -> Iterator[Recompute]:
    layouts = {ref: layout(contract) for ref, contract in registry.events.items()}
    held = Recompute(registry.events, layouts)
    yield held
    held.close()


def history(random: Random) -> tuple[list[Logical], Table]:
    """Return what somebody did to a table, in one millisecond, and how it looks in the end."""
    table: Table = {}
    changes: list[Logical] = []
    order = 10
    for key in range(random.choice([0, 2])):
        table[key] = _row(random, key)
        changes.append(Logical("r", key, None, table[key], order=99_999, snapshot=True))
    for _ in range(random.randrange(40)):
        order += random.randint(1, 3)
        key = random.randrange(4)
        if key not in table:
            table[key] = _row(random, key)
            changes.append(Logical("c", key, None, table[key], order=order))
            continue
        before, draw = table.pop(key), random.random()
        known = before if random.random() < 0.5 else None
        if draw < 0.5:
            table[key] = _row(random, key)
            changes.append(Logical("u", key, known, table[key], order=order))
        elif draw < 0.8:
            changes.append(Logical("d", key, before, None, order=order))
        else:
            new = key + 4
            while new in table:
                new += 1
            table[new] = {**before, "id": new}
            changes.append(Logical("d", key, before, None, order=order))
            changes.append(Logical("c", new, None, table[new], order=order))
    return changes, table


def _row(random: Random, key: int) -> Row:
    paid = random.choice([True, False])
    note = random.choice([None, "a"])
    return row(key, f"{random.randrange(-500, 500) / 100:.2f}", paid=paid, note=note)


def selected(table: Table) -> dict[object, tuple[Decimal, int]]:
    """SELECT paid, sum(amount), count(*) FROM t GROUP BY paid."""
    found: dict[object, tuple[Decimal, int]] = {}
    for each in table.values():
        total, count = found.get(each["paid"], (Decimal(), 0))
        amount = each["amount"]
        assert isinstance(amount, Decimal)
        found[each["paid"]] = (total + amount, count + 1)
    return found


@pytest.mark.parametrize("connector", ["postgresql", "mariadb"])
@pytest.mark.parametrize("first", range(0, HISTORIES, 20))
def test_metrics_equal_select(
    connector: str, first: int, registry: Registry, recompute: Recompute
) -> None:
    """Also where a row is deleted and written again, or changes twice in one instant."""
    definitions, sources = Definitions.compile(registry), Sources(registry)
    for seed in range(first, first + 20):
        random = Random(f"{seed} {connector}")
        changes, table = history(random)
        groups = ListedGroups(definitions)
        corrections = definitions.corrections(groups)
        corrections._groups_kept = random.choice([2, 1000])  # noqa: SLF001 - evicted groups too
        engine = LiveEngine(
            list(definitions.plans.values()), corrections=corrections, now_us=NOW_US
        )

        _deliver(random, changes, connector, definitions, sources, groups, engine)

        assert _live(engine) == selected(table), f"seed {seed} of {connector}"
        cuts = [
            take_cut(
                engine.read(plan.id, "default", now_us=NOW_US), tenant="default", window="all",
                next_offset=engine.next_offset, by=plan.dimensions, where={},
            )
            for plan in engine.plans.values()
        ]  # fmt: skip
        assert [c for c in recompute.checks(cuts, groups.log) if not c.equal] == [], seed


def _deliver(  # noqa: PLR0913, PLR0917 - a path through everything
    random: Random,
    changes: list[Logical],
    connector: str,
    definitions: Definitions,
    sources: Sources,
    groups: ListedGroups,
    engine: LiveEngine,
) -> None:
    server = "s" if connector == "postgresql" else "m"
    delivered = [*changes, *random.choices(changes, k=len(changes) // 4)] if changes else []
    if random.random() < 0.7:
        random.shuffle(delivered)
    seen: set[bytes] = set()
    for change in delivered:
        record = render(change, connector=connector, server=server, schemas=random.random() < 0.5)
        assert not isinstance(normalise(record), Refusal)
        found = documents(change_of(record), sources)
        assert not isinstance(found, Refusal), found
        for document in found:
            verdict = definitions.gate.judge(RawEvent(document, "default", NOW_US))
            assert isinstance(verdict, Accepted), (verdict, json.loads(document))
            if verdict.identity not in seen:
                seen.add(verdict.identity)
                offset = len(groups.log)
                groups.log.append((offset, verdict.event))
                engine.apply([(offset, verdict.event)], now_us=NOW_US)


def _live(engine: LiveEngine) -> dict[object, tuple[Decimal, int]]:
    found = {}
    for name in ("total", "rows"):
        state = engine.read((name, 1), "default", now_us=NOW_US)
        cells = state.group("all", by=("paid",))
        found[name] = {key[0]: measure(state.plan, cell).value for key, cell in cells.items()}
    return {
        paid: (Decimal(found["total"][paid] or 0), int(count))
        for paid, count in found["rows"].items()
        if count
    }


def test_the_pack_is_where_the_tests_think(tmp_path: Path) -> None:
    """Both tables, one pair of events."""
    assert {each.server for each in load_pack(tmp_path).tables.values()} == {"s", "m"}
