"""From settings to the lake, for its writer and for readers of what another process writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from agentflow.contracts import Registry
from agentflow.errors import ParameterError
from agentflow.settings import Settings
from ingestion.buses import BUSES
from processing.lake.catalog import Lake
from processing.lake.coverage import Progressed, Recorded
from processing.lake.embedded import open_lake
from processing.lake.location import Location
from processing.lake.port import Coverage


def lake_location(settings: Settings) -> Location | None:
    """Return where the lake is, or None when it is in the data directory.

    Raises:
        ParameterError: A catalog is named, and no warehouse.
    """
    if not settings.lake_catalog:
        return None
    if not settings.lake_warehouse:
        raise ParameterError(
            "AGENTFLOW_LAKE_CATALOG is set and AGENTFLOW_LAKE_WAREHOUSE is not",
            hint="Set it to where the tables are, for example s3://lake/agentflow.",
        )
    return Location(
        catalog=settings.lake_catalog,
        warehouse=settings.lake_warehouse,
        endpoint=settings.lake_s3_endpoint,
        access_key=settings.lake_s3_access_key,
        secret_key=settings.lake_s3_secret_key,
        region=settings.lake_s3_region,
        token=settings.lake_catalog_token,
    )


def lake_that_is_followed(settings: Settings) -> Callable[[Registry], Lake]:
    """Return what opens the lake another process writes.

    It is `agentflow gate`, or a Flink job: each leaves marks of its own kind.
    """
    coverage = Recorded() if BUSES[settings.bus].gate else Progressed()
    return _opening(settings, coverage, patient=True)


def lake_that_is_written(settings: Settings) -> Callable[[Registry], Lake]:
    """Return what opens the lake that this process writes."""
    return _opening(settings, Recorded(), patient=False)


def lake_folder(settings: Settings) -> Path:
    """Return where a lake on this machine is."""
    return Path(settings.lake_dir or settings.data_dir / "lake").absolute()


def _opening(
    settings: Settings, coverage: Coverage, *, patient: bool
) -> Callable[[Registry], Lake]:
    location = lake_location(settings)
    if location is None:
        return partial(open_lake, lake_folder(settings))
    from processing.lake.remote import open_remote_lake  # an embedded start needs no REST client

    return partial(
        open_remote_lake,
        location,
        cache=(settings.data_dir / "lake-cache").absolute(),
        coverage=coverage,
        patient=patient,
    )
