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
from nfa.daemon.engine.view import View


@pytest.mark.parametrize(
    ("function", "cache", "value"),
    [
        (View.address, "_addresses", lambda n: f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"),
        (View.mac, "_macs", lambda n: f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"),
        (lambda seen, name: seen.app_names(name, 1), "_names", lambda n: f"netify.{n}"),
        (View.number, "_numbers", lambda n: hex(n)),
    ],
)
def test_caches_are_bounded(function: Any, cache: str, value: Any) -> None:
    """A stream of ever new addresses would take the router's memory."""
    seen = View()
    for number in range(view.CACHE_LIMIT * 3):
        function(seen, value(number))
        assert len(getattr(seen, cache)) == number % view.CACHE_LIMIT + 1
    seen.forget()
    assert not getattr(seen, cache)


@given(st.ip_addresses())
def test_an_address_is_its_bytes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """IPv6 has many spellings; the engine of 4.4 compared text."""
    seen = View()
    assert seen.address(str(address)) == address.packed == seen.address(address.exploded.upper()) == view.address(str(address))


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4.5", "1.2.3.4 ", ":::", "x", "1.2.3.4\0", "é"])
def test_what_is_no_address_raises_what_the_engine_expects(text: str) -> None:
    """A garbage address would end the daemon."""
    seen = View()
    for _ in range(2):
        with pytest.raises((ValueError, OSError)):
            seen.address(text)
        with pytest.raises(ValueError):
            seen.mac(text)


def test_application_names() -> None:
    """`app == 'youtube'` would not find `netify.youtube`."""
    assert View().app_names("netify.YouTube", 124) == ("netify.youtube", "youtube")
    assert View().app_names("a.b.c", 1) == ("a.b.c", "b.c")
    assert View().app_names("Unknown", 0) == ("", "")
    assert View().app_names("Unknown", 5) == ("unknown", "")
    assert len(View().app_names("x" * 5000, 1)[0]) == view.TEXT_LIMIT


def test_numbers_and_texts() -> None:
    """TLS versions are text in records; a text of a megabyte would be searched whole."""
    assert [View().number(value) for value in (5, "0x0303", "771", "0")] == [5, 0x303, 771, 0]
    for bad in ("", "x", "0x", "08"):
        with pytest.raises(ValueError):
            View().number(bad)
    for wrong in (None, 1.5, []):
        with pytest.raises(TypeError):
            View().number(wrong)
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
