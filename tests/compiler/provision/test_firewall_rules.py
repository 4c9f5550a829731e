"""Rules of firewall targets are those that nft makes of the same text, byte for byte."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from nft_debug import rules
from rule_texts import BEFORE, TEXTS
from rule_vectors import VECTORS

little = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")


@little
@pytest.mark.parametrize("text", TEXTS)
def test_a_rule_is_what_nft_sends(text: str) -> None:
    """Else packets are not decided as the pages say, or `nft list` shows something that nobody understands."""
    assert b"".join(TEXTS[text]).hex() == "".join(VECTORS[text])


def test_nft_still_sends_that(namespace: Callable[[str], str]) -> None:
    """The recorded bytes would say nothing of another machine, or of an nft that makes other rules of these texts."""
    if "v1.0.6 " not in namespace("nft --version"):
        pytest.skip("another nft than the recorded one")
    sent = rules(list(TEXTS), BEFORE)
    assert {text: found.hex() for text, found in sent.items()} == {text: b"".join(TEXTS[text]).hex() for text in TEXTS}
