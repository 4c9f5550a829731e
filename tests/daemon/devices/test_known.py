"""What is remembered of the network: who has an address, for how long, and what strangers cannot push out."""

from __future__ import annotations

from random import Random

import pytest

from nfa.daemon.devices import known as module
from nfa.daemon.devices.configured import Devices, inside
from nfa.daemon.devices.known import GRACE, MAX_OF_ONE, Known

OURS, GUEST, ROUTER = bytes(5) + b"\x01", bytes(5) + b"\x02", bytes(5) + b"\x03"
FIRST, SECOND = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
SIX = bytes.fromhex("fd000000000000000000000000000001")


def made(*rows: tuple[str, tuple[bytes, ...], tuple[tuple[bytes, int], ...], tuple[str, ...]]) -> tuple[Devices, Known]:
    devices = Devices([(name, "", macs, networks, names) for name, macs, networks, names in rows])
    known = Known(lambda mac: bool(devices.of_mac(mac)))
    devices.known = known
    return devices, known


def test_an_address_belongs_to_the_mac_address_that_has_it_now() -> None:
    """Yesterday's owner of an address would be blocked for what a guest does."""
    devices, known = made(("tablet", (OURS,), (), ()))
    known.appeared(SIX, OURS, 1)
    assert devices.of(SIX, ROUTER) == devices.of(SIX, b"") == devices.of(FIRST, OURS) == (0,)
    known.appeared(SIX, GUEST, 1)
    assert devices.of(SIX, ROUTER) == ()
    assert devices.of(SIX, OURS) == (0,), "the record itself says who it is"
    known.appeared(FIRST, OURS, 1)
    assert devices.of(FIRST, GUEST) == (0,), "an access point may put its own MAC address there"
    known.vanished(FIRST, 1)
    assert devices.of(FIRST, GUEST) == (), "the MAC address of a neighbour in the record is newer than what the kernel had"


def test_an_address_that_is_gone_is_remembered_for_its_grace() -> None:
    """The kernel drops a silent neighbour: a flow that goes on would pass, or an old owner keep the address for ever."""
    devices, known = made(("tablet", (OURS,), (), ()))
    known.appeared(SIX, OURS, 1)
    known.vanished(SIX, 1000)
    known.vanished(SIX, 1500)
    known.expire(1000 + GRACE - 1)
    assert devices.of(SIX, ROUTER) == (0,)
    known.lease([(SIX, GUEST, "")])
    assert devices.of(SIX, ROUTER) == (), "a lease that lives counts more than a neighbour that is gone"
    known.lease([])
    known.expire(1000 + GRACE)
    assert devices.of(SIX, ROUTER) == () and not known.addresses and not known.of and not known._ending
    known.appeared(SIX, OURS, 1)
    known.vanished(SIX, 2000)
    known.appeared(SIX, OURS, 1)
    known.expire(9999)
    assert devices.of(SIX, ROUTER) == (0,), "it came back"


def test_names_and_static_leases_lead_to_the_device() -> None:
    """A device that its owner knows by name only would be nobody's."""
    devices, known = made(("tablet", (), (), ("toms-tablet",)), ("tv", (), ((bytes((10, 0, 1, 0)), 24),), ()))
    assert devices.of(FIRST, OURS) == ()
    known.lease([(FIRST, OURS, "toms-tablet"), (SIX, b"", "toms-tablet")])
    known.appeared(SECOND, OURS, 1)
    for address in (FIRST, SECOND, SIX):
        assert devices.of(address, ROUTER) == (0,), address
    assert known.renamed == {"toms-tablet"}
    assert devices.of(bytes((10, 0, 1, 9)), b"") == (1,) and devices.of(bytes((10, 0, 2, 9)), b"") == ()
    known.lease([])
    assert devices.of(FIRST, OURS) == ()
    known.reserve([(GUEST, "toms-tablet", bytes((10, 0, 0, 9)))])
    assert devices.of(bytes((10, 0, 0, 9)), ROUTER) == devices.of(FIRST, GUEST) == (0,)


def test_strangers_have_a_bound_and_take_no_place_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that makes up addresses would fill the memory, or push the tablet out of it and so lift its block."""
    monkeypatch.setattr(module, "MAX_ADDRESSES", 300)
    devices, known = made(("tablet", (OURS,), (), ()))
    known.appeared(SIX, OURS, 1)
    assert devices.of(SIX, b"") == (0,)
    for number in range(1000):
        known.appeared(number.to_bytes(16, "big"), GUEST, 1)
        assert len(known.of[GUEST]) <= MAX_OF_ONE
    for number in range(1000):
        known.appeared(number.to_bytes(4, "big"), b"\x04" + number.to_bytes(5, "big"), 1)
    assert len(known.addresses) == 300 and known.dropped > 0
    assert devices.of(SIX, ROUTER) == (0,)
    for number in range(5):
        known.appeared(b"\xfd" + number.to_bytes(15, "big"), OURS, 1)
        assert devices.of(b"\xfd" + number.to_bytes(15, "big"), ROUTER) == (0,), "there is room for one of a device"
    assert len(known.addresses) == 300
    assert sum(map(len, known.of.values())) == len(known.addresses)


@pytest.mark.parametrize("seed", range(4))
def test_the_tables_agree_whatever_happens(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address would be listed with one owner and matched as another's, or a table grow for ever."""
    monkeypatch.setattr(module, "MAX_ADDRESSES", 20)
    rng = Random(seed)
    _, known = made(("tablet", (OURS,), (), ()))
    for second in range(1, 3000):
        address, mac = bytes((10, 0, 0, rng.randrange(30))), bytes(5) + bytes((rng.randrange(1, 9),))
        what = rng.random()
        if what < 0.6:
            known.appeared(address, mac, 1)
        elif what < 0.9:
            known.vanished(address, second)
        else:
            known.expire(second)
        assert len(known.addresses) <= 20
        assert {one for one, (_, until, _) in known.addresses.items() if until} == set(known._ending)
        owned = {one: mac for mac, all_of in known.of.items() for one in all_of}
        assert owned == {one: mac for one, (mac, _, _) in known.addresses.items()}
        assert all(known.of.values())


def test_a_network_has_its_addresses_and_no_others() -> None:
    """A device that is a network would have its neighbours, or not all of itself."""
    from ipaddress import ip_address, ip_network

    rng = Random(1)
    for _ in range(2000):
        network = ip_network((rng.getrandbits(32), rng.randrange(33)), strict=False)
        address = ip_address(int(network.network_address) ^ (rng.getrandbits(32) >> rng.randrange(33)))
        assert inside(address.packed, network.network_address.packed, network.prefixlen) is (address in network)
    assert not inside(FIRST, bytes(16), 0)
