"""Whole ipsets: messages that make, empty and delete one, and questions about sets, types and the protocol.

Source: linux/netfilter/ipset/ip_set.h, lib/PROTOCOL of ipset. In: names and numbers. Out: messages; and from the kernel's
answers plain data. Messages that change something have the sequence number 0 and no ACK, and no EXCL either, so that making
or deleting what is there, or is not, is no error. The compiler uses this; the daemon sends what the compiler made.
"""

import struct

from .ipset import (
    IPSET_ATTR_DATA,
    IPSET_ATTR_IPADDR_IPV4,
    IPSET_ATTR_PORT,
    IPSET_ATTR_PROTOCOL,
    IPSET_ATTR_SETNAME,
    IPSET_ATTR_TIMEOUT,
)
from .monitor import ask_size
from .wire import (
    NLA_F_NESTED,
    NLA_F_NET_BYTEORDER,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_REQUEST,
    attribute,
    attributes,
    message,
    nfgen,
    string,
)

PROTOCOL = 0x601
"""IPSET_CMD_PROTOCOL, with its subsystem."""
CREATE = 0x602
"""IPSET_CMD_CREATE"""
DESTROY = 0x603
"""IPSET_CMD_DESTROY"""
FLUSH = 0x604
"""IPSET_CMD_FLUSH"""
TYPE = 0x60D
"""IPSET_CMD_TYPE"""

IPSET_ATTR_TYPENAME = 3
IPSET_ATTR_REVISION = 4
IPSET_ATTR_FAMILY = 5
IPSET_ATTR_REVISION_MIN = 10
IPSET_ATTR_IP_FROM = 1
IPSET_ATTR_IP_TO = 2
IPSET_ATTR_PORT_FROM = IPSET_ATTR_PORT
IPSET_ATTR_PORT_TO = 5
IPSET_ATTR_CADT_FLAGS = 8
IPSET_ATTR_HASHSIZE = 18
IPSET_ATTR_MAXELEM = 19

IPSET_PROTOCOL = 7
"""Linux 4.20; older kernels speak 6, which differs in nothing that is used here."""
IPSET_FLAG_WITH_SKBINFO = 1 << 6
AF_INET = 2
HASHSIZE = 1024

ask_header = ask_size
"""The request for what a set is, without its elements."""


def create(
    name: str,
    set_type: str,
    family: int,
    protocol: int,
    revision: int,
    timeout: int,
    size: int,
    span: tuple[int, int] | None,
    flags: int,
) -> bytes:
    """Return CREATE.

    `family`: AF_*; `timeout` in seconds, -1 for a set without timeouts; `span`: first and last address or port of a
    bitmap; `flags`: IPSET_FLAG_WITH_*.
    """
    data = b""
    if set_type == "bitmap:ip" and span:
        for kind, address in zip((IPSET_ATTR_IP_FROM, IPSET_ATTR_IP_TO), span):
            data += attribute(kind | NLA_F_NESTED, _number(IPSET_ATTR_IPADDR_IPV4, ">I", address))
    elif set_type == "bitmap:port" and span:
        data += _number(IPSET_ATTR_PORT_FROM, ">H", span[0]) + _number(IPSET_ATTR_PORT_TO, ">H", span[1])
    if timeout >= 0:
        data += _number(IPSET_ATTR_TIMEOUT, ">I", timeout)
    data += _number(IPSET_ATTR_CADT_FLAGS, ">I", flags)
    if set_type.startswith("hash:"):
        data += _number(IPSET_ATTR_HASHSIZE, ">I", HASHSIZE) + _number(IPSET_ATTR_MAXELEM, ">I", size)
    body = string(IPSET_ATTR_SETNAME, name) + string(IPSET_ATTR_TYPENAME, set_type)
    body += attribute(IPSET_ATTR_REVISION, bytes((revision,))) + attribute(IPSET_ATTR_FAMILY, bytes((family,)))
    body += attribute(IPSET_ATTR_DATA | NLA_F_NESTED, data)
    return _message(CREATE, NLM_F_REQUEST | NLM_F_CREATE, 0, protocol, body)


def flush(name: str, protocol: int) -> bytes:
    """Return FLUSH, which empties the set."""
    return _message(FLUSH, NLM_F_REQUEST, 0, protocol, string(IPSET_ATTR_SETNAME, name))


def destroy(name: str, protocol: int) -> bytes:
    """Return DESTROY; a set that is not there is no error."""
    return _message(DESTROY, NLM_F_REQUEST, 0, protocol, string(IPSET_ATTR_SETNAME, name))


def _message(command: int, flags: int, sequence: int, protocol: int, body: bytes) -> bytes:
    return message(command, flags, sequence, nfgen(AF_INET) + attribute(IPSET_ATTR_PROTOCOL, bytes((protocol,))) + body)


def _number(kind: int, form: str, value: int) -> bytes:
    return attribute(kind | NLA_F_NET_BYTEORDER, struct.pack(form, value))


# -- questions -----------------------------------------------------------------------------------------------------------


def ask_protocol(sequence: int) -> bytes:
    """Return the question for the newest protocol that the kernel speaks."""
    return _message(PROTOCOL, NLM_F_REQUEST | NLM_F_ACK, sequence, IPSET_PROTOCOL, b"")


def read_protocol(payload: bytes) -> int:
    """Return the newest protocol that the kernel and this package speak, by an answer to `ask_protocol`."""
    told = dict(attributes(payload[4:])).get(IPSET_ATTR_PROTOCOL, b"")
    return min(IPSET_PROTOCOL, told[0]) if told else IPSET_PROTOCOL


def ask_type(sequence: int, set_type: str, family: int, protocol: int) -> bytes:
    """Return the question for the revisions of a type; IPSET_ERR_FIND_TYPE is the answer when the kernel lacks it."""
    body = string(IPSET_ATTR_TYPENAME, set_type) + attribute(IPSET_ATTR_FAMILY, bytes((family,)))
    return _message(TYPE, NLM_F_REQUEST | NLM_F_ACK, sequence, protocol, body)


def read_type(payload: bytes) -> tuple[int, int]:
    """Return the oldest and the newest revision, by an answer to `ask_type`."""
    found = dict(attributes(payload[4:]))
    newest = int.from_bytes(found.get(IPSET_ATTR_REVISION, b""), "big")
    return int.from_bytes(found.get(IPSET_ATTR_REVISION_MIN, bytes((newest,))), "big"), newest


def read_header(payload: bytes) -> tuple[str, int, dict[int, int]]:
    """Return the type, AF_* family and the numbers of the set's attributes, by kind, by an answer to `ask_header`."""
    found = dict(attributes(payload[4:]))
    numbers: dict[int, int] = {}
    for kind, value in attributes(found.get(IPSET_ATTR_DATA, b"")):
        if kind in (IPSET_ATTR_IP_FROM, IPSET_ATTR_IP_TO):
            value = dict(attributes(value)).get(IPSET_ATTR_IPADDR_IPV4, b"")
        numbers[kind] = int.from_bytes(value, "big")
    set_type = str(found.get(IPSET_ATTR_TYPENAME, b"").rstrip(b"\0"), "utf-8", "replace")
    return set_type, int.from_bytes(found.get(IPSET_ATTR_FAMILY, b""), "big"), numbers
