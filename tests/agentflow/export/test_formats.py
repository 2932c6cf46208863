"""The one entry: names, versions, order and errors."""

import pytest

from agentflow.contracts import Registry
from agentflow.errors import ParameterError, UnknownContractError
from agentflow.export import FORMATS, export


def test_an_unknown_format_says_what_there_is(every_type: Registry) -> None:
    """The hint must be enough to type the right one."""
    with pytest.raises(ParameterError) as caught:
        export(every_type, "jsonschema")

    assert 'Did you mean "json-schema"?' in str(caught.value.hint)
    assert all(form in str(caught.value.hint) for form in FORMATS)


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("name", ["nothing", "probe.taken@9", "probe.taken@x"])
def test_an_unknown_name_is_refused(every_type: Registry, form: str, name: str) -> None:
    """An empty file would look like a contract without content."""
    with pytest.raises(UnknownContractError):
        export(every_type, form, name=name)


@pytest.mark.parametrize("form", list(FORMATS))
def test_equal_contracts_give_equal_bytes(every_type: Registry, form: str) -> None:
    """Exports are checked in and diffed; the order contracts were loaded in must not show."""
    shuffled = Registry.of(reversed(every_type.contracts()))

    assert export(every_type, form) == export(shuffled, form)


def test_a_name_without_version_exports_all_of_them(every_type: Registry) -> None:
    """Versions live side by side until the old one is gone."""
    assert list(export(every_type, "avro", name="probe.taken")) == [
        "probe.taken.v1.avsc",
        "probe.taken.v2.avsc",
    ]
    assert list(export(every_type, "avro", name="probe.taken@2")) == ["probe.taken.v2.avsc"]


@pytest.mark.parametrize("form", list(FORMATS))
def test_every_file_ends_with_one_line_end(every_type: Registry, form: str) -> None:
    """So that checked-in exports pass the same hooks as everything else."""
    for text in export(every_type, form).values():
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
