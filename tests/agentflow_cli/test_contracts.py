"""The commands that look at contract files only."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import Result

from tests.agentflow_cli.conftest import ROOT, Run, json_of


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Return a copy of the shop's contracts that may be changed."""
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    return tmp_path / "contracts"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_shop_passes_lint_and_its_examples(run: Run) -> None:
    """What is shipped is right."""
    lint, examples = run("contracts", "lint", "--json"), run("contracts", "test", "--json")

    assert (lint.exit_code, json_of(lint)) == (0, {"problems": [], "unlocked": []})
    assert examples.exit_code == 0
    assert len(json_of(examples)) > 50
    assert all(item["met"] for item in json_of(examples))


def test_flights_pass_too(run: Run) -> None:
    """Anybody's contracts run unchanged."""
    result = run("contracts", "test", "--contracts-dir", "examples/flights/contracts")

    assert result.exit_code == 0


def test_problem_is_named_by_file_and_line(run: Run, pack: Path) -> None:
    """An editor can jump to it."""
    edit(pack / "metrics" / "revenue.v2.yaml", "unit: currency", "unitt: currency")

    result = run("contracts", "lint", "--contracts-dir", pack)

    assert result.exit_code == 1
    assert f"{pack}/metrics/revenue.v2.yaml:9:" in result.stdout
    assert 'Did you mean "unit"?' in result.stdout


def test_example_that_is_not_met_says_what_came_out(run: Run, pack: Path) -> None:
    """The definition or the example is wrong; both must be seen."""
    edit(pack / "metrics" / "revenue.v2.yaml", '"79.50"', '"79.51"')

    result = run("contracts", "test", "revenue", "--contracts-dir", pack)

    assert result.exit_code == 1
    assert "NOT MET  revenue@2 currency=EUR" in result.stdout
    assert "expected 79.51, got 79.50" in result.stdout


def test_breaking_change_ends_with_two_and_names_whom_it_hits(run: Run, pack: Path) -> None:
    """Events that were accepted yesterday would be refused."""
    edit(pack / "events" / "order.created.v1.yaml", "maximum: 1000000", "maximum: 10")

    result = run("contracts", "diff", ROOT / "contracts", pack)

    assert result.exit_code == 2
    assert "breaking event order.created@1 fields.amount.maximum" in result.stdout
    assert "hits metric" in result.stdout


def test_diff_compares_with_a_git_revision(run: Run, pack: Path) -> None:
    """What would this branch break? Nobody has to check out the other one for that."""
    git = ("git", "-C", str(pack.parent), "-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "before")):
        subprocess.run([*git, *command], check=True)
    edit(pack / "events" / "order.created.v1.yaml", "maximum: 1000000", "maximum: 10")

    result = run("contracts", "diff", "HEAD", "--contracts-dir", pack)

    assert result.exit_code == 2
    assert "breaking event order.created@1 fields.amount.maximum" in result.stdout


@pytest.mark.parametrize("old", ["no-such-revision", "--output=x", "/no/such/directory"])
def test_diff_with_nothing_says_what_it_takes(run: Run, pack: Path, old: str) -> None:
    """A revision that looks like an option is not passed on as one."""
    result = run("contracts", "diff", "--contracts-dir", pack, "--", old)

    assert result.exit_code == 2
    assert f'"{old}" is neither a directory nor a git revision' in result.stderr


def test_changed_meaning_is_refused_by_the_lock(run: Run, pack: Path) -> None:
    """A number answered yesterday must be told from one answered today."""
    edit(pack / "metrics" / "order_count.v1.yaml", "value: ", "value: 2 * ")

    refused = run("contracts", "lock", "--contracts-dir", pack)
    accepted = run("contracts", "lock", "--accept-changes", "--contracts-dir", pack)
    checked = run("contracts", "lock", "--check", "--contracts-dir", pack)

    assert (refused.exit_code, accepted.exit_code, checked.exit_code) == (2, 0, 0)
    assert "--accept-changes" in refused.stderr


@pytest.mark.parametrize(
    "fmt", ["json-schema", "avro", "asyncapi", "odcs", "osi", "mermaid", "dot"]
)
def test_every_format_is_exported(run: Run, tmp_path: Path, fmt: str) -> None:
    """Into files, or to stdout."""
    result = run("contracts", "export", fmt, "--out", tmp_path)

    assert result.exit_code == 0
    assert sorted(map(str, tmp_path.iterdir())) == sorted(result.stdout.split())


def test_graph_of_one_metric_has_only_its_arrows(run: Run) -> None:
    """What moves this?"""
    result: Result = run("contracts", "graph", "refund_rate", "--json")

    edges = json.loads(result.stdout)["edges"]
    assert {edge["to"] for edge in edges if edge["kind"] == "moves"} == {"metric refund_rate@1"}


def test_unknown_format_is_a_usage_error(run: Run) -> None:
    """With the one that was meant."""
    result = run("contracts", "export", "avr")

    assert result.exit_code == 2
    assert 'Did you mean "avro"?' in result.stderr
