"""Rules of firewall targets are those that nft makes of the same text, byte for byte."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from nft_debug import rules as sent_rules
from rule_texts import BEFORE, TEXTS
from rule_vectors import VECTORS

from nfa.compiler.provision import rules
from nfa.compiler.provision.firewall import MAPS

little = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")


@little
@pytest.mark.parametrize("text", TEXTS)
def test_a_rule_is_what_nft_sends(text: str) -> None:
    """Else packets are not decided as the pages say, or `nft list` shows something that nobody understands."""
    assert b"".join(TEXTS[text]).hex() == "".join(VECTORS[text])


@little
@pytest.mark.parametrize("out", [True, False])
def test_a_look_up_puts_the_mark_of_a_packet_back(out: bool) -> None:
    """Between its look-ups the mark is a number: with that, a packet would take another WAN, or another queue."""
    save, number, read, restore, _ = rules.look_up("servers.v4", MAPS["server"][0][2], 4, out)[-5:]
    load, store = read, number
    assert b"\x08\0\x01\0\0\0\0\x01" in load, "into register 1"
    assert save == load.replace(b"\x08\0\x01\0\0\0\0\x01", b"\x08\0\x01\0\0\0\0\x02"), "into register 2"
    assert b"\x08\0\x03\0\0\0\0\x01" in store, "from register 1"
    assert restore == store.replace(b"\x08\0\x03\0\0\0\0\x01", b"\x08\0\x03\0\0\0\0\x02"), "from register 2"


def test_nft_still_sends_that(namespace: Callable[[str], str]) -> None:
    """The recorded bytes would say nothing of another machine, or of an nft that makes other rules of these texts."""
    if "v1.0.6 " not in namespace("nft --version"):
        pytest.skip("another nft than the recorded one")
    sent = sent_rules(list(TEXTS), BEFORE)
    assert {text: found.hex() for text, found in sent.items()} == {text: b"".join(TEXTS[text]).hex() for text in TEXTS}
