"""Checks that need more than one key of a contract to be seen: what must hold among contracts."""

from agentflow.contracts.lint.rules import lint

__all__ = ["lint"]
