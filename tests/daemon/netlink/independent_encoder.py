"""The project's netlink messages, made by pyroute2: somebody else's encoder, with the same arguments.

In: names and values as an administrator knows them. Out: complete messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from pyroute2.netlink import NLA_F_NESTED, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, nla
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_CTNETLINK, NFNL_SUBSYS_IPSET, NFNL_SUBSYS_NFTABLES, nfgen_msg
from pyroute2.netlink.nfnetlink import ipset as ip_set
from pyroute2.netlink.nfnetlink import nfctsocket as ct
from pyroute2.netlink.nfnetlink import nftsocket as nft

Attributes = Sequence[tuple[Any, ...]]


class Elements(nla):
    """The list of elements, each NFTA_LIST_ELEM as with nft; pyroute2 numbers them."""

    nla_flags = NLA_F_NESTED
    nla_map = (("NFTA_LIST_UNSPEC", "none"), ("NFTA_LIST_ELEM", "set_elem"))
    set_elem = nft.nft_set_elem_list_msg.set_elem


class ElementsMessage(nfgen_msg):  # type: ignore[misc]  # pyroute2 has no types
    """NEWSETELEM or DELSETELEM."""

    prefix = "NFTA_SET_ELEM_LIST_"
    nla_map = tuple((name, "elements" if form == "*set_elem" else form) for name, form in nft.nft_set_elem_list_msg.nla_map)
    elements = Elements


# The kernel takes nested attributes with and without their flag; nft sets it everywhere, pyroute2 not on inner ones.
for _nested in (
    nft.nft_set_elem_list_msg.set_elem,
    nft.nft_set_elem_list_msg.set_elem.data_attributes,
    nft.nft_set_elem_list_msg.set_elem.data_attributes.verdict_attributes,
    ct.nfct_msg.cta_tuple,
    ct.nfct_msg.cta_tuple.cta_ip,
    ct.nfct_msg.cta_tuple.cta_proto,
):
    _nested.nla_flags = NLA_F_NESTED
# 0.7.9 does not know what the number of a line is.
ip_set.ipset_msg.nla_map = tuple((row[0], "be32") if row[0] == "IPSET_ATTR_LINENO" else row for row in ip_set.ipset_msg.nla_map)
# The same with the flag for network order on a number of one byte, which the ipset tool leaves out.
_ENTRY = ip_set.ipset_msg.ipset_generic.adt_data
_ENTRY.nla_map = tuple(row[:3] if row[1] == "IPSET_ATTR_PROTO" else row for row in _ENTRY.nla_map)


def message(
    kind: type[Any], subsystem: int, command: int, flags: int, sequence: int, family: int, attributes: Attributes
) -> bytes:
    """One netfilter netlink message."""
    encoded = kind()
    encoded["header"]["type"] = subsystem << 8 | command
    encoded["header"]["flags"] = flags
    encoded["header"]["sequence_number"] = sequence
    encoded["nfgen_family"] = family
    encoded["attrs"] = list(attributes)
    encoded.encode()
    return bytes(encoded.data)


# -- nftables ------------------------------------------------------------------------------------------------------------


def _nft(kind: type[Any], command: int, family: int, attributes: Attributes, flags: int = 0, sequence: int = 0) -> bytes:
    return message(kind, NFNL_SUBSYS_NFTABLES, command, NLM_F_REQUEST | flags, sequence, family, attributes)


def batch(command: int, sequence: int) -> bytes:
    """BATCH_BEGIN or BATCH_END."""
    encoded = nfgen_msg()
    encoded["header"]["type"] = command
    encoded["header"]["flags"] = NLM_F_REQUEST
    encoded["header"]["sequence_number"] = sequence
    encoded["res_id"] = NFNL_SUBSYS_NFTABLES
    encoded.encode()
    return bytes(encoded.data)


def new_table(family: int, table: str) -> bytes:
    return _nft(nft.nft_table_msg, nft.NFT_MSG_NEWTABLE, family, [("NFTA_TABLE_NAME", table)], NLM_F_CREATE)


def new_set(
    family: int,
    table: str,
    name: str,
    key_type: int,
    length: int,
    ttl: int,
    size: int,
    flags: set[str],
    notes: list[tuple[str, bytes]],
) -> bytes:
    """NEWSET; `ttl` in seconds."""
    attributes: list[tuple[Any, ...]] = [
        ("NFTA_SET_TABLE", table),
        ("NFTA_SET_NAME", name),
        ("NFTA_SET_FLAGS", flags),
        ("NFTA_SET_KEY_TYPE", key_type),
        ("NFTA_SET_KEY_LEN", length),
        ("NFTA_SET_ID", 1),
    ]
    if size:
        attributes.append(("NFTA_SET_DESC", {"attrs": [("NFTA_SET_DESC_SIZE", size)]}, NLA_F_NESTED))
    if ttl:
        attributes.append(("NFTA_SET_TIMEOUT", ttl * 1000))
    attributes.append(("NFTA_SET_USERDATA", notes))
    return _nft(nft.nft_set_msg, nft.NFT_MSG_NEWSET, family, attributes, NLM_F_CREATE)


def nft_flush(family: int, table: str, name: str) -> bytes:
    names = [("NFTA_SET_ELEM_LIST_TABLE", table), ("NFTA_SET_ELEM_LIST_SET", name)]
    return _nft(nft.nft_set_elem_list_msg, nft.NFT_MSG_DELSETELEM, family, names)


def nft_destroy(family: int, table: str, name: str) -> bytes:
    return _nft(nft.nft_set_msg, nft.NFT_MSG_DELSET, family, [("NFTA_SET_TABLE", table), ("NFTA_SET_NAME", name)])


def ask_set(sequence: int, family: int, table: str, name: str) -> bytes:
    names = [("NFTA_SET_TABLE", table), ("NFTA_SET_NAME", name)]
    return _nft(nft.nft_set_msg, nft.NFT_MSG_GETSET, family, names, NLM_F_ACK, sequence)


def ask_rules(sequence: int, family: int, table: str) -> bytes:
    return _nft(nft.nft_rule_msg, nft.NFT_MSG_GETRULE, family, [("NFTA_RULE_TABLE", table)], NLM_F_DUMP, sequence)


def nft_elements(
    new: bool,
    sequence: int,
    family: int,
    table: str,
    name: str,
    elements: list[tuple[bytes, int | None, int | None]],
    data: Sequence[Any] = (),
) -> bytes:
    """NEWSETELEM or DELSETELEM; an element is its key, and its timeout and what is left of it in milliseconds, or None. `data`:
    what each leads to, in a map: bytes, or a verdict's code and chain."""
    listed = []
    for index, (key, timeout, left) in enumerate(elements):
        attributes: list[tuple[Any, ...]] = [("NFTA_SET_ELEM_KEY", {"attrs": [("NFTA_DATA_VALUE", key)]})]
        if data and isinstance(data[index], bytes):
            attributes.append(("NFTA_SET_ELEM_DATA", {"attrs": [("NFTA_DATA_VALUE", data[index])]}))
        elif data:
            verdict = {"attrs": [("NFTA_VERDICT_CODE", data[index][0]), ("NFTA_VERDICT_CHAIN", data[index][1])]}
            attributes.append(("NFTA_SET_ELEM_DATA", {"attrs": [("NFTA_DATA_VERDICT", verdict)]}))
        attributes += [("NFTA_SET_ELEM_TIMEOUT", timeout)] if timeout is not None else []
        attributes += [("NFTA_SET_ELEM_EXPIRATION", left)] if left is not None else []
        listed.append(("NFTA_LIST_ELEM", {"attrs": attributes}))
    attributes = [("NFTA_SET_ELEM_LIST_TABLE", table), ("NFTA_SET_ELEM_LIST_SET", name)]
    attributes.append(("NFTA_SET_ELEM_LIST_ELEMENTS", {"attrs": listed}))
    command, flags = (nft.NFT_MSG_NEWSETELEM, NLM_F_CREATE) if new else (nft.NFT_MSG_DELSETELEM, 0)
    return _nft(ElementsMessage, command, family, attributes, flags, sequence)


# -- ipset ---------------------------------------------------------------------------------------------------------------


def _ipset(command: int, protocol: int, attributes: Attributes, flags: int = 0, sequence: int = 0, family: int = 2) -> bytes:
    every = [("IPSET_ATTR_PROTOCOL", protocol), *attributes]
    return message(ip_set.ipset_msg, NFNL_SUBSYS_IPSET, command, NLM_F_REQUEST | flags, sequence, family, every)


def address(given: bytes) -> dict[str, Any]:
    """An address as an attribute of ipset."""
    if len(given) == 4:
        return {"attrs": [("IPSET_ATTR_IPADDR_IPV4", str(IPv4Address(given)))]}
    return {"attrs": [("IPSET_ATTR_IPADDR_IPV6", str(IPv6Address(given)))]}


def ipset_create(
    name: str,
    set_type: str,
    family: int,
    protocol: int,
    revision: int,
    ttl: int | None,
    size: int,
    span: tuple[int, int] | None,
) -> bytes:
    """CREATE with skbinfo; `family`: AF_*."""
    data: list[tuple[Any, ...]] = []
    if set_type == "bitmap:ip" and span:
        ends = [address(end.to_bytes(4, "big")) for end in span]
        data += [("IPSET_ATTR_IP_FROM", ends[0]), ("IPSET_ATTR_IP_TO", ends[1])]
    elif span:
        data += [("IPSET_ATTR_PORT_FROM", span[0]), ("IPSET_ATTR_PORT_TO", span[1])]
    data += [("IPSET_ATTR_TIMEOUT", ttl)] if ttl is not None else []
    data.append(("IPSET_ATTR_CADT_FLAGS", ip_set.IPSET_FLAG_WITH_SKBINFO))
    if set_type.startswith("hash:"):
        data += [("IPSET_ATTR_HASHSIZE", 1024), ("IPSET_ATTR_MAXELEM", size)]
    attributes = [
        ("IPSET_ATTR_SETNAME", name),
        ("IPSET_ATTR_TYPENAME", set_type),
        ("IPSET_ATTR_REVISION", revision),
        ("IPSET_ATTR_FAMILY", family),
        ("IPSET_ATTR_DATA", {"attrs": data}),
    ]
    return _ipset(ip_set.IPSET_CMD_CREATE, protocol, attributes, NLM_F_CREATE)


def ipset_flush(name: str, protocol: int) -> bytes:
    return _ipset(ip_set.IPSET_CMD_FLUSH, protocol, [("IPSET_ATTR_SETNAME", name)])


def ipset_destroy(name: str, protocol: int) -> bytes:
    return _ipset(ip_set.IPSET_CMD_DESTROY, protocol, [("IPSET_ATTR_SETNAME", name)])


def ask_protocol(sequence: int) -> bytes:
    return _ipset(ip_set.IPSET_CMD_PROTOCOL, 7, [], NLM_F_ACK, sequence)


def ask_type(sequence: int, set_type: str, family: int, protocol: int) -> bytes:
    attributes = [("IPSET_ATTR_TYPENAME", set_type), ("IPSET_ATTR_FAMILY", family)]
    return _ipset(ip_set.IPSET_CMD_TYPE, protocol, attributes, NLM_F_ACK, sequence)


def ask_header(name: str, protocol: int, sequence: int) -> bytes:
    attributes: list[tuple[Any, ...]] = [("IPSET_ATTR_SETNAME", name)]
    # ipset sets the flag for network order (NLA_F_NET_BYTEORDER, 0x4000); pyroute2 leaves it off here.
    attributes.append(("IPSET_ATTR_FLAGS", ip_set.IPSET_FLAG_LIST_HEADER, 0x4000))
    return _ipset(ip_set.IPSET_CMD_LIST, protocol, attributes, NLM_F_ACK | NLM_F_DUMP, sequence)


def ipset_elements(
    add: bool,
    sequence: int,
    name: str,
    family: int,
    protocol: int,
    elements: list[list[tuple[str, Any]]],
    timeouts: list[int | None],
    skb: dict[str, int],
) -> bytes:
    """ADD or DEL; an element is its attributes (without IPSET_ATTR_), `family` its AF_*."""
    tail: list[tuple[str, Any]] = []
    if "mark" in skb:
        tail.append(("IPSET_ATTR_SKBMARK", (skb["mark"], skb.get("mask", 0xFFFFFFFF))))
    if "prio" in skb:
        tail.append(("IPSET_ATTR_SKBPRIO", divmod(skb["prio"], 1 << 16)))
    if "queue" in skb:
        tail.append(("IPSET_ATTR_SKBQUEUE", skb["queue"]))
    listed = []
    for index, (element, timeout) in enumerate(zip(elements, timeouts, strict=True)):
        attributes = [(f"IPSET_ATTR_{kind}", value) for kind, value in element]
        attributes += [("IPSET_ATTR_TIMEOUT", timeout)] if timeout is not None else []
        # The kernel echoes the number as it is; pyroute2 would swap its bytes.
        line = ("IPSET_ATTR_CADT_LINENO", int.from_bytes(index.to_bytes(4, "little"), "big"))
        listed.append(("IPSET_ATTR_DATA", {"attrs": [*attributes, *tail, line]}))
    attributes = [("IPSET_ATTR_SETNAME", name), ("IPSET_ATTR_LINENO", 0), ("IPSET_ATTR_ADT", {"attrs": listed})]
    command = ip_set.IPSET_CMD_ADD if add else ip_set.IPSET_CMD_DEL
    return _ipset(command, protocol, attributes, NLM_F_ACK, sequence, family)


# -- conntrack -----------------------------------------------------------------------------------------------------------


def conntrack(
    command: int, sequence: int, source: bytes, target: bytes, protocol: int, ports: tuple[int, int], tail: Attributes
) -> bytes:
    """A message about a connection."""
    version = "V4" if len(source) == 4 else "V6"
    ip = [(f"CTA_IP_{version}_SRC", str(ip_address(source))), (f"CTA_IP_{version}_DST", str(ip_address(target)))]
    proto = [("CTA_PROTO_NUM", protocol), ("CTA_PROTO_SRC_PORT", ports[0]), ("CTA_PROTO_DST_PORT", ports[1])]
    both = {"attrs": [("CTA_TUPLE_IP", {"attrs": ip}), ("CTA_TUPLE_PROTO", {"attrs": proto})]}
    family = 2 if version == "V4" else 10
    attributes = [("CTA_TUPLE_ORIG", both), *tail]
    return message(ct.nfct_msg, NFNL_SUBSYS_CTNETLINK, command, NLM_F_REQUEST, sequence, family, attributes)


def conntrack_dump(sequence: int, family: int, protocol: int | None) -> bytes:
    """The question for all entries, or those of a protocol."""
    attributes: list[tuple[Any, ...]] = []
    if protocol is not None:
        number = {"attrs": [("CTA_TUPLE_PROTO", {"attrs": [("CTA_PROTO_NUM", protocol)]})]}
        flags = {"attrs": [("CTA_FILTER_ORIG_FLAGS", 1 << 3), ("CTA_FILTER_REPLY_FLAGS", 0)]}
        attributes = [("CTA_TUPLE_ORIG", number), ("CTA_FILTER", flags)]
    flags_ = NLM_F_REQUEST | NLM_F_DUMP
    return message(ct.nfct_msg, NFNL_SUBSYS_CTNETLINK, ct.IPCTNL_MSG_CT_GET, flags_, sequence, family, attributes)


# -- rtnetlink -----------------------------------------------------------------------------------------------------------


def routing(kind: type[Any], command: int, flags: int, sequence: int, fields: dict[str, int], attributes: Attributes) -> bytes:
    """A message of rtnetlink; `fields`: of the header that comes before the attributes."""
    encoded = kind()
    encoded["header"]["type"] = command
    encoded["header"]["flags"] = flags
    encoded["header"]["sequence_number"] = sequence
    for name, value in fields.items():
        encoded[name] = value
    encoded["attrs"] = list(attributes)
    encoded.encode()
    return bytes(encoded.data)
