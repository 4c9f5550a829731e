"""The devices of one policy: which of them an address or a MAC address belongs to.

In: the devices of the policy image, and what is known of neighbours and leases (`known`), if there is somebody who learns it.
Out: the numbers of devices, as the generated code compares them.
"""

MYPY = False
if MYPY:
    from .known import Known

    Row = tuple[str, str, tuple[bytes, ...], tuple[tuple[bytes, int], ...], tuple[str, ...]]

PRIVATE = 0x02
"""The bit of a MAC address's first byte that says that no manufacturer gave it: it may be another one tomorrow."""


def is_private(mac: bytes) -> bool:
    """Return whether a MAC address is one that a device made up."""
    return bool(mac[0] & PRIVATE)


class Devices:
    """The devices of a policy, by their numbers."""

    def __init__(self, rows: "list[Row]") -> None:
        """`rows`: name, title, MAC addresses, networks (packed address and prefix length), host names of each device."""
        self.names = [row[0] for row in rows]
        self.titles = [row[1] for row in rows]
        self.known: Known | None = None
        """What is learnt, and `told`: what somebody else learnt, packed address to numbers."""
        self.told: dict[bytes, tuple[int, ...]] = {}
        self.macs: dict[bytes, tuple[int, ...]] = {}
        self.hosts: dict[str, tuple[int, ...]] = {}
        self.networks: list[tuple[bytes, int, int]] = []
        """(packed address, prefix length in bits, number of the device) of each address that the configuration names."""
        for number, (_, _, macs, networks, hosts) in enumerate(rows):
            for mac in macs:
                self.macs[mac] = self.macs.get(mac, ()) + (number,)
            for host in hosts:
                self.hosts[host] = self.hosts.get(host, ()) + (number,)
            for packed, prefix in networks:
                self.networks.append((packed, prefix, number))

    def of(self, address: bytes, mac: bytes) -> tuple[int, ...]:
        """Return the devices that an end of a flow is, by its address and its MAC address (b"": not known).

        A record with a device's MAC address is the device's. In others it may be the router's own, or that of an access point:
        there the owner of the address decides. A neighbour's counts more than what the kernel no longer has.
        """
        found: set[int] = set(self.told.get(address, ()))
        for packed, prefix, number in self.networks:
            if inside(address, packed, prefix):
                found.add(number)
        known = self.known
        if known is None:
            found.update(self.macs.get(mac, ()))
        else:
            own = self.of_mac(mac)
            if not own and (known.lives(address) or not known.has(mac)):
                own = self.of_mac(known.owner(address))
            found.update(own)
            found.update(self.hosts.get(known.name_at(address), ()))
        return tuple(sorted(found))

    def of_mac(self, mac: bytes) -> "set[int]":
        """Return the devices that have a MAC address, by themselves or by the host name of its lease."""
        found = set(self.macs.get(mac, ()))
        if self.known is not None and self.hosts:
            for name in self.known.names_of(mac):
                found.update(self.hosts.get(name, ()))
        return found

    def tell(self, address: bytes, names: "list[str]") -> None:
        """An address belongs to devices of these names, as somebody else has learnt."""
        self.told[address] = tuple([number for number, name in enumerate(self.names) if name in names])


def inside(address: bytes, packed: bytes, prefix: int) -> bool:
    """Return whether an address lies in a network."""
    whole, bits = prefix >> 3, prefix & 7
    if len(address) != len(packed) or address[:whole] != packed[:whole]:
        return False
    return not bits or not (address[whole] ^ packed[whole]) & (0xFF00 >> bits & 0xFF)
