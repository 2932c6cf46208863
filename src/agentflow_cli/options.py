"""Options that several commands share, and the settings behind them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agentflow.wording import quoted

if TYPE_CHECKING:
    from agentflow.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add `--json`."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:  # noqa: FBT001
        ctx.meta["agentflow.json"] = value
        return value

    return click.option(
        "--json", "as_json", is_flag=True, callback=remember, help="Write JSON to stdout."
    )(command)


def server_options(command: F) -> F:
    """Add `--url` and `--api-key`; both have their environment variables."""
    url = click.option(
        "--url", metavar="URL", help="The platform.  [env AGENTFLOW_URL; http://127.0.0.1:8000]"
    )
    key = click.option("--api-key", metavar="KEY", help="Your key.  [env AGENTFLOW_API_KEY]")
    return url(key(command))


def contracts_option(command: F) -> F:
    """Add `--contracts-dir`."""
    return click.option(
        "--contracts-dir",
        type=click.Path(path_type=Path),
        help="Where the contracts are.  [env AGENTFLOW_CONTRACTS_DIR; contracts]",
    )(command)


def settings() -> Settings:
    """Read the environment."""
    from agentflow.settings import Settings

    return Settings()


def contracts_directory(given: Path | None) -> Path:
    """Return the directory that was named, else the configured one."""
    return given if given is not None else settings().contracts_dir


class InstantParameter(click.ParamType[datetime]):
    """An instant with its zone, `2026-01-31T12:00:00Z`."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it, in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"{quoted(str(value))} is not an instant; write 2026-01-31T12:00:00Z", param, ctx
            )
        if instant.tzinfo is None:
            self.fail(f"{quoted(value)} has no zone; write {value}Z for UTC", param, ctx)
        return instant.astimezone(UTC)


def filters(given: tuple[str, ...]) -> dict[str, str | None]:
    """Read `currency=EUR` arguments: an empty value is None, one in double quotes is JSON.

    Raises:
        BadParameter: One has no `=`, or its quotation is not JSON.
    """
    from agentflow.dimension_values import read_value

    found: dict[str, str | None] = {}
    for name, text in pairs(given).items():
        try:
            value = read_value("string", text)
        except ValueError:
            raise click.BadParameter(f"{name}={text} is not a JSON text in quotes") from None
        found[name] = None if value is None else str(value)
    return found


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """Split `name=value` arguments.

    Raises:
        BadParameter: One has no `=`, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{quoted(text)} is not of the form name=value")
        if name in found:
            raise click.BadParameter(f"{quoted(name)} is given twice")
        found[name] = value
    return found
