"""A version has one meaning for ever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentflow.contracts import Registry, read_lock, unlocked, write_lock
from agentflow.errors import BreakingChangeError, ContractFilesError
from agentflow.lint import read_directory

if TYPE_CHECKING:
    from conftest import Pack


PAID = "events/order.paid.v1.yaml"
TAKINGS = "metrics/takings.v1.yaml"


def test_the_shop_is_locked(shop: Registry) -> None:
    """What is shipped has been agreed on."""
    locked = read_lock(Path(__file__).parents[3] / "contracts")

    assert locked is not None
    assert unlocked(shop, locked) == ()


def test_a_changed_meaning_under_the_same_version_is_refused(pack: Pack) -> None:
    """Yesterday's number and today's would carry the same name."""
    write_lock(pack.directory, pack.load())
    pack.edit(TAKINGS, "sum(order.paid.amount)", "max(order.paid.amount)")

    with pytest.raises(ContractFilesError) as raised:
        pack.load()

    [problem] = raised.value.problems
    assert (problem.file, problem.line) == (TAKINGS, 3)
    assert problem.message == 'the meaning of metric "takings" changed under version 1'
    assert problem.hint == "Add version 2 in a file of its own and deprecate this one."


def test_an_event_may_change_with_its_minor_version(pack: Pack) -> None:
    """Compatible growth is what minor versions are for; `diff` judges whether it is."""
    write_lock(pack.directory, pack.load())
    pack.edit(PAID, "max_length: 20", "max_length: 30")
    assert "Raise minor to 1" in pack.problems()[0]

    pack.edit(PAID, "version: 1", "version: 1\nminor: 1")

    assert pack.problems() == []
    assert write_lock(pack.directory, pack.load()) == ("event order.paid@1.1",)


def test_wording_new_contracts_and_proposals_need_no_lock(pack: Pack) -> None:
    """A new metric is one file and nothing else."""
    write_lock(pack.directory, pack.load())
    pack.edit(TAKINGS, "Money that arrived.", "Cash.")
    text = (pack.directory / TAKINGS).read_text()
    pack.write("metrics/takings.v2.yaml", text.replace("version: 1", "version: 2"))

    assert pack.problems() == []


def test_a_lock_forgets_nothing(pack: Pack) -> None:
    """A name that comes back must come back with its meaning."""
    write_lock(pack.directory, pack.load())
    text = (pack.directory / TAKINGS).read_text()
    (pack.directory / TAKINGS).unlink()
    write_lock(pack.directory, pack.load())

    pack.write(TAKINGS, text.replace("sum(", "max("))

    assert "changed under version 1" in pack.problems()[0]


def test_changes_are_locked_only_on_purpose(pack: Pack) -> None:
    """Running the lock command must not be the way to silence it."""
    write_lock(pack.directory, pack.load())
    pack.edit(TAKINGS, "sum(order.paid.amount)", "max(order.paid.amount)")
    changed = read_directory(pack.directory, locked=False).registry

    with pytest.raises(BreakingChangeError, match="1 contract changed in meaning"):
        write_lock(pack.directory, changed)
    write_lock(pack.directory, changed, accept_changes=True)

    assert pack.problems() == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 9}', '{"format": 1, "contracts": 3}'])
def test_a_damaged_lock_is_a_problem_with_a_line(pack: Pack, text: str) -> None:
    """A merge conflict in the lock is the usual way to meet this."""
    pack.write("contracts.lock", text)

    [problem] = pack.problems()

    assert problem.startswith("contracts.lock:")
    assert "is not a lock" in problem
