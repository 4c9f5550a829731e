"""Which networks are ours, and so which end of a flow is the local one, and which flows netifyd reports twice.

In: interfaces, addresses and routes of the kernel (or networks that somebody names), and flow records. Out: records whose
local end is the one on our side, and for each whether it is a duplicate. netifyd calls every network local that has a route
of its own, and of two local ends the one with the lower address is its `local_ip`: with a VPN, several networks or a static
route, its two ends are the wrong way round.

Our side is every network that is reached through an interface that is not a WAN, and the router's own addresses. A WAN is an
interface that netifyd captures as external, or one with a default route that netifyd does not capture as internal.
"""

from ..base.portable import ROOM, SECRET_HASH
from .addresses import cut, is_special, network_of, text_of
from .ends import turn
from .view import address

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable
    from typing import Any

    Flow = dict[str, Any]

OUTSIDE, OURS, OWN, LINK = 0, 1, 2, 3
"""What an address is: of the world, of a network of ours, the router's, or link-local, which is of its record's interface."""
TURNED, TWICE = 1, 2
"""What `orient` finds: it changed the record; the record is of a flow that another interface reports, too."""
MAX_NETWORKS = 512
"""Networks that are remembered; further ones are counted. The prefixes of the interfaces come first."""
MAX_INTERFACES = 32
"""Interfaces of records that are counted each by itself; the others under one name."""
OTHERS = "*"
ROUTER = "router"
"""In place of a network: the router itself."""
MAX_ORIGINS = 128
"""Pairs of interface and network that are counted each by itself."""
MAX_OPEN = 256
"""Flows of a WAN that are remembered for the case that a LAN reports them a moment later."""
TABLE_MAIN = 254
_DEFAULT = 1
"""A route with a prefix no longer than this is a default route: VPNs set two halves, 0.0.0.0/1 and 128.0.0.0/1."""


class Place:
    """Where an address belongs: to a network (`text`) behind an interface."""

    __slots__ = ("interface", "kind", "text")

    def __init__(self, kind: int, interface: str, text: str) -> None:
        self.kind = kind
        self.interface = interface
        self.text = text


class Origin:
    """Where records came from: an interface, and the network of their local end ("": none of ours). They are counted."""

    __slots__ = ("count", "interface", "last", "network")

    def __init__(self, interface: str, network: str) -> None:
        self.interface = interface
        self.network = network
        self.count = 0
        self.last = 0
        """Second of the loop's clock; 0: never."""


class Seen:
    """An interface that records came from. `internal`: netifyd captures it as one of the LAN; None: it does not say."""

    __slots__ = ("internal", "twice")

    def __init__(self, internal: bool | None) -> None:
        self.internal = internal
        self.twice = 0


class Networks:
    """What is ours. `original(flow)`: inner address and port (packed) of a connection that has the router's address outside, or
    None."""

    def __init__(self, on_twice: "Callable[[list[str]], object] | None" = None) -> None:
        """`on_twice`: called with digests of flows of which it turns out later that another interface reports them, too."""
        self.known = False
        """Some networks are ours. As long as none is known, records stay as netifyd has them."""
        self.seen: dict[str, Seen] = {}
        self.origins: dict[tuple[str, str], Origin] = {}
        """By interface and network."""
        self.places: list[Place] = []
        """Our networks."""
        self.left_out = self.turned = self.retyped = self.twice = 0
        """Networks beyond the bound; records whose ends were the wrong way round; those where only `other_type` was wrong;
        and those of flows that another interface reports, too."""
        self.original: Callable[[Flow], bytes | None] | None = None
        self._on_twice = on_twice
        self._open: dict[object, str] = {}
        """Digests of a WAN's flows that may be reported by a LAN yet, by what both records have in common."""
        self._facts: tuple[Any, ...] = ({}, [], [])
        self._named: list[tuple[bytes, int]] = []
        self._own: dict[bytes, Place] = {}
        self._rows: list[tuple[int, int, dict[bytes, Place]]] = []
        """(bytes of an address, prefix length, networks by what they begin with), the longest prefixes first."""
        self._outside = Place(OUTSIDE, "", "")
        self._link = Place(LINK, "", "link-local")
        self._cache: dict[str, Place] = {}
        self._usual: dict[tuple[str, str, str], Origin] = {}
        """Interface and addresses of records that were as they should be: nearly all of them."""
        self._inner: list[str] = []
        """Interfaces of our networks."""
        self._captured = False
        """A LAN is captured; `_remembers`: a WAN is, or may be: what a LAN reports is remembered."""
        self._remembers = True
        self._all_captured = False
        self._twins: dict[object, None] = {}
        """Flows that a LAN reported lately, without the local address, which NAT changes; `_older`: those before."""
        self._older: dict[object, None] = {}

    @property
    def own(self) -> dict[bytes, Place]:
        """The router's own addresses."""
        return self._own

    # -- what is ours -----------------------------------------------------------------------------------------------

    def name(self, texts: "Iterable[str]") -> None:
        """Take these networks for ours, whatever the kernel has. Raises ValueError for one that is none."""
        self._named = [network_of(text) for text in texts]
        self._build()

    def learn(
        self,
        names: dict[int, str],
        addresses: "list[tuple[int, bytes, bytes, int]]",
        routes: "list[tuple[int, bytes, int, tuple[int, ...]]]",
    ) -> bool:
        """Take what the kernel has. Returns whether that is something new.

        `names`: of interfaces, by index. `addresses`: (index, own address, network, prefix length). `routes`: (table,
        destination, prefix length, indexes of interfaces), unicast ones.
        """
        facts = names, addresses, routes
        if facts == self._facts:
            return False
        self._facts = facts
        self._build()
        return True

    def _build(self) -> None:
        """Make the tables from what is known."""
        names, addresses, routes = self._facts
        outer = self._outer_interfaces(routes, names)
        networks = [("", packed, prefix) for packed, prefix in self._named]
        networks += [(names.get(index, ""), network, prefix) for index, _, network, prefix in addresses]
        networks += [
            (names.get(ways[0], ""), target, prefix) for table, target, prefix, ways in routes if table == TABLE_MAIN and ways
        ]
        found: dict[tuple[int, int], dict[bytes, Place]] = {}
        made: dict[tuple[str, str], Place] = {}
        count = self.left_out = 0
        for interface, packed, prefix in networks:
            if prefix <= _DEFAULT or is_special(packed):
                continue
            table, begin = found.setdefault((len(packed), prefix), {}), cut(packed, prefix)
            if begin in table:
                continue
            count += 1
            if count > MAX_NETWORKS:
                self.left_out += 1
                continue
            key = interface, text_of(packed, prefix)
            if interface not in outer:
                made[key] = Place(OURS, key[0], key[1])
            table[begin] = made.get(key, self._outside)
        self._own = {own: Place(OWN, names.get(index, ""), ROUTER) for index, own, _, _ in addresses}
        self.places = list(made.values())
        self._rows = [(key[0], key[1], found[key]) for key in sorted(found, key=lambda key: -key[1])]
        self._inner = list({place.interface: None for place in self.places})
        self.known = bool(self._inner)
        self._cache.clear()
        self._usual.clear()
        self._look_around()

    def _outer_interfaces(self, routes: "list[tuple[int, bytes, int, tuple[int, ...]]]", names: dict[int, str]) -> set[str]:
        """Return the names of the interfaces that are a WAN."""
        found = {name for name, seen in self.seen.items() if seen.internal is False}
        for _, _, prefix, ways in routes:
            if prefix <= _DEFAULT:
                found.update([names.get(index, "") for index in ways])
        return found - {name for name, seen in self.seen.items() if seen.internal is True}

    def _look_around(self) -> None:
        """Note what is captured."""
        self._captured = any(seen.internal is True for seen in self.seen.values())
        self._remembers = self._remembers or any(seen.internal is False for seen in self.seen.values())
        self._all_captured = self._captured and all(self._is_captured(name) for name in self._inner)

    def _is_captured(self, name: str) -> bool:
        seen = self.seen.get(name)
        return seen is not None and seen.internal is not False

    def _place(self, text: str) -> Place:
        """Return where an address belongs, and remember it."""
        if len(self._cache) >= ROOM:
            self._cache.clear()
        try:
            found = self.place_of(address(text))
        except (ValueError, OSError):
            found = self._outside
        self._cache[text] = found
        return found

    def place_of(self, packed: bytes) -> Place:
        """Return where an address belongs: to the longest prefix that it has."""
        found = self._own.get(packed)
        if found is not None:
            return found
        if is_special(packed):
            return self._link if packed[:2] == b"\xa9\xfe" or (packed[:1] == b"\xfe" and len(packed) == 16) else self._outside
        for size, prefix, table in self._rows:
            if size == len(packed):
                found = table.get(cut(packed, prefix))
                if found is not None:
                    return found
        return self._outside

    def forbids(self, packed: bytes) -> bool:
        """Return whether an address must not be an element by itself, as the other end: a rule that drops what is in the set
        would cut a device of ours off, the router, or a group of hosts."""
        return is_special(packed) or self.place_of(packed).kind != OUTSIDE

    def forbids_local(self, packed: bytes) -> bool:
        """Return the same for a local end, which may be a device of ours."""
        return is_special(packed) or packed in self._own

    # -- records ----------------------------------------------------------------------------------------------------

    def orient(self, record: "Flow", flow: "Flow", now: int) -> int:
        """Make a flow's local end the one on our side, and count where it came from. Returns TURNED and TWICE, or 0.

        Of two ends on our side, the local one is that which opened the connection. Two ends outside stay as netifyd has
        them, unless it takes both for local.
        """
        key = record.get("interface", ""), flow["local_ip"], flow["other_ip"]
        origin = self._usual.get(key)
        if origin is None or flow.get("other_type") == "local":
            return self._unusual(record, flow, key, now)
        origin.count += 1
        origin.last = now
        if self._remembers:
            self._remember(flow)
        return 0

    def _unusual(self, record: "Flow", flow: "Flow", key: tuple[str, str, str], now: int) -> int:
        """Look at a record more closely."""
        name = key[0]
        seen = self.seen.get(name)
        if seen is None:
            seen = self._first(name, record.get("internal"))
        cache = self._cache
        local = cache.get(key[1]) or self._place(key[1])
        other = cache.get(key[2]) or self._place(key[2])
        found = self._decide(flow, name, seen, local, other, now)
        if found & TURNED and flow["local_ip"] != key[1]:
            local = other
        origin = self._origin(name, local.text)
        origin.count += 1
        origin.last = now
        inner = seen.internal is True and ((local.kind == OURS and local.interface == name) or not self.known)
        if not found and inner and other.kind == OUTSIDE:
            if len(self._usual) >= ROOM:
                self._usual.clear()
            self._usual[key] = origin
        return found

    def _origin(self, interface: str, network: str) -> Origin:
        """Return what counts the records of an interface and a network."""
        found = self.origins.get((interface, network))
        if found is None:
            if len(self.origins) >= MAX_ORIGINS:
                interface = network = OTHERS
            found = self.origins.get((interface, network)) or Origin(interface, network)
            self.origins[(interface, network)] = found
        return found

    def again(self, record: "Flow", flow: "Flow") -> int:
        """Do the same with a record that was counted before."""
        name = record.get("interface", "")
        seen = self.seen.get(name) or Seen(record.get("internal"))
        return self._decide(flow, name, seen, self._place(flow["local_ip"]), self._place(flow["other_ip"]), 0)

    def _first(self, name: str, internal: object) -> Seen:
        """Note an interface that no record came from before: what is a WAN may follow from that."""
        if len(self.seen) >= MAX_INTERFACES:
            name = OTHERS
            if name in self.seen:
                return self.seen[name]
        seen = self.seen[name] = Seen(internal if isinstance(internal, bool) and name != OTHERS else None)
        self._build()
        return seen

    def _decide(self, flow: "Flow", name: str, seen: Seen, local: Place, other: Place, now: int) -> int:
        found = 0
        if self.known:
            kind = flow.get("other_type")
            ours = local.kind in (OURS, OWN) or (local.kind == LINK and seen.internal is not False)
            theirs = other.kind in (OURS, OWN) or (other.kind == LINK and seen.internal is not False)
            if kind in ("multicast", "broadcast"):
                turned = False
            elif ours is not theirs:
                turned = theirs
            else:
                turned = flow.get("local_origin") is False and (ours or kind == "local")
            if turned:
                turn(flow)
                local, other, ours, theirs = other, local, theirs, ours
            wanted = kind
            if kind not in ("multicast", "broadcast"):
                wanted = "local" if theirs else "remote" if turned or kind == "local" else kind
            if wanted != kind:
                flow["other_type"] = wanted
            if turned or wanted != kind:
                found = TURNED
                if now:
                    self.turned += turned
                    self.retyped += not turned
        if seen.internal is True and self._remembers and now:
            self._remember(flow)
        if self._is_twice(flow, name, seen, local, now):
            found |= TWICE
            if now:
                self.twice += 1
                seen.twice += 1
        return found

    # -- flows that are reported twice ------------------------------------------------------------------------------

    @staticmethod
    def _key(flow: "Flow", port: int) -> object:
        """Return what the two records of a connection that goes through the router have in common. `port`: the local one."""
        key = flow["ip_protocol"], port, flow.get("other_port", 0), flow["other_ip"]
        return hash(key) if SECRET_HASH else key

    def _remember(self, flow: "Flow") -> None:
        """Remember a flow that a LAN reported. Its record of the WAN may have come before."""
        key = self._key(flow, flow.get("local_port", 0))
        if key in self._twins:
            return
        if len(self._twins) >= ROOM:
            # A thousand flows, and none from a WAN: it is not captured.
            self._remembers = any(seen.internal is False for seen in self.seen.values())
            self._older, self._twins = self._twins if self._remembers else {}, {}
        self._twins[key] = None
        digest = self._open.pop(key, None)
        if digest is not None and self._on_twice is not None:
            self._on_twice([digest])

    def _is_twice(self, flow: "Flow", name: str, seen: Seen, local: Place, now: int) -> bool:
        """Return whether another interface reports this flow, too: the one that its local end is behind.

        What only the WAN shows must not be missed: its record is a duplicate if netifyd says that it is behind NAT and
        captures where it comes from, or if the LAN's record was seen; that may come a moment later.
        """
        inside = local.kind == OURS and local.interface != ""
        if seen.internal is not False:
            return inside and local.interface != name and self._is_captured(local.interface)
        nat = flow.get("ip_nat") is True and self._captured
        if nat and (self._all_captured or not any(self._inner)):
            return True
        key = self._key(flow, flow.get("local_port", 0))
        if local.kind == OWN and key not in self._twins and self.original is not None:
            inner = self.original(flow)
            if inner is not None:
                if inner[:-2] in self._own:
                    return False  # the router's own
                if nat and self._is_captured(self.place_of(inner[:-2]).interface):
                    return True
                key = self._key(flow, int.from_bytes(inner[-2:], "big"))
        if not inside and not flow.get("local_port"):
            return False  # ICMP has no ports: it may be the router's own
        if key in self._twins or key in self._older:
            return True
        if now:
            if len(self._open) >= MAX_OPEN:
                self._open.clear()
            self._open[key] = flow["digest"]
        return False
