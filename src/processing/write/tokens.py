"""Read-your-events tokens: opaque vectors of log positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from agentflow.errors import TokenError
from processing.write.sealing import Seal

_MAX_LENGTH = 4_096


@dataclass(frozen=True, slots=True)
class Token:
    """What a reader wants to be covered: for each partition of a log, the offset after the last.

    Tokens of one log merge by the greater offset of each partition, so they can be combined by
    whatever received several. They stay valid across restarts, for as long as the log lives.
    """

    log_id: str
    ends: Mapping[str, int]

    def merge(self, other: Token) -> Token:
        """Return the token that covers both.

        Raises:
            TokenError: If the tokens belong to different logs.
        """
        _same_log(self.log_id, other.log_id)
        keys = self.ends.keys() | other.ends.keys()
        ends = {key: max(self.ends.get(key, 0), other.ends.get(key, 0)) for key in keys}
        return Token(self.log_id, ends)

    def covered_by(self, other: Token) -> bool:
        """Tell whether *other* has reached every position of this token."""
        return all(other.ends.get(key, 0) >= end for key, end in self.ends.items())

    def encode(self, seal: Seal, *, salted: bool = True) -> str:
        """Render as URL-safe text that only the deployment can read.

        >>> Token.decode(Token("log", {"validated/0": 7}).encode(Seal(b"s")), Seal(b"s")).ends
        {'validated/0': 7}

        Args:
            seal: The deployment's.
            salted: Whether each text differs, so that it does not show whether positions moved.
        """
        document = msgspec.json.encode([self.log_id, dict(sorted(self.ends.items()))])
        return seal.write(document, salted=salted)

    @classmethod
    def decode(cls, text: str, seal: Seal) -> Token:
        """Read a token.

        Raises:
            TokenError: If the text is not a token of this deployment.
        """
        try:
            log_id, ends = _parse(text, seal)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise TokenError(
                "the token is malformed or of another deployment",
                hint="Pass a token as POST /v1/events or a metric answer returned it; those of an "
                "earlier version, or made before the API keys changed, are not valid any more.",
            ) from error
        return cls(log_id, ends)

    def require_log(self, log_id: str) -> None:
        """Raise unless the token belongs to that log.

        Raises:
            TokenError: If it belongs to another one.
        """
        _same_log(self.log_id, log_id)


def _parse(text: str, seal: Seal) -> tuple[str, dict[str, int]]:
    if len(text) > _MAX_LENGTH:
        raise ValueError("too long")
    log_id, ends = msgspec.json.decode(seal.read(text), type=tuple[str, dict[str, int]])
    if any(end < 0 for end in ends.values()):
        raise ValueError("negative offset")
    return log_id, ends


def _same_log(left: str, right: str) -> None:
    if left != right:
        raise TokenError(
            "the token belongs to another log",
            hint="The platform runs on other data than when the token was made; drop it.",
        )
