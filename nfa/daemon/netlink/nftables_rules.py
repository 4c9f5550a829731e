"""nftables' chains and rules: messages that make, empty and delete a chain, and that add a rule.

In: names and numbers; a rule is a list of expressions, each made by `expression`. Out: messages with the sequence number 0 and
no ACK, as in `nftables_sets`: who puts them into a transaction gives them both. Source: linux/netfilter/nf_tables.h.
"""

import struct

from .nftables import NFTA_LIST_ELEM
from .wire import (
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    attribute,
    attributes,
    message,
    nfgen,
    string,
)

GET_TABLE = 0xA01
"""NFT_MSG_GETTABLE, with its subsystem."""
DEL_TABLE = 0xA02
"""NFT_MSG_DELTABLE"""
NEW_CHAIN = 0xA03
"""NFT_MSG_NEWCHAIN"""
GET_CHAIN = 0xA04
"""NFT_MSG_GETCHAIN"""
DEL_CHAIN = 0xA05
"""NFT_MSG_DELCHAIN"""
NEW_RULE = 0xA06
"""NFT_MSG_NEWRULE"""
DEL_RULE = 0xA08
"""NFT_MSG_DELRULE"""

NFTA_TABLE_NAME = 1
NFTA_TABLE_USE = 3
NFTA_CHAIN_TABLE = 1
NFTA_CHAIN_NAME = 3
NFTA_CHAIN_HOOK = 4
NFTA_CHAIN_POLICY = 5
NFTA_CHAIN_TYPE = 7
NFTA_HOOK_HOOKNUM = 1
NFTA_HOOK_PRIORITY = 2
NFTA_RULE_TABLE = 1
NFTA_RULE_CHAIN = 2
NFTA_RULE_EXPRESSIONS = 4
NFTA_RULE_USERDATA = 7
NFTA_EXPR_NAME = 1
NFTA_EXPR_DATA = 2
NFTA_IMMEDIATE_DREG = 1
NFTA_IMMEDIATE_DATA = 2
NFTA_DATA_VERDICT = 2
NFTA_VERDICT_CODE = 1
NFTA_VERDICT_CHAIN = 2
NFTA_COUNTER_BYTES = 1
NFTA_COUNTER_PACKETS = 2
NFTA_SET_ELEM_DATA = 2

NF_DROP, NF_ACCEPT = 0, 1
NFT_JUMP, NFT_GOTO, NFT_RETURN = -3, -4, -5
NFT_REG_VERDICT = 0
_COMMENT = 0
"""NFTNL_UDATA_RULE_COMMENT (libnftnl/udata.h)"""
MAX_COMMENT = 127
"""Bytes of a comment that `nft` shows, without its end."""


def ask_table(sequence: int, family: int, table: str) -> bytes:
    """Return GETTABLE."""
    return message(GET_TABLE, NLM_F_REQUEST | NLM_F_ACK, sequence, nfgen(family) + string(NFTA_TABLE_NAME, table))


def in_use(payload: bytes) -> int:
    """Return how many chains, sets and objects a table has, from an answer to `ask_table`."""
    return int.from_bytes(dict(attributes(payload[4:])).get(NFTA_TABLE_USE, b""), "big")


def delete_table(family: int, table: str) -> bytes:
    """Return DELTABLE: with all that is in it, whoever made it."""
    return message(DEL_TABLE, NLM_F_REQUEST, 0, nfgen(family) + string(NFTA_TABLE_NAME, table))


def ask_chains(sequence: int, family: int, table: str) -> bytes:
    """Return GETCHAIN for all chains: the kernel does not ask of which table."""
    return message(GET_CHAIN, NLM_F_REQUEST | NLM_F_DUMP, sequence, nfgen(family) + string(NFTA_CHAIN_TABLE, table))


def read_chain(payload: bytes, family: int, table: str) -> str:
    """Return the name of a chain, from an answer to `ask_chains`; "" for one of another table."""
    found = dict(attributes(payload[4:]))
    if payload[0] != family or found.get(NFTA_CHAIN_TABLE, b"").rstrip(b"\0") != table.encode():
        return ""
    return str(found.get(NFTA_CHAIN_NAME, b"").rstrip(b"\0"), "utf-8", "replace")


def new_chain(family: int, table: str, name: str) -> bytes:
    """Return NEWCHAIN, for a chain that may be there."""
    body = nfgen(family) + string(NFTA_CHAIN_TABLE, table) + string(NFTA_CHAIN_NAME, name)
    return message(NEW_CHAIN, NLM_F_REQUEST | NLM_F_CREATE, 0, body)


def new_base_chain(family: int, table: str, name: str, hook: int, priority: int, kind: str = "filter") -> bytes:
    """Return NEWCHAIN of a chain that packets pass by themselves, and that lets them pass. `hook`: NF_INET_*.

    One that is there must have the same hook and priority.
    """
    where = attribute(NFTA_HOOK_HOOKNUM, struct.pack(">I", hook)) + attribute(NFTA_HOOK_PRIORITY, struct.pack(">i", priority))
    body = nfgen(family) + string(NFTA_CHAIN_TABLE, table) + string(NFTA_CHAIN_NAME, name)
    body += attribute(NFTA_CHAIN_HOOK | NLA_F_NESTED, where) + attribute(NFTA_CHAIN_POLICY, struct.pack(">I", NF_ACCEPT))
    return message(NEW_CHAIN, NLM_F_REQUEST | NLM_F_CREATE, 0, body + string(NFTA_CHAIN_TYPE, kind))


def flush_chain(family: int, table: str, name: str) -> bytes:
    """Return DELRULE without a handle, which empties the chain."""
    body = nfgen(family) + string(NFTA_RULE_TABLE, table) + string(NFTA_RULE_CHAIN, name)
    return message(DEL_RULE, NLM_F_REQUEST, 0, body)


def delete_chain(family: int, table: str, name: str) -> bytes:
    """Return DELCHAIN. The kernel refuses while a rule or an element leads there."""
    body = nfgen(family) + string(NFTA_CHAIN_TABLE, table) + string(NFTA_CHAIN_NAME, name)
    return message(DEL_CHAIN, NLM_F_REQUEST, 0, body)


def new_rule(family: int, table: str, chain: str, expressions: list[bytes], comment: str = "") -> bytes:
    """Return NEWRULE, at the end of a chain. `comment`: for who lists the rules."""
    body = nfgen(family) + string(NFTA_RULE_TABLE, table) + string(NFTA_RULE_CHAIN, chain)
    body += attribute(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, b"".join(expressions))
    if comment:
        text = comment.encode()[:MAX_COMMENT].decode("utf-8", "ignore").encode() + b"\0"
        body += attribute(NFTA_RULE_USERDATA, bytes((_COMMENT, len(text))) + text)
    return message(NEW_RULE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND, 0, body)


def expression(name: str, data: bytes) -> bytes:
    """Return an expression of a rule: its name and its attributes."""
    body = string(NFTA_EXPR_NAME, name) + attribute(NFTA_EXPR_DATA | NLA_F_NESTED, data)
    return attribute(NFTA_LIST_ELEM | NLA_F_NESTED, body)


def counter() -> bytes:
    """Return `counter packets 0 bytes 0`."""
    zero = struct.pack(">Q", 0)
    return expression("counter", attribute(NFTA_COUNTER_BYTES, zero) + attribute(NFTA_COUNTER_PACKETS, zero))


def verdict_data(code: int, chain: str = "") -> bytes:
    """Return the attribute NFTA_DATA_VERDICT: an immediate's value, or an element's."""
    inner = attribute(NFTA_VERDICT_CODE, struct.pack(">i", code))
    return attribute(NFTA_DATA_VERDICT | NLA_F_NESTED, inner + (string(NFTA_VERDICT_CHAIN, chain) if chain else b""))


def verdict(code: int, chain: str = "") -> bytes:
    """Return the expression for a verdict: NF_DROP, NF_ACCEPT, NFT_RETURN, or NFT_JUMP and NFT_GOTO to a chain."""
    register = attribute(NFTA_IMMEDIATE_DREG, struct.pack(">I", NFT_REG_VERDICT))
    return expression("immediate", register + attribute(NFTA_IMMEDIATE_DATA | NLA_F_NESTED, verdict_data(code, chain)))


def read_counter(payload: bytes) -> tuple[str, int, int] | None:
    """Return the chain of a rule, and the packets and bytes of its first expression; None where that is no counter.

    In: an answer to `nftables_sets.ask_rules`.
    """
    if b"counter\0" not in payload:
        return None
    found = dict(attributes(payload[4:]))
    listed = attributes(found.get(NFTA_RULE_EXPRESSIONS, b""))
    first = dict(attributes(listed[0][1])) if listed else {}
    if first.get(NFTA_EXPR_NAME) != b"counter\0":
        return None
    counts = dict(attributes(first.get(NFTA_EXPR_DATA, b"")))
    packets, size = [int.from_bytes(counts.get(kind, b""), "big") for kind in (NFTA_COUNTER_PACKETS, NFTA_COUNTER_BYTES)]
    return str(found.get(NFTA_RULE_CHAIN, b"").rstrip(b"\0"), "utf-8", "replace"), packets, size
