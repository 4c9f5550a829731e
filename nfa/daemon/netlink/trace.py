"""NFA_DEBUG=netlink: each message that is sent or received, decoded, on standard error; as `nft --debug=mnl` has it.

In: datagrams. Out: lines; numbers and names are the kernel headers' (linux/netlink.h, linux/netfilter/*.h), values are texts
with what is not printable escaped, numbers, or hexadecimal. Only CPython loads this, and only when it is asked for.
"""

import os
import sys

from ..base import socket
from ..base.portable import escaped
from .route import NETLINK_ROUTE
from .wire import HEADER, NLA_F_NESTED, NLA_TYPE_MASK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, NLMSG_ERROR

# A group of attributes: the beginning of their names, then name:form for 1, 2, 3 ...; `-` for a number without a name. Forms:
# s text, n number in network order, h number in host order, x bytes, or the group in it; none is x.
_GROUPS = {
    "table": "NFTA_TABLE_ NAME:s FLAGS:n USE:n HANDLE:n PAD USERDATA OWNER:n",
    "rule": "NFTA_RULE_ TABLE:s CHAIN:s HANDLE:n EXPRESSIONS:expressions COMPAT POSITION:n USERDATA PAD ID:n POSITION_ID:n "
    "CHAIN_ID:n",
    "expressions": "NFTA_LIST_ ELEM:expression",
    "expression": "NFTA_EXPR_ NAME:s DATA:x",
    "lookup": "NFTA_LOOKUP_ SET:s SREG:n DREG:n SET_ID:n FLAGS:n",
    "dynset": "NFTA_DYNSET_ SET_NAME:s SET_ID:n OP:n SREG_KEY:n SREG_DATA:n TIMEOUT:n EXPR PAD FLAGS:n EXPRESSIONS",
    "objref": "NFTA_OBJREF_ IMM_TYPE:n IMM_NAME:s SET_SREG:n SET_NAME:s SET_ID:n",
    "set": "NFTA_SET_ TABLE:s NAME:s FLAGS:n KEY_TYPE:n KEY_LEN:n DATA_TYPE:n DATA_LEN:n POLICY:n DESC:description ID:n "
    "TIMEOUT:n GC_INTERVAL:n USERDATA PAD OBJ_TYPE:n HANDLE:n EXPR:expression EXPRESSIONS:expressions",
    "description": "NFTA_SET_DESC_ SIZE:n CONCAT",
    "elements": "NFTA_SET_ELEM_LIST_ TABLE:s SET:s ELEMENTS:list SET_ID:n",
    "list": "NFTA_LIST_ ELEM:element",
    "element": "NFTA_SET_ELEM_ KEY:data DATA:data FLAGS:n TIMEOUT:n EXPIRATION:n USERDATA EXPR:expression PAD OBJREF:s "
    "KEY_END:data EXPRESSIONS:expressions",
    "data": "NFTA_DATA_ VALUE:x VERDICT:verdict",
    "verdict": "NFTA_VERDICT_ CODE:n CHAIN:s CHAIN_ID:n",
    "generation": "NFTA_GEN_ ID:n PROC_PID:n PROC_NAME:s",
    "ipset": "IPSET_ATTR_ PROTOCOL:n SETNAME:s TYPENAME:s REVISION:n FAMILY:n FLAGS:n DATA:create ADT:elements6 LINENO:h "
    "PROTOCOL_MIN:n INDEX:n",
    "change": "IPSET_ATTR_ PROTOCOL:n SETNAME:s TYPENAME:s REVISION:n FAMILY:n FLAGS:n DATA:entry ADT:elements6 LINENO:h "
    "PROTOCOL_MIN:n INDEX:n",
    "elements6": "IPSET_ATTR_ - - - - - - DATA:entry",
    "create": "IPSET_ATTR_ IP_FROM:address IP_TO:address CIDR:n PORT_FROM:n PORT_TO:n TIMEOUT:n PROTO:n CADT_FLAGS:n LINENO:h "
    "MARK:n MARKMASK:n - - - - - INITVAL:n HASHSIZE:n MAXELEM:n NETMASK:n BUCKETSIZE:n RESIZE:n SIZE:n ELEMENTS:n "
    "REFERENCES:n MEMSIZE:n",
    "entry": "IPSET_ATTR_ IP:address IP_TO:address CIDR:n PORT:n PORT_TO:n TIMEOUT:n PROTO:n CADT_FLAGS:n LINENO:h MARK:n "
    "MARKMASK:n - - - - - ETHER:x NAME:s NAMEREF:s IP2:address CIDR2:n IP2_TO:address IFACE:s BYTES:n PACKETS:n COMMENT:s "
    "SKBMARK:x SKBPRIO:n SKBQUEUE:n PAD",
    "address": "IPSET_ATTR_ IPADDR_IPV4:x IPADDR_IPV6:x",
    "conntrack": "CTA_ TUPLE_ORIG:tuple TUPLE_REPLY:tuple STATUS:n PROTOINFO HELP NAT_SRC TIMEOUT:n MARK:n COUNTERS_ORIG "
    "COUNTERS_REPLY USE:n ID:n NAT_DST TUPLE_MASTER:tuple SEQ_ADJ_ORIG SEQ_ADJ_REPLY SECMARK ZONE:n SECCTX TIMESTAMP "
    "MARK_MASK:n LABELS:x LABELS_MASK:x SYNPROXY FILTER:filter STATUS_MASK:n",
    "tuple": "CTA_TUPLE_ IP:addresses PROTO:protocol ZONE:n",
    "addresses": "CTA_IP_ V4_SRC:x V4_DST:x V6_SRC:x V6_DST:x",
    "protocol": "CTA_PROTO_ NUM:n SRC_PORT:n DST_PORT:n ICMP_ID:n ICMP_TYPE:n ICMP_CODE:n ICMPV6_ID:n ICMPV6_TYPE:n "
    "ICMPV6_CODE:n",
    "filter": "CTA_FILTER_ ORIG_FLAGS:h REPLY_FLAGS:h",
    "link": "IFLA_ ADDRESS:x BROADCAST:x IFNAME:s MTU:h LINK:h QDISC:s STATS COST PRIORITY MASTER:h",
    "ifaddr": "IFA_ ADDRESS:x LOCAL:x LABEL:s BROADCAST:x ANYCAST:x CACHEINFO MULTICAST:x FLAGS:h",
    "route": "RTA_ DST:x SRC:x IIF:h OIF:h GATEWAY:x PRIORITY:h PREFSRC:x METRICS:x MULTIPATH:x",
    "neighbour": "NDA_ DST:x LLADDR:x CACHEINFO PROBES:h VLAN:h PORT:n VNI:h IFINDEX:h MASTER:h",
    "acknowledgement": "NLMSGERR_ATTR_ MSG:s OFFS:h COOKIE POLICY MISS_TYPE:h MISS_NEST:h",
}

# A subsystem: the beginning of its messages' names, then name:group for 0, 1, 2 ...
_MESSAGES = {
    1: "IPCTNL_MSG_CT_ NEW:conntrack GET:conntrack DELETE:conntrack",
    6: "IPSET_CMD_ NONE:ipset PROTOCOL:ipset CREATE:ipset DESTROY:ipset FLUSH:ipset RENAME:ipset SWAP:ipset LIST:ipset "
    "SAVE:ipset ADD:change DEL:change TEST:change HEADER:ipset TYPE:ipset",
    10: "NFT_MSG_ NEWTABLE:table GETTABLE:table DELTABLE:table NEWCHAIN: GETCHAIN: DELCHAIN: NEWRULE:rule GETRULE:rule "
    "DELRULE:rule NEWSET:set GETSET:set DELSET:set NEWSETELEM:elements GETSETELEM:elements DELSETELEM:elements "
    "NEWGEN:generation GETGEN:generation",
}
_ROUTE = (
    "RTM_ NEWLINK:link DELLINK:link GETLINK:link SETLINK:link NEWADDR:ifaddr DELADDR:ifaddr GETADDR:ifaddr -: NEWROUTE:route "
    "DELROUTE:route GETROUTE:route -: NEWNEIGH:neighbour DELNEIGH:neighbour GETNEIGH:neighbour"
)
"""The messages of rtnetlink, from 16 on."""
_HEADERS = {"link": 16, "ifaddr": 8, "route": 12, "neighbour": 12}
"""Bytes before the attributes of such a message."""
_CONTROL = {1: "NLMSG_NOOP", NLMSG_ERROR: "NLMSG_ERROR", NLMSG_DONE: "NLMSG_DONE", 4: "NLMSG_OVERRUN"}
_BATCH = {16: "NFNL_MSG_BATCH_BEGIN", 17: "NFNL_MSG_BATCH_END"}
_FLAGS = ((0x1, "REQUEST"), (0x2, "MULTI"), (0x4, "ACK"), (0x8, "ECHO"), (0x10, "DUMP_INTR"), (0x20, "DUMP_FILTERED"))
_HIGH = {  # what the other flags mean depends on the command
    "error": ((0x100, "CAPPED"), (0x200, "ACK_TLVS")),
    "get": ((0x300, "DUMP"), (0x100, "ROOT"), (0x200, "MATCH"), (0x400, "ATOMIC")),
    "new": ((0x100, "REPLACE"), (0x200, "EXCL"), (0x400, "CREATE"), (0x800, "APPEND")),
}
_READING = ("GET", "LIST", "SAVE", "HEADER", "TYPE", "PROTOCOL")


def _table(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the beginning of the names in a row of the tables above, and the (name, form) of each."""
    prefix, *names = text.split()
    return prefix, [(name.partition(":")[0], name.partition(":")[2] or "x") for name in names]


class Decoder:
    """Makes lines of datagrams."""

    def __init__(self, route: bool = False) -> None:
        """`route`: of rtnetlink, not of netfilter."""
        self._route = _table(_ROUTE)[1] if route else []
        self._groups = {name: _table(text) for name, text in _GROUPS.items()}
        self._messages = {number: _table(text) for number, text in _MESSAGES.items()}

    def lines(self, data: bytes) -> list[str]:
        """Return what is in a datagram; what does not fit into the format comes in hexadecimal."""
        found: list[str] = []
        position = 0
        while position < len(data):
            length = HEADER.unpack_from(data, position)[0] if position + 16 <= len(data) else 0
            if length < 16 or position + length > len(data):
                found.append("no message: " + data[position:].hex())
                break
            found += self._message(data[position : position + length])
            position += (length + 3) & ~3
        return found

    def _message(self, data: bytes) -> list[str]:
        length, kind, flags, sequence, port = HEADER.unpack_from(data)
        if self._route and 0 <= kind - 16 < len(self._route):
            name, group = self._route[kind - 16]
            size = 16 + _HEADERS.get(group, 0)
            head = f"RTM_{name} length {length} flags {_flags(flags, 'get' if 'GET' in name else 'new')} sequence {sequence}"
            return [f"{head} port {port} header 0x{data[16:size].hex()}", *self._attributes(data[size:], group, 1)]
        prefix, names = self._messages.get(kind >> 8, ("", []))
        name, group = names[kind & 0xFF] if kind & 0xFF < len(names) else (f"{kind:#06x}", "")
        name = _CONTROL.get(kind) or _BATCH.get(kind) or (prefix if kind & 0xFF < len(names) else "") + name
        known = "error" if kind == NLMSG_ERROR else "get" if any(word in name for word in _READING) else "new"
        head = f"{name} length {length} flags {_flags(flags, known)} sequence {sequence} port {port}"
        if kind in _CONTROL:
            return [head, *self._control(data, kind, flags)]
        if length < 20:
            return [head, *([f"  {data[16:].hex()}"] if length > 16 else [])]
        head += f" family {data[16]} version {data[17]} resource {int.from_bytes(data[18:20], 'big')}"
        return [head, *self._attributes(data[20:], group, 1)]

    def _control(self, data: bytes, kind: int, flags: int) -> list[str]:
        if kind not in (NLMSG_ERROR, NLMSG_DONE) or len(data) < 20:
            return [f"  {data[16:].hex()}"] if len(data) > 16 else []
        error = -int.from_bytes(data[16:20], sys.byteorder, signed=True)
        found = [f"  error {error} ({os.strerror(error)})" if 0 < error < 4096 else f"  error {error}"]
        if kind == NLMSG_DONE or len(data) < 36:
            return found
        whole, about, _, sequence, _ = HEADER.unpack_from(data, 20)
        found.append(f"  of message {about:#06x} sequence {sequence}")
        if flags & NLM_F_ACK_TLVS:
            size = 16 if flags & NLM_F_CAPPED or not error else whole
            found += self._attributes(data[20 + ((size + 3) & ~3) :], "acknowledgement", 1)
        return found

    def _attributes(self, data: bytes, group: str, depth: int) -> list[str]:
        """Return the lines of attributes; those of an unknown group go by their numbers."""
        prefix, names = self._groups.get(group, ("", []))
        indent = "  " * depth
        found: list[str] = []
        expression = ""
        position = 0
        while position < len(data):
            length = int.from_bytes(data[position : position + 2], sys.byteorder)
            if position + 4 > len(data) or length < 4 or position + length > len(data):
                found.append(f"{indent}no attribute: {data[position:].hex()}")
                break
            raw = int.from_bytes(data[position + 2 : position + 4], sys.byteorder)
            kind, value = raw & NLA_TYPE_MASK, data[position + 4 : position + length]
            name, form = names[kind - 1] if 0 < kind <= len(names) else ("-", "x")
            label = f"attribute {kind}" if name == "-" else prefix + name
            if group == "expression" and kind == 1:
                expression = str(value.rstrip(b"\0"), "utf-8", "replace")
            elif group == "expression" and kind == 2 and expression in ("lookup", "dynset", "objref"):
                form = expression
            if form in self._groups or (form == "x" and raw & NLA_F_NESTED):
                found += [f"{indent}{label}", *self._attributes(value, form, depth + 1)]
            else:
                found.append(f"{indent}{label} {_value(value, form)}")
            position += (length + 3) & ~3
        return found


def _value(value: bytes, form: str) -> str:
    """Return a value as it is shown."""
    if form == "s":
        return '"' + escaped(str(value.rstrip(b"\0"), "utf-8", "replace")).replace('"', '\\"') + '"'
    if form in "nh" and len(value) in (1, 2, 4, 8):
        return str(int.from_bytes(value, "big" if form == "n" else sys.byteorder))
    return "0x" + value.hex() if value else "(empty)"


def _flags(flags: int, known: str) -> str:
    """Return flags by their names."""
    found = []
    for bits, name in (*_FLAGS, *_HIGH[known]):
        if flags & bits == bits:
            found.append(name)
            flags &= ~bits
    return ",".join([*found, *([hex(flags)] if flags else [])]) or "0"


class Traced(socket.socket):
    """A netlink socket that prints what goes over it. Whoever reads the lines slowly slows the process down."""

    _decoder: Decoder | None = None

    def send(self, data: bytes, flags: int = 0, /) -> int:  # type: ignore[override]  # a buffer is never given here
        """Print, then send."""
        self._print(">", data)
        return super().send(data, flags)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive, then print."""
        data = super().recv(size, flags)
        self._print("<", data)
        return data

    def _print(self, direction: str, data: bytes) -> None:
        if self._decoder is None:
            self._decoder = Decoder(self.proto == NETLINK_ROUTE)
        lines = [f"nfa: netlink {self.fileno()} {direction} {line}\n" for line in self._decoder.lines(data)]
        text = "".join(lines).encode("utf-8", "backslashreplace")
        while text:
            text = text[os.write(2, text) :]
