"""From settings to the control store: a file in the data directory, or PostgreSQL."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentflow.settings import Settings
from agentflow.supervision import Activity
from control_store.opened import ControlReport, OpenControl, OpenedControl

if TYPE_CHECKING:
    from control_store.elsewhere import ControlElsewhere
    from control_store.keys.hashing import KeyHashing
    from control_store.store import ControlStore

CONTROL_FILE: Final = "control.sqlite"


def control_of(settings: Settings) -> OpenControl:
    """Return what opens the control store of a platform with these settings.

    Raises:
        ParameterError: The URL is not one of PostgreSQL.
    """
    opens = _postgres(settings)
    if opens is None:
        return in_file

    def in_postgres(_: Path, activity: Activity) -> OpenedControl:
        return OpenedControl(opens(activity=activity), ControlReport("opened"))

    return in_postgres


def control_elsewhere(settings: Settings) -> ControlElsewhere | None:
    """Return the store that is not in the data directory; None when it is there.

    Raises:
        ParameterError: The URL is not one of PostgreSQL.
    """
    opens = _postgres(settings)
    if opens is None:
        return None
    from control_store.elsewhere import ControlElsewhere

    return ControlElsewhere(opens)


def key_hashing(settings: Settings, *, make: bool) -> KeyHashing | None:
    """Return what stored API keys are found by; None when this platform takes none.

    Args:
        settings: Name the secret, or the data directory that holds it.
        make: Whether a secret is made in the data directory when there is none.

    Raises:
        ParameterError: The secret is too short.
        StorageError: The file cannot be read or made, or others can read it.
    """
    from control_store.keys.hashing import hashing_in, hashing_of, made_in

    given = settings.key_secret.get_secret_value()
    if given:
        return hashing_of(given)
    if settings.control_url.get_secret_value():
        return None  # replicas that share keys need one secret
    return made_in(settings.data_dir) if make else hashing_in(settings.data_dir)


def _postgres(settings: Settings) -> partial[ControlStore] | None:
    """Return what opens the store in PostgreSQL, whose URL is read now; None without one."""
    url = settings.control_url.get_secret_value()
    if not url:
        return None
    from control_store.postgres.address import address_of
    from control_store.postgres.database import Limits
    from control_store.postgres.opening import open_postgres

    address_of(url)
    limits = Limits(settings.control_timeout_seconds, settings.control_connections)
    return partial(open_postgres, url, limits=limits)


def in_file(data_dir: Path, activity: Activity) -> OpenedControl:
    """Open the file in the data directory.

    Raises:
        StorageError: It can neither be opened nor moved aside, or a newer AgentFlow made it.
    """
    from control_store.sqlite.opening import open_control

    return open_control(data_dir / CONTROL_FILE, activity)
