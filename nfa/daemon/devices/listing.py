"""The devices that are known, for people: those of the configuration, and strangers in the local network.

In: the devices of the policy, and what is known of the network. Out: a row of plain data for each configured device, in their
order, then one for each other MAC address, sorted. In each: name ("" for a stranger), title, macs, those of them that are
private, host names, interfaces, and addresses, each with where it is known from: config, neighbour, recent (it was one),
lease, static lease.
"""

from ..base import socket
from .configured import Devices, is_private
from .known import Known

MYPY = False
if MYPY:
    from collections.abc import Iterable, Iterator
    from typing import Any

    Row = dict[str, Any]
    Addresses = dict[str, list[str]]


def rows(devices: "Devices | None", known: Known) -> "Iterator[Row]":
    """Yield the rows, one after the other: there may be thousands. What is known may change between two of them."""
    owned: dict[bytes, list[tuple[bytes, str]]] = {}
    """MAC address to the addresses that it has by leases, with the kind of lease."""
    for address, (mac, _) in known.leases.items():
        owned.setdefault(mac, []).append((address, "lease"))
    for mac, _, address in known.hosts:
        owned.setdefault(mac, []).extend([(address, "static lease")] if address else [])
    nameless = owned.pop(b"", [])
    strangers = dict.fromkeys(known.of)
    strangers.update(dict.fromkeys(owned))
    if devices is not None:
        macs: list[dict[bytes, None]] = [{} for _ in devices.names]
        for mac in [*devices.macs, *strangers]:
            for number in devices.of_mac(mac):
                macs[number][mac] = None
                strangers.pop(mac, None)
        addresses: list[Addresses] = [{} for _ in devices.names]
        for packed, prefix, number in devices.networks:
            text = _text(packed) + ("" if prefix == 8 * len(packed) else "/" + str(prefix))
            addresses[number].setdefault(text, []).append("config")
        for address, kind in nameless:
            for number in devices.hosts.get(known.name_at(address), ()):
                addresses[number].setdefault(_text(address), []).append(kind)
        hosts: list[dict[str, None]] = [{} for _ in devices.names]
        for host, numbers in devices.hosts.items():
            for number in numbers:
                hosts[number][host] = None
        for number, name in enumerate(devices.names):
            yield _row(name, devices.titles[number], macs[number], hosts[number], addresses[number], known, owned)
    for mac in sorted(strangers):
        yield _row("", "", (mac,), {}, {}, known, owned)


def _row(
    name: str,
    title: str,
    macs: "Iterable[bytes]",
    hosts: "dict[str, None]",
    addresses: "Addresses",
    known: Known,
    owned: "dict[bytes, list[tuple[bytes, str]]]",
) -> "Row":
    macs = list(macs)
    interfaces: dict[str, None] = {}
    for mac in macs:
        hosts.update(dict.fromkeys(known.names_of(mac)))
        for address in known.of.get(mac, ()):
            _, until, index = known.addresses[address]
            addresses.setdefault(_text(address), []).append("recent" if until else "neighbour")
            interfaces[_interface(index)] = None
        for address, kind in owned.get(mac, ()):
            addresses.setdefault(_text(address), []).append(kind)
    return {
        "name": name,
        "title": title,
        "macs": [mac.hex(":") for mac in macs],
        "private": [mac.hex(":") for mac in macs if is_private(mac)],
        "hosts": list(hosts),
        "interfaces": [one for one in interfaces if one],
        "addresses": [{"address": address, "from": list(dict.fromkeys(how))} for address, how in addresses.items()],
    }


def _text(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return ""
