"""The devices that are known, for people: those of the configuration, and strangers in the local network.

In: the devices of the policy, and what is known of the network. Out: a row of plain data for each configured device, in their
order, then one for each other MAC address, sorted.
"""

import socket

from .configured import PRIVATE, Devices
from .known import Known

MYPY = False
if MYPY:
    from collections.abc import Iterable
    from typing import Any


def rows(devices: "Devices | None", known: Known) -> "list[dict[str, Any]]":
    """Return the rows. In each: name ("" for a stranger), title, macs, those of them that are private, host names, interfaces,
    and addresses, each with where it is known from: config, neighbour, recent (it was one), lease, static lease."""
    found: list[dict[str, Any]] = []
    strangers = dict.fromkeys(known.of)
    strangers.update(dict.fromkeys([mac for mac, _ in known.leases.values() if mac]))
    strangers.update(dict.fromkeys([mac for mac, _, _ in known.hosts]))
    if devices is not None:
        own: list[dict[bytes, None]] = [{} for _ in devices.names]
        for mac in [*devices.macs, *strangers]:
            for number in devices.of_mac(mac):
                own[number][mac] = None
                strangers.pop(mac, None)
        for number, name in enumerate(devices.names):
            addresses: dict[str, list[str]] = {}
            for packed, prefix, owner in devices.networks:
                if owner == number:
                    text = _text(packed) + ("" if prefix == 8 * len(packed) else "/" + str(prefix))
                    addresses.setdefault(text, []).append("config")
            hosts = [host for host, numbers in devices.hosts.items() if number in numbers]
            for address, (mac, host) in known.leases.items():
                if not mac and host in hosts:
                    addresses.setdefault(_text(address), []).append("lease")
            found.append(_row(name, devices.titles[number], own[number], hosts, addresses, known))
    return found + [_row("", "", (mac,), (), {}, known) for mac in sorted(strangers)]


def _row(
    name: str, title: str, macs: "Iterable[bytes]", hosts: "Iterable[str]", addresses: dict[str, list[str]], known: Known
) -> "dict[str, Any]":
    macs = list(macs)
    names = dict.fromkeys(hosts)
    interfaces: dict[str, None] = {}
    for mac in macs:
        names.update(dict.fromkeys(known.names_of(mac)))
        for address in known.of.get(mac, ()):
            _, until, index = known.addresses[address]
            addresses.setdefault(_text(address), []).append("recent" if until else "neighbour")
            interfaces[_interface(index)] = None
    for kind, owned in (
        ("lease", [(address, mac) for address, (mac, _) in known.leases.items()]),
        ("static lease", [(address, mac) for mac, _, address in known.hosts if address]),
    ):
        for address, mac in owned:
            if mac in macs:
                addresses.setdefault(_text(address), []).append(kind)
    return {
        "name": name,
        "title": title,
        "macs": [mac.hex(":") for mac in macs],
        "private": [mac.hex(":") for mac in macs if mac[0] & PRIVATE],
        "hosts": list(names),
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
