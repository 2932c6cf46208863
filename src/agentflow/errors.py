"""Every error AgentFlow raises on purpose.

* AgentFlowError
  x ContractError
    + ContractFilesError        several problems in contract files, each with file and line
    + ExpressionError           an expression does not parse or type-check
    + UnknownContractError      no contract has that name (metric, event or entity)
    + BreakingChangeError       a contract changed in a way its readers would not survive
  x RequestError                the caller asked for something that cannot be answered
    + UnknownWindowError
    + UnknownDimensionError
    + ParameterError
    + TokenError                a token is malformed or belongs to another log
    + NotYetVisibleError        a read could not reach its token in time
    + IdempotencyError          one key, two different bodies
    + NotFoundError
    + KeyEndedError             an API key was revoked, or has expired
    + ValueTooLargeError        a recompute meets a number of more digits than it holds
  x StorageError                a file or a disk does not do what it must
    + StorageFullError
    + StorageCorruptError
    + DataDirectoryLockedError
    + TopicUnknownError         the broker does not have a topic that is needed
    + OffsetLostError           the bus no longer holds what a reader asks for
    + RecordTooLargeError       the bus does not take a record of that size
  x UnavailableError            a part that is needed is not running
    + TooManyStreamsError       no more streams can be opened
    + BacklogFullError          more waits to be stored than there is room for
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentflow.wording import counted, quoted


class AgentFlowError(Exception):
    """Base of every deliberate error.

    Attributes:
        code: Stable, machine-readable name. It is part of the public contract.
        hint: What the reader can do about it, when there is something to do.
    """

    code = "internal"
    hint: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class ContractError(AgentFlowError):
    """A contract is missing, malformed or incompatible."""

    code = "contract_invalid"


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One thing wrong with a contract file.

    `line` counts from 1; 0 means the file as a whole.
    """

    file: str
    line: int
    message: str
    hint: str | None = None

    @property
    def place(self) -> str:
        """Where it is, as `file:line`; the file alone when it is the whole of it."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def __str__(self) -> str:
        """Render as `file:line: message (hint)`."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.place}: {self.message}{hint}"


class ContractFilesError(ContractError):
    """All problems found in a set of contract files, collected before raising once."""

    code = "contract_invalid"

    def __init__(self, problems: Iterable[FileProblem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{counted(len(self.problems), 'problem')} in contract files\n{lines}")


class ExpressionError(ContractError):
    """An expression does not parse or type-check.

    Attributes:
        position: Offset of the offending character, from 0.
    """

    code = "expression_invalid"

    def __init__(self, message: str, *, position: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.position = position


class UnknownContractError(ContractError):
    """No contract has the name that was asked for."""

    code = "contract_unknown"

    def __init__(self, kind: str, name: str, *, known: Iterable[str]) -> None:
        super().__init__(f"{kind} {quoted(name)} does not exist")
        self.code = f"{kind}_unknown"
        self.name = name
        self.hint = f"Known names: {', '.join(sorted(known)) or 'none yet'}."


class BreakingChangeError(ContractError):
    """A contract changed in a way its readers would not survive."""

    code = "contract_breaking"


class RequestError(AgentFlowError):
    """The caller asked for something that cannot be answered."""

    code = "request_invalid"


class UnknownWindowError(RequestError):
    """The metric does not declare that window."""

    code = "window_unknown"


class UnknownDimensionError(RequestError):
    """The metric does not declare that dimension."""

    code = "dimension_unknown"


class ParameterError(RequestError):
    """A parameter is unknown, missing, malformed or contradicts another."""

    code = "parameter_invalid"


class InstantRangeError(ParameterError):
    """An instant lies outside what can be asked about."""

    code = "instant_out_of_range"


class CursorError(RequestError):
    """A cursor was not given by this server, or for another listing, question or tenant."""

    code = "cursor_invalid"


class TokenError(RequestError):
    """A token is malformed or belongs to another log."""

    code = "token_invalid"


class NotYetVisibleError(RequestError):
    """A read could not reach the position in its token in the time it was given."""

    code = "not_yet_visible"


class IdempotencyError(RequestError):
    """One idempotency key was used with two different bodies."""

    code = "idempotency_conflict"


class NotFoundError(RequestError):
    """The addressed thing (entity, dead letter, event) does not exist."""

    code = "not_found"


class KeyEndedError(RequestError):
    """An API key was revoked or has expired, and cannot be changed any more."""

    code = "key_ended"


class ValueTooLargeError(RequestError):
    """A recompute meets a number of more digits than it holds; the message names the metric."""

    code = "value_too_large"


class StorageError(AgentFlowError):
    """A file or a disk does not do what it must."""

    code = "storage_failed"


class StorageFullError(StorageError):
    """The disk is full; what was not acknowledged was not stored."""

    code = "storage_full"


class StorageCorruptError(StorageError):
    """A state file cannot be read; it was moved aside and is being rebuilt."""

    code = "storage_corrupt"


class DataDirectoryLockedError(StorageError):
    """Another process already runs on this data directory."""

    code = "data_dir_locked"


class TopicUnknownError(StorageError):
    """The broker does not have a topic that is needed."""

    code = "topic_unknown"


class OffsetLostError(StorageError):
    """The bus does not hold any more what stands at an offset to read from."""

    code = "offset_lost"


class RecordTooLargeError(StorageError):
    """The bus does not take a record of that size; nothing of its batch was stored."""

    code = "record_too_large"


class UnavailableError(AgentFlowError):
    """A part that is needed is not running."""

    code = "unavailable"


class TooManyStreamsError(UnavailableError):
    """There are as many open streams as there may be, in all or of one API key."""

    code = "too_many_streams"


class BacklogFullError(UnavailableError):
    """More waits to be stored, or to become visible, than there is room for; nothing was taken.

    Attributes:
        retry_seconds: When there will be room, where that was measured.
    """

    code = "backlog_full"

    def __init__(
        self, message: str, *, hint: str | None = None, retry_seconds: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_seconds = retry_seconds
