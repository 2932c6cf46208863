"""The commands that talk to a platform, against a real one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agentflow_sdk import AgentFlow
from tests.agentflow_cli.conftest import ROOT, Run, json_of
from tests.e2e.conftest import Up, platform_up


def rejected(live: Run, key: str) -> int:
    """Send an order with a currency nobody knows and return where it waits."""
    live("send", "order.created", f"order_id={key}", "amount=3.00", "currency=XXX", "--id", key)
    letters = json_of(live("deadletter", "list", "--json"))["dead_letters"]
    return int(next(letter["offset"] for letter in letters if letter["event_id"] == key))


def test_sent_event_moves_the_watched_metric(live: Run) -> None:
    """Before, after, and the difference, for the currency of the event."""
    arguments = ("order.created", "amount=99.50", "currency=CHF", "--watch", "revenue")

    result = live("send", *arguments, "--json")

    (watched,) = json_of(result)["watched"]
    assert result.exit_code == 0
    assert watched["dimensions"] == {"currency": "CHF"}
    assert (watched["moved"], watched["unit"]) == ("99.50", "CHF")
    assert Decimal(watched["after"]) - Decimal(watched["before"]) == Decimal("99.50")


def test_key_that_is_not_given_is_made_and_told(live: Run) -> None:
    """The tour sends an order without inventing a number for it."""
    result = live("send", "order.created", "amount=1", "currency=EUR")

    assert result.exit_code == 0
    assert result.stderr.startswith("order_id=ORD-")


def test_values_are_typed_by_the_contract(live: Run) -> None:
    """99.50 is a decimal here, 3 an integer there; nobody writes JSON on a command line."""
    fields = ("order_id=T-1", "amount=6.00", "currency=EUR", "quantity=3", 'price:="2.00"')

    sent = live("send", "order.created", *fields)
    found = json_of(live("entity", "order", "T-1", "--json"))

    assert sent.exit_code == 0
    assert found["attributes"]["quantity"] == 3
    assert found["timeline"][0]["data"]["amount"] == "6.00"


def test_sessions_are_shown_with_what_happened_in_them(live: Run) -> None:
    """The newest first; one that may still grow says so in place of its end."""
    at = datetime.now(UTC) - timedelta(hours=9)
    for page, time in (("/morning", at), ("/lunch", at + timedelta(minutes=5)), ("/now", None)):
        event = {"type": "page.viewed", "source": "urn:test", "id": page}
        event |= {"data": {"session_id": "S", "user_id": "CLI-1", "page": page}}  # type: ignore[dict-item]
        event |= {"time": time.isoformat()} if time else {}
        live("send", "--json-file", "-", stdin=json.dumps(event))

    shown = live("entity", "visit", "CLI-1", "--no-timeline")
    found = json_of(live("entity", "visit", "CLI-1", "--json"))

    newest, oldest = [line for line in shown.stdout.splitlines() if "+00:00" in line][-2:]
    assert "open" in newest
    assert "last_page=/now" in newest
    assert "0:05:00" in oldest
    assert "last_page=/lunch" in oldest
    assert [(each["events"], each["open"]) for each in found["sessions"]] == [(1, True), (2, False)]


def test_mistyped_field_is_caught_before_anything_is_sent(live: Run) -> None:
    """A dead letter for a typing mistake helps nobody."""
    result = live("send", "order.created", "amont=1", "currency=EUR")

    assert result.exit_code == 2
    assert 'Did you mean "amount"?' in result.stderr


def test_rejected_event_is_told_from_an_accepted_one(live: Run) -> None:
    """By exit code, with every field and where it waits."""
    result = live("send", "order.created", "amount=-1", "currency=XXX")

    assert result.exit_code == 4
    assert "/data/amount" in result.stderr
    assert "/data/currency" in result.stderr


def test_whole_event_comes_from_stdin(live: Run) -> None:
    """Other programs have events already."""
    event = {"type": "order.created", "id": "stdin-1", "source": "urn:test"}
    event |= {"data": {"order_id": "S-1", "amount": "1.00", "currency": "EUR"}}  # type: ignore[dict-item]

    first = live("send", "--json-file", "-", "--json", stdin=json.dumps(event))
    second = live("send", "--json-file", "-", "--json", stdin=json.dumps(event))

    assert (json_of(first)["accepted"], json_of(second)["duplicates"]) == (1, 1)


def test_event_without_an_id_is_told_to_be_identified_by_its_content(
    live: Run, platform: Up
) -> None:
    """Two equal page views would be counted once: the command and the SDK say so."""
    event = {"type": "page.viewed", "source": "urn:test", "time": datetime.now(UTC).isoformat()}
    whole = {**event, "data": {"session_id": "S-content", "page": "/same"}}

    first, again = (live("send", "--json-file", "-", stdin=json.dumps(whole)) for _ in range(2))
    with AgentFlow(platform.url) as client:
        (outcome,) = client.send_event(whole).events

    assert "it has no id, so its content identifies it" in first.output
    assert again.output.startswith("duplicate")
    assert (outcome.status, outcome.identified_by) == ("duplicate", "content")


def test_smoke_times_the_hops_of_one_event(live: Run) -> None:
    """Is everything there, from the first byte to the lake? One command says it."""
    result = live("smoke", "--lake", "--json")

    hops = {hop["hop"]: hop for hop in json_of(result)["hops"]}
    assert result.exit_code == 0
    assert {"taken", "visible", "metric", "raw", "validated", "live", "lake"} <= hops.keys()
    assert 0 < hops["taken"]["ms"] <= hops["visible"]["ms"] <= hops["lake"]["ms"]
    assert "snapshot_id" in hops["lake"]["place"]


def test_smoke_of_any_pack_sends_an_event_it_accepts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not each example is a whole event: the first lacks a field here; keys may be numbers."""
    contracts = tmp_path / "contracts"
    shutil.copytree(ROOT / "examples" / "pgbench" / "contracts", contracts)
    (contracts / "contracts.lock").unlink()
    (moved,) = (contracts / "metrics").glob("moved.*")
    lacking = moved.read_text().replace("teller_id: 1, ", "").replace("teller_id: 3, ", "")
    moved.write_text(lacking.replace("name: moved", "name: a_moved"))
    with platform_up(tmp_path / "data", contracts) as bank:
        monkeypatch.setenv("AGENTFLOW_URL", bank.url)

        result = run("smoke", "--json")

    assert result.exit_code == 0, result.stderr
    assert json_of(result)["event"] == "branch.written"
    assert {"taken", "visible", "metric"} <= {hop["hop"] for hop in json_of(result)["hops"]}


def test_required_event_time_is_now_unless_said(live: Run) -> None:
    """Nobody wants to type the instant of what happens now."""
    fields = ("topic=other", "opened_at=2026-01-31T11:00:00Z", "--dry-run")

    unsaid = live("send", "support.ticket_resolved", *fields)
    said = live("send", "support.ticket_resolved", *fields, "--time", "2026-01-31T12:00:00Z")

    assert "resolved_at=" in unsaid.stderr
    assert "resolved_at=2026-01-31T12:00:00.000000Z" in said.stderr


def test_smoke_of_a_refused_event_says_why(live: Run) -> None:
    """A wrong value is not a broken platform."""
    result = live("smoke", "order.created", "amount=-1", "currency=EUR")

    assert result.exit_code == 4
    assert "/data/amount" in result.stderr


def test_dry_run_moves_nothing(live: Run) -> None:
    """And says what would move."""
    arguments = ("send", "order.created", "amount=5", "currency=GBP")

    dry = live(*arguments, "--dry-run", "--json")
    revenue = live("metric", "revenue", "currency=GBP", "--json")

    assert "revenue" in {move["metric"] for move in json_of(dry)["moves"]}
    assert json_of(revenue)["events"] == 0


def test_metric_is_split_and_told_with_its_trust(live: Run) -> None:
    """The values on stdout, what one must know about them on stderr."""
    live("send", "order.created", "amount=7.00", "currency=CAD", "country=CA")

    result = live("metric", "revenue", "currency=CAD", "--window", "1h", "--by", "country")

    assert result.exit_code == 0
    assert "country=CA" in result.stdout
    assert "7.00" in result.stdout
    assert "contract v2 approved" in result.stderr


def test_unknown_names_are_refused_with_what_exists(live: Run) -> None:
    """Metric, window and dimension."""
    results = [
        live("metric", "revenu"),
        live("metric", "revenue", "--window", "9h"),
        live("metric", "revenue", "colour=red"),
    ]

    assert [result.exit_code for result in results] == [4, 4, 4]
    assert all("hint" in result.stderr for result in results)


def test_metrics_are_listed(live: Run) -> None:
    """When one does not know the name yet."""
    result = live("metric")

    assert "revenue@2" in result.stdout


def test_explained_metric_equals_the_lake(live: Run) -> None:
    """Causes and proof."""
    live("send", "order.created", "amount=2.50", "currency=AUD", "--id", "because")

    result = live("explain", "revenue", "currency=AUD")

    assert result.exit_code == 0
    assert "because" in result.stdout
    assert "equal" in result.stderr


def test_dead_letter_is_listed_shown_and_fixed(live: Run) -> None:
    """The whole way back in."""
    offset = rejected(live, "fix-me")

    shown = live("deadletter", "show", offset)
    still = live("deadletter", "replay", offset)
    fixed = live("deadletter", "fix", offset, "--set", "/data/currency=EUR")

    assert '"XXX"' in shown.stdout
    assert (still.exit_code, fixed.exit_code) == (4, 0)
    assert json_of(live("entity", "order", "fix-me", "--json"))["attributes"]["amount"] == "3.00"


def test_dead_letters_are_replayed_by_reason_and_discarded(live: Run) -> None:
    """After a contract was mended, all at once; what is hopeless is put aside."""
    offset = rejected(live, "hopeless")

    many = live("deadletter", "replay", "--reason", "not_in_enum", "--json")
    gone = live("deadletter", "discard", offset)

    assert json_of(many)["refused"] >= 1
    assert gone.exit_code == 0
    assert json_of(live("deadletter", "show", offset, "--json"))["status"] == "discarded"


def test_file_is_replayed_once_however_often(live: Run, tmp_path: Path) -> None:
    """Lines of events; a bad one is named with its row and waits among the dead letters."""
    file = tmp_path / "orders.jsonl"
    event = '{{"type":"order.created","id":"r{0}","source":"urn:f","data":{1}}}\n'
    data = '{"order_id":"R","amount":"1.00","currency":"EUR"}'
    file.write_text("".join(event.format(n, data) for n in range(5)) + "not json\n")

    first = live("replay", file, "--json")
    again = live("replay", file)

    counts = json_of(first)
    assert (counts["accepted"], counts["rejected"], first.exit_code) == (5, 1, 1)
    assert "duplicates  5" in again.stdout
    assert "row 6:" in again.stderr


def test_tail_follows_events_and_metrics(live: Run) -> None:
    """From the beginning of the log, or from the current value."""
    live("send", "order.created", "amount=1", "currency=EUR")

    events = live("tail", "--from-start", "-n", "1", "--json")
    metrics = live("tail", "-m", "order_count", "-n", "1", "--json")

    assert json_of(events)["type"]
    assert json_of(metrics)["metric"] == "order_count"


@pytest.mark.parametrize("series", [False, True])
def test_groups_are_shown_page_by_page(live: Run, series: bool) -> None:  # noqa: FBT001 - a case
    """What is left out is said with the command's own options, as a number and as a series."""
    now = datetime.now(UTC)
    for channel in ("web", "ios", "store"):
        live("send", "order.created", "amount=1", "currency=EUR", f"channel={channel}")
    steps = ("--grain", "1d", "--start", (now - timedelta(days=1)).isoformat())
    ends = (*steps, "--end", (now + timedelta(days=1)).isoformat()) if series else ()
    ask = ("metric", "order_count", "--by", "channel", "--limit", "1", *ends)

    words = live(*ask).stderr
    pages = [json_of(live(*ask, "--json"))]
    while pages[-1]["next_cursor"] is not None:
        pages.append(json_of(live(*ask, "--cursor", pages[-1]["next_cursor"], "--json")))

    shown = [[group["dimensions"]["channel"] for group in page["groups"]] for page in pages]
    assert f"--cursor {pages[0]['next_cursor']} shows the next" in words
    assert [page["left_out"] for page in pages] == list(range(len(pages)))[::-1]
    assert [len(page) for page in shown] == [1] * len(pages)
    assert {"web", "ios", "store"} <= {name for page in shown for name in page}
    if series:
        points = [{point["dimensions"]["channel"] for point in page["series"]} for page in pages]
        assert points == [set(page) for page in shown]


def test_everything_is_verified(platform: Up) -> None:
    """Last: after all of the above, live equals the lake. On a pipe each tenth is a line."""
    done = subprocess.run(
        [Path(sys.executable).with_name("agentflow"), "verify", "--json"],
        cwd=ROOT,
        env={**os.environ, "AGENTFLOW_URL": platform.url},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    first, *lines = done.stderr.splitlines()
    told = [
        re.fullmatch(r"recomputing every metric from the lake: (\d+) of (\d+) windows", line)
        for line in lines
    ]
    assert first == "recomputing every metric from the lake …"
    counts = [int(line[1]) for line in told if line is not None]
    assert len(counts) == len(lines) > 2, done.stderr
    assert counts == sorted(set(counts))
    assert result["verified"] is True
    assert len(result["metrics"]) > 20


def test_doctor_compares_the_contracts_in_force_with_the_files(live: Run) -> None:
    """A number that surprises may come from a platform that goes by other files."""
    same = json_of(live("doctor", "--json"))
    other = live("doctor", "--json", "--contracts-dir", "examples/flights/contracts")

    found = {each["name"]: each for each in same}["in force"]
    assert found["status"] == "ok"
    assert "those in contracts" in found["detail"]
    differing = {each["name"]: each for each in json_of(other)}["in force"]
    assert differing["status"] == "note"
    assert "flight" in differing["detail"] or "entity" in differing["detail"]
    assert "contracts publish" in differing["fix"]


def test_publish_says_when_the_platform_reads_other_files(live: Run) -> None:
    """It cannot be told which: an edit somewhere else would seem to be published."""
    same = live("contracts", "publish", "--contracts-dir", "contracts")
    other = live("contracts", "publish", "--contracts-dir", "examples/flights/contracts")
    absent = live("contracts", "publish", "--contracts-dir", "nowhere")

    assert (same.exit_code, same.stderr.splitlines()[-1]) == (0, "0 changes published")
    assert "other contracts than examples/flights/contracts" in other.stderr
    assert absent.exit_code == 1
    assert 'contracts directory "nowhere" does not exist' in absent.stderr


def test_doctor_is_content(live: Run) -> None:
    """A running platform answers for its own parts."""
    result = live("doctor")

    assert result.exit_code == 0
    assert "nothing is wrong" in result.stderr


def test_no_event_drives_the_terminal_of_who_looks_at_it(live: Run) -> None:
    """Whoever may send an event could otherwise write titles, links and colours there."""
    evil = "\x1b]0;owned\x07\u2028x"
    live("send", "order.created", "amount=1.00", "currency=SEK", f"channel:={json.dumps(evil)}")
    live("send", "order.created", f"order_id={evil}", "amount=1.00", "currency=SEK")

    told = [
        live("metric", "order_count", "--by", "channel").output,
        live("explain", "order_count").output,
        live("deadletter", "list").output,
        live("tail", "--from-start", "--limit", "1").output,
    ]

    assert not [line for text in told for line in text.splitlines() if not line.isprintable()]
