"""Lease files of dnsmasq and odhcpd, of every release, and what strangers may have put there."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nfa.daemon.devices.leases import MAX_LEASES, MAX_NAME, leases

MAC = bytes.fromhex("00a1b2c3d4e5")
SIX = ip_address("fd66:67c3:69::2f3").packed
FOUR = ip_address("192.168.1.160").packed
ID = "0001000130afdb8c30c5991312bd"

LINES = {
    "dnsmasq": ("1789046852 00:a1:b2:c3:d4:e5 192.168.1.160 Asus_Strix 01:00:a1:b2:c3:d4:e5", [(FOUR, MAC, "asus_strix")]),
    "dnsmasq, no name": ("0 00:a1:b2:c3:d4:e5 192.168.1.160 * *", [(FOUR, MAC, "")]),
    "dnsmasq, not Ethernet": ("1 06-00:a1:b2:c3:d4:e5 192.168.1.160 x *", [(FOUR, b"", "x")]),
    "dnsmasq, DHCPv6": ("1789046852 104181145 fd66:67c3:69::2f3 asus 00:01:00:01", [(SIX, b"", "asus")]),
    "dnsmasq, temporary": ("1789046852 T104181145 fd66:67c3:69::2f3 asus 00:01:00:01", [(SIX, b"", "asus")]),
    "dnsmasq, its own id": ("duid 00:01:00:01:2a:bc", []),
    "odhcpd, DHCPv6": (f"# br-lan {ID} 630c599 Asus_G16 1789046852 2f3 128 fd66:67c3:69::2f3/128", [(SIX, b"", "asus_g16")]),
    "odhcpd, two": (f"# br-lan {ID} 1 a -1 2f3 128 fd66:67c3:69::2f3/128 fd66:67c3:69::2f3/128", [(SIX, b"", "a")] * 2),
    "odhcpd, none yet": (f"# br-lan {ID} 1 a 1789046852 2f3 128", []),
    "odhcpd, a delegated network": (f"# br-lan {ID} 1 - 1789046852 4 62 fd66:67c3:69:4::/62", []),
    "odhcpd, DHCPv4": ("# br-lan 00a1b2c3d4e5 ipv4 phone 1789046852 c0a801a0 32 192.168.1.160/32", [(FOUR, MAC, "phone")]),
    "odhcpd of 2026": ("# br-lan 0:a1:b2:c3:d4:e5 ipv4 - 1789046852 c0a801a0 32 192.168.1.160/32", [(FOUR, MAC, "")]),
    "odhcpd, ended": ("# br-lan 00a1b2c3d4e5 ipv4 phone 0 c0a801a0 32 192.168.1.160/32", []),
    "odhcpd, a bad name": (
        "# br-lan 00a1b2c3d4e5 ipv4 broken\\x20a\\x0ab 1789046852 c0a801a0 32 192.168.1.160/32", [(FOUR, MAC, "")],
    ),
    "for resolvers": ("fd66:67c3:69::2f3\tasus.lan\tasus", [(SIX, b"", "asus")]),
    "a name with blanks": ("1 00:a1:b2:c3:d4:e5 192.168.1.160 my phone 01:00", [(FOUR, MAC, "my")]),
    "a long name": (f"1 00:a1:b2:c3:d4:e5 192.168.1.160 {'x' * (MAX_NAME + 1)} *", [(FOUR, MAC, "")]),
}  # fmt: skip
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
