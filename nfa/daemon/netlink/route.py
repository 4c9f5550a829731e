"""rtnetlink: interfaces, their addresses, neighbours and routes, as the kernel has them and as they change.

In: sequence numbers. Out: complete requests for dumps; from the payloads of answers and notifications, tuples of numbers,
names and addresses (packed, in network order). Sources: linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h,
linux/neighbour.h. Answers and notifications have the same messages: RTM_NEW... and RTM_DEL...
"""

from ..base.portable import Struct, bind_netlink, decode
from .socket import NETLINK_ADD_MEMBERSHIP, SOL_NETLINK, Listener, open_socket
from .wire import NLM_F_DUMP, NLM_F_REQUEST, WORD, attribute, attributes, message, messages

NETLINK_ROUTE = 0
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE = 32, 33
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
RTNLGRP_LINK, RTNLGRP_NEIGH = 1, 3
RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE = 5, 7
RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE = 9, 11
RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE = 8, 19
"""Groups of notifications: the RTMGRP_ bits, by their numbers."""
IFF_UP, IFF_LOOPBACK = 1, 8
NUD_INCOMPLETE, NUD_REACHABLE, NUD_FAILED, NUD_NOARP = 0x01, 0x02, 0x20, 0x40
RT_TABLE_MAIN = 254
RTN_UNICAST = 1
_SIZES = {2: 4, 10: 16}
"""AF_INET and AF_INET6, and the bytes of their addresses."""

IFLA_ADDRESS, IFLA_IFNAME, IFLA_EXT_MASK = 1, 3, 29
RTEXT_FILTER_SKIP_STATS = 1 << 3
IFA_ADDRESS, IFA_LOCAL = 1, 2
NDA_DST, NDA_LLADDR = 1, 2
RTA_DST, RTA_OIF, RTA_MULTIPATH, RTA_TABLE = 1, 4, 9, 15

_LINK = Struct("=BxHiII")
_ADDRESS = Struct("=BBBBI")
_NEIGHBOUR = Struct("=B3xiHBB")
_ROUTE = Struct("=BBBBBBBBI")
_HOP = Struct("=HBBi")


# -- requests ------------------------------------------------------------------------------------------------------------


def ask_links(sequence: int) -> bytes:
    """Return the request for all interfaces, without their counters, which are most of an answer."""
    body = _LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_EXT_MASK, WORD.pack(RTEXT_FILTER_SKIP_STATS))
    return message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, sequence, body)


def ask_addresses(sequence: int) -> bytes:
    """Return the request for all addresses of all interfaces."""
    return message(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, sequence, _ADDRESS.pack(0, 0, 0, 0, 0))


def ask_neighbours(sequence: int) -> bytes:
    """Return the request for all neighbours, of IPv4 and IPv6."""
    return message(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, sequence, _NEIGHBOUR.pack(0, 0, 0, 0, 0))


def ask_routes(sequence: int) -> bytes:
    """Return the request for all routes, of IPv4 and IPv6 and of every table."""
    return message(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, sequence, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))


# -- what answers and notifications say ----------------------------------------------------------------------------------


def link(payload: bytes) -> "tuple[int, str, int, bytes] | None":
    """Return (index, name, IFF_ flags, MAC address or b"") of an interface; None when it has no name."""
    if len(payload) < _LINK.size:
        return None
    family, _, index, flags, _ = _LINK.unpack_from(payload)
    found = dict(attributes(payload[_LINK.size :]))
    # A bridge tells of its ports by messages of its own family: what ends there is the port, not the interface.
    if family or IFLA_IFNAME not in found:
        return None
    mac = found.get(IFLA_ADDRESS, b"")
    return index, decode(found[IFLA_IFNAME].rstrip(b"\0")), flags, mac if len(mac) == 6 else b""


def address(payload: bytes) -> "tuple[int, bytes, bytes, int] | None":
    """Return (index of the interface, its own address, address of the network, prefix length); None when it has none.

    On a point-to-point interface the network is that of the peer. Bits beyond the prefix are as the kernel has them.
    """
    if len(payload) < _ADDRESS.size:
        return None
    family, prefix, _, _, index = _ADDRESS.unpack_from(payload)
    size = _SIZES.get(family)
    found = dict(attributes(payload[_ADDRESS.size :]))
    network = found.get(IFA_ADDRESS, b"")
    own = found.get(IFA_LOCAL, network)
    if len(own) != size or len(network or own) != size or prefix > 8 * len(own):
        return None
    return index, own, network or own, prefix


def neighbour(payload: bytes) -> "tuple[int, int, bytes, bytes] | None":
    """Return (index of the interface, NUD_ state, address, MAC address or b"") of a neighbour; None for another kind."""
    if len(payload) < _NEIGHBOUR.size:
        return None
    family, index, state, _, _ = _NEIGHBOUR.unpack_from(payload)
    size = _SIZES.get(family)
    found = dict(attributes(payload[_NEIGHBOUR.size :]))
    where = found.get(NDA_DST, b"")
    if len(where) != size:
        return None
    mac = found.get(NDA_LLADDR, b"")
    return index, state, where, mac if len(mac) == 6 else b""


def route(payload: bytes) -> "tuple[int, int, int, bytes, int, tuple[int, ...]] | None":
    """Return (IP version, table, RTN_ type, destination or b"", prefix length, indexes of its interfaces); None if it is none.

    A default route has the prefix length 0. Routes through several interfaces have all of them.
    """
    if len(payload) < _ROUTE.size:
        return None
    family, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(payload)
    size = _SIZES.get(family)
    found = dict(attributes(payload[_ROUTE.size :]))
    target = found.get(RTA_DST, b"")
    if size is None or (target and len(target) != size) or prefix > 8 * len(target):
        return None
    if len(found.get(RTA_TABLE, b"")) == 4:
        table = WORD.unpack(found[RTA_TABLE])[0]
    ways = [WORD.unpack(found[RTA_OIF])[0]] if len(found.get(RTA_OIF, b"")) == 4 else _hops(found.get(RTA_MULTIPATH, b""))
    return 4 if size == 4 else 6, table, kind, target, prefix, tuple(ways)


def _hops(data: bytes) -> list[int]:
    """Return the interfaces of the next hops of a route."""
    found: list[int] = []
    position = 0
    while position + _HOP.size <= len(data):
        length, _, _, index = _HOP.unpack_from(data, position)
        if length < _HOP.size:
            break
        found.append(index)
        position += (length + 3) & ~3
    return found


class Changes(Listener):
    """Listens to the notifications of some groups. `lost` counts what was missed: what is known must be asked for again."""

    def __init__(self, groups: "tuple[int, ...]") -> None:
        """`groups`: RTNLGRP_ numbers. Raises OSError."""
        super().__init__(open_socket(NETLINK_ROUTE))
        try:
            self._socket.setblocking(False)
            bind_netlink(self._socket)
            for group in groups:
                self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        except OSError:
            self._socket.close()
            raise
        self.descriptor = self._socket.fileno()

    def read(self, most: int = 64) -> "list[tuple[int, bytes]]":
        """Return (RTM_ kind, payload) of each message in at most `most` datagrams, in order. Never waits. Raises OSError."""
        found: list[tuple[int, bytes]] = []
        for data in self.datagrams(most):
            found.extend([(kind, data[start:end]) for kind, _, _, start, end in messages(data)])
        return found
