"""The reference as programs read it: valid OpenAPI 3.1 whose every reference leads somewhere."""

# ruff: noqa: ANN401 - JSON is whatever it is
from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import pytest
from schemathesis.specs.openapi import definitions

from agentflow.contracts import Registry
from serving.api.openapi import Reference
from tests.serving.api.conftest import PATIENCE_SECONDS, Served, serving

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(shared: Served) -> Document:
    found: Document = shared.get("/openapi.json").json()
    return found


def references(value: Any) -> Iterator[str]:
    """Yield every `$ref` in a document."""
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def resolved(document: Any, reference: str) -> Any:
    """Follow a reference from the root of the document, as RFC 6901 says."""
    assert reference.startswith("#/"), reference
    place = document
    for part in reference[2:].split("/"):
        place = place[unquote(part).replace("~1", "/").replace("~0", "~")]
    return place


def test_every_reference_leads_somewhere(document: Document) -> None:
    """Generators of clients follow all of them, and stop at the first that does not."""
    found = sorted(set(references(document)))

    assert len(found) > 20
    for reference in found:
        assert resolved(document, reference) is not None, reference


def test_it_is_openapi_3_1(document: Document) -> None:
    """By the schema of the standard itself."""
    assert document["openapi"].startswith("3.1")
    validator = jsonschema_rs.Draft202012Validator(definitions.OPENAPI_31)
    problems = [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}"
        for error in validator.iter_errors(document)
    ]

    assert problems == []


def test_every_schema_is_a_schema(document: Document) -> None:
    """OpenAPI 3.1 schemas are JSON Schema 2020-12."""
    for name, schema in document["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name


def test_others_are_answered_while_it_is_made(shared: Served) -> None:
    """It takes 0.3 s after each change of contracts: reads must not wait for that."""

    class Slow(Reference):
        def __init__(self) -> None:
            super().__init__((), keyed=False)
            self.asked, self.others_answered = threading.Event(), threading.Event()

        def document(self, registry: Registry) -> Document:
            self.asked.set()
            return {"others": self.others_answered.wait(PATIENCE_SECONDS)}

    async def both() -> tuple[int, Document]:
        asking = asyncio.create_task(shared.client.get("/openapi.json"))
        await asyncio.to_thread(slow.asked.wait, PATIENCE_SECONDS)
        alive = await shared.client.get("/v1/health/live")
        slow.others_answered.set()
        return alive.status_code, (await asking).json()

    slow, context = Slow(), shared.api.context
    usual, context.reference = context.reference, slow

    answered = shared.run(both())

    context.reference = usual
    assert answered == (200, {"others": True})


def test_it_resolves_with_keys_too(tmp_path: Path) -> None:
    """Then it has security requirements as well."""
    with serving(tmp_path, keys="k:acme") as served:
        document = served.get("/openapi.json").json()

    for reference in set(references(document)):
        resolved(document, reference)
    for requirement in document["security"]:
        assert requirement.keys() <= document["components"]["securitySchemes"].keys()
