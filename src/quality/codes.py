"""The stable codes of violations; they are part of the public contract.

The order here is the order of importance: what makes everything after it meaningless comes first.
"""

from __future__ import annotations

from typing import Final

TOO_LARGE: Final = "too_large"
NOT_UTF8: Final = "not_utf8"
TOO_DEEP: Final = "too_deep"
MALFORMED_JSON: Final = "malformed_json"
NOT_AN_OBJECT: Final = "not_an_object"
MEMBER_REPEATED: Final = "member_repeated"

SPECVERSION_UNSUPPORTED: Final = "specversion_unsupported"
CONTENT_TYPE_UNSUPPORTED: Final = "content_type_unsupported"
TENANT_MISMATCH: Final = "tenant_mismatch"
TYPE_MISSING: Final = "type_missing"
ROW_UNMAPPED: Final = "row_unmapped"
EVENT_UNKNOWN: Final = "event_unknown"
VERSION_UNKNOWN: Final = "version_unknown"
ATTRIBUTE_INVALID: Final = "attribute_invalid"
ATTRIBUTE_UNKNOWN: Final = "attribute_unknown"
DATA_MISSING: Final = "data_missing"

FIELD_MISSING: Final = "field_missing"
FIELD_UNKNOWN: Final = "field_unknown"
TYPE_WRONG: Final = "type_wrong"
OUT_OF_BOUNDS: Final = "out_of_bounds"
NOT_IN_ENUM: Final = "not_in_enum"
LENGTH_WRONG: Final = "length_wrong"
PATTERN_MISMATCH: Final = "pattern_mismatch"
NUL_CHARACTER: Final = "nul_character"
DECIMAL_INVALID: Final = "decimal_invalid"
SCALE_EXCEEDED: Final = "scale_exceeded"
TIMESTAMP_INVALID: Final = "timestamp_invalid"
DATE_INVALID: Final = "date_invalid"

RULE_FAILED: Final = "rule_failed"
DERIVED_OUT_OF_RANGE: Final = "derived_out_of_range"
TOO_EARLY: Final = "too_early"
TOO_LATE: Final = "too_late"

ID_CONFLICT: Final = "id_conflict"
"""Another event was accepted under the identity before, and says something else."""

EVENT_DEPRECATED: Final = "event_deprecated"
