"""Cells as plain values, for a snapshot: small to write, and exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from agentflow.metrics.distinct_values import DistinctPart
from agentflow.metrics.evaluator import Cell
from agentflow.metrics.state import Distinct, Multiset

CellImage = tuple[list[Any], list[Any]]
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[CellImage]).decode


def image(cells: Mapping[tuple[object, ...], Cell]) -> bytes:
    """Return cells as bytes, one after another: no more of them exists twice than must."""
    return _encode(
        [(dims, [*map(_image, cell.parts()), cell.events]) for dims, cell in cells.items()]
    )


def restored(
    content: bytes, empty: Callable[[], Cell]
) -> Iterator[tuple[tuple[object, ...], Cell]]:
    """Yield the cells of an image."""
    for dims, (*parts, events) in _decode(content):
        cell = empty()
        cell.events = events
        for index, part in enumerate(parts):
            cell[index] = _restored(cell[index], part)
        yield tuple(dims), cell


def _image(part: object) -> object:
    """Return a part of a cell as JSON-like values; decimals become text and stay exact."""
    match part:
        case Multiset():
            return [part.size, _pairs(part.items())]
        case Distinct() | DistinctPart():
            return _pairs(part.values.items())
        case Decimal():
            return str(part)
        case int() if not _LEAST <= part <= _GREATEST:
            return f"{part}#"
        case _:
            return part


def _pairs(counts: Iterable[tuple[object, int]]) -> list[object]:
    """Return values and counts in turn."""
    return [item for value, number in counts for item in (_image(value), number)]


def _number(part: Any) -> Any:  # noqa: ANN401 - decoded from the image
    """Return the number of an image: text is a decimal, or a whole one of more than 64 bits."""
    if not isinstance(part, str):
        return part
    return int(part[:-1]) if part.endswith("#") else Decimal(part)


def _restored(empty: object, part: Any) -> object:  # noqa: ANN401 - decoded from the image
    match empty:
        case Multiset():
            values = map(_number, part[1][::2])
            empty.take(dict(zip(values, part[1][1::2], strict=True)), size=part[0])
            return empty
        case Distinct():
            empty.take(dict(zip(part[::2], part[1::2], strict=True)))
            return empty
        case _:
            return _number(part)
