"""Whatever is asked for or sent: a name in a problem stands in quotes that it does not hold."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest

from agentflow.wording import quoted
from tests.serving.api.conftest import Served, order

NAME = 'a"b'
SAID = quoted(NAME)
TWICE = re.compile(r"\"\"|'\"\"|\"\"'|\"a\"b\"|<class|__|\bNone\b|\bTrue\b|Error\b")
ASKED = (
    "/v1/metrics/%s", "/v1/metrics/revenue?window=%s", "/v1/metrics/revenue?%s=1",
    "/v1/metrics/revenue?by=%s", "/v1/metrics/revenue?currency=%s",
    "/v1/metrics/revenue?version=%s", "/v1/metrics/revenue?start=%s",
    "/v1/metrics/revenue?window=all&window=%s",
    "/v1/metrics/order_count?country=%s", "/v1/lineage/metric/%s",
    "/v1/lineage/event/x?source=%s",
    "/v1/entity/%s/1", "/v1/entity/order/%s", "/v1/contracts/event/%s", "/v1/contracts/%s/x",
    "/v1/contracts/metric/revenue/2?format=%s", "/v1/contracts/metric/revenue/%s",
    "/v1/stream/metrics?metric=%s", "/v1/stream/events?type=%s", "/v1/catalog?%s=1",
    "/v1/deadletter?status=%s", "/v1/changelog?limit=%s", "/page/%s",
)  # fmt: skip
SENT = (
    {**order("A"), "type": NAME},
    {**order("A"), NAME: "1"},
    order("A", **{NAME: "1"}),
    order("A", currency=NAME),
    order("A", amount=NAME),
    {**order("A"), "time": NAME},
    {**order("A"), "specversion": NAME},
)


def sentences(text: str) -> list[str]:
    """Return what a problem says, unpacked from JSON: details, hints, messages."""
    return [
        found.replace('\\"', '"').replace("\\\\", "\\")
        for found in re.findall(r'"(?:detail|hint|message)":"((?:[^"\\]|\\.)*)"', text)
    ]


@pytest.mark.parametrize("address", ASKED)
def test_a_question_with_a_quote_in_it_is_refused_in_clear_quotes(
    shared: Served, address: str
) -> None:
    """The end of the name must be seen."""
    answer = shared.get(address % quote(NAME))

    found = sentences(answer.text)
    assert found or answer.status_code < 400
    for said in found:
        assert TWICE.search(said) is None, said
        assert NAME not in said or SAID in said, said


@pytest.mark.parametrize("event", SENT)
def test_an_event_with_a_quote_in_it_is_refused_in_clear_quotes(
    shared: Served, event: dict[str, object]
) -> None:
    """In the answer, in its dead letter, and in a dry run."""
    answers = [
        shared.post("/v1/events", json=event),
        shared.post("/v1/dry-run", json=event),
        shared.get("/v1/deadletter?limit=1"),
    ]

    assert answers[0].status_code == 422
    for said in (each for answer in answers for each in sentences(answer.text)):
        assert TWICE.search(said) is None, said
        assert NAME not in said or SAID in said, said


def test_a_sentence_with_broken_quotes_would_be_seen() -> None:
    """The law above can fail."""
    broken = f'metric "{NAME}" does not exist'

    assert sentences(json.dumps({"detail": broken}, separators=(",", ":"))) == [broken]
    assert TWICE.search(broken)
