"""Formats of sinks: what strangers put into a record never makes output that cannot be read."""

from __future__ import annotations

import gzip as reference
import json
import math
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfa.daemon.base.packing import gzip
from nfa.daemon.sinks.formats import to_json, to_msgpack

TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def said(value: Any) -> Any:
    """What a reader should get: no NaN, no infinity, no half of a surrogate pair."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [said(item) for item in value]
    if isinstance(value, dict):
        return {said(name): said(item) for name, item in value.items()}
    return value


def refuse(word: str) -> None:
    raise AssertionError(f"{word} is not valid JSON")


@given(VALUES)
@settings(max_examples=200)
def test_json_is_valid_whatever_a_record_holds(value: Any) -> None:
    """A reader's parser would stop at one hostile host name."""
    assert json.loads(to_json(value).decode("utf-8", "strict"), parse_constant=refuse) == said(value)


def in_64_bits(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 64:
        return float(value)
    if isinstance(value, list):
        return [in_64_bits(item) for item in value]
    if isinstance(value, dict):
        return {name: in_64_bits(item) for name, item in value.items()}
    return value


@given(VALUES)
@settings(max_examples=200)
def test_msgpack_is_what_the_package_of_that_name_reads(value: Any) -> None:
    """A reader would get other values, or none."""
    assert msgpack.unpackb(to_msgpack(value), strict_map_key=False) == in_64_bits(said(value))


@pytest.mark.parametrize("length", [0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536])
def test_msgpack_takes_the_shortest_form(length: int) -> None:
    """The same bytes as the package: lengths at the edges of their forms are where encoders go wrong."""
    for value in ("x" * length, [1] * length, {str(number): 1 for number in range(length)}):
        assert to_msgpack(value) == msgpack.packb(value)


@pytest.mark.parametrize("power", [0, 5, 7, 8, 15, 16, 31, 32, 63])
def test_msgpack_has_integers_in_the_shortest_form(power: int) -> None:
    for value in (1 << power, (1 << power) - 1, (1 << power) + 1, -(1 << power), -(1 << power) - 1 if power < 63 else -1):
        assert to_msgpack(value) == msgpack.packb(value)


def test_what_cannot_be_said_is_no_crash() -> None:
    assert to_msgpack(10**400) == b"\xc0"
    with pytest.raises(TypeError):
        to_msgpack({"x": object()})


def test_several_files_of_gzip_are_one() -> None:
    assert reference.decompress(gzip(b"a\n") + gzip(b"b\n")) == b"a\nb\n"
