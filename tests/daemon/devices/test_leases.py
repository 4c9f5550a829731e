"""Lease files of dnsmasq and odhcpd, of every release, and what strangers may have put there."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lease_samples import LINES

from nfa.daemon.devices.leases import MAX_LEASES, MAX_NAME, leases

PARTS = [*(line for line, _ in LINES.values()), "#", " ", "\n", "/", "\x00", "é"]


@pytest.mark.parametrize("kind", LINES)
def test_a_line_is_read_as_its_server_means_it(kind: str) -> None:
    """A device would have no address, or somebody else's."""
    line, expected = LINES[kind]
    content = line.encode()
    assert leases(content + b"\n") == leases(content) == leases(b"\xff garbage\n\n" + content + b"\r\n#\n") == expected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400) | st.lists(st.sampled_from(PARTS)).map(lambda parts: "".join(parts).encode()))
@example(b"# " * 40)
@example(b"1 " * 40)
@example(b"# a b ipv4 n 1 2 3 ::/\xd9\xa0")
def test_nothing_in_a_file_breaks_anything(content: bytes) -> None:
    """A host name that a stranger chose would end the daemon, or move the terminal of the one who lists devices."""
    for address, mac, name in leases(content):
        assert len(address) in (4, 16) and len(mac) in (0, 6)
        assert len(name) <= MAX_NAME and name.isprintable() and name == name.lower() and " " not in name


def test_a_file_has_a_bound() -> None:
    """A network full of strangers would fill the memory."""
    content = b"".join(b"1 00:a1:b2:c3:%02x:%02x 10.0.%d.%d * *\n" % (n >> 8, n & 255, n >> 8, n & 255) for n in range(3000))
    assert len(leases(content)) == MAX_LEASES
