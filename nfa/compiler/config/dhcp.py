"""What the DHCP servers of OpenWrt are told: static leases, and where they note the others.

In: the folder of UCI's packages, of which /etc/config/dhcp is read. Out: `Dhcp`. What is wrong in that file is the servers' own
affair: it is passed over.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from nfa.compiler.base.files import FileError, read_bytes
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Host, Text
from nfa.compiler.config.uciconfig import MAX_SIZE
from nfa.compiler.config.ucitext import UciError, UciSection, parse

PACKAGE = "dhcp"
LEASE_FILES = ("/tmp/dhcp.leases", "/tmp/odhcpd.leases", "/tmp/hosts/odhcpd", "/var/lib/misc/dnsmasq.leases")
"""Where dnsmasq and odhcpd note leases unless they are told otherwise: in OpenWrt, in its releases before 25.12, in Debian."""
MAX_FILES = 8
MAX_HOSTS = 1024
_MAC = re.compile(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}")
_NAME = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]{0,62}")


@dataclass(frozen=True)
class Dhcp:
    """What is said of static leases, and of the files of the others."""

    lease_files: tuple[str, ...] = LEASE_FILES
    hosts: tuple[Host, ...] = ()


def read(folder: str | None, paths: Paths | None) -> Dhcp:
    """Return what the package `dhcp` in a folder of UCI says; without one, what holds by default.

    `paths`: has the daemon watch the file; None: it is not part of the policy.
    """
    if folder is None:
        return Dhcp()
    file = os.path.join(folder, PACKAGE)
    if paths is not None:
        paths.look(file)
    try:
        sections = parse(read_bytes(file, MAX_SIZE).decode(errors="replace"), file, PACKAGE, Reports())
    except (FileError, UciError):
        return Dhcp()
    files = [path for section in sections for path in _lease_file(section)]
    hosts = [host for section in sections if section.type.value == "host" for host in _hosts(section)]
    return Dhcp(tuple(dict.fromkeys((*files, *LEASE_FILES)))[:MAX_FILES], tuple(hosts[:MAX_HOSTS]))


def _values(section: UciSection, name: str) -> list[str]:
    """The words of an option or list."""
    option = section.options.get(name)
    if option is None:
        return []
    texts = [option.value] if isinstance(option.value, Text) else option.value
    return [word for text in texts for word in text.value.split()]


def _lease_file(section: UciSection) -> list[str]:
    if section.type.value not in ("dnsmasq", "odhcpd"):
        return []
    return [path for path in _values(section, "leasefile") if path.startswith("/") and path.isprintable()]


def _hosts(section: UciSection) -> list[Host]:
    """A static lease, for each of its MAC addresses."""
    name = next(iter(_values(section, "name")), "")
    name = name.lower() if _NAME.fullmatch(name) else ""
    try:
        address = ipaddress.IPv4Address(next(iter(_values(section, "ip")), "")).packed
    except ValueError:
        address = b""
    macs = [re.sub("[:-]", "", word) for word in _values(section, "mac") if _MAC.fullmatch(word)]
    return [Host(bytes.fromhex(mac), name, address) for mac in macs]
