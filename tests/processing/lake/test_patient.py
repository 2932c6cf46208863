"""A lake whose catalog is away when it is opened: said at every use, and made once it is back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from agentflow.contracts import Registry
from agentflow.errors import StorageError
from processing.lake import Lake, Location, Progressed
from processing.lake.embedded import EmbeddedCatalog, LocalFiles
from processing.lake.port import TableCatalog
from processing.lake.remote import open_remote_lake


class Away:
    """A catalog nobody answers for, until it is `there`."""

    def __init__(self, real: TableCatalog) -> None:
        self._real = real
        self.there = False

    def __getattr__(self, name: str) -> object:
        if not self.there:
            raise StorageError("the lake's catalog does not answer")
        return getattr(self._real, name)


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Away]:
    catalog = SqlCatalog("t", uri=f"sqlite:///{tmp_path}/c.sqlite", warehouse=tmp_path.as_uri())
    for namespace in ("events", "agentflow"):
        catalog.create_namespace(namespace)
    yield Away(EmbeddedCatalog(catalog))
    catalog.close()


def opened(away: Away, tmp_path: Path, registry: Registry, *, patient: bool) -> Lake:
    catalog = cast("TableCatalog", away)
    files = LocalFiles(tmp_path)
    return Lake(catalog, files, registry, coverage=Progressed(), patient=patient)


def test_only_a_patient_lake_opens_without_its_catalog(
    away: Away, tmp_path: Path, registry: Registry
) -> None:
    """Who has to write, or to know what there is, must not begin."""
    with pytest.raises(StorageError, match="does not answer"):
        opened(away, tmp_path, registry, patient=False)


def test_the_tables_are_made_when_the_catalog_is_back(
    away: Away, tmp_path: Path, registry: Registry
) -> None:
    """At the first thing that is asked; until then everything that is asked says so."""
    lake = opened(away, tmp_path, registry, patient=True)

    assert lake.layouts.keys() == registry.events.keys()
    for ask in (lake.held, lake.all_names, lambda: lake.fresh(("agentflow", "progress"))):
        with pytest.raises(StorageError, match="does not answer"):
            ask()
    away.there = True
    assert lake.held().positions.validated == 0
    assert len(lake.all_names()) > len(registry.events)


def test_a_catalog_that_keeps_silent_is_not_waited_for(tmp_path: Path, registry: Registry) -> None:
    """One whose own store is down does so: health has to answer all the same."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        location = Location(url, "s3://lake/shop", answers_within_seconds=0.2)

        with pytest.raises(StorageError, match="does not answer"):
            open_remote_lake(location, registry, cache=tmp_path, coverage=Progressed())
