"""`/v1/keys`: what administrators do with stored keys."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from sqlalchemy import text

from agentflow.clock import to_rfc3339
from control_store.keys.key_text import fault_of
from serving.server.app import AccessOptions
from tests.serving.api.conftest import NOW_US
from tests.serving.api.stored import STORED, Vault, vault

METRIC = "/v1/metrics/order_count?window=1h"
DAY_US = 86_400_000_000
Json = dict[str, Any]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """Serve a platform with an administrator of two tenants, and a reader."""
    keys = "boss:acme,other:umbrella,reader:acme:read"
    with vault(tmp_path_factory.mktemp("keys"), keys=keys) as found:
        yield found


def ask(door: Vault, method: str, path: str, key: str = "boss", **options: Any) -> tuple[int, Json]:  # noqa: ANN401
    answer = door.served.request(
        method,
        f"/v1/keys{path}",
        headers={"X-API-Key": key, **options.pop("headers", {})},
        **options,
    )
    return answer.status_code, answer.json()


def create(
    door: Vault, key: str = "boss", headers: Json | None = None, **body: object
) -> tuple[int, Json]:
    asked = {"name": "board", "scopes": ["metrics:read"], **body}
    return ask(door, "POST", "", key, json=asked, headers=headers or {})


def test_a_key_is_made_shown_once_and_works_at_once(door: Vault) -> None:
    """By its text, which no other answer has."""
    status, made = create(door, metrics=["revenue"], owner="ada", statuses=["approved"])

    assert status == 200
    assert (fault_of(made["key"].encode()), made["key"][:8]) == (None, "af_live_")
    shown = ask(door, "GET", f"/{made['id']}")[1]
    told = {name: made[name] for name in shown}
    assert (shown | {"key": made["key"], "previous_ends_at": None}, shown) == (made, told)
    assert (shown["metrics"], shown["tenant"], shown["status"]) == (["revenue"], "acme", "active")
    assert shown["created_by"] == "acme/1"
    listed = ask(door, "GET", "?limit=1000")[1]["keys"]
    assert shown in listed
    assert made["key"] not in str(listed)
    assert door.get("/v1/metrics/revenue?window=1h", made["key"])[0] == 200


def test_only_administrators_may(door: Vault) -> None:
    """Whoever makes keys can make one that may do everything."""
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/key_1"), ("POST", "/key_1/revoke")):
        status, problem = ask(door, method, path, "reader")
        assert (status, problem["code"]) == (403, "scope_missing")


def test_another_tenants_keys_are_not_there(door: Vault) -> None:
    """Neither listed, nor read, nor ended."""
    made = create(door)[1]

    answers = [
        ask(door, "GET", f"/{made['id']}", "other"),
        ask(door, "POST", f"/{made['id']}/revoke", "other"),
        ask(door, "POST", f"/{made['id']}/rotate", "other", json={}),
        ask(door, "POST", "/key_0/revoke", "other"),
    ]

    assert {(status, problem["code"]) for status, problem in answers} == {(404, "not_found")}
    assert ask(door, "GET", "", "other")[1] == {"keys": [], "next_cursor": None}


def test_a_key_is_rotated_and_revoked(door: Vault) -> None:
    """The id stays; the first text works until the overlap ends."""
    made = create(door)[1]
    assert door.get(METRIC, made["key"])[0] == 200

    status, new = ask(door, "POST", f"/{made['id']}/rotate", json={"overlap_seconds": 60})

    assert (status, new["id"], new["key"] != made["key"]) == (200, made["id"], True)
    assert new["previous_ends_at"] == to_rfc3339(NOW_US + 60_000_000)
    assert [door.get(METRIC, key)[0] for key in (made["key"], new["key"])] == [200, 200]
    status, revoked = ask(door, "POST", f"/{made['id']}/revoke")
    assert (status, revoked["status"], revoked["revoked_by"]) == (200, "revoked", "acme/1")
    assert [door.get(METRIC, key)[1] for key in (made["key"], new["key"])] == ["key_revoked"] * 2
    assert ask(door, "POST", f"/{made['id']}/rotate", json={})[1]["code"] == "key_ended"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"scopes": []}, "a key needs a scope"),
        ({"scopes": ["metrics:reed"]}, 'scope "metrics:reed" does not exist'),
        ({"metrics": []}, '"metrics" names nothing'),
        ({"statuses": []}, '"statuses" names nothing'),
        ({"events": ["order.created"]}, '"events" narrows no scope of this key'),
        ({"scopes": ["admin"], "metrics": ["revenue"]}, "cannot be narrowed"),
        ({"scopes": ["operate"], "statuses": ["approved"]}, "cannot be narrowed"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "has passed"),
        ({"expires_at": "tomorrow"}, '"expires_at" is not an instant'),
        ({"metrics": ["revenu"]}, 'metric "revenu" does not exist'),
        ({"metrics": ["revenue@2"]}, '"revenue@2" has a version'),
        ({"mode": "prod"}, "mode"),
        ({"name": ""}, "name"),
        ({"tenant": "umbrella"}, '"/tenant", which does not exist'),
    ],
)
def test_what_contradicts_itself_is_refused_with_a_hint(door: Vault, body: Json, says: str) -> None:
    """A key that sees nothing, or more than it says, is a trap."""
    before = ask(door, "GET", "?limit=1000")[1]["keys"]

    status, problem = create(door, **body)

    assert status in {400, 404, 422}
    assert says in problem["detail"]
    assert problem["hint"]
    assert ask(door, "GET", "?limit=1000")[1]["keys"] == before


def test_an_administrator_grants_no_more_than_he_has(door: Vault) -> None:
    """One whose right ends soon cannot make a key that outlives it."""
    end = to_rfc3339(NOW_US + DAY_US)
    made = create(door, scopes=["admin"], expires_at=end)[1]

    lasting = create(door, made["key"])
    later = create(door, made["key"], expires_at=to_rfc3339(NOW_US + DAY_US + 1))
    sooner = create(door, made["key"], expires_at=end, scopes=["admin"])

    assert [each[1].get("detail") for each in (lasting, later)] == [
        f"your own key ends at {end}"
    ] * 2
    assert sooner[0] == 200


def test_a_request_that_is_repeated_makes_one_key_and_tells_it_again(door: Vault) -> None:
    """And the store has neither the key nor an answer in which it can be read."""
    headers = {"Idempotency-Key": "once"}

    first, again = create(door, headers=headers), create(door, headers=headers)
    conflict = create(door, headers=headers, name="another")

    assert first == again
    assert conflict[1]["code"] == "idempotency_conflict"
    with door.served.platform.parts.control.database.reading() as connection:
        kept = connection.execute(text("SELECT * FROM idempotency")).all()
        stored = connection.execute(text("SELECT * FROM api_keys")).all()
    assert len(kept) == 1
    assert first[1]["key"] not in str(kept)
    assert [row for row in stored if first[1]["id"] in row] != []


def test_a_platform_without_keys_says_how_to_make_the_first(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """One that answers everyone would be closed to its users by the first key of anyone."""
    with vault(tmp_path_factory.mktemp("open"), access=AccessOptions()) as door:
        answer = door.served.post("/v1/keys", json={"name": "a", "scopes": ["admin"]})

    assert (answer.status_code, answer.json()["code"]) == (409, "stored_keys_off")
    assert "agentflow keys create --data-dir" in answer.json()["hint"]
    assert STORED.key_hashing is not None


def test_the_example_of_the_reference_makes_a_key(door: Vault) -> None:
    """As it stands, with a key in the variable that it names."""
    page = unescape(door.served.get("/docs", headers={"X-API-Key": "boss"}).text)
    [command] = re.findall(r"curl -X POST [^<]*/v1/keys .*?(?=</code>)", page, re.DOTALL)
    body = next(part for part in shlex.split(command.replace("\\\n", "")) if part[:1] == "{")

    status, made = ask(door, "POST", "", content=body)

    assert (status, made["name"], made["scopes"]) == (200, "dashboard", ["metrics:read"])
    assert "X-API-Key: $AGENTFLOW_API_KEY" in command


def test_keys_are_listed_a_page_at_a_time(door: Vault) -> None:
    """Each once; and a cursor is of its tenant."""
    made = [create(door)[1]["id"] for _ in range(3)]
    listed, cursor = [], ""
    while cursor is not None:
        page = ask(door, "GET", f"?limit=2{cursor and '&cursor='}{cursor}")[1]
        listed += [key["id"] for key in page["keys"]]
        last, cursor = cursor or page["next_cursor"], page["next_cursor"]

    assert listed[-3:] == made
    assert len(listed) == len(set(listed))
    assert ask(door, "GET", f"?cursor={last}", "other")[1]["code"] == "cursor_invalid"
