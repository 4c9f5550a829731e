"""Random expressions and records: the daemon's code, the walk of `nfa explain` and plain logic must agree."""

from __future__ import annotations

import functools
import ipaddress
from typing import Any

import samples
from expression_both import evaluator, understood
from expression_samples import WORDS, record_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nfa.compiler.expression.attributes import ATTRIBUTES, BY_NAME, COMPACT

RECORDS = 24


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
    lambda inner: (
        st.tuples(st.just("!"), inner)
        | st.tuples(st.sampled_from(["&&", "and", "AND", "||", "or"]), st.lists(inner, min_size=2, max_size=4))
    ),
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
    for _, _, offset, _ in warnings:
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
