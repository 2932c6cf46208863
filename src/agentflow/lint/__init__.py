"""Contracts read and checked as a whole: what must hold within a contract and among them all."""

from agentflow.lint.loading import load, read_directory
from agentflow.lint.rules import lint

__all__ = ["lint", "load", "read_directory"]
