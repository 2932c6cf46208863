"""Groups of an answer come a page at a time, live and past, on every surface."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.write.sealing import Seal
from serving.read.cursors import Cursors
from serving.read.group_pages import GroupCursors, Key, page
from tests.serving.api.conftest import Served, Wire, order, serving

CHANNELS = ("web", "ios", "android", "store")
COUNTRIES = [f"C{letter}" for letter in ascii_uppercase[:25]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A shop with orders of 25 countries, and of none."""
    with serving(tmp_path_factory.mktemp("groups")) as found:
        found.send(
            *(order(country, country=country) for country in COUNTRIES), order("none", country=None)
        )
        yield found


def walked(shop: Served, url: str) -> tuple[list[Any], list[int]]:
    """Return the countries of all pages, and what each page left out."""
    countries: list[Any] = []
    left: list[int] = []
    cursor = ""
    while True:
        answer = shop.get(url + cursor).json()
        countries += [group["dimensions"]["country"] for group in answer["groups"]]
        left.append(answer["left_out"])
        assert answer["events"] == len(COUNTRIES) + 1
        if answer["next_cursor"] is None:
            return countries, left
        cursor = f"&cursor={answer['next_cursor']}"


@pytest.mark.parametrize("more", ["", "&as_of=2026-09-21T14:13:20Z", "&explain=full"])
def test_every_group_is_on_one_page(shop: Served, more: str) -> None:
    """In the order of their values; those without one come last."""
    countries, left = walked(shop, f"/v1/metrics/order_count?window=all&by=country&limit=10{more}")

    assert countries == [*COUNTRIES, None]
    assert left == [16, 6, 0]


def test_a_series_has_the_points_of_the_groups_of_its_page(shop: Served) -> None:
    """It had those of all groups, whatever the limit was, or was refused."""
    hours = "grain=1h&start=2026-09-21T13:00:00Z&end=2026-09-21T15:00:00Z"
    url, found, cursor = f"/v1/metrics/order_count?by=country&limit=10&{hours}", [], ""
    while True:
        answer = shop.get(url + cursor).json()
        page = [group["dimensions"]["country"] for group in answer["groups"]]
        assert [point["dimensions"]["country"] for point in answer["series"]] == page * 2
        found += page
        if answer["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['next_cursor']}"

    assert found == [*COUNTRIES, None]


def test_an_answer_has_a_thousand_groups_unless_told(shop: Served) -> None:
    """100,000 of them took 5 s and 10 MB; the value is that of all groups."""
    places = [
        (a + b, channel) for a in "DEFGHIJKLM" for b in ascii_uppercase for channel in CHANNELS
    ]
    orders = [order(f"{where} {how}", country=where, channel=how) for where, how in places]
    for start in range(0, len(orders), 500):
        shop.send(*orders[start : start + 500])
    groups = len(places) + len(COUNTRIES) + 1

    url = "/v1/metrics/order_count?window=all&by=country,channel"
    answer, whole = shop.get(url).json(), shop.get(f"{url}&limit=10000").json()

    assert (len(answer["groups"]), answer["left_out"]) == (1_000, groups - 1_000)
    assert (len(whole["groups"]), whole["left_out"]) == (groups, 0)
    assert answer["value"] == whole["value"] == groups


def test_a_batch_and_a_stream_are_bounded_as_well(shop: Served) -> None:
    """A batch has cursors; a stream says how many groups it leaves out."""
    item = {"metric": "order_count", "window": "all", "by": ["country"], "limit": 2}
    (first,) = shop.post("/v1/batch", json={"items": [item]}).json()["answers"]
    (second,) = shop.post(
        "/v1/batch", json={"items": [{**item, "cursor": first["next_cursor"]}]}
    ).json()["answers"]

    async def streamed() -> dict[str, Any]:
        url = "/v1/stream/metrics?metric=order_count&window=all&by=country&limit=2"
        async with Wire(shop, url) as wire:
            (message,) = await wire.messages(1)
            data: dict[str, Any] = message["data"]
            return data

    message = shop.run(streamed())
    assert [group["dimensions"]["country"] for group in second["groups"]] == ["CC", "CD"]
    assert len(message["groups"]) == 2
    assert message["left_out"] == first["left_out"] > 0


@pytest.mark.parametrize(
    "query",
    [
        "by=country&limit=0",
        "by=country&limit=10001",
        "by=country&limit=many",
        "limit=10",
    ],
)
def test_a_page_that_makes_no_sense_is_refused(shop: Served, query: str) -> None:
    """A limit is a number, and about groups."""
    response = shop.get(f"/v1/metrics/order_count?window=all&{query}")

    assert (response.status_code, response.json()["code"]) == (400, "parameter_invalid")


_values = st.none() | st.text(max_size=3) | st.integers(-20, 20) | st.booleans()


@given(keys=st.lists(st.tuples(_values, _values), unique_by=repr), limit=st.integers(1, 5))
def test_pages_are_the_whole_whatever_the_values(keys: list[Key], limit: int) -> None:
    """No group is twice on the way, and none is missing, also through a cursor's text."""
    cursors, question = GroupCursors(Cursors(Seal(b"a secret")), "acme"), ("a", "b")
    found, after = [], None
    while True:
        shown, left_out = page(keys, after=after, limit=limit)
        found += shown
        if not left_out:
            break
        after = cursors.read(cursors.write(question, shown[-1]), question)

    assert sorted(map(repr, found)) == sorted(map(repr, keys))
