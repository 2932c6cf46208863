"""`python -m stack install|up|down|status|env [service …]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agentflow.errors import AgentFlowError
from stack import commands
from stack.errors import StackError
from stack.home import run_directory


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, do it, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    parser.add_argument("action", choices=("install", "up", "down", "status", "env"))
    parser.add_argument("service", nargs="*", help="all of them when none is named")
    parser.add_argument("--directory", type=Path, default=run_directory(), help="data and logs")
    parser.add_argument(
        "--app", action="store_true", help="with `up`: topics, tables, jobs, connectors, platform"
    )
    parser.add_argument("--contracts-dir", type=Path, help="of the platform, else the shop's")
    parser.add_argument("--json", action="store_true", help="print addresses as JSON")
    options = parser.parse_args(arguments)
    try:
        return _act(options)
    except StackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except AgentFlowError as error:
        sys.stderr.write(f"error: {error}\n{error.hint or ''}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was started goes on: python -m stack down\n")
        return 130


def _act(options: argparse.Namespace) -> int:
    directory: Path = options.directory.absolute()
    match options.action:
        case "install":
            return commands.install(options.service)
        case "up":
            given: Path | None = options.contracts_dir
            return commands.up(
                directory,
                options.service,
                contracts=given.absolute() if given else None,
                app=options.app,
                as_json=options.json,
            )
        case "down":
            return commands.down(directory, options.service)
        case "env":
            return commands.env(directory)
        case _:
            return commands.status(directory, options.service, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
