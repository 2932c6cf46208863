"""Each accepted event is in the lake once, whatever happens to the writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from agentflow.contracts import Registry
from agentflow.errors import ContractError, StorageError
from agentflow.events import EventRef
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.lake import Lake, LakeReader, LakeWriter, Positions, lake_health, open_lake
from processing.lake.catalog import DEAD_LETTER_TABLE
from processing.lake.commit import OffsetRange, append
from processing.lake.coverage import covered
from processing.lake.rows import ArrowTable, StoredEvent, rows_of
from quality import Gate
from tests.fakes.memory_log import MemoryLog
from tests.processing.lake.conftest import Publish, cancelled, order

CREATED = EventRef("order.created", 1)


def ends(log: MemoryLog) -> Positions:
    return Positions(log.end(VALIDATED), log.end(DEAD_LETTERS))


def offsets(lake: Lake, gate: Gate) -> list[int]:
    return [stored.offset for stored in LakeReader(lake, gate).all_events()]


def test_the_lake_gives_back_what_the_log_held(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """Events of several types come back in the order in which they were accepted."""
    publish([order(1), cancelled(1), order(2), {"nonsense": True}, order(3)])

    LakeWriter(lake, log, gate).write_up_to(ends(log))

    records = log.read(VALIDATED, start=0, limit=100)
    expected = [
        StoredEvent(
            record.offset,
            gate.decode(
                EventRef(record.headers["type"], int(record.headers["version"])), record.value
            ),
        )
        for record in records
    ]
    assert list(LakeReader(lake, gate).all_events()) == expected
    assert lake.table(DEAD_LETTER_TABLE).scan().count() == 1


def test_commits_follow_batches_and_not_events(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """One snapshot for each table with rows in the batch: an event alone costs no commit."""
    publish([order(number) for number in range(300)])

    LakeWriter(lake, log, gate, batch_events=100).write_up_to(ends(log))

    health = {table.table: table for table in lake_health(lake).tables}
    assert health["events.order_created_v1"].snapshots == 3
    assert health["events.order_created_v1"].rows == 300
    assert health["events.order_cancelled_v1"].snapshots == 0


def test_a_new_writer_goes_on_where_the_last_one_stopped(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """The position is in the lake itself: no other file can disagree with it."""
    publish([order(1), order(2)])
    LakeWriter(lake, log, gate).write_up_to(ends(log))
    publish([order(3)])

    writer = LakeWriter(lake, log, gate)

    assert writer.covered == Positions(2, 0)
    writer.write_up_to(ends(log))
    assert offsets(lake, gate) == [0, 1, 2]


def test_a_batch_that_was_cut_off_between_tables_is_completed(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """There is no commit over several tables: what the first has, it must not get again."""
    publish([order(1), cancelled(1), order(2)])
    span = OffsetRange(VALIDATED, 0, 3, log.log_id)
    append(lake, lake.name(CREATED), rows(lake, gate, log), span)

    LakeWriter(lake, log, gate).write_up_to(ends(log))

    assert offsets(lake, gate) == [0, 1, 2]


def test_two_writers_of_one_log_add_up_to_one(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """A zombie that wakes up with an old position writes batches cut at other offsets."""
    publish([order(number) for number in range(40)])
    zombie = LakeWriter(lake, log, gate, batch_events=7)
    LakeWriter(lake, log, gate, batch_events=13).write_up_to(Positions(20, 0))

    zombie.write_up_to(Positions(30, 0))
    LakeWriter(lake, log, gate, batch_events=11).write_up_to(ends(log))

    assert offsets(lake, gate) == list(range(40))


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_commit_reply_neither_loses_nor_doubles(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish, *, landed: bool
) -> None:
    """Nobody can know whether the commit landed but by looking: so that is what is done."""
    publish([order(1), order(2)])
    flaky = FlakyLake(lake, landed=landed)

    LakeWriter(flaky, log, gate).write_up_to(ends(log))  # type: ignore[arg-type]

    assert flaky.failures == 1
    assert offsets(lake, gate) == [0, 1]


class FlakyLake:
    """A lake whose first table handle loses its commit, or only the reply to it."""

    def __init__(self, lake: Lake, *, landed: bool) -> None:
        self._lake = lake
        self._landed = landed
        self.failures = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._lake, name)

    def fresh(self, name: tuple[str, str]) -> object:
        table = self._lake.fresh(name)
        if self.failures == 0:
            commit: Callable[..., None] = table._do_commit  # noqa: SLF001 - the wire, cut here

            def cut(*arguments: object, **keywords: object) -> None:
                self.failures += 1
                if self._landed:
                    commit(*arguments, **keywords)
                raise OperationalError("COMMIT", {}, Exception("connection lost"))

            table._do_commit = cut  # type: ignore[method-assign]  # noqa: SLF001
        return table


def test_the_history_of_snapshots_stays_short(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """Each commit rewrites the list of snapshots, so it must not grow with time."""
    writer = LakeWriter(lake, log, gate)
    for number in range(20):
        publish([order(number)])
        writer.write_up_to(ends(log))

    assert all(table.snapshots <= 16 for table in lake_health(lake).tables)
    assert covered(lake.table(lake.name(CREATED)), VALIDATED) == 20
    assert offsets(lake, gate) == list(range(20))


def test_a_log_that_lost_its_end_is_refused(
    lake: Lake, log: MemoryLog, gate: Gate, publish: Publish
) -> None:
    """Its next events would get offsets that the lake believes to hold, and skips."""
    publish([order(1), order(2)])
    LakeWriter(lake, log, gate).write_up_to(ends(log))

    with pytest.raises(StorageError, match="the log ends at"):
        LakeWriter(lake, MemoryLog("another"), gate)


def test_a_field_added_by_a_compatible_contract_becomes_a_column(
    tmp_path: Path, lake: Lake, log: MemoryLog, gate: Gate, registry: Registry, publish: Publish
) -> None:
    """Old rows have nothing there; new rows keep it; nothing is rewritten."""
    publish([order(1)])
    LakeWriter(lake, log, gate).write_up_to(ends(log))
    wider = with_field(registry, "gift_note", {"type": "string"})
    new_gate = Gate(wider)

    lake.adopt(wider)
    publish([order(2)])
    LakeWriter(lake, log, new_gate).write_up_to(ends(log))

    notes = [stored.event.data for stored in LakeReader(lake, new_gate).events(CREATED)]
    assert [getattr(data, "gift_note") for data in notes] == [None, None]  # noqa: B009
    assert open_lake(tmp_path / "lake", wider).layouts[CREATED].fields[-2].name == "gift_note"


def test_a_changed_type_needs_a_new_major_version(lake: Lake, registry: Registry) -> None:
    """A column cannot hold two types, and must not lose digits in silence."""
    changed = with_field(registry, "quantity", {"type": "string"})

    with pytest.raises(ContractError, match='column "quantity"'):
        lake.adopt(changed)


def with_field(registry: Registry, name: str, field: dict[str, object]) -> Registry:
    contract = registry.events[CREATED]
    document = contract.model_dump()
    document["fields"] = {**document["fields"], name: field}
    document["rules"] = ()
    others = [each for each in registry.contracts() if each is not contract]
    return Registry.of([*others, type(contract).model_validate(document)])


def rows(lake: Lake, gate: Gate, log: MemoryLog) -> ArrowTable:
    records = log.read(VALIDATED, start=0, limit=1_000)
    stored: Sequence[StoredEvent] = [
        StoredEvent(record.offset, gate.decode(CREATED, record.value))
        for record in records
        if record.headers["type"] == "order.created"
    ]
    return rows_of(lake.layouts[CREATED], stored)
