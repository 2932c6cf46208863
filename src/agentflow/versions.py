"""Names with versions, as lists show them: `revenue@2`."""

from __future__ import annotations

from typing import Final

from agentflow.errors import ParameterError
from agentflow.wording import quoted

_MOST_DIGITS: Final = 9


def versioned(name: str, version: int | None = None) -> tuple[str, int | None]:
    """Read `revenue@2` as its name and version.

    What is behind the `@` and is not a version is a part of the (unknown) name.

    >>> versioned("revenue@2"), versioned("revenue", 1), versioned("revenue@new")
    (('revenue', 2), ('revenue', 1), ('revenue@new', None))

    Raises:
        ParameterError: The name says another version than *version*.
    """
    plain, at, written = name.rpartition("@")
    if not at or not written.isascii() or not written.isdigit() or len(written) > _MOST_DIGITS:
        return name, version
    if version not in {None, int(written)}:
        raise ParameterError(
            f"{quoted(name)} is not version {version}", hint="Say the version once."
        )
    return plain, int(written)
