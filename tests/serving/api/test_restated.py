"""A closed range is `restated` if, and only if, its number changed after it had closed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count, pairwise
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow.clock import to_rfc3339
from tests.ingestion.cdc.packs import load_pack
from tests.serving.api.conftest import Served, serving

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
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
