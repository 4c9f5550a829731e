"""ipsets: what a set type holds, and the messages that make, empty and delete a set.

In: a set type, an address family, names and sizes. Out: names and bytes. The messages are those of the ipset
tool (7.17, seen with strace); see lib/PROTOCOL in ipset's sources. Pure: nothing here asks the kernel.
"""

from __future__ import annotations

import shlex
import socket
from ipaddress import IPv4Address

from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_IPSET
from pyroute2.netlink.nfnetlink.ipset import (
    IPSET_CMD_CREATE,
    IPSET_CMD_DESTROY,
    IPSET_CMD_FLUSH,
    IPSET_FLAG_WITH_SKBINFO,
    ipset_msg,
)

from nfa.compiler.provision.wire import message

PROTOCOL = 7  # Linux 4.20; older kernels speak 6, which differs in nothing that is used here
HASHSIZE = 1024

# The revisions of each type known here: the first with skbinfo (Linux 3.18) and the newest of ipset 7.17.
REVISIONS = {
    "hash:ip": (4, 6),
    "hash:ip,port": (5, 7),
    "hash:ip,port,ip": (5, 6),
    "hash:mac": (0, 1),
    "bitmap:ip": (3, 3),
    "bitmap:port": (3, 3),
}


def fields(set_type: str, address_type: str) -> tuple[str, ...]:
    """The flow's fields that an element of `set_type` holds, in the order of the kernel's key.

    `address_type` ('local' or 'other') picks the address of the types that hold just one and nothing else.
    """
    return {
        "hash:ip": (f"{address_type}_addr",),
        "bitmap:ip": (f"{address_type}_addr",),
        "hash:ip,port": ("other_addr", "ip_proto", "other_port"),
        "hash:ip,port,ip": ("other_addr", "ip_proto", "other_port", "local_addr"),
        "hash:mac": ("local_mac",),
        "bitmap:port": ("other_port",),
    }[set_type]


def kernel_family(set_type: str, family: int) -> int:
    """AF_INET or AF_INET6 for `family` 4 or 6; AF_UNSPEC for the types that hold no address."""
    if set_type in ("hash:mac", "bitmap:port"):
        return socket.AF_UNSPEC
    return socket.AF_INET if family == 4 else socket.AF_INET6


def revision(set_type: str, kernel_range: tuple[int, int] | None) -> int:
    """The newest revision both sides know, as the ipset tool chooses; the oldest for an unknown kernel."""
    oldest, newest = REVISIONS[set_type]
    return min(newest, kernel_range[1]) if kernel_range else oldest


def create(
    name: str,
    set_type: str,
    family: int,
    *,
    protocol: int,
    revision: int,
    timeout: int | None,
    size: int,
    span: tuple[int, int] | None,
    flags: int = IPSET_FLAG_WITH_SKBINFO,
) -> bytes:
    """CREATE.

    `timeout` in seconds, None for a set without timeouts; `span` is the first and last address or port of a
    bitmap; `flags` are IPSET_FLAG_WITH_*.
    """
    data: list[tuple[object, ...]] = []
    if set_type == "bitmap:ip" and span:
        for attribute, address in zip(("IPSET_ATTR_IP_FROM", "IPSET_ATTR_IP_TO"), span, strict=True):
            data.append((attribute, {"attrs": [("IPSET_ATTR_IPADDR_IPV4", str(IPv4Address(address)))]}))
    elif set_type == "bitmap:port" and span:
        data += zip(("IPSET_ATTR_PORT_FROM", "IPSET_ATTR_PORT_TO"), span, strict=True)
    if timeout is not None:
        data.append(("IPSET_ATTR_TIMEOUT", timeout))
    data.append(("IPSET_ATTR_CADT_FLAGS", flags))
    if set_type.startswith("hash:"):
        data += [("IPSET_ATTR_HASHSIZE", HASHSIZE), ("IPSET_ATTR_MAXELEM", size)]
    attributes = [
        ("IPSET_ATTR_PROTOCOL", protocol),
        ("IPSET_ATTR_SETNAME", name),
        ("IPSET_ATTR_TYPENAME", set_type),
        ("IPSET_ATTR_REVISION", revision),
        ("IPSET_ATTR_FAMILY", kernel_family(set_type, family)),
        ("IPSET_ATTR_DATA", {"attrs": data}),
    ]
    return message(ipset_msg, NFNL_SUBSYS_IPSET, IPSET_CMD_CREATE, socket.AF_INET, attributes, create=True)


def flush(name: str, protocol: int) -> bytes:
    """FLUSH, which empties the set."""
    return _named(IPSET_CMD_FLUSH, name, protocol)


def destroy(name: str, protocol: int) -> bytes:
    """DESTROY. Without EXCL, so a set that is not there is no error."""
    return _named(IPSET_CMD_DESTROY, name, protocol)


def _named(ipset_command: int, name: str, protocol: int) -> bytes:
    attributes = [("IPSET_ATTR_PROTOCOL", protocol), ("IPSET_ATTR_SETNAME", name)]
    return message(ipset_msg, NFNL_SUBSYS_IPSET, ipset_command, socket.AF_INET, attributes)


def users(name: str, count: int) -> tuple[str, str]:
    """What uses a set, in words, and how to take it away; ("", "") for nothing. ipset tells the number only."""
    if not count:
        return "", ""
    return (
        f"{count} other{'s' if count > 1 else ''}, which may be rules of iptables, filters of tc, sets of sets",
        f"delete them; iptables-save, ip6tables-save and ipset save show them: grep -w {shlex.quote(name)}",
    )


def command(name: str, set_type: str, family: int, *, ttl: int, span: tuple[int, int] | None, skb: bool) -> str:
    """The shell command that makes such a set."""
    words = ["ipset", "create", name, set_type]
    if set_type.startswith("hash:ip"):
        words += ["family", "inet" if family == 4 else "inet6"]
    if span:
        words += ["range", span_text(set_type, span)]
    if ttl:
        words += ["timeout", str(ttl)]
    if skb:
        words.append("skbinfo")
    return shlex.join(words)


def span_text(set_type: str, span: tuple[int, int]) -> str:
    """A bitmap's range as the ipset tool writes it."""
    first, last = (str(IPv4Address(end)) if set_type == "bitmap:ip" else str(end) for end in span)
    return f"{first}-{last}"
