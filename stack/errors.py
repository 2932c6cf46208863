"""What can go wrong while a service is installed, started or watched."""

from __future__ import annotations


class StackError(Exception):
    """A service cannot do what was asked.

    Attributes:
        fix: What to do about it, as a sentence.
    """

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(f"{message}\nfix: {fix}")
        self.fix = fix


class NotInstalledError(StackError):
    """A program that the stack needs is not on this machine."""


class NotReadyError(StackError):
    """A service ended, or was not healthy, before its deadline."""
