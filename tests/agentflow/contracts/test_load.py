"""Reading contract files: what is wrong is said with its line, all of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.contracts.model import SessionWindow
from agentflow.contracts.source import read
from agentflow.errors import ContractFilesError
from agentflow.lint import load, read_directory

if TYPE_CHECKING:
    from conftest import Pack


ORDER = "entities/order.v1.yaml"
PAID = "events/order.paid.v1.yaml"
TAKINGS = "metrics/takings.v1.yaml"


def test_a_good_pack_loads(pack: Pack) -> None:
    """The pack the other tests break must itself be whole."""
    registry = pack.load()

    assert [str(ref) for ref in registry.events] == [
        "order.changed@1",
        "order.paid@1",
        "order.voided@1",
    ]
    assert registry.metric("takings").owner == "finance"
    assert registry.source(registry.metric("takings")).file == TAKINGS


def test_a_file_wrong_in_five_ways_reports_five_lines(pack: Pack) -> None:
    """Fixing one problem per run is what people hate about linters."""
    pack.edit(TAKINGS, "owner: finance", "ownr: finance")
    pack.edit(TAKINGS, "status: approved", "status: approve")
    pack.edit(TAKINGS, "version: 1", "version: one")
    pack.edit(TAKINGS, "windows: [5m, 1h, today, all]", "windows: 5m")
    pack.edit(TAKINGS, "dimensions: [currency, country]", "dimensions: [Currency]")

    assert pack.problems() == [
        f'{TAKINGS}:1: key "owner" is missing',
        f'{TAKINGS}:3: "version" must be an integer, not "one"',
        (
            f'{TAKINGS}:4: "status" must be proposed or approved or deprecated, not "approve"'
            ' (Did you mean "approved"?)'
        ),
        f'{TAKINGS}:5: unknown key "ownr" (Did you mean "owner"?)',
        (
            f"{TAKINGS}:10: \"dimensions[0]\": string should match pattern '^[a-z][a-z0-9_]*$', "
            'not "Currency"'
        ),
        f'{TAKINGS}:11: "windows" must be a list, not "5m"',
    ]


def test_problems_of_all_files_come_together(pack: Pack) -> None:
    """A rename touches many files; each must be named in one run."""
    pack.edit(PAID, "owner: shop", "owner: 7")
    pack.edit(TAKINGS, "unit: currency", "unit: [currency]")

    with pytest.raises(ContractFilesError) as raised:
        pack.load()

    assert [(problem.file, problem.line) for problem in raised.value.problems] == [
        (PAID, 5),
        (TAKINGS, 7),
    ]


def test_who_uses_a_broken_file_is_not_blamed(pack: Pack) -> None:
    """One typo must not produce twenty complaints about contracts that are fine."""
    pack.write(PAID, b"\xff")

    assert pack.problems() == [
        f"{PAID}:1: file is not UTF-8: byte 0xff at offset 0 (Save the file as UTF-8.)"
    ]


def test_unknown_keys_deep_inside_get_a_suggestion(pack: Pack) -> None:
    """The known keys depend on where in the contract one is."""
    pack.edit(PAID, "max_length: 20", "maxlength: 20")

    assert pack.problems() == [
        f'{PAID}:9: unknown key "fields.order_id.maxlength" (Did you mean "max_length"?)'
    ]


@pytest.mark.parametrize(
    ("session", "said"),
    [
        ("{gap: 999ms}", '"session.gap": a gap is from 1s to 1d, not 999ms'),
        ("{gap: 25h}", '"session.gap": a gap is from 1s to 1d, not 25h'),
        ("{gap: 99999999999d}", '"session.gap": a gap is from 1s to 1d, not 99999999999d'),
        ("{gap: soon}", '"session.gap"'),
        ("{pause: 5m}", 'unknown key "session.pause"'),
    ],
)
def test_a_gap_is_one_that_people_make(pack: Pack, session: str, said: str) -> None:
    """Milliseconds are the network's; of weeks a job would keep every event in memory."""
    pack.edit(ORDER, "sources:", f"session: {session}\nsources:")

    assert any(said in problem for problem in pack.problems())


@pytest.mark.parametrize("gap", ["1s", "30m", "24h", "1d"])
def test_a_session_window_is_read(pack: Pack, gap: str) -> None:
    """Both ends of what is allowed are allowed."""
    pack.edit(ORDER, "sources:", f"session: {{gap: {gap}}}\nsources:")

    assert pack.load().entity("order").session == SessionWindow(gap=gap)


def test_duplicate_keys_are_refused(pack: Pack) -> None:
    """YAML readers keep the last one in silence."""
    pack.edit(TAKINGS, "unit: currency", "unit: currency\nunit: EUR")

    assert pack.problems() == [f'{TAKINGS}:8: key "unit" is given twice, first on line 7']


def test_the_folder_says_the_kind(pack: Pack) -> None:
    """A metric among the events would be overlooked by people."""
    pack.write("events/takings.v1.yaml", (pack.directory / TAKINGS).read_text())

    assert any('events/takings.v1.yaml:1: "kind" must be event' in each for each in pack.problems())


def test_a_name_and_version_is_given_once(pack: Pack) -> None:
    """Which of the two files is in force would depend on the file system."""
    pack.write("metrics/again.yaml", (pack.directory / TAKINGS).read_text())

    assert pack.problems() == [
        (
            f'{TAKINGS}:2: metric "takings" version 1 is already in metrics/again.yaml:2'
            " (Raise its version.)"
        )
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": file is empty"),
        ("- a\n", "1: a contract is a mapping of keys to values"),
        ("a: &x 1\nb: *x\n", "1: YAML anchors are not read"),
        ("a: !!python/object:os.system {}\n", "1: YAML tag"),
        ("a: 1\n---\nb: 2\n", "2: a second document begins here"),
        ("a: [1, 2\nb: 3\n", "not YAML"),
        ("a: '\n", "not YAML"),
        ("a: \x07\n", "1: not YAML"),
        ("? [a, b]\n: 1\n", "1: a key must be plain text"),
        ("[" * 5000, "1: nested deeper than 20 levels"),
        ("a: " + "x" * 300_000, ": file is longer than 262144 bytes"),
        ('name: "\\ud800"\n', "1: not YAML"),
    ],
)
def test_hostile_text_is_a_problem_and_never_a_crash(pack: Pack, text: str, said: str) -> None:
    """Contract files come from anybody's branch."""
    pack.write("metrics/bad.yaml", text.encode("utf-8", "surrogatepass"))

    found = pack.problems()

    assert found
    assert all(each.startswith("metrics/bad.yaml:") for each in found)
    assert any(said in each for each in found)


def test_an_alias_bomb_costs_nothing(pack: Pack) -> None:
    """Nine lines of aliases expand to a gigabyte in other readers."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    pack.write("metrics/bomb.yaml", "\n".join(lines))

    assert pack.problems() == [
        "metrics/bomb.yaml:1: YAML anchors are not read (Write the value out where it is used.)"
    ]


def test_countries_dates_and_the_word_on_stay_text() -> None:
    """YAML 1.1 turns them into false, dates and true."""
    document = read("x", b"enum: [NO, yes, off, 1:30]\non: 2027-01-01\n")

    assert document.value == {"enum": ["NO", "yes", "off", "1:30"], "on": "2027-01-01"}


def test_a_directory_that_is_not_there_says_so(tmp_path: Path) -> None:
    """A typo in --contracts-dir must not start an empty platform."""
    (tmp_path / "one.yaml").write_text("")

    with pytest.raises(ContractFilesError, match='contracts directory "nowhere" does not exist'):
        load(tmp_path / "nowhere")
    with pytest.raises(ContractFilesError, match="is a file, not a directory"):
        load(tmp_path / "one.yaml")


def test_a_misspelt_folder_is_noticed(pack: Pack) -> None:
    """Files in it would be ignored in silence."""
    pack.write("metric/late.yaml", "kind: metric\n")
    pack.write("stray.yaml", "kind: metric\n")

    assert pack.problems() == [
        'metric: folder is not read (Did you mean "metrics/"?)',
        (
            "stray.yaml: contract file is in none of the folders"
            " (Move it into events/, entities/, metrics/, sources/.)"
        ),
    ]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_to_a_file_is_a_problem_or_a_contract(pack: Pack, data: st.DataObject) -> None:
    """Whatever an editor leaves behind, the loader returns."""
    pack.write("metrics/damaged.yaml", _damaged(pack, data))

    reading = read_directory(pack.directory)

    assert all(problem.message for problem in reading.problems)


def _damaged(pack: Pack, data: st.DataObject) -> bytes:
    content = bytearray((pack.directory / TAKINGS).read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 20))
        piece = data.draw(st.sampled_from([b"", b":", b"[", b"]", b"{", b"&a ", b"*a", b"\x00"]))
        content[at : at + cut] = piece + data.draw(st.binary(max_size=4))
    return bytes(content)
