"""A closed range is `restated` if, and only if, its number changed after it had closed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentflow.clock import to_rfc3339
from agentflow.lint import load
from tests.ingestion.cdc.packs import load_pack
from tests.serving.api.conftest import Served, serving

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
CORNERS = Path(__file__).parents[2] / "processing" / "laws" / "contracts"
_numbers = count(1)

Change = tuple[int, int, bool, int]
"""A row, the position of its version, whether it is deleted, the hour that it counts in."""
_changes = st.lists(
    st.tuples(
        st.integers(0, 1), st.integers(1, 6), st.sampled_from([False, False, True]),
        st.sampled_from([0, 0, 1]),
    ),
    max_size=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the rows of a table: a newer version takes the place of an older one."""
    registry = load_pack(tmp_path_factory.mktemp("pack"))
    with serving(tmp_path_factory.mktemp("table"), registry=registry) as found:
        yield found


def send(served: Served, change: Change, *, hour_us: int, example: int) -> None:
    """Send one change; no two write the same amount, so that each that counts changes a sum."""
    row, position, deleted, later = change
    number = next(_numbers)
    data: dict[str, object] = {"id": 2 * example + row, "position": str(position)}
    if not deleted:
        data["amount"] = f"{1000 + number}.{number % 100:02}"
    answer = served.send(
        {
            "id": f"c{number}",
            "source": "/t",
            "type": "thing.deleted" if deleted else "thing.written",
            "time": to_rfc3339(hour_us + later * HOUR_US + MINUTE_US),
            "data": data,
        }
    )
    assert answer["rejected"] == 0, answer


@settings(max_examples=25, deadline=None)
@given(early=_changes, late=_changes)
def test_a_closed_hour_is_restated_if_and_only_if_its_number_changed(
    table: Served, early: Sequence[Change], late: Sequence[Change]
) -> None:
    """Also where a newer version of a row moves it to another hour, and where an older one comes.

    ```text
    hour     [───────────)
    changes      early          late, one after another
    ```
    """
    example, now_us = next(_numbers), table.clock.now_us()
    hour_us = now_us - now_us % HOUR_US + 2 * HOUR_US
    table.clock.advance(timedelta(microseconds=hour_us + HOUR_US // 2 - now_us))
    query = urlencode({"start": to_rfc3339(hour_us), "end": to_rfc3339(hour_us + HOUR_US)})
    for change in early:
        send(table, change, hour_us=hour_us, example=example)
    table.clock.advance(timedelta(hours=4))

    answers = [table.get(f"/v1/metrics/total?{query}").json()]
    for change in late:
        send(table, change, hour_us=hour_us, example=example)
        answers.append(table.get(f"/v1/metrics/total?{query}").json())

    values = [(answer["value"], answer["events"]) for answer in answers]
    changed = any(before != after for before, after in pairwise(values))
    assert answers[0]["status"] == "fresh"
    assert answers[-1]["status"] == ("restated" if changed else "fresh"), values


Step = tuple[int, str, str, int]
"""A thing, what comes of it, the value that it carries, and how new it says to be."""
CELLS = ("EUR", "USD")
_things = st.integers(0, 1)
_steps = st.one_of(
    st.tuples(_things, st.just("made"), st.sampled_from(CELLS), st.just(0)),
    st.tuples(_things, st.just("currency"), st.sampled_from(CELLS), st.integers(1, 3)),
    st.tuples(_things, st.just("count"), st.sampled_from(["1", "2"]), st.integers(1, 3)),
    st.tuples(_things, st.just("undone"), st.just(""), st.just(0)),
)


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve things that are made, amended and taken back."""
    with serving(tmp_path_factory.mktemp("things"), registry=load(CORNERS)) as found:
        yield found


def tell(served: Served, step: Step, *, hour_us: int, example: int) -> None:
    """Send what comes of one thing; the amounts of two never add up to the same."""
    thing, what, value, newness = step
    number = next(_numbers)
    data: dict[str, object] = {"thing_id": f"{example}-{thing}"}
    if what == "made":
        data |= {"amount": f"{10 ** (2 * thing)}.00", "currency": value, "count": 1}
    elif what != "undone":
        data[what] = value if what == "currency" else int(value)
    kinds = {"made": "thing.made", "undone": "thing.undone"}
    answer = served.send(
        {
            "id": f"{example}-{thing}" if what == "made" else f"s{number}",
            "source": "/t",
            "type": kinds.get(what, "thing.changed"),
            "time": to_rfc3339(hour_us + MINUTE_US * (1 + newness)),
            "data": data,
        }
    )
    # The second time a thing is made it may be another one under the same id, and is refused.
    assert answer["rejected"] == 0 or what == "made", answer


@settings(max_examples=6, deadline=None)
@given(early=st.lists(_steps, max_size=3), late=st.lists(_steps, max_size=4))
@example(early=[(0, "made", "EUR", 0)], late=[(0, "currency", "USD", 1)])
@example(early=[(0, "made", "EUR", 0)], late=[(0, "currency", "USD", 1), (0, "undone", "", 0)])
@example(
    early=[(0, "made", "EUR", 0), (0, "currency", "USD", 1)],
    late=[(0, "currency", "EUR", 2), (0, "undone", "", 0)],
)
def test_a_closed_cell_is_restated_if_and_only_if_what_counts_in_it_changed(
    things: Served, early: Sequence[Step], late: Sequence[Step]
) -> None:
    """Also a cell in which an event counted for a while, between two corrections."""
    number, now_us = next(_numbers), things.clock.now_us()
    hour_us = now_us - now_us % HOUR_US + 2 * HOUR_US
    things.clock.advance(timedelta(microseconds=hour_us + HOUR_US // 2 - now_us))
    query = urlencode({"start": to_rfc3339(hour_us), "end": to_rfc3339(hour_us + HOUR_US)})
    url = f"/v1/metrics/money?{query}"

    def cells() -> dict[str, tuple[object, object]]:
        groups = things.get(f"{url}&by=currency").json()["groups"]
        return {group["dimensions"]["currency"]: (group["value"], group["events"])
                for group in groups}  # fmt: skip

    for step in early:
        tell(things, step, hour_us=hour_us, example=number)
    things.clock.advance(timedelta(hours=4))
    known = [cells()]
    for step in late:
        tell(things, step, hour_us=hour_us, example=number)
        known.append(cells())

    def status(*changed: str) -> str:
        moved = any(
            before.get(cell) != after.get(cell)
            for before, after in pairwise(known)
            for cell in changed
        )
        return "restated" if moved else "fresh"

    expected = {cell: status(cell) for cell in CELLS}
    series = things.get(f"{url}&by=currency&grain=1h").json()["series"]
    points = {point["dimensions"]["currency"]: point["status"] for point in series}
    found = {cell: things.get(f"{url}&currency={cell}").json()["status"] for cell in CELLS}
    assert found == expected, known
    assert {cell: points.get(cell, "fresh") for cell in CELLS} == expected, known
    assert things.get(url).json()["status"] == status(*CELLS), known
