"""The URL of a database: what of it is shown."""

from __future__ import annotations

import pytest

from agentflow.errors import ParameterError
from control_store.postgres.address import address_of


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://af:s3cret@db/control", "db:5432/control"),
        ("postgres://af:s3c%40ret%2F@db:6543/control?sslmode=require", "db:6543/control"),
        ("postgresql://af:s3cret@one:1,two:2/control", "one:1,two:2/control"),
        ("postgresql://af:s3cret@[::1]:5433/control", "::1:5433/control"),
        ("postgresql://af:s3cret@db", "db:5432/af"),
    ],
)
def test_the_place_is_shown_and_nothing_else(url: str, place: str) -> None:
    """Host, port and database are what an operator looks for; the rest is nobody's business."""
    address = address_of(url)

    assert address.place == place
    assert "s3c" not in f"{address}"
    assert address.conninfo == url


@pytest.mark.parametrize(
    "url",
    [
        "mysql://af:s3cret@db/control",
        "s3cret",
        "postgresql://af:s3cret/with@db/control",
        "postgresql://af:s3cret@with@db/control",
        "postgresql://af:12/s3cret@db/control",
        "postgresql://af:s3cret#with@db:port/control",
        "postgresql://af@db/control?pasword=s3cret",
    ],
)
def test_a_url_that_is_misread_is_refused_without_being_repeated(url: str) -> None:
    """Half of a password would be taken for a host or a database, and shown."""
    with pytest.raises(ParameterError) as caught:
        address_of(url)

    assert "s3cret" not in f"{caught.value} {caught.value.hint}"
    assert "percent-encoded" in (caught.value.hint or "")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
