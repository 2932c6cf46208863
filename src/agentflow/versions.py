"""Names with versions, as lists show them: `revenue@2`."""

from __future__ import annotations

import re
from typing import Final

from agentflow.errors import ParameterError
from agentflow.spelling import meant_integer
from agentflow.wording import quoted

_VERSION: Final = re.compile(r"0|[1-9][0-9]{0,8}")


def versioned(name: str, version: int | None = None) -> tuple[str, int | None]:
    """Read `revenue@2` as its name and version.

    What is behind the `@` and is not a number is a part of the (unknown) name.

    >>> versioned("revenue@2"), versioned("revenue", 1), versioned("revenue@new")
    (('revenue', 2), ('revenue', 1), ('revenue@new', None))

    Raises:
        ParameterError: The name says another version than *version*, or writes it in another way
            than lists do: `revenue@02`.
    """
    plain, at, written = name.rpartition("@")
    if not at:
        return name, version
    if _VERSION.fullmatch(written) is None:
        _require_no_number(plain, written)
        return name, version
    if version not in {None, int(written)}:
        raise ParameterError(
            f"{quoted(name)} is not version {version}", hint="Say the version once."
        )
    return plain, int(written)


def _require_no_number(plain: str, written: str) -> None:
    meant = meant_integer(written)
    if meant is not None and meant > 0 and str(meant) != written:
        raise ParameterError(
            f"{quoted(f'{plain}@{written}')} does not write its version as lists do",
            hint=f"Pass {quoted(f'{plain}@{meant}')}.",
        )
