"""Exported SQL folds corrections by the one rule, whatever their types and however they tie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, product
from random import Random

import duckdb

from agentflow.contracts import EventContract, Registry
from agentflow.export.rows import effective_rows, from_clause
from tests.agentflow.contracts.test_fold import MOVED, PRICED, SALE, UNDONE
from tests.agentflow.export.test_osi import Row, Rows, store

SEED = 20_261_130
SALES = 80
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
REGISTRY = Registry.of([SALE, PRICED, MOVED, UNDONE])
MOMENTS = list(product((0, 1), repeat=3))
"""Second, id and source: so few that corrections often tie by one, or by two of them."""

Correction = tuple[EventContract, Row]


def envelope(sale: str, moment: tuple[int, ...]) -> Row:
    """Return what ties an event to its sale, and what puts it in order."""
    second, number, source = moment
    return {
        "tenant": "t",
        "occurred_at": NOON + timedelta(seconds=second),
        "event_id": f"e{number}",
        "source": f"s{source}",
        "sale_id": sale,
        "at": NOON + timedelta(hours=second),
    }


def corrections_of(sale: str, random: Random) -> Iterator[Correction]:
    """Yield up to four corrections of a sale, in any order; no two have one identity."""
    for moment in random.sample(MOMENTS, random.randrange(5)):
        contract = random.choices((PRICED, MOVED, UNDONE), weights=(6, 6, 1))[0]
        row = envelope(sale, moment)
        if contract is not UNDONE:
            row["price"] = random.choice((None, *range(1, 10)))
        if contract is MOVED:
            row["place"] = random.choice("xyz")
        yield contract, row


def folded(sale: str, corrections: Sequence[Correction]) -> Iterator[tuple[str, Decimal, str]]:
    """Fold as the contract says: each field from the newest that gives it, unless it is gone."""
    if any(contract is UNDONE for contract, _ in corrections):
        return
    now: dict[str, object] = {"price": 10, "place": "w"}
    order = ("occurred_at", "event_id", "source")
    for _, row in sorted(corrections, key=lambda it: [str(it[1][name]) for name in order]):
        now.update({name: row[name] for name in now if row.get(name) is not None})
    yield sale, Decimal(str(now["price"])), str(now["place"])


def test_a_field_is_what_the_newest_correction_gave() -> None:
    """Two `replace` events on one field gave 10.00, where the contract says 7."""
    random, numbers = Random(SEED), count()
    rows: Rows = {}
    expected: list[tuple[str, Decimal, str]] = []
    for sale in (f"sale{number:03}" for number in range(SALES)):
        corrections = list(corrections_of(sale, random))
        original: Correction = (SALE, {**envelope(sale, (0, 0, 0)), "price": 10, "place": "w"})
        for contract, row in (original, *corrections):
            place = {"log_offset": next(numbers), "ingested_at": NOON}
            rows.setdefault(contract.ref, []).append({**row, **place})
        expected += folded(sale, corrections)

    with duckdb.connect() as database:
        database.execute("CREATE SCHEMA events")
        store(database, REGISTRY, rows)
        counted = from_clause(effective_rows(REGISTRY, SALE))
        found = database.execute(f"SELECT sale_id, price, place FROM {counted} ORDER BY 1")

        assert found.fetchall() == expected
