"""What the driver reports, in the errors of AgentFlow: nothing of the driver's travels further."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException

from agentflow.errors import (
    AgentFlowError,
    RecordTooLargeError,
    StorageError,
    TopicUnknownError,
    UnavailableError,
)

log = structlog.get_logger()

DRIVER_ERRORS: Final = (KafkaException, BufferError)
_AUTHENTICATION: Final = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
)
_ENCRYPTION: Final = frozenset({KafkaError._SSL})
_TOPIC: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
_SIZE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_ACCESS: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_ABSENT: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
    }
)
_PASSING: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    }
)
"""What a cluster answers while it starts or moves its work; the driver calls some of it final."""


class Faults:
    """Translates errors of one client, with what it last heard about its connections.

    An operation that could not reach a broker only says that time ran out; why it could not was
    told to the client's `error_cb`, which is `heard`. Thread-safety: any thread.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._last: KafkaError | None = None

    def heard(self, error: KafkaError) -> None:
        """Take in what a client says of its connections; said once in the log as it changes."""
        last, self._last = self._last, self._specific(error)
        if last is None or _kind(last) != _kind(self._last):
            log.warning("kafka.connection_failed", brokers=self._bootstrap, detail=error.str())

    def _specific(self, error: KafkaError) -> KafkaError:
        """Keep why a connection is refused when only the consequence follows."""
        last = self._last
        if last is not None and error.code() in _ABSENT and last.code() not in _ABSENT:
            return last
        return error

    def forget(self) -> None:
        """Take note that the cluster answered: earlier trouble explains nothing any more."""
        self._last = None

    def error(self, cause: KafkaError) -> AgentFlowError:
        """Return the error of AgentFlow for what the driver reported."""
        code = cause.code()
        if code in _ABSENT and self._last is not None:
            code = self._last.code()
        if code in _AUTHENTICATION or code in _ENCRYPTION or code in _ABSENT:
            return self._unreached(code, self._last or cause)
        return refused(cause)

    def _unreached(self, code: int, cause: KafkaError) -> UnavailableError:
        if code in _AUTHENTICATION:
            return UnavailableError(
                f'kafka at "{self._bootstrap}" refused the user or the password',
                hint="Check AGENTFLOW_KAFKA_SASL_MECHANISM, _USER and _PASSWORD.",
            )
        if code in _ENCRYPTION:
            return UnavailableError(
                f'kafka at "{self._bootstrap}" did not prove who it is: {cause.str()}',
                hint="AGENTFLOW_KAFKA_CA_FILE must name the authority that signed its certificate.",
            )
        return UnavailableError(
            f'kafka at "{self._bootstrap}" cannot be reached: {cause.str()}',
            hint="Check AGENTFLOW_KAFKA_BOOTSTRAP, its security protocol and that a broker runs.",
        )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the driver raises inside into errors of AgentFlow.

        Raises:
            UnavailableError: Trying again later can help.
            StorageError: It cannot; an operator has to act.
        """
        try:
            yield
        except KafkaException as error:
            raise self.error(error.args[0]) from error
        except BufferError as error:
            raise UnavailableError(
                "the producer's queue is full", hint="Try again later."
            ) from error


def _kind(error: KafkaError) -> int:
    """Return the code, or one code for all that mean that no broker is there: they take turns."""
    code = error.code()
    return KafkaError._TRANSPORT if code in _ABSENT else code


def is_passing(cause: KafkaError) -> bool:
    """Tell whether asking again in a moment can help."""
    return cause.code() in _PASSING or cause.retriable()


def refused(cause: KafkaError) -> AgentFlowError:
    """Return the error for an answer of the cluster that is a no."""
    code = cause.code()
    if code in _TOPIC:
        return TopicUnknownError(
            f"kafka has no such topic or partition: {cause.str()}",
            hint="Run `agentflow topics apply`.",
        )
    if code in _SIZE:
        return RecordTooLargeError(
            f"a record is larger than kafka takes: {cause.str()}",
            hint="Send less in one event, or raise AGENTFLOW_KAFKA_MAX_MESSAGE_BYTES and apply it.",
        )
    if code in _ACCESS:
        return StorageError(
            f"kafka does not allow it: {cause.str()}",
            hint="Give the user of AGENTFLOW_KAFKA_SASL_USER the rights on topics and groups.",
        )
    if cause.fatal():
        return StorageError(
            f"the producer cannot go on: {cause.str()}",
            hint="Restart the process; events that were acknowledged are stored.",
        )
    if is_passing(cause):
        return UnavailableError(f"kafka is not ready: {cause.str()}", hint="Try again later.")
    return StorageError(f"kafka refused: {cause.str()}", hint="See the broker's log.")
