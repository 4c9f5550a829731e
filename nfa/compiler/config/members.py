"""Address groups of the configuration to what expressions compare with."""

from __future__ import annotations

from ..expression.tree import Members, Network
from .groups import Group


def members_of(group: Group) -> Members:
    """Return the networks and MAC addresses of a group, packed."""
    return Members(
        group.name,
        tuple(Network(network.network_address.packed, network.prefixlen) for network in group.networks),
        frozenset(bytes.fromhex(mac.replace(":", "")) for mac in group.macs),
    )
