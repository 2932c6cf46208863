"""The command line. `main` is the entry point; each command is a module of its own."""

from agentflow_cli.group import main

__all__ = ["main"]
