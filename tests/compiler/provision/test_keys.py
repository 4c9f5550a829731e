"""How a flow becomes an element: the bytes of every field, for both kinds of sets, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack
from typing import Any

import pytest
import samples

from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Target
from nfa.compiler.provision.keys import key_source
from nfa.compiler.provision.provision import provision
from nfa.daemon.engine.policy import namespace
from nfa.daemon.engine.view import View

Make = Callable[..., Target]
FOUR = samples.flow(local="192.168.1.20", other="203.0.113.10", ct_mark=0x11223344, local_mac="02:00:5e:10:00:14", other_mac="")
SIX = samples.flow(local="2001:db8:1::20", other="2001:db8::7", other_port=53, ip_protocol=17, interface="x" * 40)


def element(slot: dict[str, Any], record: dict[str, Any], number: int = 0x1234) -> bytes:
    """The packed element of a record, by the function that the policy image would hold."""
    names = namespace(View()) | {"S_key": number}
    exec(key_source("key", slot), names)
    made: bytes = names["key"](record, record["flow"])
    return made


def slot(target: Make, kind: str, family: int, **options: Any) -> dict[str, Any]:
    return provision([target(kind, families=(family,), **options)], None, Reports())[0]


@pytest.mark.parametrize(
    ("fields", "record", "packed"),
    [
        (("other_addr",), FOUR, "cb00710a"),
        (("local_addr",), SIX, "20010db8000100000000000000000020"),
        (("local_mac",), FOUR, "02005e100014"),
        (("other_port",), FOUR, "01bb"),
        (("ip_proto",), SIX, "11"),
        (("mark",), FOUR, pack("=I", 0x11223344).hex()),
        (("interface",), FOUR, b"br-lan".ljust(16, b"\0").hex()),
        (("interface",), SIX, (b"x" * 15 + b"\0").hex()),
        (("local_addr", "ip_proto", "other_port", "other_addr"), FOUR, "c0a80114 06 01bb cb00710a"),
        (("other_addr", "local_port"), SIX, "20010db8000000000000000000000007 c350"),
    ],
)
def test_elements_of_nftables(target: Make, fields: tuple[str, ...], record: dict[str, Any], packed: str) -> None:
    """A rule would look up another key than the set holds."""
    made = slot(target, "nftset", record["flow"]["ip_version"], type=fields)
    assert element(made, record) == b"\x12\x34" + bytes.fromhex(packed)


@pytest.mark.parametrize(
    ("set_type", "record", "packed"),
    [
        ("hash:ip", FOUR, "cb00710a"),
        ("hash:ip", SIX, "20010db8000000000000000000000007"),
        ("hash:mac", FOUR, "02005e100014"),
        ("hash:ip,port", FOUR, "cb00710a 06 01bb"),
    ],
)
def test_elements_of_ipset(target: Make, set_type: str, record: dict[str, Any], packed: str) -> None:
    """The same for ipset, whose messages hold the fields one by one."""
    made = slot(target, "ipset", record["flow"]["ip_version"], type=set_type)
    assert sorted(element(made, record)[2:]) == sorted(bytes.fromhex(packed))
    assert element(made, record)[:2] == b"\x12\x34"


def test_a_flow_that_lacks_a_field_has_no_element(target: Make) -> None:
    """An element of zeros would let everybody in who lacks the field too."""
    with pytest.raises(ValueError):
        element(slot(target, "nftset", 4, type=("other_mac",)), FOUR)
    with pytest.raises(ValueError, match="other_addr"):
        element(slot(target, "nftset", 4, type=("other_addr",)), SIX)


def test_what_lies_outside_of_a_bitmap_has_no_element(target: Make) -> None:
    """The kernel would refuse it, and with it the rest of its message."""
    ports = slot(target, "ipset", 4, type="bitmap:port", range=(100, 443))
    assert element(ports, FOUR) == b"\x12\x34\x01\xbb"
    with pytest.raises(ValueError, match="range"):
        element(ports, samples.flow(other_port=444))
    first = int.from_bytes(bytes((203, 0, 113, 0)), "big")
    addresses = slot(target, "ipset", 4, type="bitmap:ip", range=(first, first + 255))
    assert element(addresses, FOUR) == b"\x12\x34\xcb\x00\x71\x0a"
    with pytest.raises(ValueError, match="range"):
        element(addresses, samples.flow(other="203.0.114.0"))
