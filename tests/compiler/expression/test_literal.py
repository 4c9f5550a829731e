"""What every match of a regular expression contains: a text that lacks it must not be found by the expression."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nfa.compiler.expression.literal import needed


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(^|\.)doubleclick\.net$", "doubleclick.net"),
        (r"^ads[0-9]+\.Example\.com$", ".example.com"),
        (r"a|b", ""),
        (r"(google|youtube)\.com", ".com"),
        (r"(?:xyz)?ab", "ab"),
        (r"(abc){2,3}d", "abc"),
        (r"(abc){1}d", "abcd"),
        (r"ab*c", "a"),
        (r"\bads\b", "ads"),
        (r"käse\.ch", "se.ch"),
        (r"[.]com", ".com"),
        (r"[ab]", ""),
        (r"", ""),
        (r"(?i:ADS)x", "adsx"),
        (r"(?x) a d s  # a comment", "ads"),
    ],
)
def test_what_is_needed(pattern: str, expected: str) -> None:
    assert needed(pattern) == expected


pieces = st.sampled_from(
    ["a", "b", "S", "k", "i", ".", r"\.", "(a|s)", "(ab)", "(kb)?", "a+", "(bk){2}", "[as]", "^", "$", r"\b", "ſ", "(?:i)"]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(pieces, min_size=1, max_size=6).map("".join), st.text("abski.", max_size=10))
def test_a_text_without_it_is_not_found(pattern: str, text: str) -> None:
    """A flow would escape its policy."""
    try:
        found = re.search(pattern, text, re.I)
    except re.error:
        assume(False)
    assert not found or needed(pattern) in text
