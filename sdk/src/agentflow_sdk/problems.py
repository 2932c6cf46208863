"""Why the server did not do what it was asked: its problems, as frozen values."""

from __future__ import annotations

from agentflow_sdk._model import Model


class FieldError(Model):
    """One thing that is wrong with a request or an event.

    Attributes:
        pointer: JSON pointer into the event, `/data/amount`.
        parameter: Name of the query parameter, when it is about one.
    """

    code: str
    message: str
    pointer: str | None = None
    parameter: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        """Render as `/data/amount: must be at least 0 (hint)`."""
        where = self.pointer or self.parameter
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}: {self.message}{hint}" if where else f"{self.message}{hint}"


class Problem(Model):
    """An RFC 9457 problem, as the server sends it."""

    status: int
    title: str = ""
    code: str = "unknown"
    detail: str = ""
    hint: str | None = None
    errors: tuple[FieldError, ...] = ()
    request_id: str | None = None
    dead_letter: int | None = None
