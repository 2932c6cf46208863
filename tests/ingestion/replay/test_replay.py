"""Files of every kind become the same events, and nothing of a file is lost."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.errors import ContractFilesError, NotFoundError, ParameterError, UnknownContractError
from agentflow.lint import load
from ingestion.replay import RowMapping, mapping_for, read_mappings, replay
from ingestion.replay.ordering import Replayed, in_event_time

EVENT = """\
kind: event
name: parcel.sent
status: approved
owner: depot
description: A parcel left.
fields:
  parcel: {type: string, required: true}
  weight: {type: decimal, scale: 2, required: true}
  pieces: {type: integer}
  fragile: {type: boolean}
"""
MAPPING = """\
kind: mapping
name: parcels
files: ["parcels*"]
source: urn:depot
nulls: ["", "-"]
columns:
  number: {type: string, header: Parcel No}
  day: {type: string}
  clock: {type: string}
  kilos: {type: decimal, scale: 2}
  pieces: {type: integer}
  fragile: {type: boolean}
instants:
  sent: {date: "{day}", clock: "{clock}", zone: Europe/Berlin}
events:
  - type: parcel.sent
    when: kilos is not null
    id: "{number}"
    time: sent
    data: {parcel: number, weight: kilos, pieces: pieces, fragile: fragile}
"""
CSV = """\
Parcel No,day,clock,kilos,pieces,fragile
P2,2026-07-01,14:00,2.50,1,true
P1,2026-07-01,930,0.75,-,false
P3,2026-07-02,24:00,10.00,3,-
"""


@pytest.fixture
def contracts_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "contracts"
    for folder, text in (("events", EVENT), ("mappings", MAPPING)):
        (directory / folder).mkdir(parents=True)
        (directory / folder / "one.yaml").write_text(text)
    return directory


@pytest.fixture
def mapping(contracts_dir: Path) -> RowMapping:
    return read_mappings(contracts_dir, load(contracts_dir))["parcels"]


def documents(file: Path, mapping: RowMapping | None) -> list[dict[str, Any]]:
    return [json.loads(event.value) for event in replay(file, mapping)]


def test_rows_come_out_as_events_in_the_order_they_happened(
    tmp_path: Path, mapping: RowMapping
) -> None:
    """A replay that sends the file's order would make live windows jump back and forth."""
    file = tmp_path / "parcels.csv"
    file.write_text(CSV)

    events = documents(file, mapping)

    assert [event["id"] for event in events] == ["P1", "P2", "P3"]
    assert events[0] == {
        "specversion": "1.0",
        "source": "urn:depot",
        "type": "parcel.sent",
        "id": "P1",
        "time": "2026-07-01T07:30:00.000000Z",
        "data": {"parcel": "P1", "weight": "0.75", "fragile": False},
    }
    assert events[2]["time"] == "2026-07-02T22:00:00.000000Z"


def test_every_format_gives_the_same_events(tmp_path: Path, mapping: RowMapping) -> None:
    """What a file is written in says nothing about what happened."""
    lines = [line.split(",") for line in CSV.splitlines()]
    rows = [dict(zip(lines[0], cells, strict=True)) for cells in lines[1:]]
    (tmp_path / "parcels.csv").write_text(CSV)
    (tmp_path / "parcels.tsv").write_text("\ufeff" + CSV.replace(",", "\t"))
    (tmp_path / "parcels.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "parcels.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    with zipfile.ZipFile(tmp_path / "parcels.zip", "w") as archive:
        archive.writestr("inside.csv", CSV)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "parcels.parquet")

    found = {file.name: documents(file, mapping) for file in tmp_path.glob("parcels*")}

    assert len(found) == 6
    assert all(events == found["parcels.csv"] for events in found.values())


def test_typed_parquet_columns_need_no_parsing(tmp_path: Path, mapping: RowMapping) -> None:
    """Parquet holds numbers, decimals and gaps as such; pandas turns gappy integers into floats."""
    from decimal import Decimal

    table = pa.Table.from_pylist(
        [
            {
                "Parcel No": "P1",
                "day": "2026-07-01",
                "clock": "9:30",
                "kilos": Decimal("0.75"),
                "pieces": 2.0,
                "fragile": True,
            }
        ]
    )
    pq.write_table(table, tmp_path / "typed.parquet")

    (event,) = documents(tmp_path / "typed.parquet", mapping)

    assert event["data"] == {"parcel": "P1", "weight": "0.75", "pieces": 2, "fragile": True}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("P4,2026-07-01,14:00,heavy,1,true", 'column "kilos": "heavy" is not a decimal number'),
        ("P4,2026-07-01,14:00,1.234,1,true", 'column "kilos": "1.234" has more than 2 digits'),
        ("P4,2026-07-01,14:00,NaN,1,true", 'column "kilos": "NaN" is not a decimal number'),
        ("P4,2026-07-01,25:00,1.00,1,true", 'instant "sent": "25:00" is not a time of day'),
        ("P4,2026-02-30,14:00,1.00,1,true", 'instant "sent": "2026-02-30" is not a date'),
        ("P4,9999-12-31,24:00,1.00,1,true", "outside the years 1 to 9999"),
        ("P4,2026-07-01,,1.00,1,true", 'parcel.sent: its time "sent" is empty'),
        (",2026-07-01,14:00,1.00,1,true", 'a part of its id "{number}" is empty'),
        ("P4,2026-07-01,14:00,-,1,true", "no event of the mapping wants this row"),
        ("P4,2026-07-01,14:00,1.00,1.5,true", 'column "pieces": "1.5" is not a whole number'),
        ("P4,2026-07-01,14:00,1.00,+5,true", '"+5" is not a whole number as JSON writes it'),
        ("P4,2026-07-01,14:00,1.00,-05,true", '"-05" is not a whole number as JSON writes it'),
        ("P4,2026-07-01,14:00,+1.00,1,true", '"+1.00" is not a decimal number of up to 18 digits'),
        ("P4,2026-07-01,14:00,1.00,1,yes", 'column "fragile": "yes" is neither true nor false'),
        ("P4,2026-07-01", "line 5 has 2 cells for 6 columns"),
        ("P\udcff,2026-07-01,14:00,1.00,1,true", "bytes that are not UTF-8"),
    ],
)
def test_a_row_that_cannot_be_mapped_is_sent_as_what_it_is(
    tmp_path: Path, mapping: RowMapping, line: str, problem: str
) -> None:
    """It waits among the dead letters with its number and its cells; its neighbours go through."""
    file = tmp_path / "parcels.csv"
    file.write_bytes((CSV + line + "\n").encode("utf-8", "surrogateescape"))

    events = list(replay(file, mapping))

    assert len(events) == 4
    (unmapped,) = [event for event in events if event.problem is not None]
    document = json.loads(unmapped.value)
    assert problem in (unmapped.problem or "")
    assert unmapped.row == 4
    assert document["type"] == "parcels.unmapped"
    assert document["data"]["row"] == 4
    assert "P" in json.dumps(document["data"]["cells"])


def test_json_lines_of_events_pass_byte_for_byte(tmp_path: Path) -> None:
    """Whoever has CloudEvents already needs no mapping; the gate judges what is wrong with them."""
    lines = [
        b'{"type": "b", "time": "2026-01-02T00:00:00Z", "data": {}}',
        b"not json at all \xff",
        b'{"type": "a", "time": "2026-01-01T00:00:00+01:00",  "data": {}}',
        b'{"type": "no time"}',
    ]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\r\n".join(lines) + b"\n\n")

    values = [event.value for event in replay(file, None)]

    assert values == [lines[2], lines[3], lines[0], lines[1]]


def test_progress_of_each_phase_ends_at_one(tmp_path: Path, mapping: RowMapping) -> None:
    """A bar that stops at 97 % makes people wait for nothing, and sorting takes a while."""
    file = tmp_path / "parcels.csv"
    file.write_text(CSV)
    told: list[tuple[str, float]] = []

    list(replay(file, mapping, progress=lambda phase, done: told.append((phase, done))))
    list(replay(file, mapping, ordered=False, progress=lambda *each: told.append(each)))

    assert [phase for phase, _ in told] == ["sorting"] * 2 + ["sending"] * 4
    assert [done for phase, done in told][1::2] == [1.0, 1.0, 1.0]


def test_what_cannot_be_replayed_says_why(tmp_path: Path, mapping: RowMapping) -> None:
    """Before the first event leaves, not in the middle."""
    (tmp_path / "a.xlsx").write_text("x")
    (tmp_path / "a.csv").write_text("Parcel No,day\nP1,2026-07-01\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "a.parquet").write_text("PAR1 or not")
    (tmp_path / "a.zip").write_text("PK or not")
    (tmp_path / "binary.csv").write_bytes(b"\xab\x00,\xff\n1,2\n")
    (tmp_path / "folder.csv").mkdir()

    for name, message in {
        "a.xlsx": "of no kind that can be replayed",
        "a.csv": 'lacks the columns "clock", "kilos"',
        "empty.csv": "is empty",
        "a.parquet": "is not Parquet",
        "a.zip": "is not a ZIP archive",
        "binary.csv": "line 1: it is not text in utf-8",
        "folder.csv": "is a directory, not a file",
    }.items():
        with pytest.raises(ParameterError, match=message) as refused:
            replay(tmp_path / name, mapping)
        told = f"{refused.value} {refused.value.hint}"
        assert "\\udc" not in ascii(told)
    with pytest.raises(NotFoundError):
        replay(tmp_path / "absent.csv", mapping)
    with pytest.raises(ParameterError, match="no mapping says"):
        replay(tmp_path / "a.csv", None)


def test_a_mapping_is_found_by_name_or_by_the_name_of_the_file(mapping: RowMapping) -> None:
    """Nobody should have to name the only mapping that fits."""
    mappings = {"parcels": mapping}

    assert mapping_for(Path("parcels_2026.csv"), mappings) is mapping
    assert mapping_for(Path("parcels_2026.csv.gz"), mappings) is mapping
    assert mapping_for(Path("other.csv"), mappings) is None
    assert mapping_for(Path("other.csv.gz"), mappings) is None
    assert mapping_for(Path("other.csv"), mappings, name="parcels") is mapping
    with pytest.raises(UnknownContractError, match='mapping "letters" does not exist'):
        mapping_for(Path("other.csv"), mappings, name="letters")


def test_a_mapping_wrong_in_many_ways_reports_each_with_its_line(contracts_dir: Path) -> None:
    """Fixing a file should take one round, not one round for each mistake."""
    (contracts_dir / "mappings" / "one.yaml").write_text(
        MAPPING.replace("zone: Europe/Berlin", "zone: Europe/Berlni")
        .replace("when: kilos is not null", "when: kilo is not null")
        .replace("time: sent", "time: kilos")
        .replace("parcel: number, ", "")
        .replace("pieces: pieces", "pices: pieces")
        .replace("fragile: fragile", "fragile: number")
        .replace('id: "{number}"', 'id: "P-{numbers}"')
    )

    with pytest.raises(ContractFilesError) as caught:
        read_mappings(contracts_dir, load(contracts_dir))

    assert [str(problem).partition(":")[2] for problem in caught.value.problems] == [
        '14: "Europe/Berlni" is not an IANA time zone (Zones are named like Europe/Berlin.)',
        (
            '17: field "kilo" does not exist '
            "(Known fields: clock, day, fragile, kilos, number, pieces, sent.)"
        ),
        '18: no column or value is named "numbers" (Did you mean "number"?)',
        '19: "kilos" is a decimal, `time` needs a timestamp',
        '20: "parcel.sent@1" requires "parcel", which the mapping does not give',
        '20: "parcel.sent@1" has no field "pices" (Did you mean "pieces"?)',
        '20: "fragile" of "parcel.sent@1" is a boolean, this is a string',
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: no such file or directory"),
        (b'key,value\na,b\nc,"d\ne,f\n', "has a quote that does not close well in line 3"),
        (b"key,value\na\n", "has 1 column in line 2, not 2"),
        (b"key,value\n\xff,b\n", "is not UTF-8"),
    ],
)
def test_a_lookup_file_is_read_whole_or_refused(
    contracts_dir: Path, content: bytes | None, problem: str
) -> None:
    """Its entries vanished into a cell whose quote never closes."""
    lookups = "lookups:\n  place: {file: places.csv, key: number}\nevents:\n"
    mappings = contracts_dir / "mappings"
    (mappings / "one.yaml").write_text(MAPPING.replace("events:\n", lookups))
    if content is not None:
        (mappings / "places.csv").write_bytes(content)

    with pytest.raises(ContractFilesError) as caught:
        read_mappings(contracts_dir, load(contracts_dir))

    (found,) = caught.value.problems
    assert found.message == f'lookup file "places.csv" {problem}'
    assert found.line > 0


def test_values_that_need_each_other_are_refused(contracts_dir: Path) -> None:
    """A circle has no first value."""
    circle = "instants:\n  ping: {start: pong, plus: pieces}\n  pong: {start: ping, plus: pieces}\n"
    text = MAPPING.replace("instants:\n", circle)
    (contracts_dir / "mappings" / "one.yaml").write_text(text)

    with pytest.raises(ContractFilesError, match='"ping" needs itself to be computed'):
        read_mappings(contracts_dir, load(contracts_dir))


def test_an_event_no_contract_names_is_refused(contracts_dir: Path) -> None:
    """A mapping to nowhere would fill the dead letters with good rows."""
    text = MAPPING.replace("type: parcel.sent", "type: parcel.send")
    (contracts_dir / "mappings" / "one.yaml").write_text(text)

    with pytest.raises(ContractFilesError, match=r'event "parcel\.send" does not exist'):
        read_mappings(contracts_dir, load(contracts_dir))


@given(
    st.lists(st.integers(min_value=-(2**62), max_value=2**62), max_size=60),
    st.integers(min_value=1, max_value=7),
)
def test_sorting_in_runs_is_sorting(times: list[int], run_length: int) -> None:
    """However many runs a file needs, the order is by time and then by place in the file."""
    events = [Replayed(time, row, b"x") for row, time in enumerate(times)]

    found = list(in_event_time(events, run_length=run_length))

    assert found == sorted(events, key=lambda event: (event.occurred_us, event.row))
