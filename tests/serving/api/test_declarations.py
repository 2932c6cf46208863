"""What a resource declares is what the guard demands and what the reference says.

After an intended change: `AGENTFLOW_WRITE_SNAPSHOTS=1 pytest` with the path of this file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentflow.contracts import Registry
from serving.access.scopes import ROLES, Scope
from serving.api.openapi import openapi_document
from serving.api.resource import Operation
from serving.http.problems import TABLE
from serving.server.app import OPERATIONS
from tests.serving.api.conftest import Served, serving
from tests.serving.api.test_dimension_values import SPOKEN, WORDS

SNAPSHOT = Path(__file__).parent / "snapshots" / "openapi.json"
KEYED = [operation for operation in OPERATIONS if operation.scope is not None]
PUBLIC = [operation for operation in OPERATIONS if operation.scope is None]


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def address(operation: Operation) -> str:
    """Return an address that leads to the operation, whatever it finds there."""
    return re.sub(r"\{(kind)\}|\{\w+\}", lambda found: "metric" if found[1] else "1",
                  operation.address)  # fmt: skip


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a platform to keys, each of which lacks another scope."""
    others = {
        scope.name: "+".join(role for role, included in ROLES.items() if scope not in included)
        for scope in Scope
    }
    keys = ",".join(f"without-{scope}:acme:{allowed}" for scope, allowed in others.items())
    with serving(tmp_path_factory.mktemp("guarded"), keys=keys) as served:
        yield served


@pytest.mark.parametrize("operation", KEYED, ids=named)
def test_the_guard_demands_the_scope_that_is_declared(
    guarded: Served, operation: Operation
) -> None:
    """A key with every other scope is refused, before anything is done."""
    assert operation.scope is not None
    lacking = {"X-API-Key": f"without-{operation.scope.name}"}

    without_key = guarded.request(operation.method, address(operation))
    without_scope = guarded.request(operation.method, address(operation), headers=lacking)

    assert (without_key.status_code, without_key.json()["code"]) == (401, "key_missing")
    assert (without_scope.status_code, without_scope.json()["code"]) == (403, "scope_missing")
    assert f'"{operation.scope}"' in without_scope.json()["detail"]


@pytest.mark.parametrize("operation", PUBLIC, ids=named)
def test_what_is_declared_to_need_no_key_needs_none(guarded: Served, operation: Operation) -> None:
    """What says that the platform lives, and what it is."""
    answer = guarded.request(operation.method, address(operation))

    assert answer.status_code not in {401, 403}


def test_every_problem_that_is_declared_exists() -> None:
    """A code that is not in the table has no status."""
    assert {code for operation in OPERATIONS for code in operation.codes} <= TABLE.keys()


def test_the_document_is_the_checked_in_one() -> None:
    """It is a promise: a diff here needs a line in the changelog."""
    document = openapi_document(OPERATIONS, Registry.of([SPOKEN, WORDS]), keyed=True)

    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    if os.environ.get("AGENTFLOW_WRITE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)
    assert SNAPSHOT.read_text() == text
