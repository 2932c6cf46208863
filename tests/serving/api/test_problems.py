"""Codes and statuses."""

from __future__ import annotations

import inspect
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow import errors
from agentflow.errors import AgentFlowError, UnknownContractError
from serving.http.problems import TABLE, Problem, problem_of, unknown_parameters

DELIBERATE = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, AgentFlowError)
]


@pytest.mark.parametrize("error", DELIBERATE, ids=lambda error: error.__name__)
def test_every_deliberate_error_has_a_status(error: type[AgentFlowError]) -> None:
    """An error without a row in the table would reach the caller as a defect of the server."""
    assert error.code in TABLE


@pytest.mark.parametrize("kind", ["metric", "event", "entity"])
def test_an_unknown_contract_is_not_found(kind: str) -> None:
    """The code is made from the kind of contract, so the table must hold each of them."""
    problem = problem_of(UnknownContractError(kind, "revenu", known=["revenue"]))

    assert (problem.code, problem.status) == (f"{kind}_unknown", 404)


@given(st.text(alphabet=st.characters(), max_size=40))
def test_any_text_can_be_reported(text: str) -> None:
    """Hostile input has lone surrogates, and a problem quotes input."""
    reply = Problem("parameter_invalid", text, text).reply("r1")

    assert json.loads(reply.body)["request_id"] == "r1"


def test_a_misspelt_parameter_is_told_what_was_meant() -> None:
    """A hint that can be acted on beats a list of forty names."""
    problem = unknown_parameters(["windw"], ["window", "by"])

    assert problem.hint == 'Did you mean "window"? Known parameters: by, window.'


def test_a_401_names_the_scheme() -> None:
    """RFC 9110 requires it, and clients show it."""
    headers = dict(Problem("key_missing", "no key").reply("r1").headers)

    assert headers[b"www-authenticate"].startswith(b"ApiKey")
