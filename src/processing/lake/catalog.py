"""The lake: one Iceberg table for each event version, under one catalog."""

from __future__ import annotations

from pathlib import Path

from agentflow.contracts import Registry


class Lake:
    """Tables of one registry. Safe to share by threads; commits are checked for conflicts."""

    def adopt(self, registry: Registry) -> None:
        """Serve the contracts of *registry* from now on; new fields become columns.

        Raises:
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release the catalog's connections."""
        raise NotImplementedError


def open_lake(directory: Path, registry: Registry) -> Lake:
    """Open or create the lake under *directory* (`catalog.sqlite` and one folder per table).

    Raises:
        StorageError: The catalog cannot be opened.
        ContractError: A contract cannot be stored beside what the lake holds.
    """
    raise NotImplementedError
