"""Values of dimensions: what an answer shows can be asked back, and a slip is never a zero."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts import Registry
from agentflow.contracts.model import EventContract, MetricContract
from agentflow.dimension_values import read_value, spelled
from agentflow_sdk._wire import filters
from tests.serving.api.conftest import Served, Wire, order, serving

SPOKEN = EventContract(
    kind="event",
    name="word.spoken",
    status="approved",
    owner="docs",
    description="A word was spoken.",
    fields={  # type: ignore[arg-type]
        "g": {"type": "string"},
        "n": {"type": "integer"},
        "b": {"type": "boolean"},
        "plan": {"type": "string", "enum": ["free", "gold_plus"]},
    },
)
WORDS = MetricContract(
    kind="metric",
    name="words",
    status="approved",
    owner="docs",
    description="Words that were spoken.",
    unit="words",
    value="count(word.spoken)",
    moved_by=("word.spoken@1",),
    dimensions=("g", "n", "b", "plan"),
    windows=("all", "1h"),
)
VALUES: list[dict[str, Any]] = [
    {"g": ""}, {}, {"g": "plain", "n": 5, "b": True}, {"g": '"', "n": -7, "b": False},
    {"g": '""', "n": 0}, {"g": '"quoted"', "plan": "free"}, {"g": "null"}, {"g": " 5 "},
    {"g": "a=b,c&d", "plan": "gold_plus"}, {"g": "\u00fc\n\t"},
    {"g": "\u2028\x1b[31m\x7f\U000e0001"},
]  # fmt: skip


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve one event for each of `VALUES`."""
    registry = Registry.of([SPOKEN, WORDS])
    with serving(tmp_path_factory.mktemp("spoken"), registry=registry) as found:
        found.send(*(word(f"W{number}", **data) for number, data in enumerate(VALUES)))
        yield found


def word(name: str, **data: Any) -> dict[str, Any]:
    return {"id": name, "source": "/x", "type": "word.spoken", "data": data}


@pytest.mark.parametrize("name", ["g", "n", "b", "plan"])
@pytest.mark.parametrize("past", ["", "&start=2026-09-21T00:00:00Z&end=2026-09-22T00:00:00Z"])
def test_what_an_answer_shows_can_be_asked_back(spoken: Served, name: str, past: str) -> None:
    """Every group, by the query string as the SDK writes it: the empty text and absent too."""
    groups = spoken.get(f"/v1/metrics/words?by={name}{past}").json()["groups"]

    for group in groups:
        url = f"/v1/metrics/words?{urlencode(filters(group['dimensions']))}{past}"
        answer = spoken.get(url).json()
        assert (answer["value"], answer["dimensions"]) == (group["value"], group["dimensions"])
    assert sum(group["value"] for group in groups) == len(VALUES)


@pytest.mark.parametrize(
    "asked",
    [
        "/v1/metrics/words?g=",
        "/v1/metrics/words?start=2026-09-21T00:00:00Z&end=2026-09-22T00:00:00Z&g=",
        "/v1/metrics/words?explain=full&g=",
        "/v1/stream/metrics?metric=words&g=",
    ],
)
def test_half_a_character_is_refused_before_any_engine_meets_it(spoken: Served, asked: str) -> None:
    """JSON can write what UTF-8 cannot: no event holds it, and an engine that met it failed."""
    answer = spoken.get(f"{asked}%22%5Cud800%22")

    assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid")
    assert spoken.get("/v1/health").json()["components"]["history"]["status"] == "ok"


@pytest.mark.parametrize("name", ["g", "n", "b", "plan"])
def test_a_batch_takes_what_an_answer_shows_as_it_stands(spoken: Served, name: str) -> None:
    """JSON has types: null is absent, the empty text is the empty text."""
    groups = spoken.get(f"/v1/metrics/words?by={name}").json()["groups"]
    items = [{"metric": "words", "dimensions": group["dimensions"]} for group in groups]

    answers = spoken.post("/v1/batch", json={"items": items}).json()["answers"]

    assert [answer["value"] for answer in answers] == [group["value"] for group in groups]
    assert [answer["dimensions"] for answer in answers] == [g["dimensions"] for g in groups]


def test_a_stream_takes_what_an_answer_shows(spoken: Served) -> None:
    """The same spelling in every query string."""

    async def follow() -> list[dict[str, Any]]:
        query = urlencode({"metric": "words", **filters({"g": ""})})
        async with Wire(spoken, f"/v1/stream/metrics?{query}") as wire:
            return await wire.messages(1)

    (message,) = spoken.run(follow())

    assert (message["data"]["value"], message["data"]["dimensions"]) == (1, {"g": ""})


@pytest.mark.parametrize(
    "text",
    ["+5", " 5", "5 ", "\u0665", "1_0", "05", "-0", "5.0", "0x5", '"5"', "9" * 19, "9" * 5000],
)  # fmt: skip
def test_an_integer_has_one_spelling(spoken: Served, text: str) -> None:
    """Two spellings of one question are two cache entries at best and two answers at worst."""
    response = spoken.get(f"/v1/metrics/words?{urlencode({'n': text})}")

    assert (response.status_code, response.json()["code"]) == (400, "parameter_invalid")
    assert "whole number" in response.json()["hint"]


@pytest.mark.parametrize("text", ["True", "1", "yes", " true"])
def test_a_boolean_has_one_spelling(spoken: Served, text: str) -> None:
    """`true` and `false`, as JSON writes them."""
    problem = spoken.get(f"/v1/metrics/words?{urlencode({'b': text})}").json()

    assert (problem["code"], problem["hint"]) == ("parameter_invalid", "Pass true or false.")


def test_a_broken_quotation_is_refused(spoken: Served) -> None:
    """A text in double quotes is JSON; it is not silently taken as it stands."""
    problem = spoken.get("/v1/metrics/words?g=%22%5Cx%22").json()

    assert problem["code"] == "parameter_invalid"
    assert "JSON" in problem["hint"]


def test_a_value_outside_its_enum_is_refused_with_the_nearest(spoken: Served) -> None:
    """`gold` is a slip for `gold_plus`, and never a zero."""
    response = spoken.get("/v1/metrics/words?plan=gold")

    problem = response.json()
    assert (response.status_code, problem["code"]) == (400, "parameter_invalid")
    assert problem["detail"] == 'dimension "plan" has no value "gold"'
    assert problem["hint"] == 'Did you mean "gold_plus"? Its values: free, gold_plus.'
    batch = {"items": [{"metric": "words", "dimensions": {"plan": "gold"}}]}
    assert spoken.post("/v1/batch", json=batch).json()["answers"][0]["code"] == problem["code"]
    assert spoken.get("/v1/stream/metrics?metric=words&plan=gold").json()["code"] == problem["code"]


@pytest.mark.parametrize(
    "place",
    [
        "", "&window=1h", "&by=n", "&explain=full",
        "&start=2026-09-21T00:00:00Z&end=2026-09-22T00:00:00Z", "&window=1h&grain=5m",
        "&as_of=2026-09-21T14:13:20Z",
    ],
)  # fmt: skip
def test_a_value_nobody_has_seen_answers_with_a_warning(spoken: Served, place: str) -> None:
    """Zero may be right, so it is the answer; that it may be a slip is said beside it."""
    answer = spoken.get(f"/v1/metrics/words?g=plan{place}").json()

    assert answer["value"] == 0
    (warning,) = answer["warnings"]
    assert (warning["code"], warning["parameter"]) == ("dimension_value_unseen", "g")
    assert warning["nearest"] == ["plain"]
    assert 'Did you mean "plain"?' in warning["hint"]


@pytest.mark.parametrize("query", ["g=plain", "g=", "b=true", "n=5", "plan=free", "by=g", ""])
def test_what_was_seen_is_no_warning(spoken: Served, query: str) -> None:
    """Else nobody would read them."""
    assert spoken.get(f"/v1/metrics/words?{query}").json()["warnings"] == []


def test_a_declared_or_absent_value_is_no_slip(spoken: Served) -> None:
    """An empty enum value, a quiet hour, a combination: all are zeros that mean zero."""
    for query in ("g=plain&n=0", "plan=gold_plus&n=5", "plan=free&b=", "g=plain&b=false", "b="):
        answer = spoken.get(f"/v1/metrics/words?{query}").json()
        assert answer["warnings"] == []


def test_a_number_nobody_has_seen_names_the_nearest_number(spoken: Served) -> None:
    """By distance, not by digits."""
    (warning,) = spoken.get("/v1/metrics/words?n=-6").json()["warnings"]

    assert warning["nearest"] == [-7, 0, 5]


def test_a_warning_goes_when_the_value_is_seen(tmp_path: Path) -> None:
    """A prepared answer is made again when the metric moves; batch and stream say the same."""
    with serving(tmp_path) as served:
        served.send(order("A"))
        url = "/v1/metrics/order_count?country=Germany"
        before = served.get(url).json()
        item = {"metric": "order_count", "dimensions": {"country": "FR"}}
        batch = served.post("/v1/batch", json={"items": [item]}).json()["answers"][0]
        served.send(order("B", country="FR"))
        after = served.post("/v1/batch", json={"items": [item]}).json()["answers"][0]

    assert before["value"] == 0
    assert [len(each["warnings"]) for each in (before, batch, after)] == [1, 1, 0]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("b=true", 'no event of metric "words" has b "true"'),
        ("g=", 'no event of metric "words" comes without g'),
        ("plan=", 'no event of metric "words" comes without plan'),
    ],
)
def test_absence_and_conditions_that_no_event_has_are_warned_of(
    heard: Served, query: str, message: str
) -> None:
    """A required field is never absent: who asks for that means something else."""
    for past in ("", "&start=2026-09-21T00:00:00Z&end=2026-09-22T00:00:00Z"):
        answer = heard.get(f"/v1/metrics/words?{query}{past}").json()
        (warning,) = answer["warnings"]
        assert (answer["value"], warning["code"]) == (0, "dimension_value_unseen")
        assert (warning["message"], warning["nearest"]) == (message, [])
        assert warning["hint"].startswith("GET /v1/metrics/words?by=")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve one event that has a value everywhere."""
    registry = Registry.of([SPOKEN, WORDS])
    with serving(tmp_path_factory.mktemp("heard"), registry=registry) as found:
        found.send(word("A", g="said", n=1, b=False, plan="free"))
        yield found


def test_a_value_that_a_correction_took_away_was_there(tmp_path: Path) -> None:
    """A range that is restated because an event left a cell did have an event of that cell."""
    with serving(tmp_path) as served:
        served.send(order("A", country="FR", product_id="P1"), order("B", country="DE"))
        served.clock.advance(timedelta(hours=2))
        served.send(
            {**order("A-cancelled"), "type": "order.cancelled", "data": {"order_id": "A"}},
        )
        past = "start=2026-09-21T14:00:00Z&end=2026-09-21T15:00:00Z"
        gone = served.get(f"/v1/metrics/order_count?country=FR&{past}").json()
        never = served.get(f"/v1/metrics/order_count?country=XX&{past}").json()

    assert (gone["value"], gone["status"], gone["warnings"]) == (0, "restated", [])
    assert [each["code"] for each in never["warnings"]] == ["dimension_value_unseen"]


@pytest.mark.parametrize("batches", [1, 2], ids=["at once", "later"])
def test_a_value_that_a_correction_took_away_was_there_in_live_answers_too(
    tmp_path: Path, batches: int
) -> None:
    """Zero is the number of what was cancelled, and its value is no slip."""
    created = [order("A", country="FR"), order("B")]
    corrected = [{**order("x"), "type": "order.cancelled", "data": {"order_id": "A"}}]
    with serving(tmp_path) as served:
        for events in [[*created, *corrected]] if batches == 1 else [created, corrected]:
            served.send(*events)
            served.get("/v1/metrics/order_count")  # what happened is folded in
        found = {
            country: [
                each["code"]
                for each in served.get(f"/v1/metrics/order_count?country={country}").json()[
                    "warnings"
                ]
            ]
            for country in ("FR", "XX")
        }

    assert found == {"FR": [], "XX": ["dimension_value_unseen"]}


def test_a_value_that_has_left_every_window_was_there(tmp_path: Path) -> None:
    """It came and went, or was too old when it came; what never came is still unseen."""
    registry = Registry.of([SPOKEN, WORDS.model_copy(update={"windows": ("5m", "1h")})])
    with serving(tmp_path, registry=registry) as served:
        served.send({**word("A", g="old"), "time": "2026-09-10T00:00:00Z"}, word("B", g="went"))
        before = served.get("/v1/metrics/words?g=went").json()
        served.clock.advance(timedelta(hours=2))
        answers = [served.get(f"/v1/metrics/words?g={g}").json() for g in ("old", "went", "other")]

    assert before["value"] == 1
    assert [each["value"] for each in answers] == [0, 0, 0]
    assert [len(each["warnings"]) for each in answers] == [0, 0, 1]


def test_a_value_long_out_of_all_windows_is_not_unseen(tmp_path: Path) -> None:
    """Nor now, as long as live state remembers that it came."""
    registry = Registry.of([SPOKEN, WORDS.model_copy(update={"windows": ("1h",)})])
    with serving(tmp_path, registry=registry) as served:
        served.send({**word("A", g="old"), "time": "2026-09-10T00:00:00Z"}, word("B", g="new"))
        empty = "&start=2026-09-20T00:00:00Z&end=2026-09-21T00:00:00Z"
        live = served.get("/v1/metrics/words?g=old").json()
        past = served.get(f"/v1/metrics/words?g=old{empty}").json()

    assert (live["value"], past["value"]) == (0, 0)
    assert (len(live["warnings"]), len(past["warnings"])) == (0, 0)


@given(st.text() | st.none())
def test_every_text_has_one_spelling_and_is_read_back(value: str | None) -> None:
    """Absent, empty, quotes and all."""
    assert read_value("string", spelled(value)) == value
    assert filters({"g": value}) == {"g": spelled(value)}


@given(st.integers(-(2**63), 2**63 - 1) | st.booleans())
def test_numbers_and_conditions_are_read_back(value: int) -> None:
    """In the type they have."""
    kind = "boolean" if isinstance(value, bool) else "integer"
    assert read_value(kind, spelled(value)) == value
    assert json.loads(spelled(value)) == value


@given(st.text())
def test_an_integer_is_read_from_its_canonical_text_only(text: str) -> None:
    """What is read is spelled as it was written."""
    try:
        value = read_value("integer", text)
    except ValueError:
        return
    assert spelled(value) == text


def test_the_loop_is_not_held_by_a_slip_among_many_values(tmp_path: Path) -> None:
    """Looking for the nearest of thousands of values stays bounded, and still finds it."""
    with serving(tmp_path, registry=Registry.of([SPOKEN, WORDS])) as served:
        served.send(*(word(f"W{number}", g=f"value {number}") for number in range(3_000)))
        (warning,) = served.get("/v1/metrics/words?g=Value%202999").json()["warnings"]

    assert warning["nearest"][0] == "value 2999"
