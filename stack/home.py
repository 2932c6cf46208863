"""Where downloads and running services live."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from stack.errors import NotInstalledError

REPOSITORY = Path(__file__).resolve().parents[1]
LOOPBACK = "127.0.0.1"


def home() -> Path:
    """Return the directory of downloads: `$AGENTFLOW_STACK_HOME`, else `.stack` in the repository.

    Several checkouts may share one: everything in it is named after the hash of what it was
    made from.
    """
    chosen = os.environ.get("AGENTFLOW_STACK_HOME")
    return Path(chosen).absolute() if chosen else REPOSITORY / ".stack"


def run_directory() -> Path:
    """Return where `python -m stack up` keeps data, logs and addresses: never shared."""
    return REPOSITORY / ".stack" / "run"


def found(name: str, places: tuple[str, ...] = ()) -> str | None:
    """Find a program in one of `places` that are not on the PATH, or on the PATH."""
    path = os.pathsep.join([*filter(None, places), os.environ.get("PATH", os.defpath)])
    return shutil.which(name, path=path)


def program(name: str, *, packages: str, places: tuple[str, ...] = ()) -> str:
    """Find a program.

    Raises:
        NotInstalledError: With the Debian packages that bring it.
    """
    if (path := found(name, places)) is None:
        raise NotInstalledError(
            f'program "{name}" is not installed', fix=f"scripts/install-debian {packages}"
        )
    return path


def java() -> str:
    """Find Java: `$JAVA_HOME` first, as Flink's own scripts do."""
    home_of_java = os.environ.get("JAVA_HOME")
    places = (f"{home_of_java}/bin",) if home_of_java else ()
    return program("java", packages="openjdk-17-jre-headless", places=places)
