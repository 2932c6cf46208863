"""How an event is carried: headers, media types, content codings."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
import zstandard

from serving.http.bodies import EVENTS_LIMIT_BYTES
from serving.http.codings import coding_of, decoded
from tests.serving.api.conftest import Served, order

REVENUE = "/v1/metrics/revenue?window=all&currency=EUR"
JSON = "application/json"


def binary(served: Served, *headers: tuple[str, str]) -> tuple[int, list[tuple[str, str]]]:
    """Send an order in binary mode; return the status, and code and place of what is wrong."""
    named = [("ce-type", "order.created"), ("ce-source", "/shop"), ("content-type", JSON), *headers]
    response = served.post("/v1/events", headers=named, content=json.dumps(order("A")["data"]))
    errors = response.json().get("errors", [])
    return response.status_code, [(error["code"], error["pointer"]) for error in errors]


def test_ids_that_are_not_utf8_are_refused_and_not_mixed_up(served: Served) -> None:
    """Each was accepted as the same replacement character: the second was lost."""
    for value in ("%FE", "%FF", "%C3"):
        assert binary(served, ("ce-id", value)) == (422, [("attribute_invalid", "/id")])

    assert served.get("/v1/deadletter").json()["counts"] == {"attribute_invalid": 3}
    assert served.post("/v1/deadletter/0/replay").json()["status"] == "rejected"


def test_a_repeated_header_is_refused(served: Served) -> None:
    """Which one a reader takes is not said anywhere."""
    twice = binary(served, ("ce-id", "1"), ("ce-id", "2"))
    both = binary(served, ("ce-id", "1"), ("ce-datacontenttype", JSON))

    assert twice == (422, [("member_repeated", "/id")])
    assert both == (422, [("member_repeated", "/datacontenttype")])
    named = [("content-type", JSON), ("content-type", "application/x-ndjson")]
    refused = served.post("/v1/events", headers=named, content=b"{}")
    assert (refused.status_code, refused.json()["code"]) == (400, "header_invalid")


def test_a_structured_event_may_have_headers_beside_it(served: Served) -> None:
    """The content type decides."""
    headers = {"content-type": "application/cloudevents+json", "ce-type": "other", "ce-id": "Z"}

    answer = served.post("/v1/events", headers=headers, content=json.dumps(order("A"))).json()

    assert (answer["accepted"], answer["events"][0]["id"]) == (1, "A")


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("GZip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("zstd", zstandard.compress),
        ("zstd", lambda body: zstandard.compress(body[:9]) + zstandard.compress(body[9:])),
        ("identity", bytes),
    ],
    ids=["gzip", "members", "zstd", "frames", "identity"],
)
def test_coded_bodies_are_read(served: Served, coding: str, encode: object) -> None:
    """Clients compress batches."""
    assert callable(encode)
    headers = {"content-type": JSON, "content-encoding": coding}
    body = encode(json.dumps([order("A"), order("B")]).encode())

    answer = served.post("/v1/events", headers=headers, content=body).json()

    assert answer["accepted"] == 2


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "gzip,zstd"])
def test_a_coding_that_is_not_understood_is_no_dead_letter(served: Served, coding: str) -> None:
    """Nobody looked inside, so nothing can be said of the events."""
    headers = {"content-type": JSON, "content-encoding": coding}

    response = served.post("/v1/events", headers=headers, content=zlib.compress(b"{}"))

    assert response.status_code == 415
    assert response.json()["code"] == "content_coding_unsupported"
    assert response.headers["accept-encoding"] == "gzip, zstd"
    assert served.get("/v1/deadletter").json()["counts"] == {}


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"{}"),
        ("gzip", gzip.compress(b"{}" * 99)[:-9]),
        ("gzip", gzip.compress(b"{}") + b"rest"),
        ("zstd", b"{}"),
        ("zstd", zstandard.compress(b"{}" * 99)[:-1]),
        ("zstd", zstandard.compress(b"{}") + b"rest"),
        ("zstd", b""),
    ],
    ids=["no gzip", "gzip cut", "gzip and rest", "no zstd", "zstd cut", "zstd and rest", "empty"],
)
def test_a_body_that_is_not_what_it_says_is_refused(
    served: Served, coding: str, body: bytes
) -> None:
    """Half of a batch is no batch."""
    headers = {"content-type": JSON, "content-encoding": coding}

    response = served.post("/v1/events", headers=headers, content=body)

    assert (response.status_code, response.json()["code"]) == (400, "content_coding_invalid")


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
def test_a_bomb_is_not_unpacked(coding: bytes) -> None:
    """What a small body holds is read up to the limit of every body, and no further."""
    zeros = bytes(64 * 1024 * 1024)
    bomb = gzip.compress(zeros) if coding == b"gzip" else zstandard.compress(zeros)
    read = 0
    pieces = coding_of({"headers": [(b"content-encoding", coding)]})
    assert callable(pieces)

    def counted(body: bytes) -> object:
        nonlocal read
        for piece in pieces(body):
            read += len(piece)
            yield piece

    assert decoded(bomb, counted, EVENTS_LIMIT_BYTES) is None  # type: ignore[arg-type]
    assert read <= EVENTS_LIMIT_BYTES + 2 * 1024 * 1024


def test_a_bomb_is_too_large(served: Served) -> None:
    """The limit of a body holds for what it holds."""
    headers = {"content-type": JSON, "content-encoding": "gzip"}

    response = served.post("/v1/events", headers=headers, content=gzip.compress(bytes(17 << 20)))

    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_an_event_without_an_id_is_identified_by_its_content(served: Served) -> None:
    """Two equal page views are one, and the answer says why."""
    view = {name: value for name, value in order("A").items() if name != "id"}

    answer = served.send(view, view, order("B"))

    assert [(item["status"], item["identified_by"]) for item in answer["events"]] == [
        ("accepted", "content"),
        ("duplicate", "content"),
        ("accepted", "id"),
    ]
