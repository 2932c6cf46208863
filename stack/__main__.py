"""`python -m stack install|up|down|status [service …]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stack import commands
from stack.errors import StackError
from stack.home import run_directory


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, do it, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    parser.add_argument("action", choices=("install", "up", "down", "status"))
    parser.add_argument("service", nargs="*", help="all of them when none is named")
    parser.add_argument("--directory", type=Path, default=run_directory(), help="data and logs")
    parser.add_argument("--json", action="store_true", help="print addresses as JSON")
    options = parser.parse_args(arguments)
    try:
        return _act(options)
    except StackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _act(options: argparse.Namespace) -> int:
    directory: Path = options.directory.absolute()
    match options.action:
        case "install":
            return commands.install(options.service)
        case "up":
            return commands.up(directory, options.service, as_json=options.json)
        case "down":
            return commands.down(directory, options.service)
        case _:
            return commands.status(directory, options.service, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
