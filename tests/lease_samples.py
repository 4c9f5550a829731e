"""Lines of lease files, as dnsmasq and odhcpd write them, to the leases that they are: address, MAC address, host name."""

from __future__ import annotations

from ipaddress import ip_address

from nfa.daemon.devices.leases import MAX_NAME

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
