"""How single values of a record are read: any spelling of an address, and caches that do not grow."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.compiler.expression.generate import network_table
from nfa.compiler.expression.tree import Network
from nfa.daemon.engine import view


@pytest.mark.parametrize(
    ("function", "cache", "value"),
    [
        (view.address, view._addresses, lambda n: f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"),
        (view.mac, view._macs, lambda n: f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"),
        (lambda name: view.app_names(name, 1), view._names, lambda n: f"netify.{n}"),
        (view.number, view._numbers, lambda n: hex(n)),
    ],
)
def test_caches_are_bounded(function: Any, cache: dict[str, Any], value: Any) -> None:
    """A stream of ever new addresses would take the router's memory."""
    for number in range(view.CACHE_LIMIT * 3):
        function(value(number))
        assert len(cache) <= view.CACHE_LIMIT


@given(st.ip_addresses())
def test_an_address_is_its_bytes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """IPv6 has many spellings; the engine of 4.4 compared text."""
    assert view.address(str(address)) == address.packed == view.address(address.exploded.upper())


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4.5", "1.2.3.4 ", ":::", "x", "1.2.3.4\0", "é"])
def test_what_is_no_address_raises_what_the_engine_expects(text: str) -> None:
    """A garbage address would end the daemon."""
    with pytest.raises((ValueError, OSError)):
        view.address(text)
    assert text not in view._addresses
    with pytest.raises(ValueError):
        view.mac(text)


def test_application_names() -> None:
    """`app == 'youtube'` would not find `netify.youtube`."""
    assert view.app_names("netify.YouTube", 124) == ("netify.youtube", "youtube")
    assert view.app_names("a.b.c", 1) == ("a.b.c", "b.c")
    assert view.app_names("Unknown", 0) == ("", "")
    assert view.app_names("Unknown", 5) == ("unknown", "")
    assert len(view.app_names("x" * 5000, 1)[0]) == view.TEXT_LIMIT


def test_numbers_and_texts() -> None:
    """TLS versions are text in records; a text of a megabyte would be searched whole."""
    assert [view.number(value) for value in (5, "0x0303", "771", "0")] == [5, 0x303, 771, 0]
    for bad in ("", "x", "0x", "08"):
        with pytest.raises(ValueError):
            view.number(bad)
    for wrong in (None, 1.5, []):
        with pytest.raises(TypeError):
            view.number(wrong)
    assert len(view.text("X" * 5000)) == view.TEXT_LIMIT
    assert view.texts(["A"], ["b"] * 100) == ["a", *["b"] * 64]


@given(
    st.lists(st.ip_addresses(network="192.168.0.0/16") | st.ip_addresses(v=6) | st.ip_addresses(v=4), max_size=6),
    st.data(),
    st.ip_addresses(network="192.168.0.0/16") | st.ip_addresses(),
)
def test_membership_of_many_networks(addresses: list[Any], data: st.DataObject, address: Any) -> None:
    """An address group would hold its members' neighbours, or not its members."""
    networks = [
        ipaddress.ip_network((one.packed, data.draw(st.integers(0, one.max_prefixlen))), strict=False) for one in addresses
    ]
    table = network_table(tuple(Network(network.network_address.packed, network.prefixlen) for network in networks))
    for one in [address, *addresses]:
        expected = any(one in network for network in networks if network.version == one.version)
        assert view.member(one.packed, table) is expected


def test_marks_are_in_host_order() -> None:
    """A mark would be another number in the kernel on half of the machines."""
    mark = int.from_bytes(view.mark_bytes({"ct_mark": 0x11}), (socket.htons(1) == 1 and "big") or "little")
    assert mark == 0x11
    assert view.mark_bytes({"conntrack": {"mark": -1}}) == b"\xff" * 4
    assert view.mark_bytes({}) == bytes(4)
