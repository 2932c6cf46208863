"""Promise 4: malformed input never stops anything, and none of it goes missing at any layer."""

from __future__ import annotations

import json
import os
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from agentflow.clock import SystemClock
from agentflow.lint import load
from ingestion.generate import Profile, read_scenario
from tests.chaos.ledger import in_lake, in_log, require_verified
from tests.chaos.servers import ROOT, Client, Nursery

INPUTS = int(os.environ.get("AGENTFLOW_FUZZ_INPUTS", "10000"))
BATCH = 1_000
ALONE = 1_000
"""How many are sent one to a request, with all their line breaks."""
TOKENS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"NaN", b"1e400", b"-0"),
    *(b"\\u0000", b"\\ud800", b"\xff", b"\xed\xa0\x80", b"\x00", b"9" * 40, b'"data":', b'"id":'),
    *(b"[" * 3000, b'{"a":' * 500, b" ", b"1.0", b'"type":"order.created"', b'"tenant":"globex"'),
    *(
        b"2026-11-21",
        b"0001-01-01T00:00:00Z",
        b"9999-12-31T23:59:59Z",
        b"-",
        b"1e-400",
        b"\n",
        b"\r",
    ),
]


def corpus(seed: int) -> list[bytes]:
    """Return good and bad events of the generator, and everything the golden gate test judges."""
    world = read_scenario(ROOT / "contracts", load(ROOT / "contracts"))
    start_us = SystemClock().now_us() - 3_600_000_000  # or the gate would find them ancient
    profile = Profile(rate=200, bad=0.2, duplicate=0.1, late=0.1)
    generator = world.generator(seed=seed, start_us=start_us, profile=profile)
    found = [item.value for item in islice(generator.events(), 1_500)]
    golden = json.loads((ROOT / "tests/golden/inputs.json").read_text())
    documents = [item["document"] for item in golden if isinstance(item.get("document"), dict)]
    retyped = [{**document, "type": "order.created"} for document in documents]
    return found + [json.dumps(document).encode() for document in retyped]


def mutated(value: bytes, random: Random) -> bytes:
    """Return *value* with some stretches replaced; sometimes as it is."""
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 5))):
        at = random.randrange(len(value) + 1)
        until = min(len(value), at + random.choice((0, 0, 1, 1, 4, 20)))
        token = random.choice((random.choice(TOKENS), bytes([random.randrange(256)]), b""))
        value = value[:at] + token + value[until:]
    return value


def line(value: bytes) -> bytes:
    """Return *value* as one line that is not blank."""
    return value.replace(b"\n", b" ").replace(b"\r", b" ").strip(b" \t") or b"0"


@pytest.mark.timeout(300 + INPUTS // 500)
def test_nothing_malformed_stops_anything(nursery: Nursery, data_dir: Path, seed: int) -> None:
    """In = accepted + refused + duplicates: in the answers, in the log, in the lake."""
    random = Random(seed)
    seeds = corpus(seed)
    server = nursery.run(data_dir, lake_seconds=2)
    client = server.client(seconds=60)
    counts: Counter[str] = Counter()
    letters: set[int] = set()

    for _ in range(0, INPUTS, BATCH):
        lines = [line(mutated(random.choice(seeds), random)) for _ in range(BATCH)]
        counts += batch(client, lines, letters)
    for _ in range(ALONE):
        counts += alone(client, mutated(random.choice(seeds), random), letters)
    sent = -(-INPUTS // BATCH) * BATCH + ALONE

    assert counts.total() == sent
    assert min(counts.values()) > sent / 100, counts
    assert server.exit_code is None
    require_verified(client)
    assert server.stop() == 0
    assert "Traceback" not in server.log, server.log[-2000:]
    log, lake = in_log(data_dir), in_lake(data_dir)
    assert log.raw == sent
    assert (log.accepted, log.refused) == (counts["accepted"], len(letters))
    assert (lake.accepted, lake.refused) == (counts["accepted"], len(letters))
    print(f"{sent} inputs: {dict(counts)}")


def batch(client: Client, lines: list[bytes], letters: set[int]) -> Counter[str]:
    answer = client.post("/v1/events", b"\n".join(lines), content_type="application/x-ndjson")
    assert answer.status in {200, 207}, (answer.status, answer.body[:500])
    found = answer.json
    counts = Counter(item["status"] for item in found["events"])
    letters |= {each["dead_letter"] for each in found["events"]} - {None}
    totals = (found["accepted"], found["duplicates"], found["rejected"])
    assert totals == (counts["accepted"], counts["duplicate"], counts["rejected"])
    return counts


def alone(client: Client, value: bytes, letters: set[int]) -> Counter[str]:
    answer = client.post("/v1/events", value, content_type="application/cloudevents+json")
    if answer.status == 422:
        letters.add(answer.json["dead_letter"])
        return Counter({"rejected": 1})
    assert answer.status == 200, (answer.status, answer.body[:500], value[:200])
    return Counter({answer.json["events"][0]["status"]: 1})
