"""What counts of a row is the same in whatever order its versions and deletions arrive."""

from __future__ import annotations

from itertools import permutations

import pytest

from agentflow.events import Event
from processing.live.versions import Versions


def version(sequence: int) -> Event:
    return Event(f"v{sequence}", "/rows", "row.written", 1, "acme", 0, 0, None)


def effective(arrivals: tuple[tuple[str, int], ...]) -> str | None:
    """Return the id of the version that counts."""
    row = Versions()
    for what, sequence in arrivals:
        if what == "written":
            row.add(version(sequence), sequence)
        else:
            row.take_back(sequence)
    found = row.effective()
    return None if found is None else found.id


@pytest.mark.parametrize(
    ("arrivals", "counts"),
    [
        ([("written", 1), ("written", 4)], "v4"),
        ([("written", 1), ("deleted", 3), ("written", 4)], "v4"),
        ([("written", 1), ("deleted", 3), ("written", 4), ("deleted", 5)], None),
        ([("deleted", 3), ("written", 4), ("deleted", 5), ("written", 6)], "v6"),
    ],
)
def test_every_order_of_arrival_is_equal(
    arrivals: list[tuple[str, int]], counts: str | None
) -> None:
    """The newest version counts, unless the newest deletion is newer."""
    assert {effective(order) for order in permutations(arrivals)} == {counts}
