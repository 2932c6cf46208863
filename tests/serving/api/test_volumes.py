"""What a tenant carries away tells it nothing of how much the others send."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

from tests.serving.api.conftest import Served, Wire, order, serving

KEYS = "k-a:acme,k-u:umbrella"
UMBRELLA = {"X-API-Key": "k-u"}


def carried(served: Served) -> list[str]:
    """Return the opaque texts that umbrella is given."""
    texts = [
        served.get("/v1/metrics/revenue?window=all&currency=EUR", headers=UMBRELLA).json()["token"],
        served.get("/v1/deadletter?limit=1", headers=UMBRELLA).json()["next_cursor"] or "",
    ]

    async def follow() -> list[str]:
        async with Wire(served, "/v1/stream/metrics?metric=revenue", x_api_key="k-u") as wire:
            (message,) = await wire.messages(1)
        url = "/v1/stream/events?from=start"
        async with Wire(served, url, x_api_key="k-u") as wire:
            (event,) = await wire.messages(1)
        return [message["id"], event["id"]]

    found: list[str] = served.run(follow())
    return [text for text in (*texts, *found) if text]


def test_no_token_cursor_or_id_can_be_read_and_none_grows_with_what_others_send(
    tmp_path: Path,
) -> None:
    """They held offsets of the log in the clear: the difference of two was everybody's volume."""
    with serving(tmp_path, keys=KEYS) as served:
        bad: list[dict[str, Any]] = [order("B1", amount="?"), order("B2", amount="?")]
        served.send(order("U"), *bad, headers=UMBRELLA)
        before = carried(served)
        served.send(*(order(f"A{n}") for n in range(200)), headers={"X-API-Key": "k-a"})
        after = carried(served)
        log_id = served.platform.parts.log.log_id

    assert len(before) == len(after) == 4
    assert [len(text) for text in before] == [len(text) for text in after]
    for text in (*before, *after):
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        assert log_id.encode() not in raw
        assert b"validated" not in raw
        assert log_id not in text


def test_they_are_valid_after_a_restart_and_not_under_other_keys(tmp_path: Path) -> None:
    """The secret is the deployment's: its keys, or the one that it was given."""
    url = "/v1/metrics/revenue?window=all&currency=EUR"
    with serving(tmp_path, keys=KEYS) as served:
        token = served.send(order("U"), headers=UMBRELLA)["token"]
    with serving(tmp_path, keys=KEYS) as served:
        again = served.get(f"{url}&at_least={token}", headers=UMBRELLA)
    with serving(tmp_path, keys=f"{KEYS},k-n:new") as served:
        other = served.get(f"{url}&at_least={token}", headers=UMBRELLA)

    assert again.json()["value"] == "10.00"
    assert (other.status_code, other.json()["code"]) == (400, "token_invalid")
    assert "keys changed" in other.json()["hint"]
