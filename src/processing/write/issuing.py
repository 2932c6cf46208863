"""Tokens as callers get and send them: of what is visible now, and waiting for what is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from agentflow.errors import TokenError
from processing.write.port import Visibility
from processing.write.results import EventResult
from processing.write.sealing import Seal
from processing.write.tokens import Token


class Tokens:
    """Issues and reads tokens. One event loop.

    Attributes:
        seal: The deployment's; also of cursors and ids of streams.
    """

    def __init__(self, visibility: Visibility) -> None:
        self.seal = Seal(b"")
        self._visibility = visibility

    def now(self) -> str:
        """Return a token that covers everything visible now."""
        return self._visibility.token().encode(self.seal)

    def of(self, results: Sequence[EventResult]) -> str:
        """Return a token that covers the events in *results*."""
        return self._visibility.token_of(results).encode(self.seal)

    def covers(self, token: str) -> bool:
        """Tell whether *token* is one of this log, and everything behind it is visible."""
        try:
            return self._visibility.covers(Token.decode(token, self.seal))
        except TokenError:
            return False

    async def reach(self, token: str, *, within: timedelta) -> None:
        """Return once everything behind *token* is visible.

        Raises:
            TokenError: It is malformed or belongs to another log.
            NotYetVisibleError: It took longer than *within*.
        """
        await self._visibility.reach(Token.decode(token, self.seal), within=within)
