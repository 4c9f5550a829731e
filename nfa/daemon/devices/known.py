"""What is known of the addresses of the local network: which MAC address has them, and which host names it has.

In: neighbours as the kernel tells of them, leases as the DHCP servers note them, static leases of the configuration. Out: the
owner of an address, and what is known of an owner. Strangers choose addresses, MAC addresses and names: all is bounded, and no
stranger's address takes the place of one of a configured device.

An address lives as long as the kernel has the neighbour or a server the lease, and GRACE seconds longer. One that appears with
another MAC address belongs to that from then on.
"""

from ..base.portable import ROOM

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable

    from .leases import Lease

GRACE = 600
"""Seconds for which an address is remembered that is gone: a flow that goes on has its neighbour back within them."""
MAX_ADDRESSES = 4 * ROOM
MAX_OF_ONE = 256
"""Addresses of one MAC address."""
NOBODY = (b"", 0, 0)


class Known:
    """Addresses, their owners and their names. `wanted(mac)`: whether a configured device has this MAC address."""

    def __init__(self, wanted: "Callable[[bytes], bool]") -> None:
        self.wanted = wanted
        self.addresses: dict[bytes, tuple[bytes, int, int]] = {}
        """Address to MAC address, the second when it ends (0: the kernel has it) and the index of the interface."""
        self.of: dict[bytes, list[bytes]] = {}
        """MAC address to its addresses, the latest last."""
        self._ending: dict[bytes, None] = {}
        """Addresses that are in their grace."""
        self.leases: dict[bytes, tuple[bytes, str]] = {}
        self.hosts: list[tuple[bytes, str, bytes]] = []
        """Static leases: MAC address, name, address."""
        self._names: dict[bytes, tuple[str, ...]] = {}
        self._static: dict[bytes, bytes] = {}
        self.touched: set[bytes] = set()
        """MAC addresses of which something has changed, and `renamed`: host names; until somebody empties them."""
        self.renamed: set[str] = set()
        self.dropped = 0
        """Addresses that there was no room for."""

    # -- questions --------------------------------------------------------------------------------------------------

    def has(self, mac: bytes) -> bool:
        """Return whether a MAC address is that of a neighbour."""
        return mac in self.of

    def lives(self, address: bytes) -> bool:
        """Return whether the kernel has a neighbour of this address."""
        mac, until, _ = self.addresses.get(address, NOBODY)
        return bool(mac) and not until

    def owner(self, address: bytes) -> bytes:
        """Return the MAC address that has an address; b"" when that is not known."""
        mac, until, _ = self.addresses.get(address, NOBODY)
        if mac and not until:
            return mac
        leased = self.leases.get(address)
        if leased is not None and leased[0]:
            return leased[0]
        return mac or self._static.get(address, b"")

    def names_of(self, mac: bytes) -> tuple[str, ...]:
        """Return the host names of a MAC address."""
        return self._names.get(mac, ())

    def name_at(self, address: bytes) -> str:
        """Return the host name of a lease that has no MAC address (DHCPv6); "" for none."""
        mac, name = self.leases.get(address, (b"", ""))
        return "" if mac else name

    # -- what is learnt ---------------------------------------------------------------------------------------------

    def appeared(self, address: bytes, mac: bytes, index: int) -> None:
        """The kernel has a neighbour. `index`: of its interface."""
        before, until, _ = self.addresses.get(address, NOBODY)
        if before == mac:
            if until:
                self._ending.pop(address, None)
                self.addresses[address] = (mac, 0, index)
                self.touched.add(mac)  # while it was away, a lease may have spoken for another one
            return
        if before:
            self._forget(address)
        elif not self._room(mac):
            self.dropped += 1
            return
        own = self.of.setdefault(mac, [])
        if len(own) >= MAX_OF_ONE:
            self._forget(own[0])
            own = self.of.setdefault(mac, [])
        own.append(address)
        self.addresses[address] = (mac, 0, index)
        self.touched.add(mac)

    def vanished(self, address: bytes, now: int) -> None:
        """The kernel no longer has a neighbour. `now`: the loop's clock, seconds."""
        mac, until, index = self.addresses.get(address, NOBODY)
        if mac and not until:
            self.addresses[address] = (mac, now + GRACE, index)
            self._ending[address] = None
            if address in self.leases:
                self.touched.add(mac)

    def present(self) -> "list[bytes]":
        """Return the addresses that the kernel is believed to have."""
        return [address for address, (_, until, _) in self.addresses.items() if not until]

    def expire(self, now: int) -> None:
        """Forget the addresses whose grace is over."""
        for address in [one for one in self._ending if self.addresses[one][1] <= now]:
            self._forget(address)

    def _forget(self, address: bytes) -> None:
        mac = self.addresses.pop(address)[0]
        self._ending.pop(address, None)
        own = self.of[mac]
        own.remove(address)
        if not own:
            del self.of[mac]
        self.touched.add(mac)

    def _room(self, mac: bytes) -> bool:
        """Return whether one more address can be remembered. One that has ended goes first, then one of a stranger, if the new
        one is of a configured device."""
        if len(self.addresses) < MAX_ADDRESSES:
            return True
        for address in self._ending:
            self._forget(address)
            return True
        if self.wanted(mac):
            for address, (other, _, _) in self.addresses.items():
                if not self.wanted(other):
                    self._forget(address)
                    return True
        return False

    # -- leases -----------------------------------------------------------------------------------------------------

    def lease(self, leases: "Iterable[Lease]") -> None:
        """Take what the lease files say now, all of them."""
        found: dict[bytes, tuple[bytes, str]] = {}
        for address, mac, name in leases:
            before, called = found.get(address, (b"", ""))
            found[address] = (mac or before, name or called)
        if found != self.leases:
            old, self.leases = self.leases, found
            for one, other in ((old, found), (found, old)):
                for address, lease in one.items():
                    if other.get(address) != lease:
                        self.touched.add(lease[0])
                        self.renamed.add(lease[1])
            self._name()

    def reserve(self, hosts: "list[tuple[bytes, str, bytes]]") -> None:
        """Take the static leases of the configuration: MAC address, name, address."""
        if hosts != self.hosts:
            for mac, name, _ in self.hosts + hosts:
                self.touched.add(mac)
                self.renamed.add(name)
            self.hosts = hosts
            self._static = {address: mac for mac, _, address in hosts if address}
            self._name()

    def _name(self) -> None:
        """Find the host names of each MAC address."""
        names: dict[bytes, tuple[str, ...]] = {}
        pairs = [(mac, name) for mac, name, _ in self.hosts]
        pairs.extend(self.leases.values())
        for mac, name in pairs:
            if mac and name and name not in names.get(mac, ()):
                names[mac] = names.get(mac, ()) + (name,)
        self._names = names
