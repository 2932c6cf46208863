"""What lists show can be typed: a metric, or an event, with its version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import click
import pytest

from agentflow_cli import main
from tests.agentflow_cli.conftest import Run, json_of

ORDER = ("order.created", "amount=1", "currency=EUR", "country=DE")
NAMING: dict[tuple[str, str], Callable[[str], tuple[str, ...]]] = {
    ("metric", "name"): lambda name: ("metric", name),
    ("explain", "name"): lambda name: ("explain", name),
    ("send", "watch"): lambda name: ("send", *ORDER, "--watch", name),
    ("tail", "metrics"): lambda name: ("tail", "-m", name, "-n", "1"),
    ("contracts test", "metrics"): lambda name: ("contracts", "test", name),
    ("contracts graph", "name"): lambda name: ("contracts", "graph", name),
    ("contracts export", "name"): lambda name: ("contracts", "export", "osi", "--name", name),
}
"""Every parameter that takes a metric, and a command line with one."""


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below *group* with the words it is called by."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        elif command is not None:
            yield " ".join((*path, name)), command


def test_every_parameter_that_takes_a_metric_is_tried_with_a_version() -> None:
    """One that is new and not in the list below may refuse what lists show."""
    taking = {
        (words, str(parameter.name))
        for words, command in commands(main)
        for parameter in command.params
        if parameter.name in {"name", "names", "metric", "metrics", "watch"}
    }

    assert taking == set(NAMING)


@pytest.mark.parametrize("where", NAMING, ids=lambda where: where[0])
def test_a_metric_is_named_as_lists_show_it(live: Run, where: tuple[str, str]) -> None:
    """`revenue@1`, and not the newest; one that does not exist is refused with those that do."""
    first, absent = (live(*NAMING[where](f"revenue@{version}")) for version in (1, 9))
    mistyped = live(*NAMING[where]("revenu@1"))

    assert first.exit_code == 0, first.output
    assert not {"revenue@2", "contract v2"} & set(
        re.findall(r"revenue@2|contract v2", first.output)
    )
    assert absent.exit_code != 0
    assert 'metric "revenue@9" does not exist' in absent.output or where[0] == "contracts graph"
    assert "revenue@2" in absent.output
    assert mistyped.exit_code != 0
    assert "revenue" in mistyped.output


def test_a_version_that_contradicts_the_name_is_refused(live: Run) -> None:
    """Which of both is meant cannot be known."""
    other = live("metric", "order_count@1", "--version", "2")

    assert other.exit_code == 2
    assert '"order_count@1" is not version 2' in other.stderr


def test_watched_versions_of_one_metric_are_told_apart(live: Run) -> None:
    """They have one name, and two numbers."""
    result = live("send", *ORDER, "--watch", "revenue@1", "--watch", "revenue@2", "--json")

    watched = json_of(result)["watched"]
    assert [(each["metric"], each["version"]) for each in watched] == [
        ("revenue", 1),
        ("revenue", 2),
    ]
    assert [each["dimensions"] for each in watched] == [{"currency": "EUR"}] * 2


def test_an_event_type_is_sent_as_lists_show_it(live: Run) -> None:
    """`order.created@1`, from the graph or from `/v1/contracts`."""
    sent = live("send", "order.created@1", *ORDER[1:])

    assert sent.exit_code == 0, sent.stderr
