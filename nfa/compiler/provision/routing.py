"""Rules of nftables for the routes of firewall targets: how a connection gets to another WAN, and stays there.

In: WANs. Out: rules as in `rules`. The mark of a packet chooses its way, which a connection must not change once its first
packet has left: its address would change. So only a first packet is looked up, before it is routed; when it really leaves
through the WAN (and not the usual way, while that WAN is down), the connection notes it; its other packets get the mark from
there.
"""

from __future__ import annotations

import struct

from nfa.compiler.config.routes import Wan
from nfa.compiler.provision.expressions import (
    IP_CT_DIR_ORIGINAL,
    IPS_CONFIRMED,
    NFT_CT_MARK,
    NFT_CT_STATUS,
    NFT_META_MARK,
    NFT_META_OIFNAME,
    bits,
    compare,
    connection,
    direction,
    meta,
    set_connection,
)
from nfa.compiler.provision.rules import Rule, go_to, set_mark

PRIORITY = -140
"""Just after mwan3's and pbr's chains (mangle, -150), before addresses are changed; nft: `mangle + 10`."""
_IFNAMSIZ = 16
_NONE = struct.pack("=I", 0)


def _word(value: int) -> bytes:
    return struct.pack("=I", value)


def _is_first() -> Rule:
    """`ct status & confirmed == 0`: nothing of the connection has left yet. `ct state new` holds until there is an answer."""
    return [connection(NFT_CT_STATUS), bits(_word(IPS_CONFIRMED), _NONE), compare(_NONE)]


def _original() -> Rule:
    """`ct direction original`: answers go to the device, whatever the mark."""
    return [direction(), compare(bytes((IP_CT_DIR_ORIGINAL,)))]


def keep(wan: Wan) -> Rule:
    """`ct direction original ct mark & MASK == MARK meta mark set meta mark & ~MASK | MARK`"""
    found = [connection(NFT_CT_MARK), bits(_word(wan.mask), _NONE), compare(_word(wan.mark))]
    return [*_original(), *found, *set_mark(wan.mark, wan.mask)]


def first_packet(chain: str) -> Rule:
    """`ct direction original ct status & confirmed == 0 goto CHAIN`"""
    return [*_original(), *_is_first(), *go_to(chain)]


def note(wan: Wan, device: str) -> Rule:
    """`meta mark & MASK == MARK oifname DEVICE ct status & confirmed == 0 ct mark set ct mark & ~MASK | MARK`"""
    marked = [meta(NFT_META_MARK), bits(_word(wan.mask), _NONE), compare(_word(wan.mark))]
    there = [meta(NFT_META_OIFNAME), compare(device.encode().ljust(_IFNAMSIZ, b"\0"))]
    change = [connection(NFT_CT_MARK), bits(_word(~wan.mask & 0xFFFFFFFF), _word(wan.mark)), set_connection(NFT_CT_MARK)]
    return [*marked, *there, *_is_first(), *change]
