"""Who brings events to the lake, as the platform sees it."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from agentflow.contracts import Registry
from processing.lake.health import LakeHealth
from processing.lake.positions import Positions
from quality import Gate


class LakeSync(Protocol):
    """Who brings events to the lake: a thread of this process, or a job elsewhere.

    Every method may be called from any thread.
    """

    @property
    def covered(self) -> Positions:
        """What the lake holds."""
        ...

    @property
    def seen(self) -> LakeHealth | None:
        """What the last look at the lake showed; None before the first."""
        ...

    @property
    def maintained(self) -> int:
        """How often maintenance was done since the start."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """Why the last attempt to write or to look failed; None while all is well."""
        ...

    @property
    def readable(self) -> bool:
        """Whether the lake can be read, as far as this knows: false when looking at it failed."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def notify(self, ends: Positions) -> None:
        """Say that the log's topics now end at *ends*; returns at once."""
        ...

    def adopt(self, registry: Registry, gate: Gate) -> None:
        """Go by other contracts from now on.

        Raises:
            ContractError: A contract cannot be stored beside what the lake holds.
        """
        ...

    def flush(self, goal: Positions, *, timeout: timedelta) -> bool:
        """Wait until *goal* is covered; False when that took longer than *timeout*.

        Raises:
            StorageError: It failed.
        """
        ...

    def close(self) -> None:
        """Finish and stop."""
        ...
