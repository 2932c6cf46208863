"""A snapshot says what a table holds: how old its rows are means nothing, by default."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agentflow.clock import ManualClock, to_rfc3339
from agentflow.contracts import Registry
from agentflow.events import RawEvent
from agentflow.lint import load
from ingestion.cdc import Refusal, Sources, documents, of_any_age
from ingestion.kafka.records import raw_record
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.dead_letters.triage import Criteria, Fix
from processing.transformations.dead_letter import DeadLetter
from processing.transformations.stream import StreamGate, StreamRecord
from processing.wiring import open_platform
from quality import Accepted, Gate, Rejected
from tests.ingestion.cdc.packs import write_pack
from tests.ingestion.cdc.records import Logical, change_of, render, row

NOW_US = 1_795_242_396_000_000
YEAR_US = 365 * 86_400_000_000
Judge = Callable[[Logical], str]


def judge_of(directory: Path, snapshot: str) -> Judge:
    """The gate of a stream whose events may be 30 days old; it tells the topic of its answer."""
    write_pack(directory)
    written = directory / "events" / "thing.written.yaml"
    written.write_text(written.read_text().replace("accept: 36500d", "accept: 30d"))
    source = directory / "sources" / "s.yaml"
    source.write_text(source.read_text().replace("key: [id]", f"key: [id]\nsnapshot: {snapshot}"))
    gate = StreamGate(load(directory))

    def judge(logical: Logical) -> str:
        record = render(logical, connector="postgresql")
        (output,) = gate.outputs(StreamRecord(record.topic, 0, 0, NOW_US, record.key, record.value))
        return output.topic

    return judge


@pytest.mark.parametrize("ahead_us", [-YEAR_US, -10 * YEAR_US, 0])
def test_an_old_row_of_a_snapshot_counts(tmp_path: Path, ahead_us: int) -> None:
    """It was there before the connector came; SELECT counts it."""
    judge = judge_of(tmp_path, "rows")

    assert judge(Logical("r", 7, None, row(7, at=NOW_US + ahead_us), snapshot=True)) == VALIDATED


def test_a_change_is_still_judged_by_its_age(tmp_path: Path) -> None:
    """Only what a snapshot shows is of any age."""
    judge = judge_of(tmp_path, "rows")

    assert judge(Logical("c", 7, None, row(7, at=NOW_US - YEAR_US))) == DEAD_LETTERS


def test_a_source_may_ask_for_recent_rows_alone(tmp_path: Path) -> None:
    """As the event's lateness has it."""
    judge = judge_of(tmp_path, "recent")

    old, new = row(7, at=NOW_US - YEAR_US), row(8, at=NOW_US - 1)
    assert judge(Logical("r", 7, None, old, snapshot=True)) == DEAD_LETTERS
    assert judge(Logical("r", 8, None, new, snapshot=True)) == VALIDATED


PAST = row(7, note="unwanted", at=NOW_US - YEAR_US)


def strict_pack(directory: Path) -> Registry:
    """Events of at most 30 days, whose note is wanted."""
    write_pack(directory)
    written = directory / "events" / "thing.written.yaml"
    text = written.read_text().replace("accept: 36500d", "accept: 30d")
    written.write_text(text.replace("note: {type: string}", "note: {type: string, enum: [wanted]}"))
    return load(directory)


def test_a_row_of_a_snapshot_stays_of_any_age_when_it_is_sent_again(tmp_path: Path) -> None:
    """Refused for another reason, mended, and then it was too late."""
    registry = strict_pack(tmp_path / "contracts")
    sources = Sources(registry)
    logical = Logical("r", 7, None, PAST, snapshot=True)
    change = change_of(render(logical, connector="postgresql"))
    found = documents(change, sources)
    assert not isinstance(found, Refusal)
    raws = [RawEvent(each, "default", NOW_US, of_any_age(change, sources)) for each in found]

    async def run() -> tuple[list[str], list[str]]:
        platform = open_platform(tmp_path / "data", registry, clock=ManualClock(NOW_US))
        await platform.start()
        refused = await platform.ingest(raws)
        (letter,), _ = platform.dead_letters.page("default", Criteria(), below=None, limit=9)
        fix = Fix(changes={"/data/note": "wanted"})
        fixed = await platform.dead_letters.fix("default", letter.offset, fix, who="me")
        await platform.close()
        return [each.status for each in refused], [fixed.status, letter.letter.reason]

    assert asyncio.run(run()) == (["rejected"], ["accepted", "not_in_enum"])


def test_a_row_sent_again_over_kafka_stays_of_any_age(tmp_path: Path) -> None:
    """The stream's gate is told in the header of the record."""
    gate = StreamGate(strict_pack(tmp_path))
    record = render(Logical("r", 7, None, PAST, snapshot=True), connector="postgresql")
    (output,) = gate.outputs(StreamRecord(record.topic, 0, 0, NOW_US, record.key, record.value))
    letter = msgspec.json.decode(output.record.value, type=DeadLetter)
    value = (letter.raw or "").replace("unwanted", "wanted").encode()

    def sent_again(*, any_age: bool) -> str:
        sent = raw_record(RawEvent(value, "default", NOW_US, any_age), None)
        headers = {name: text.encode() for name, text in sent.headers.items()}
        return gate.output(StreamRecord("raw", 0, 0, NOW_US, None, sent.value, headers)).topic

    assert output.topic == DEAD_LETTERS
    assert sent_again(any_age=letter.of_any_age) == VALIDATED
    assert sent_again(any_age=False) == DEAD_LETTERS


def test_the_dead_letter_of_a_conflict_remembers_it_too(tmp_path: Path) -> None:
    """Its reason is the conflict, not its age."""
    gate = StreamGate(strict_pack(tmp_path))
    past = row(7, note="wanted", at=NOW_US - YEAR_US)
    record = render(Logical("r", 7, None, past, snapshot=True), connector="postgresql")
    (output,) = gate.outputs(StreamRecord(record.topic, 0, 0, NOW_US, record.key, record.value))

    letter = msgspec.json.decode(gate.conflict(output).record.value, type=DeadLetter)

    assert (letter.reason, letter.of_any_age) == ("id_conflict", True)


@pytest.mark.parametrize("age_us", [31 * 86_400_000_000, -YEAR_US])
def test_both_ways_through_the_gate_agree_on_age(tmp_path: Path, age_us: int) -> None:
    """The generated code and the one that names everything wrong; the future stays refused."""
    write_pack(tmp_path)
    for name in ("thing.written", "thing.deleted"):
        event = tmp_path / "events" / f"{name}.yaml"
        text = event.read_text().replace("accept: 36500d", "accept: 30d")
        event.write_text(text.replace("ahead: 36500d", "ahead: 5m"))
    gate = Gate(load(tmp_path))
    value = b'{"type":"thing.deleted","id":"1","source":"/s","data":{"id":1,"position":"1"}}'
    at = f'{{"time":"{to_rfc3339(NOW_US - age_us)}",'.encode()
    for any_age in (False, True):
        raw = RawEvent(at + value[1:], "default", NOW_US, any_age)
        quick, slow = gate.quick(raw), gate.examine(raw)
        if any_age and age_us > 0:
            assert isinstance(quick, Accepted)
            assert isinstance(slow, Accepted)
            assert quick.event == slow.event
        else:
            assert quick is None
            assert isinstance(slow, Rejected)
            assert slow.reason == ("too_late" if age_us > 0 else "too_early")
