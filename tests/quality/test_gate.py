"""The quick way and the slow way through the gate are one meaning."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal, localcontext

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentflow.clock import to_rfc3339
from agentflow.contracts import EventContract, Registry
from agentflow.errors import ContractError, StorageCorruptError, UnknownContractError
from agentflow.events import EventRef, RawEvent, identity_key
from quality import Accepted, Gate, Rejected, Verdict
from quality.content import document_id

NOW_US = 1_795_252_802_000_000
SENT = EventRef("parcel.sent", 2)
DATA: Mapping[str, str] = {"parcel_id": '"AB1"', "price": '"3.50"', "currency": '"EUR"'}
ENVELOPE: Mapping[str, str] = {"id": '"1"', "source": '"/tests"', "type": '"parcel.sent"'}


def document(data: Mapping[str, str] | None = None, /, **envelope: str) -> bytes:
    """Write JSON from values that are JSON text already, so that any nonsense can be written."""
    members = {**ENVELOPE, "data": _object({**DATA, **(data or {})}), **envelope}
    return _object(members).encode("utf-8", "surrogatepass")


def _object(members: Mapping[str, str]) -> str:
    pairs = (f"{json.dumps(name)}:{text}" for name, text in members.items() if text)
    return "{" + ",".join(pairs) + "}"


def judged(gate: Gate, value: bytes) -> Verdict:
    return gate.judge(RawEvent(value, "acme", NOW_US))


def accepted(gate: Gate, value: bytes) -> Accepted:
    verdict = judged(gate, value)
    assert isinstance(verdict, Accepted), verdict
    return verdict


def codes_of(gate: Gate, value: bytes) -> list[tuple[str, str]]:
    verdict = judged(gate, value)
    assert isinstance(verdict, Rejected), verdict
    assert verdict.reason == verdict.violations[0].code
    return [(violation.code, violation.pointer) for violation in verdict.violations]


NASTY = [
    *(
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "2",
        "-1",
        "1.0",
        "1.5",
        "0.1",
        "1e2",
        "1E400",
        "1e-400",
    ),
    *(
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "123456789012345678901",
    ),
    *(
        "999999999999999999",
        "999999999999999999.999999999",
        "1234567890123456789",
        '"1234567890123456789"',
        "-0.00",
        "0.001",
        "12.340",
        "100",
        "99.5",
    ),
    *(
        '"1"',
        '"1.5"',
        '"-1.5"',
        '"12.340"',
        '"1e2"',
        '"NaN"',
        '"Infinity"',
        '" 1"',
        '"1_0"',
        '"+1"',
        '".5"',
    ),
    *(
        '"5."',
        '"٣"',
        '"1e9999999"',
        '"-0"',
        '"007"',
        '"0.01"',
        '"1000"',
        '"1000.01"',
        '"\\u0031.5"',
    ),
    *(
        '""',
        '"A"',
        '"AB1"',
        '"AB1\\n"',
        '"ABCDEFGHI"',
        '"ab1"',
        '"EUR"',
        '"eur"',
        '"GBP"',
        '"\\u0000"',
    ),
    *(
        '"\\\\u0000"',
        '"\\ud83d\\ude00"',
        '"\\ud800"',
        '"é"',
        '"\\""',
        '"2026-11-21"',
        '"2026-02-29"',
    ),
    *('"2026-11-21T09:20:01Z"', '"2026-11-21T09:20:01.123456789+01:00"', '"2026-11-21T09:20:01"'),
    *('"2020-11-21T09:20:01Z"', '"2027-11-21T09:20:01Z"', '"9999-12-31T23:59:59-01:00"', '"1.0"'),
    *(
        "[]",
        "{}",
        "[1]",
        '{"a":1}',
        "",
        "NaN",
        "-",
        "01",
        "t",
        '"',
        '"acme"',
        '"other"',
        '"text/plain"',
    ),
    *(
        '"application/json; charset=utf-8"',
        "3",
        '"3"',
        '"0"',
        "-1e308",
        "1e308",
        "1.7976931348623157e308",
    ),
]
FIELDS = [
    *("parcel_id", "price", "currency", "sender", "weight", "pieces", "serial", "ratio", "insured"),
    *("sent_at", "due", "balance", "whole", "size", "prise", "a/b", "class", "é"),
]
ATTRIBUTES = [
    *("id", "source", "type", "time", "subject", "specversion", "datacontenttype", "dataversion"),
    *("tenant", "correlationid", "traceparent", "tracestate", "dataschema", "data_base64", "data"),
    *("partitionkey", "Bad-Name", "time_", "veryveryverylongextension"),
]
values = st.sampled_from(NASTY) | st.decimals(allow_nan=False, allow_infinity=False).map(str)
documents = st.builds(
    lambda data, envelope: document(data, **envelope),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=5),
    st.dictionaries(st.sampled_from(ATTRIBUTES), values, max_size=2),
)


def agree(gate: Gate, value: bytes, *, of_any_age: bool = False) -> None:
    raw = RawEvent(value, "acme", NOW_US, of_any_age)

    quick, slow = gate.quick(raw), gate.examine(raw)

    if quick is not None:
        assert quick == slow
    elif isinstance(slow, Accepted):
        assert slow.event.id.startswith("sha256:") or b"\\u0000" in value


def test_both_ways_agree_on_every_single_change(gate: Gate) -> None:
    """Generated code that accepted more, or enriched differently, would be a second contract."""
    for text in NASTY:
        for field in FIELDS:
            agree(gate, document({field: text}))
        for attribute in ATTRIBUTES:
            agree(gate, document(**{attribute: text}))
        agree(gate, document(time=text), of_any_age=True)


@settings(max_examples=500)
@given(value=documents)
@example(value=document({"serial": "9223372036854775807", "pieces": "2"}))
def test_both_ways_agree_on_several_changes(gate: Gate, value: bytes) -> None:
    """Rules and derived fields read several fields at once."""
    agree(gate, value)


@pytest.mark.parametrize("edge_us", [-172_800_000_000, 300_000_000])
def test_the_edges_of_lateness_are_inclusive(gate: Gate, edge_us: int) -> None:
    """The contract says `accept: 2d`, and two days are two days."""
    outside_us = edge_us + (1 if edge_us > 0 else -1)

    inside = accepted(gate, document(time=f'"{to_rfc3339(NOW_US + edge_us)}"'))

    assert inside.event.occurred_us == NOW_US + edge_us
    assert codes_of(gate, document(time=f'"{to_rfc3339(NOW_US + outside_us)}"'))


@settings(max_examples=300)
@given(value=documents)
def test_accepted_events_survive_storage(gate: Gate, value: bytes) -> None:
    """What metrics are recomputed from must be what they were first computed from."""
    verdict = judged(gate, value)

    if isinstance(verdict, Accepted):
        record = gate.encode(verdict.event)
        assert gate.decode(verdict.event.ref, record) == verdict.event


@given(value=documents)
@example(
    value=b'{"id":null,"source":"/tests","type":"parcel.sent","data":{"parcel_id":"AB1",'
    b'"price":"3.50","currency":"EUR","sender":null,"balance":999999999999999999}}'
)
def test_a_verdict_depends_on_nothing_but_the_event(
    gate: Gate, registry: Registry, value: bytes
) -> None:
    """Flink workers and the embedded process must agree, whatever thread asks."""
    other = Gate(registry)

    with localcontext(prec=3):
        elsewhere = judged(other, value)

    here = judged(gate, value)
    if isinstance(here, Accepted) and isinstance(elsewhere, Accepted):
        assert gate.encode(here.event) == other.encode(elsewhere.event)
    else:
        assert here == elsewhere


def test_an_accepted_event_is_typed_and_enriched(gate: Gate) -> None:
    """Past the gate there is no text that still has to be parsed."""
    data = {"weight": "2", "pieces": "3", "sent_at": '"2026-11-21T09:20:01.5Z"', "sender": '"x"'}

    verdict = accepted(gate, document(data, subject='"P"', correlationid='"C"'))

    event = verdict.event
    held = msgspec.structs.asdict(event.data)
    assert (event.id, event.source, event.tenant) == ("1", "/tests", "acme")
    assert (event.subject, event.correlation_id) == ("P", "C")
    assert event.occurred_us == held["sent_at"] == NOW_US - 500_000
    assert held["sender"] == "x"
    assert (held["price"], held["total"]) == (Decimal("3.50"), Decimal("10.50"))
    assert (held["size"], held["is_due"]) == ("medium", False)
    assert f"{held['worth']:f}" == "0.000000000"
    assert verdict.identity == identity_key("acme", "/tests", "1")
    assert (verdict.key, verdict.warnings) == (b"AB1", ())


def test_amounts_in_numbers_are_read_from_their_digits(gate: Gate) -> None:
    """0.1 + 0.2 must never enter the platform."""
    verdict = accepted(gate, document({"balance": "123456789012345678.123456789"}))

    assert msgspec.structs.asdict(verdict.event.data)["balance"] == Decimal(
        "123456789012345678.123456789"
    )


def test_products_do_not_round(gate: Gate) -> None:
    """Python's default context keeps 28 digits; money keeps all of them."""
    with localcontext(prec=5):
        verdict = accepted(gate, document({"price": '"999.99"', "pieces": "99999", "whole": "1"}))

    assert msgspec.structs.asdict(verdict.event.data)["total"] == Decimal("99998000.01")


def test_a_computed_field_that_does_not_fit_rejects_the_event(gate: Gate) -> None:
    """It could be neither stored nor summed; the sender learns it now."""
    found = codes_of(gate, document({"serial": "9223372036854775807", "pieces": "2"}))

    assert found == [("derived_out_of_range", "/data/pieces")]


def test_everything_wrong_is_said_at_once(gate: Gate) -> None:
    """One error at a time makes a producer's morning long."""
    data = {
        "parcel_id": '"a"',
        "price": "1.555",
        "currency": '"EURO"',
        "pieces": "1.0",
        "weight": "2000",
        "insured": '"true"',
        "due": '"soon"',
        "sizes": "1",
        "total": "1",
    }

    found = codes_of(gate, document(data, specversion='"0.3"', time='"now"'))

    assert found == [
        ("specversion_unsupported", "/specversion"),
        ("timestamp_invalid", "/time"),
        ("length_wrong", "/data/parcel_id"),
        ("pattern_mismatch", "/data/parcel_id"),
        ("scale_exceeded", "/data/price"),
        ("not_in_enum", "/data/currency"),
        ("out_of_bounds", "/data/weight"),
        ("type_wrong", "/data/pieces"),
        ("type_wrong", "/data/insured"),
        ("date_invalid", "/data/due"),
        ("field_unknown", "/data/sizes"),
        ("field_unknown", "/data/total"),
    ]


def test_hints_name_what_would_have_worked(gate: Gate) -> None:
    """The cheapest support is a message that mends itself."""
    verdict = judged(gate, document({"currency": '"EURO"', "prise": "1"}))
    unknown = judged(gate, document(type='"parcel.send"'))

    assert isinstance(verdict, Rejected)
    assert [violation.hint for violation in verdict.violations] == [
        'Did you mean "EUR"?',
        'Did you mean "price"?',
    ]
    assert isinstance(unknown, Rejected)
    assert (unknown.reason, unknown.version) == ("event_unknown", None)
    assert unknown.violations[0].hint == 'Did you mean "parcel.sent"?'


@pytest.mark.parametrize(
    ("value", "pointer", "escape"),
    [
        (b'{"type":"parcel.sent","data":{"parcel_id":"\\ud800"}}', "/data/parcel_id", r"\ud800"),
        (b'{"type":"parcel.sent","data":{"parcel_id":"a\\uDC00b"}}', "/data/parcel_id", r"\udc00"),
        (b'{"id":"\\ud83d and more text","type":"parcel.sent"}', "/id", r"\ud83d"),
        (b'{"data":[{"a":"fine"},["\\ude00\\ud83d"]]}', "/data/1/0", r"\ude00"),
        (b'{"data":{"\\ud800":1}}', "/data", r"\ud800"),
        (b'"\\ud800"', "", r"\ud800"),
    ],
)
def test_half_a_surrogate_pair_is_named_with_its_place(
    gate: Gate, value: bytes, pointer: str, escape: str
) -> None:
    """The parser takes it for the end of the document, which is whole."""
    verdict = judged(gate, value)

    assert isinstance(verdict, Rejected)
    (violation,) = verdict.violations
    assert (violation.code, violation.pointer) == ("malformed_json", pointer)
    assert f"{escape}, one half of a surrogate pair" in violation.message


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "malformed_json"),
        (b" ", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"data": NaN}', "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b'{"id": "\xff"}', "not_utf8"),
        (b"[]", "not_an_object"),
        (b"1", "not_an_object"),
        (b"null", "not_an_object"),
        (b"[" * 100_000, "not_an_object"),
        (b'{"data":' + b"[" * 100_000, "too_deep"),
        (b'{"data":' + b'{"a":' * 100_000, "too_deep"),
        (b'{"id":"' + b"x" * 1024 * 1024 + b'"}', "too_large"),
        (b"{}", "type_missing"),
        (b'{"type":"parcel.sent"}', "data_missing"),
        (b'{"type":"parcel.sent","data":[]}', "type_wrong"),
    ],
)
def test_what_is_no_event_has_its_reason(gate: Gate, value: bytes, code: str) -> None:
    """Bombs and noise are dead letters like everything else, and stop nothing."""
    assert codes_of(gate, value)[0][0] == code


@pytest.mark.parametrize(
    ("attribute", "text", "code"),
    [
        ("specversion", '"0.3"', "specversion_unsupported"),
        ("datacontenttype", '"text/xml"', "content_type_unsupported"),
        ("tenant", '"other"', "tenant_mismatch"),
        ("dataversion", '"9"', "version_unknown"),
        ("dataversion", "9", "version_unknown"),
        ("dataversion", '"x"', "version_unknown"),
        ("id", '""', "attribute_invalid"),
        ("id", "7", "attribute_invalid"),
        ("source", '"' + "x" * 1025 + '"', "attribute_invalid"),
        ("subject", '"\\u0000"', "nul_character"),
        ("data_base64", '"e30="', "attribute_invalid"),
        ("id", '{"base64":"/g=="}', "attribute_invalid"),
        ("Partition-Key", '"1"', "attribute_unknown"),
        ("extension", "[1]", "attribute_unknown"),
        ("extension", '"\\u0000"', "attribute_unknown"),
        ("time", '"2026-11-19T09:20:01Z"', "too_late"),
        ("time", '"2026-11-21T09:26:01Z"', "too_early"),
    ],
)
def test_each_attribute_is_judged(gate: Gate, attribute: str, text: str, code: str) -> None:
    """CloudEvents names the attributes; what they must hold is decided here."""
    assert [found[0] for found in codes_of(gate, document(**{attribute: text}))] == [code]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"base64":"/g=="}', "is not text in UTF-8: it has the byte 0xfe"),
        ('{"base64":"ImE="}', "begins with a double quote that is not closed"),
        ('{"base64":"?"}', "is not text in UTF-8"),
        ('{"base64":5}', "is not text in UTF-8"),
    ],
)
def test_a_header_that_stands_for_nothing_says_why(gate: Gate, text: str, said: str) -> None:
    """A lone quote is text in UTF-8; whoever sent such an object is refused as before."""
    verdict = judged(gate, document(id=text))

    assert isinstance(verdict, Rejected)
    assert verdict.violations[0].message == f'attribute "id" {said}'


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"e30="', "field_missing"),
        ('"e30"', "attribute_invalid"),
        ("7", "attribute_invalid"),
        ('"e30gLA=="', "malformed_json"),
        ('"/w=="', "malformed_json"),
        ('"WzFd"', "type_wrong"),
        ('"eyJhIjoxLCJhIjoyfQ=="', "member_repeated"),
    ],
)
def test_data_in_base64_is_judged_as_what_it_holds(gate: Gate, text: str, code: str) -> None:
    """JSON producers that cannot embed JSON send it so; CloudEvents asks readers to take it."""
    value = b'{"id":"1","type":"parcel.sent","data_base64":%b}' % text.encode()

    assert codes_of(gate, value)[0][0] == code


def test_data_in_base64_is_the_same_event(gate: Gate) -> None:
    """However it was carried."""
    plain = accepted(gate, document())
    members = json.loads(document())
    members["data_base64"] = b64encode(json.dumps(members.pop("data")).encode()).decode()

    assert accepted(gate, json.dumps(members).encode()) == plain


def test_extension_attributes_change_nothing_else(gate: Gate) -> None:
    """Producers add them for their own routing; CloudEvents says to let them pass."""
    plain = accepted(gate, document())

    extended = accepted(gate, document(partitionkey='"7"', sampledrate="3", flag="true"))

    assert extended == plain


def test_event_time_is_the_contracts_field_then_time_then_arrival(gate: Gate) -> None:
    """Whoever owns the contract says what time means; the transport only helps out."""
    field, time = '"2026-11-21T09:00:00Z"', '"2026-11-21T08:00:00Z"'

    by_field = accepted(gate, document({"sent_at": field}, time=time))
    by_time = accepted(gate, document(time=time))
    by_arrival = accepted(gate, document())

    minute_us = 60_000_000
    assert by_field.event.occurred_us == NOW_US - 20 * minute_us - 2_000_000
    assert by_time.event.occurred_us == NOW_US - 80 * minute_us - 2_000_000
    assert by_arrival.event.occurred_us == NOW_US


def test_an_event_without_id_is_known_by_its_content(gate: Gate) -> None:
    """Sent twice it still counts once, however its members are ordered."""
    one = b'{"type":"parcel.sent","data":{"parcel_id":"AB","price":"1.00","currency":"EUR"}}'
    same = b'{"data":{"currency":"EUR","price":"1.00","parcel_id":"AB"}, "type":"parcel.sent"}'
    other = one.replace(b"1.00", b"1.01")

    assert accepted(gate, one).identity == accepted(gate, same).identity
    assert accepted(gate, one).identity != accepted(gate, other).identity
    assert accepted(gate, one).event.source == "urn:agentflow:unknown"


@pytest.mark.parametrize("digits", [18, 399, 400, 401, 4_301, 9_000])
def test_integers_of_any_length_are_content(gate: Gate, digits: int) -> None:
    """Python reads no integer of more than 4,300 digits; two that differ are two events."""
    value = b'{"type":"parcel.sent","data":{"parcel_id":"AB","price":%s}}'
    numbers = [b"1" * digits, b"1" * (digits - 1) + b"2", b"-" + b"1" * digits]

    ids = {document_id(value % number) for number in numbers}
    again = document_id(b" " + (value % numbers[0]).replace(b":", b" : "))
    verdict = gate.judge(RawEvent(value % numbers[0], "acme", NOW_US))

    assert len(ids) == len(numbers)
    assert again == document_id(value % numbers[0])
    assert isinstance(verdict, Rejected)


def test_versions_can_be_pinned(gate: Gate) -> None:
    """A producer may stay on a deprecated version, and is told so every time."""
    value = b'{"id":"1","type":"parcel.sent","dataversion":%s,"data":{"parcel_id":"AB"}}'

    for written in (b"1", b'"1"'):
        verdict = accepted(gate, value % written)
        assert verdict.event.version == 1
        assert [warning.code for warning in verdict.warnings] == ["event_deprecated"]


def test_rules_reject_or_warn(gate: Gate) -> None:
    """A rule over an absent field is not false, so it does not fail."""
    heavy = document({"weight": "500", "insured": "false"})

    assert codes_of(gate, heavy) == [("rule_failed", "/data")]
    assert accepted(gate, document({"weight": "500"})).warnings[0].pointer == "/data/sender"
    assert accepted(gate, document({"sender": '"x"'})).warnings == ()


def test_an_amended_event_is_enriched_again(gate: Gate) -> None:
    """A correction changes declared fields; what follows from them must follow."""
    event = accepted(gate, document({"pieces": "2"})).event

    amended = gate.amended(event, {"price": Decimal("5.00"), "sender": "y"})

    held = msgspec.structs.asdict(amended.data)
    assert (held["price"], held["total"], held["sender"]) == (
        Decimal("5.00"),
        Decimal("10.00"),
        "y",
    )
    assert (amended.id, amended.occurred_us) == (event.id, event.occurred_us)
    with pytest.raises(ContractError, match='no field "total"'):
        gate.amended(event, {"total": Decimal(1)})


def test_unknown_contracts_and_broken_records_are_named(gate: Gate) -> None:
    """Both mean that a log and its contracts have drifted apart."""
    with pytest.raises(UnknownContractError, match=r"parcel\.sent@3"):
        gate.data_type(EventRef("parcel.sent", 3))
    with pytest.raises(StorageCorruptError):
        gate.decode(SENT, b"\x91\x01")


def test_values_are_not_repeated_in_messages(gate: Gate) -> None:
    """Messages reach logs, and personal data must not."""
    verdict = judged(gate, document({"sender": '"a-very-personal-name-that-is-too-long"'}))

    assert isinstance(verdict, Rejected)
    assert "personal-name" not in repr(verdict.violations)


def test_a_field_may_be_called_what_python_reserves() -> None:
    """Contracts from elsewhere say `from` and `class`; only our own lint minds."""
    contract = EventContract.model_validate(
        {
            "kind": "event",
            "name": "a",
            "status": "approved",
            "owner": "t",
            "description": "",
            "fields": {
                "from": {"type": "string", "required": True},
                "class": {"type": "decimal", "scale": 1},
            },
            "derived": {"is_sent": "class is not null"},
        }
    )
    gate = Gate(Registry.of([contract]))

    event = accepted(gate, b'{"id":"1","type":"a","data":{"from":"x","class":2}}').event

    assert msgspec.structs.asdict(event.data) == {
        "from_": "x",
        "class_": Decimal("2.0"),
        "is_sent": True,
    }
    assert gate.decode(event.ref, gate.encode(event)) == event


def test_a_flood_of_unknown_fields_has_a_short_answer(gate: Gate) -> None:
    """A dead letter must not be a hundred times the event."""
    flood = {f"field{number}": "1" for number in range(1000)}

    verdict = judged(gate, document(flood))

    assert isinstance(verdict, Rejected)
    assert len(verdict.violations) == 50
