"""What /etc/config/network says of networks: their devices, their routing tables, the rules that choose one.

In: the folder of UCI's packages. Out: `Networks`, or None where there is no such file, as on any system but OpenWrt.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from nfa.compiler.base.files import FileError, read_bytes
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Text
from nfa.compiler.config.uciconfig import MAX_SIZE
from nfa.compiler.config.ucitext import UciError, UciSection, parse

PACKAGE, MWAN3 = "network", "mwan3"
FOLDER, SHARED = "/etc/config", "/var/run/nfa-network"
"""Where the file is on a router; what the service has copied of it for a daemon that is not root: no keys, no passwords."""
_NAMED_BY_PROTOCOL = {
    "pppoe": "pppoe", "pppoa": "pppoa", "pptp": "pptp", "l2tp": "l2tp", "3g": "3g", "pppossh": "pppossh", "sstp": "sstp",
    "6in4": "6in4", "6to4": "6to4", "6rd": "6rd", "dslite": "ds", "map": "map", "gre": "gre4", "gretap": "gre4t",
    "grev6": "gre6", "ipip": "ipip", "vti": "vti", "vtiv6": "vti6", "openconnect": "vpn", "464xlat": "464",
}  # fmt: skip
"""Protocols that make a device: it is called by this, a dash and the name of the network."""
_NAMED_AS_NETWORK = ("wireguard", "amneziawg", "openvpn", "vxlan")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}")


@dataclass(frozen=True)
class Interface:
    """A section `interface`. `device`: where its packets leave, "" where the file does not tell.

    `mwan3`: the IP version and the number of the routing table that mwan3 keeps for it; None where it does not.
    """

    name: str
    protocol: str
    device: str
    options: dict[str, str] = field(hash=False)
    mwan3: tuple[int, int] | None = None


@dataclass
class Networks:
    """The file. `rules`: the sections rule and rule6 by name, each with its type; `interfaces` by name.

    `known`: it can be read, and is in order.
    """

    known: bool = True
    interfaces: dict[str, Interface] = field(default_factory=dict)
    rules: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    tables: set[int] = field(default_factory=set)
    """Numbers of routing tables that something in the file names."""

    def of(self, route: str) -> list[Interface]:
        """The networks that are meant by a network's name or a device's: it, and others on the same device, as for IPv6."""
        named = self.interfaces.get(route)
        device = named.device if named else route
        first = [named] if named else []
        return first + [one for one in self.interfaces.values() if device and one.device == device and one is not named]


def read(folder: str | None, paths: Paths) -> Networks | None:
    """Return what the package `network` in a folder of UCI says. The daemon watches the file."""
    file = paths.look(os.path.join(folder, PACKAGE)) if folder is not None else ""
    if not file or not os.path.lexists(file):
        return None
    sections = _sections(file, PACKAGE)
    if sections is None and folder == FOLDER:
        sections = _sections(paths.look(SHARED), PACKAGE)
    made = Networks(known=sections is not None)
    sections = sections or []
    plain = [(section, {name: _text(section, name) for name in section.options}) for section in sections]
    raw = {section.name.value: options for section, options in plain if section.type.value == "interface"}
    tables = _tables_of_mwan3(paths.look(os.path.join(str(folder), MWAN3)))
    for name, options in raw.items():
        made.interfaces[name] = Interface(name, options.get("proto", ""), _device(name, raw), options, tables.get(name))
    for section, options in plain:
        if section.type.value in ("rule", "rule6"):
            made.rules[section.name.value] = section.type.value, options
        for option in ("ip4table", "ip6table", "table", "lookup"):
            if _NUMBER.fullmatch(options.get(option, "")):
                made.tables.add(int(options[option], 0) if options[option][:2] in ("0x", "0X") else int(options[option]))
    return made


def _tables_of_mwan3(file: str) -> dict[str, tuple[int, int]]:
    """By network: IP version and number of the table that mwan3 keeps. It numbers its interfaces in the order of the file."""
    sections = [section for section in _sections(file, MWAN3) or [] if section.type.value == "interface"]
    found = {}
    for number, section in enumerate(sections, 1):
        options = {name: _text(section, name) for name in section.options}
        if options.get("enabled", "0") in ("1", "on", "true", "yes", "enabled"):
            found[section.name.value] = 6 if options.get("family") == "ipv6" else 4, number
    return found


def _sections(file: str, package: str) -> list[UciSection] | None:
    """The sections of a file; None where it cannot be read, or is broken."""
    try:
        return parse(read_bytes(file, MAX_SIZE).decode(errors="replace"), file, package, Reports())
    except (FileError, UciError):
        return None


def _text(section: UciSection, name: str) -> str:
    value = section.options[name].value
    return " ".join(part.value for part in ([value] if isinstance(value, Text) else value))


def _device(name: str, raw: dict[str, dict[str, str]], depth: int = 0) -> str:
    """The device of a network: its protocol's, the one it names, or that of the network that it names with @."""
    options = raw[name]
    protocol = options.get("proto", "")
    if protocol in _NAMED_BY_PROTOCOL:
        return f"{_NAMED_BY_PROTOCOL[protocol]}-{name}"
    if protocol in _NAMED_AS_NETWORK:
        return name
    device = (options.get("device") or options.get("ifname") or "").split(" ")[0]
    if device.startswith("@"):
        return _device(device[1:], raw, depth + 1) if device[1:] in raw and depth < 8 else ""
    if device.startswith("/"):
        return ""  # a modem: the kernel gives the name
    return f"br-{name}" if options.get("type") == "bridge" else device
