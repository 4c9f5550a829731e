"""Address groups of the configuration to what expressions compare with."""

from __future__ import annotations

import ipaddress

from ..expression.tree import Members, Network
from .groups import Group


def members_of(group: Group) -> Members:
    """Return the networks of a group, as few as cover them, and its MAC addresses, packed."""
    fewest: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = [
        *ipaddress.collapse_addresses(one for one in group.networks if isinstance(one, ipaddress.IPv4Network)),
        *ipaddress.collapse_addresses(one for one in group.networks if isinstance(one, ipaddress.IPv6Network)),
    ]
    return Members(
        group.name,
        tuple(Network(network.network_address.packed, network.prefixlen) for network in fewest),
        frozenset(bytes.fromhex(mac.replace(":", "")) for mac in group.macs),
    )
