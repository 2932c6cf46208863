"""What a tenant is told does not depend on what others send: nothing in it counts their events."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.lake import Positions
from serving.read.offsets import SEEN_BELOW, Offsets
from serving.server.app import AccessOptions
from tests.serving.api.conftest import Served, Wire, order, serving

KEYS = "k-a:acme:read+write,k-boss:acme,k-b:umbrella,k-ops:ops:operate"
ACME = {"X-API-Key": "k-a"}
BOSS = {"X-API-Key": "k-boss"}
UMBRELLA = {"X-API-Key": "k-b"}
DOORS = AccessOptions(token_secret="the same in both worlds")  # noqa: S106 - of a test
OPAQUE_NUMBERS = {"offset", "dead_letter", "replayed_as"}
OPAQUE_TEXTS = {"token", "next_cursor", "next_sessions_cursor", "request_id", "id", "etag",
                "x-request-id"}  # fmt: skip
MEASURED = {"ms"}
_LONG = re.compile(r"\b\d{9,}\b")
_OFFSETS = Offsets(b"secret")
_PATIENCE = timedelta(seconds=20)


class World:
    """A platform, and everything the tenant `acme` was told, by where it was told."""

    def __init__(self, served: Served, *, crowded: bool) -> None:
        self.served = served
        self.crowded = crowded
        self.told: dict[str, Any] = {}
        self._others = 0

    def tell(self, method: str, url: str, headers: dict[str, str], **options: Any) -> Any:
        """Ask as acme, a second after others have done what they like."""
        self.crowd()
        self.served.clock.advance(timedelta(seconds=1))
        answer = self.served.request(method, url, headers=headers, **options)
        place = f"{len(self.told):03} {method} {_LONG.sub('#', url)} {options.get('json', '')}"
        shown = answer.json() if "json" in answer.headers["content-type"] else answer.text
        heads = {name: text for name, text in answer.headers.items() if name != "content-length"}
        self.told[place] = {"status": answer.status_code, "headers": heads, "body": shown}
        return shown

    def crowd(self) -> None:
        """Let another tenant send events, good and bad ones, and look at its numbers."""
        if not self.crowded:
            return
        self._others += 1
        name = f"o{self._others}"
        bad = [order(f"{name}-{number}-bad", amount="x") for number in range(self._others % 3)]
        self.served.send(order(name), order(f"{name}-2"), *bad, headers=UMBRELLA)
        self.served.get("/v1/metrics/revenue", headers=UMBRELLA)

    def live(self) -> None:
        """Do and ask everything there is."""
        self.tell("POST", "/v1/events", ACME, json=[order("1"), order("2"), order("3", amount="x")])
        self.tell("POST", "/v1/events", ACME, json=[order("1"), order("4", user_id="u")])
        refused = self.tell("POST", "/v1/events", ACME, json=order("5", amount="x"))
        self.tell("POST", "/v1/events", ACME, json=order("1", amount="11.00"))
        letters = self.tell("GET", "/v1/deadletter", ACME)["dead_letters"]
        self.tell("GET", "/v1/deadletter?limit=1", ACME)
        number, other = refused["dead_letter"], letters[-1]["offset"]
        self.tell("GET", f"/v1/deadletter/{number}", ACME)
        self.tell("GET", f"/v1/deadletter/{number}?reveal=true", BOSS)
        mended = {"set": {"/data/amount": "5.00"}}
        self.tell("POST", f"/v1/deadletter/{number}/fix", BOSS, json=mended)
        self.tell("POST", f"/v1/deadletter/{number}/replay", BOSS)
        self.tell("POST", "/v1/deadletter/replay", BOSS, json={})
        self.tell("POST", f"/v1/deadletter/{other}/discard", BOSS, json={"note": "a test"})
        self.tell("GET", "/v1/deadletter/7", ACME)
        self.tell("POST", "/v1/dry-run", ACME, json=order("9"))
        self.streams()
        lake, engine = self.served.platform.parts.lake, self.served.platform.engine
        lake.flush(Positions(engine.next_offset, 0), timeout=_PATIENCE)
        for url in self.urls(str(number)):
            self.tell("GET", url, ACME)

    def urls(self, number: str) -> list[str]:
        """Return every documented GET that is no stream, and questions about the tenant's own."""
        paths = self.served.get("/openapi.json", headers=ACME).json()["paths"]
        names = {"id": "1", "type": "order", "event_id": "1", "offset": number, "name": "revenue",
                 "kind": "metric", "version": "2", "event": "order.created"}  # fmt: skip
        others = {f"/v1/metrics/{name}" for name, _ in self.served.platform.registry.metrics}
        found = [
            path.format(**names)
            for path, operations in paths.items()
            if "get" in operations
            and "/stream/" not in path
            and path != "/v1/verify"
            and path not in others
        ]
        assert len(found) >= 20
        return [
            *found,
            "/v1/lineage/event/1?source=/shop",
            "/v1/entity/order/1?timeline=true",
            "/v1/entity/user/u?timeline=true&limit=1",
            "/v1/metrics/revenue?window=all&by=country,channel",
            "/v1/metrics/revenue?window=1h&grain=5m",
            "/v1/metrics/revenue?window=1h&explain=full",
            "/v1/verify?limit=3",
            "/v1/search?q=order",
        ]

    def streams(self) -> None:
        """Read what streams say of four events."""

        async def read(url: str, count: int) -> list[dict[str, Any]]:
            async with Wire(self.served, url, x_api_key="k-a") as wire:
                return await wire.messages(count)

        for url, count in (
            ("/v1/stream/events?from=start", 4),
            ("/v1/stream/metrics?metric=order_count&window=all", 1),
        ):
            self.crowd()
            self.told[url] = self.served.run(read(url, count))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, World]:
    """The same life of one tenant: alone, and among others."""
    lived = []
    for crowded in (False, True):
        directory = tmp_path_factory.mktemp("world")
        with serving(directory, keys=KEYS, access=DOORS) as served:
            world = World(served, crowded=crowded)
            world.live()
            lived.append(world)
    alone, among = lived
    return alone, among


def test_everything_a_tenant_is_told_is_the_same_with_and_without_others(
    worlds: tuple[World, World],
) -> None:
    """A number that others change would tell how much they send."""
    alone, among = worlds

    assert alone.told.keys() == among.told.keys()
    assert differences(alone.told, among.told) == []


def test_opaque_numbers_lie_far_apart(worlds: tuple[World, World]) -> None:
    """Their differences would count what others sent in between."""
    for world in worlds:
        numbers = [each["data"]["offset"] for each in world.told["/v1/stream/events?from=start"]]
        steps = [later - earlier for earlier, later in pairwise(numbers)]

        assert min(map(abs, steps)) > 10**9


def test_no_answer_names_a_place_on_the_server(tmp_path: Path) -> None:
    """A path tells who runs it and where, and leads nowhere from outside; not even an operator."""
    with serving(tmp_path) as served:
        world = World(served, crowded=False)
        world.live()

    assert any("data/" in str(told) for told in world.told.values())  # of the lake's hop
    assert [place for place, told in world.told.items() if str(tmp_path) in str(told)] == []


def differences(one: Any, other: Any, at: str = "", name: str = "") -> list[str]:
    """Return where two answers differ in anything but what says nothing."""
    if name in OPAQUE_TEXTS | MEASURED or (name == "seconds" and " /v1/verify" in at):
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{at}: {sorted(one.keys() ^ other.keys())}"]
        return [
            each for key in one for each in differences(one[key], other[key], f"{at}/{key}", key)
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [each for at_, pair in pairs for each in differences(*pair, f"{at}/{at_}", name)]
    if isinstance(one, str) and isinstance(other, str):
        one, other = _LONG.sub("#", one), _LONG.sub("#", other)
    elif name in OPAQUE_NUMBERS and isinstance(one, int) and isinstance(other, int):
        return [f"{at}: {each} counts" for each in (one, other) if each < 10**6]
    return [] if one == other else [f"{at}: {one} is not {other}"]


@given(offset=st.integers(0, SEEN_BELOW - 1), tenant=st.text(max_size=5))
def test_a_number_leads_back_to_its_offset(offset: int, tenant: str) -> None:
    """Fixing a dead letter by the number one was shown has to find it."""
    number = _OFFSETS.shown(tenant, VALIDATED, offset)

    assert 0 <= number < SEEN_BELOW
    assert _OFFSETS.meant(tenant, VALIDATED, number) == offset
    assert Offsets(b"secret").shown(tenant, VALIDATED, offset) == number


def test_numbers_are_in_no_order_and_others_for_each_tenant_and_topic() -> None:
    """Two tenants that compare numbers, or one that compares topics, learn nothing."""
    names = [("acme", VALIDATED), ("umbrella", VALIDATED), ("acme", DEAD_LETTERS)]

    found = [tuple(_OFFSETS.shown(*name, offset) for offset in range(100)) for name in names]

    assert len({number for each in found for number in each}) == 300
    assert all(40 < sum(a < b for a, b in pairwise(each)) < 60 for each in found)


def test_without_keys_offsets_are_the_logs_own(tmp_path: Path) -> None:
    """There is nobody to hide anything from."""
    with serving(tmp_path) as served:
        events = served.send(order("1"), order("2"), order("3", amount="x"))["events"]
        letter = served.get("/v1/deadletter/0").json()

    assert [each["offset"] for each in events] == [0, 1, None]
    assert (events[2]["dead_letter"], letter["offset"]) == (0, 0)
