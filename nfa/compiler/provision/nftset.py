"""nftables sets: the key that a list of fields makes, the messages that make a set, and words about sets for the user.

In: field names of a target, an address family, names and sizes. Out: numbers and bytes. The messages are
those of `nft add set` (nft 1.0.6, `--debug=mnl`), for use between BATCH_BEGIN and BATCH_END. Pure: nothing
here asks the kernel.
"""

from __future__ import annotations

import shlex
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from nfa.compiler.base.report import quote
from nfa.daemon.netlink.nftables_sets import (
    NFT_SET_TIMEOUT,
    NFTNL_UDATA_SET_DATA_INTERVAL,
    NFTNL_UDATA_SET_DATABYTEORDER,
    NFTNL_UDATA_SET_KEY_TYPEOF,
    NFTNL_UDATA_SET_KEYBYTEORDER,
    new_set,
    new_table,
    note,
)

# linux/netfilter.h, enum nfproto
TABLE_FAMILIES = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}

# A key type is a 32-bit number with six bits for each datatype. nft takes more fields, but forgets the first.
MAX_FIELDS = 5
TYPE_BITS = 6
SHOWN_RULES = 3  # that one report names


@dataclass(frozen=True)
class Datatype:
    """A datatype of nft (include/datatype.h): a value's bytes, and the byte order nft notes in the set."""

    name: str
    number: int
    length: int
    byte_order: int  # enum byteorder: 0 none, 1 host, 2 big endian


_ETHER = Datatype("ether_addr", 9, 6, 2)
_SERVICE = Datatype("inet_service", 13, 2, 2)
_ADDRESS = {4: Datatype("ipv4_addr", 7, 4, 2), 6: Datatype("ipv6_addr", 8, 16, 2)}
_FIELDS = {
    "local_mac": _ETHER,
    "other_mac": _ETHER,
    "local_port": _SERVICE,
    "other_port": _SERVICE,
    "mark": Datatype("mark", 19, 4, 1),
    "interface": Datatype("ifname", 41, 16, 1),
    "ip_proto": Datatype("inet_proto", 12, 1, 0),
}
MARKS = _FIELDS["mark"].number, _FIELDS["mark"].length
"""What a map of marks leads to: data type, and bytes."""
# Names of what else a set of somebody else may hold, for messages only.
_NAMES = {datatype.number: datatype.name for datatype in (*_FIELDS.values(), *_ADDRESS.values())} | {
    4: "integer", 5: "string", 10: "ether_type", 14: "icmp_type", 20: "iface_index", 26: "ct_state",
    30: "ct_label", 38: "fib_addrtype", 45: "day", 46: "cgroupsv2",
}  # fmt: skip


@dataclass(frozen=True)
class Key:
    """A set's key as NEWSET describes it. `length` counts each field of a concatenation padded to 4 bytes."""

    text: str
    number: int
    length: int
    order: bytes
    concatenation: bytes = b""

    @property
    def userdata(self) -> bytes:
        """nft's notes in a set."""
        return self.order + self.concatenation

    @property
    def verdicts_userdata(self) -> bytes:
        """nft's notes in a map of verdicts."""
        return self._map_userdata(0)

    @property
    def marks_userdata(self) -> bytes:
        """nft's notes in a map of marks."""
        return self._map_userdata(_FIELDS["mark"].byte_order)

    def _map_userdata(self, byte_order: int) -> bytes:
        order = note(NFTNL_UDATA_SET_DATABYTEORDER, struct.pack("=I", byte_order))
        return self.order + order + self.concatenation + note(NFTNL_UDATA_SET_DATA_INTERVAL, bytes(4))


def key_of(fields: Sequence[str], family: int) -> Key:
    """The key of `fields` in this order, addresses being of `family` 4 or 6. ValueError for too many."""
    if len(fields) > MAX_FIELDS:
        raise ValueError(f"a set's key has at most {MAX_FIELDS} fields, not {len(fields)}")
    types = [_ADDRESS[family] if field.endswith("_addr") else _FIELDS[field] for field in fields]
    number = 0
    for datatype in types:
        number = number << TYPE_BITS | datatype.number
    text = " . ".join(datatype.name for datatype in types)
    # nft's own notes in the set, in host order as libnftnl writes them. Without the byte order nft lists a
    # mark with its bytes swapped and an interface as "".
    order = note(NFTNL_UDATA_SET_KEYBYTEORDER, struct.pack("=I", types[0].byte_order if len(types) == 1 else 0))
    if len(types) == 1:
        return Key(text, number, types[0].length, order)
    # "The key is a concatenation": attribute 0 is nft's EXPR_CONCAT, attribute 1 its (empty) description.
    concatenation = note(NFTNL_UDATA_SET_KEY_TYPEOF, struct.pack("=BBIBB", 0, 4, 13, 1, 0))
    return Key(text, number, sum(-(-datatype.length // 4) * 4 for datatype in types), order, concatenation)


def users(table_family: str, table: str, rules: Sequence[tuple[str, int]]) -> tuple[str, str]:
    """What uses a set, in words, and how to take it away; ("", "") for nothing. `rules`: chain and handle of each."""
    if not rules:
        return "", ""
    chains = list(dict.fromkeys(chain for chain, _ in rules))
    words = f"rules in {'chain' if len(chains) == 1 else 'the chains'} {', '.join(map(quote, chains))}"
    commands = [
        shlex.join(["nft", "delete", "rule", table_family, table, chain, "handle", str(handle)])
        for chain, handle in rules[:SHOWN_RULES]
    ]
    more = f" and {len(rules) - SHOWN_RULES} more" if len(rules) > SHOWN_RULES else ""
    return words, f"delete the rules: {'; '.join(commands)}{more}"


def type_text(number: int) -> str:
    """nft's words for the key type `number` of an existing set, such as 'ipv4_addr . inet_service'."""
    names: list[str] = []
    while number:
        datatype = number & (1 << TYPE_BITS) - 1
        names.insert(0, _NAMES.get(datatype, f"datatype {datatype}"))
        number >>= TYPE_BITS
    return " . ".join(names) or "no type"


def create(
    table_family: int,
    table: str,
    name: str,
    key: Key,
    *,
    ttl: int,
    size: int,
    flags: int = 0,
) -> tuple[bytes, bytes]:
    """NEWTABLE and NEWSET.

    `ttl` in seconds, 0 for a set without timeouts; `size` in elements, 0 for no limit; `flags` are those
    (NFT_SET_*) to set besides that for timeouts.
    """
    flags |= NFT_SET_TIMEOUT if ttl else 0
    made = new_set(table_family, table, name, key.number, key.length, flags, ttl * 1000, size, key.userdata)
    return new_table(table_family, table), made


def command(table_family: str, table: str, name: str, key: Key, *, ttl: int) -> str:
    """The shell command that makes such a set, its table included."""
    body = f"{{ type {key.text};{' flags timeout;' if ttl else ''} }}"
    where = f"{table_family} {shlex.quote(table)}"
    return f"nft add table {where}; nft add set {where} {shlex.quote(name)} '{body}'"
