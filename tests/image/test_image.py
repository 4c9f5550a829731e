"""A policy image is loaded whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.image import cpython as image

DATA: dict[str, object] = {"format": 1, "code": b"\0\1", "constants": [frozenset({b"a"}), (1, "é")], "none": None}
RAW = image.dump(DATA)


def test_an_image_reads_back() -> None:
    """A policy would change on its way from the compiler to the daemon."""
    assert image.load(RAW) == DATA


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_a_damaged_image_is_refused(place: int, change: int) -> None:
    """A damaged policy would be executed as root."""
    damaged = bytearray(RAW)
    damaged[place] ^= change
    with pytest.raises(image.ImageError):
        image.load(bytes(damaged))


@given(st.integers(0, len(RAW) - 1), st.binary(min_size=1, max_size=9))
def test_a_cut_or_longer_image_is_refused(size: int, more: bytes) -> None:
    """A compiler that was killed would leave half a policy in force."""
    for raw in (RAW[:size], RAW + more):
        with pytest.raises(image.ImageError):
            image.load(raw)


def test_the_code_of_an_image_has_no_assertions_and_no_docstrings() -> None:
    """Both would stay in the router's memory."""
    code = image.code_of(image.compile_source('def f():\n    "words"\n    assert False\n    return 7\n'))
    names: dict[str, object] = {}
    exec(code, names)  # type: ignore[arg-type]
    function = names["f"]
    assert function() == 7  # type: ignore[operator]
    assert function.__doc__ is None
