"""Random expressions and records: the daemon's code, the walk of `nfa explain` and plain logic must agree."""

from __future__ import annotations

import functools
import ipaddress
from random import Random
from typing import Any

import samples
from expression_both import evaluator, understood
from hypothesis import given, settings
from hypothesis import strategies as st

from nfa.expression.attributes import ATTRIBUTES, BY_NAME, COMPACT

RECORDS = 24

# What records are made of and expressions ask for: few values, so that most comparisons have a chance of being true.
ADDRESSES = {4: ["192.168.4.20", "192.168.4.21", "10.1.2.3", "203.0.113.10"],
             6: ["2001:db8:1::20", "2001:db8:4::1", "fe80::1", "2001:db8:7fff::1"]}  # fmt: skip
MACS = ["02:00:5e:10:00:14", "02-00-5E-10-00-15", ""]
PORTS = [0, 53, 443, 50000, 65535]
NAMES = ["www.YouTube.com", "youtube.com", "a.example", "x'y", "", "Straße.example", "rx:no"]
TEXTS = ["www.youtube.com", "YouTube.com", "a.example", "b", "straße.example", "rx:youtube",
         "rx:^www\\.", "rx:e$", "rx:(a|b)+c?"]  # fmt: skip
CATEGORIES = [0, 1, 22, 24, 29]
INTEGERS = ["0", "1", "4", "6", "17", "0x11", "443", "0x0303", "50000", "0x1301", "110", "65535", "18446744073709551615"]
WORDS: dict[str, list[str]] = {
    "tag": ["'youtube'", "'netify.YouTube'", "'netflix'", "'unknown'", "0", "124", "0x85"],
    "protocol": ["'quic'", "'HTTP/S'", "'unknown'", "0", "188", "196"],
    "category": ["22", "24", "0", "1", "29"],
    "risk": ["46", "3", "0", "47"],
    "string": [f"'{text}'" for text in TEXTS],
    "strings": ["'h2'", "'h3'", "'H3-29'", "'rx:^h3'", "'kids'", "'rx:.'"],
    "name": ["'br-lan'", "'BR-lan'", "'wan'", "'rx:^br'"],
    "address": [*ADDRESSES[4], *ADDRESSES[6], "192.168.4.0/24", "192.168.4.16/29", "10.0.0.0/7", "0.0.0.0/0", "::/0",
                "2001:db8::/45", "2001:db8:4000::/35", "203.0.113.10/31", "@guests", "@nobody"],
    "mac": ["02:00:5e:10:00:14", "02-00-5e-10-00-15", "ff:ff:ff:ff:ff:ff", "@guests", "@nobody"],
    "integer": INTEGERS,
    "boolean": ["true", "FALSE", "True", "false"],
}  # fmt: skip


def record_of(seed: int) -> dict[str, Any]:
    """A flow record of any version, with or without each optional part."""
    rng = Random(seed)
    version = rng.choice((4, 6))
    some = rng.choice
    record = samples.flow(
        some(list(samples.PROTOCOLS)), some(["Unknown", "netify.youtube", "netify.netflix", "netify.tiktok"]),
        local=some(ADDRESSES[version]), other=some(ADDRESSES[version]), local_port=some(PORTS), other_port=some(PORTS),
        ip_protocol=some([1, 6, 17]), risks=some([(), (46,), (3, 46), (47,)]), interface=some(["br-lan", "wan"]),
        local_mac=some(MACS), other_mac=some(MACS), vlan_id=some([0, 4]),
        other_type=some(["remote", "local", "unknown", "error"]),
        local_origin=some([True, False]), detection_guessed=some([True, False]), detection_updated=some([True, False]),
        ip_nat=some([True, False]),
    )  # fmt: skip
    flow = record["flow"]
    flow["category"] = {name: some(CATEGORIES) for name in ("application", "protocol", "domain")}
    if rng.random() < 0.6:
        names = ("client_sni", "server_cn", "issuer_dn", "subject_dn", "client_ja3", "client_ja4")
        flow["ssl"] = {name: some(NAMES) for name in names}
        flow["ssl"] |= {"version": some(["0x0303", "0x0304"]), "cipher_suite": some(["0x1301", "0xc02f", 0]),
                        "alpn": some([[], ["h2"], ["H3", "h3-29"]])}  # fmt: skip
    if rng.random() < 0.5:
        flow |= {"host_server_name": some(NAMES), "dns_host_name": some(NAMES), "gtp": {"version": 1},
                 "http": {"url": some(NAMES), "user_agent": some(NAMES)}, "bt": {"info_hash": some(NAMES)},
                 "ct_mark": some([0, 1, 0x11])}  # fmt: skip
    if rng.random() < 0.3:
        for name in rng.sample(["local_origin", "other_type", "risks", "vlan_id", "ip_nat", "local_mac"], 3):
            flow.pop(name, None)
    if rng.random() < 0.2:
        del flow["category"]
    elif rng.random() < 0.3 and "risks" in flow and "local_origin" in flow:
        mark = {"id": 1, "mark": some([0, 17])}
        return samples.as_v5(record, some(["flow", "flow_dpi_update", "flow_dpi_complete"]), tags=some([[], ["Kids", "b"]]),
                             conntrack=mark, ip_nat=some([True, False]))  # fmt: skip
    return record


@st.composite
def leaves(draw: st.DrawFn) -> str:
    """One comparison, bare attribute or compact term."""
    if draw(st.integers(0, 9)) == 0:
        return f"{draw(st.sampled_from(sorted(COMPACT)))}:{draw(st.sampled_from(['0', '124', '188', '22', '24']))}"
    name = draw(st.sampled_from(sorted(BY_NAME)))
    attribute = BY_NAME[name]
    if draw(st.integers(0, 4)) == 0:
        return name
    words = list(attribute.constants) or WORDS[attribute.kind.name]
    space = draw(st.sampled_from(["", " "]))
    return f"{name}{space}{draw(st.sampled_from(attribute.kind.operators))}{space}{draw(st.sampled_from(words))}"


Tree = Any
trees = st.recursive(
    leaves(),
    lambda inner: st.tuples(st.just("!"), inner)
    | st.tuples(st.sampled_from(["&&", "and", "AND", "||", "or"]), st.lists(inner, min_size=2, max_size=4)),
    max_leaves=12,
)


def joins(tree: Tree) -> str:
    """How a tree's own operator reads: "and", "or", "!" or "" for a leaf."""
    if isinstance(tree, str):
        return ""
    return {"&&": "and", "and": "and", "AND": "and", "||": "or", "or": "or"}.get(tree[0], "!")


def written(tree: Tree) -> str:
    """A tree as text, with no more parentheses than its meaning needs."""
    kind = joins(tree)
    if kind == "":
        return str(tree)
    if kind == "!":
        inner = written(tree[1])
        return f"!{inner}" if joins(tree[1]) == "" else f"!({inner})"
    parts = []
    for item in tree[1]:
        text = written(item)
        parts.append(f"({text})" if kind == "and" and joins(item) == "or" else text)
    return f" {tree[0]} ".join(parts)


@functools.lru_cache(maxsize=4096)
def leaf(text: str) -> Any:
    return evaluator(text + ";")


def plain(tree: Tree, record: dict[str, Any]) -> bool:
    """A tree's truth from that of its leaves, by Python's own logic."""
    kind = joins(tree)
    if kind == "":
        return bool(leaf(tree)(record))
    if kind == "!":
        return not plain(tree[1], record)
    return (all if kind == "and" else any)(plain(item, record) for item in tree[1])


@settings(max_examples=400, deadline=None)
@given(st.lists(trees, min_size=1, max_size=3), st.integers(0, 1 << 32))
def test_generated_code_walk_and_logic_agree(statements: list[Tree], seed: int) -> None:
    """The daemon would match other flows than `nfa explain` says, or `&&` would bind otherwise than documented."""
    text = "".join(f"{written(tree)}; " for tree in statements)
    match = evaluator(text)
    for number in range(RECORDS):
        record = record_of(seed + number)
        assert match(record) is any(plain(tree, record) for tree in statements), text


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ATTRIBUTES), st.data(), st.integers(0, 1 << 32))
def test_a_list_is_an_or_of_its_members(attribute: Any, data: st.DataObject, seed: int) -> None:
    """A list of names (which becomes one look-up) would miss some of them."""
    words = list(attribute.constants) or WORDS[attribute.kind.name]
    parts = data.draw(st.lists(st.sampled_from(words).map(lambda word: f"{attribute.name} == {word}"), min_size=3, max_size=8))
    match = evaluator(" || ".join(parts) + ";")
    for number in range(RECORDS):
        record = record_of(seed + number)
        assert match(record) is any(leaf(part)(record) for part in parts)


FRAGMENTS = [
    *sorted(BY_NAME), *(word for words in WORDS.values() for word in words),
    "==", "!=", "<", ">=", "&&", "||", "and", "or", "!", "(", ")", ";", "'", '"', "*", "@", "rx:", "ai:", "'rx:(", "\n", "\0",
    "\t", "é", "\U0001f600", "0x", "/", ":", ".", "-", "=", "&", "|", "#", "\\", "\x1b[2J", "\ud800", "%", "{",
    "'''", "other_local",
]  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=14).map(" ".join))
def test_any_text_ends_in_trees_or_errors_with_a_place(text: str) -> None:
    """A typing error would end the compiler, or its caret would point beside the text."""
    nodes, errors, warnings = understood(text)
    assert nodes or errors or not text.strip()
    for offset, length in [(error.offset, error.length) for error in errors]:
        assert 0 <= offset <= len(text)
        assert length >= 1
    assert [error.offset for error in errors] == sorted(error.offset for error in errors)
    for _, offset, _ in warnings:
        assert 0 <= offset <= len(text)
    if not errors:
        match = evaluator(text)
        for number in range(3):
            match(record_of(number))


def test_the_random_records_reach_both_answers() -> None:
    """The comparisons above would prove nothing if every leaf were false."""
    records = [record_of(number) for number in range(300)]
    for attribute in ATTRIBUTES:
        if attribute.kind.name == "address":
            continue  # every flow has addresses
        found = {leaf(attribute.name)(record) for record in records}
        expected = {True, False}
        # No record names these categories; their meaning is stated in test_expression_meaning.
        if attribute.name in ("local_network_category", "other_network_category", "overlay_category"):
            expected = {False}
        if attribute.name in ("ip_protocol", "ip_version", "interface"):
            expected = {True}
        assert found == expected, attribute.name


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), st.data())
def test_an_address_is_in_its_networks_and_in_no_other(packed: bytes, data: st.DataObject) -> None:
    """A CIDR whose prefix is no multiple of 8 would exempt the neighbours."""
    address = ipaddress.ip_address(packed)
    prefix = data.draw(st.integers(0, address.max_prefixlen))
    network = ipaddress.ip_network((packed, prefix), strict=False)
    record = samples.flow(local=str(address), other=str(address))
    assert evaluator(f"local_ip == {network};")(record)
    if prefix:
        bit = data.draw(st.integers(0, prefix - 1))
        outside = ipaddress.ip_address((int(address) ^ 1 << address.max_prefixlen - 1 - bit).to_bytes(len(packed), "big"))
        assert not evaluator(f"local_ip == {network};")(samples.flow(local=str(outside), other=str(address)))
