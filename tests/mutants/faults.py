"""Faults over all rooms, each with the test that notices it; `make mutants` plants them all.

Those of live numbers and their SQL are in `tests.processing.laws.mutants`: a law notices them.
"""

from __future__ import annotations

from tests.mutants.planting import Fault

FAULTS: tuple[Fault, ...] = (
    # contracts and lint
    Fault(
        "a pattern may repeat nothing",
        "agentflow",
        "part.empty or low == 0",
        "part.empty",
        "tests/agentflow/contracts/test_patterns.py::test_what_may_try_again_is_refused",
    ),
    Fault(
        "deprecated without an end",
        "agentflow",
        'if status == "deprecated" and sunset is None:',
        "if False:",
        "tests/agentflow/contracts/test_lint.py::test_what_does_not_fit_is_refused_at_its_file",
    ),
    # the gate
    Fault(
        "no event is too late",
        "quality",
        "if late_us > plan.accept_us and not raw.of_any_age:",
        "if False:",
        "tests/quality/test_gate.py::test_both_ways_agree_on_every_single_change",
    ),
    Fault(
        "no event is too early",
        "quality",
        "occurred_us - received_us <= _AHEAD_US:",
        "occurred_us - received_us:",
        "tests/quality/test_gate.py::test_both_ways_agree_on_every_single_change",
    ),
    Fault(
        "instants before the first",
        "quality",
        "instant if _MIN_US <= instant < _END_US",
        "instant if instant < _END_US",
        "tests/quality/test_formats.py::test_near_instants_are_refused",
    ),
    # the log and control state
    Fault(
        "a damaged chunk is whole",
        "ingestion",
        "return checksum == _checksum(first, count, *columns)",
        "return True",
        "tests/ingestion/log/test_laws.py::test_a_flipped_bit_in_a_chunk_is_seen",
    ),
    Fault(
        "a link finds what came later",
        "ingestion",
        "link: [offset for offset in offsets if offset < before]",
        "link: list(offsets)",
        "tests/ingestion/log/test_port.py",
    ),
    Fault(
        "one key for two requests",
        "control_store",
        "if known != fingerprint:",
        "if False:",
        "tests/control_store/test_port.py",
    ),
    Fault(
        "a request that runs is forgotten",
        "control_store",
        "IDEMPOTENCY_TTL_US and not working:",
        "IDEMPOTENCY_TTL_US:",
        "tests/control_store/test_port.py",
    ),
    Fault(
        "the same contract changes again",
        "control_store",
        "if latest is not None and latest[0] == change.fingerprint:",
        "if False:",
        "tests/control_store/test_port.py",
    ),
    # captured changes
    Fault(
        "an absent value is null",
        "ingestion",
        "return row, tuple(name for name in missing if name not in known)",
        "return row, ()",
        "tests/ingestion/cdc/test_normalise.py",
    ),
    Fault(
        "a number loses its sign",
        "ingestion",
        '("-", str(-number)) if number < 0',
        '("", str(-number)) if number < 0',
        "tests/ingestion/cdc/test_normalise.py::test_decimals_as_bytes_are_exact_text",
    ),
    Fault(
        "a snapshot is as new as a change",
        "ingestion",
        '"0" if self.change.operation == "snapshot" else "1"',
        '"1"',
        "tests/ingestion/cdc/test_documents.py::test_a_snapshot_sorts_before_what_is_streamed",
    ),
    Fault(
        "a record of any size",
        "ingestion",
        "if len(record.value) > MAX_SIZE_BYTES:",
        "if False:",
        "tests/ingestion/cdc/test_normalise.py",
    ),
    # brokers, generator and replay
    Fault(
        "few partitions are enough",
        "ingestion",
        "few = there.partitions < topic.partitions",
        "few = False",
        "tests/ingestion/kafka/test_topic_plan.py::test_too_few_partitions_are_named_with_their_fix",
    ),
    Fault(
        "a content type has one spelling",
        "ingestion",
        "_text(value).lower().startswith(_STRUCTURED)",
        "_text(value).startswith(_STRUCTURED)",
        "tests/ingestion/kafka/test_cloudevents.py",
    ),
    Fault(
        "an event of the future is of today",
        "ingestion",
        '10 * _YEAR_US if flaw == "future"',
        '0 if flaw == "future"',
        "tests/ingestion/generate/test_generator.py::test_the_gate_accepts_everything_but_the_bad_ones",
    ),
    Fault(
        "a row has the line before it",
        "ingestion",
        "begins = self._reader.line_num + 1",
        "begins = self._reader.line_num",
        "tests/ingestion/replay/test_delimited.py",
    ),
    Fault(
        "a clock of 25 hours",
        "ingestion",
        " or total > _DAY_SECONDS:",
        ":",
        "tests/ingestion/replay/test_instants.py::test_what_no_clock_shows_is_refused",
    ),
    # live state, the lake and what is computed from it
    Fault(
        "an older deletion wins",
        "processing",
        "self._gone < sequence",
        "self._gone != sequence",
        "tests/processing/live/test_versions.py::test_every_order_of_arrival_is_equal",
    ),
    Fault(
        "the last event is not covered",
        "processing",
        "end = last + 1",
        "end = last",
        "tests/processing/lake/test_coverage.py",
    ),
    Fault(
        "a merged file may lack rows",
        "processing",
        "if rows.num_rows != declared:",
        "if False:",
        "tests/processing/lake/test_maintenance.py",
    ),
    Fault(
        "the past ends with the lake",
        "processing",
        "tail = tail and (up_to is None or up_to > low)",
        "tail = False",
        "tests/processing/history/test_history.py",
    ),
    # dead letters and the stream
    Fault(
        "a letter of another tenant",
        "processing",
        'mine = [record for record in records if record.headers["tenant"] == tenant]',
        "mine = list(records)",
        "tests/serving/api/test_tenants.py::test_nobody_can_decide_about_another_tenants_dead_letters",
    ),
    Fault(
        "a record is judged twice",
        "processing",
        "positions.get(record.partition, 0), record.offset + 1)",
        "positions.get(record.partition, 0), record.offset)",
        "tests/processing/stream_gate/test_gate.py",
    ),
    # what is served
    Fault(
        "an event of another tenant",
        "serving",
        "if message.event.tenant == tenant and _is_one(",
        "if _is_one(",
        "tests/serving/api/test_streams.py::test_streams_are_of_one_tenant",
    ),
    Fault(
        "a cause of another group",
        "serving",
        "getattr(event.data, name) == value for name, value in self.where.items()",
        "True for name, value in self.where.items()",
        "tests/serving/api/test_causes.py::test_causes_are_of_the_cell_that_was_asked_for",
    ),
    Fault(
        "a secret is shown",
        "serving",
        'return value if bytes(value) == b"null" else _MASKED',
        "return value",
        "tests/serving/api/test_resources.py::test_personal_data_in_a_dead_letter_is_masked",
    ),
    Fault(
        "an answer that is kept is never old",
        "serving",
        "self._state.moves == self.answer.moves",
        "True",
        "tests/serving/api/test_metrics.py::test_an_event_that_moves_the_metric_changes_its_tag",
    ),
    Fault(
        "come back too soon",
        "serving",
        "max(1, -(-lease.retry_us // SECOND_US))",
        "max(1, lease.retry_us // SECOND_US)",
        "tests/serving/api/test_limits.py::test_a_caller_who_waits_as_told_gets_through",
    ),
    Fault(
        "a filter nobody can meet",
        "serving",
        "if value is not None and allowed is not None and value not in allowed:",
        "if False:",
        "tests/serving/api/test_dimension_values.py::test_a_value_outside_its_enum_is_refused_with_the_nearest",
    ),
    Fault(
        "headers of any size",
        "serving",
        "return held + len(self.url) > self.open.limits.header_bytes",
        "return False",
        "tests/serving/api/test_protocol.py",
    ),
    # clients and services
    Fault(
        "a part that is ill is well",
        "agentflow_cli",
        'if part.get("status") != "ok":',
        "if False:",
        "tests/agentflow_cli/test_live.py",
    ),
    Fault(
        "no time to come back",
        "agentflow_sdk",
        "return max(delay, retry_after_seconds)",
        "return delay",
        "sdk/tests/test_client.py",
    ),
    Fault(
        "a problem is an answer",
        "agentflow_sdk",
        "if response.status_code >= _ERROR:",
        "if False:",
        "sdk/tests/test_client.py",
    ),
    Fault(
        "what is refused for good is sent again",
        "agentflow_sdk",
        "return status in _TRANSIENT and code not in _FINAL_CODES",
        "return status in _TRANSIENT",
        "sdk/tests/test_client.py",
    ),
    Fault(
        "a pid is of the process that had it first",
        "stack",
        "if fields is None or int(fields[19]) != self.started:",
        "if fields is None:",
        "tests/stack/test_supervision.py::test_pid_of_somebody_else_is_never_killed",
    ),
)
