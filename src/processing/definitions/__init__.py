"""Contracts as a platform runs them: compiled, with the check that they compile, with examples."""

from processing.definitions.compiled import Definitions

__all__ = ["Definitions"]
