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


def program(name: str, *, packages: str, places: tuple[str, ...] = ()) -> str:
    """Find a program on the PATH, or in one of `places` that is not.

    Raises:
        NotInstalledError: With the Debian packages that bring it.
    """
    found = shutil.which(name) or next(
        (found for place in places if (found := shutil.which(name, path=place))), None
    )
    if found is None:
        raise NotInstalledError(
            f'program "{name}" is not installed', fix=f"scripts/install-debian {packages}"
        )
    return found


def java() -> str:
    """Find Java: `$JAVA_HOME` first, as Flink's own scripts do."""
    home_of_java = os.environ.get("JAVA_HOME")
    places = (f"{home_of_java}/bin",) if home_of_java else ()
    if places and (found := shutil.which("java", path=places[0])):
        return found
    return program("java", packages="openjdk-17-jre-headless")
