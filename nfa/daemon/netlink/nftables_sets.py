"""nftables' tables and sets: messages that make, empty and delete a set, and questions about sets.

Source: linux/netfilter/nf_tables.h. In: names and numbers. Out: messages; and from the kernel's answers plain data. Messages
that change something have the sequence number 0 and no ACK: who puts them into a transaction gives them both. The compiler
uses this; the daemon sends what the compiler made.
"""

import struct

from .nftables import DEL, in_set
from .wire import (
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_REQUEST,
    attribute,
    attributes,
    message,
    nfgen,
    string,
)

NEW_TABLE = 0xA00
"""NFT_MSG_NEWTABLE, with its subsystem."""
NEW_SET = 0xA09
"""NFT_MSG_NEWSET"""
GET_SET = 0xA0A
"""NFT_MSG_GETSET"""
DEL_SET = 0xA0B
"""NFT_MSG_DELSET"""

NFTA_TABLE_NAME = 1
NFTA_SET_TABLE = 1
NFTA_SET_NAME = 2
NFTA_SET_FLAGS = 3
NFTA_SET_KEY_TYPE = 4
NFTA_SET_KEY_LEN = 5
NFTA_SET_DATA_TYPE = 6
NFTA_SET_DATA_LEN = 7
NFTA_SET_DESC = 9
NFTA_SET_ID = 10
NFTA_SET_TIMEOUT = 11
NFTA_SET_USERDATA = 13
NFTA_SET_EXPR = 17
NFTA_SET_DESC_SIZE = 1

NFT_SET_CONSTANT = 0x2
NFT_SET_INTERVAL = 0x4
NFT_SET_MAP = 0x8
NFT_SET_TIMEOUT = 0x10
NFT_SET_EVAL = 0x20
NFT_SET_OBJECT = 0x40
NFT_SET_CONCAT = 0x80

# libnftnl's and nft's own notes in a set (libnftnl/udata.h): kind and length are a byte each.
NFTNL_UDATA_SET_KEYBYTEORDER = 0
NFTNL_UDATA_SET_DATABYTEORDER = 1
NFTNL_UDATA_SET_KEY_TYPEOF = 3
NFTNL_UDATA_SET_DATA_INTERVAL = 6

NFT_DATA_VERDICT = 0xFFFFFF00, 0
"""What a map leads to, verdicts, and the bytes of that, which the kernel knows."""


def note(kind: int, payload: bytes) -> bytes:
    """Return one note for the user data of a set."""
    return bytes((kind, len(payload))) + payload


def new_table(family: int, table: str) -> bytes:
    """Return NEWTABLE, for a table that may be there.

    Without TABLE_FLAGS, which `nft add table` sends as 0: they would wake a table that is dormant (6.18).
    """
    return message(NEW_TABLE, NLM_F_REQUEST | NLM_F_CREATE, 0, nfgen(family) + string(NFTA_TABLE_NAME, table))


def new_set(
    family: int,
    table: str,
    name: str,
    key_type: int,
    key_length: int,
    flags: int,
    timeout: int,
    size: int,
    userdata: bytes,
    each: bytes = b"",
    data: tuple[int, int] = NFT_DATA_VERDICT,
) -> bytes:
    """Return NEWSET, for a set that may be there with these properties; with NFT_SET_MAP for a map to `data`.

    `timeout`: milliseconds, 0 for none; `size`: elements, 0 without limit; `flags`: NFT_SET_*; `userdata`: `note`s; `each`: the
    name and data of an expression that each element has (Linux 5.7; older kernels do not read it); `data`: data type and bytes.
    """
    body = nfgen(family) + _names(table, name) + _word(NFTA_SET_FLAGS, flags)
    body += _word(NFTA_SET_KEY_TYPE, key_type) + _word(NFTA_SET_KEY_LEN, key_length)
    if flags & NFT_SET_MAP:
        body += _word(NFTA_SET_DATA_TYPE, data[0]) + _word(NFTA_SET_DATA_LEN, data[1])
    body += _word(NFTA_SET_ID, 1)
    if size:
        body += attribute(NFTA_SET_DESC | NLA_F_NESTED, _word(NFTA_SET_DESC_SIZE, size))
    if timeout:
        body += attribute(NFTA_SET_TIMEOUT, struct.pack(">Q", timeout))
    body += attribute(NFTA_SET_USERDATA, userdata)
    if each:
        body += attribute(NFTA_SET_EXPR | NLA_F_NESTED, each)
    return message(NEW_SET, NLM_F_REQUEST | NLM_F_CREATE, 0, body)


def flush(family: int, table: str, name: str) -> bytes:
    """Return DELSETELEM without elements, which empties the set."""
    return message(DEL, NLM_F_REQUEST, 0, nfgen(family) + in_set(table, name))


def destroy(family: int, table: str, name: str) -> bytes:
    """Return DELSET. The table stays: it may hold rules and sets of somebody else."""
    return message(DEL_SET, NLM_F_REQUEST, 0, nfgen(family) + _names(table, name))


def _names(table: str, name: str) -> bytes:
    return string(NFTA_SET_TABLE, table) + string(NFTA_SET_NAME, name)


def _word(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


# -- questions -----------------------------------------------------------------------------------------------------------


def ask_set(sequence: int, family: int, table: str, name: str) -> bytes:
    """Return GETSET for one set. The answer is ENOENT when it, or its table, is not there."""
    return message(GET_SET, NLM_F_REQUEST | NLM_F_ACK, sequence, nfgen(family) + _names(table, name))


def read_set(payload: bytes) -> dict[str, int]:
    """Return what an answer to `ask_set` tells: key_type, key_length, flags, timeout (milliseconds) and size, 0 where it is
    silent."""
    found = dict(attributes(payload[4:]))
    kinds = {
        "key_type": NFTA_SET_KEY_TYPE,
        "key_length": NFTA_SET_KEY_LEN,
        "flags": NFTA_SET_FLAGS,
        "timeout": NFTA_SET_TIMEOUT,
    }
    told = {name: int.from_bytes(found.get(kind, b""), "big") for name, kind in kinds.items()}
    description = dict(attributes(found.get(NFTA_SET_DESC, b"")))
    told["size"] = int.from_bytes(description.get(NFTA_SET_DESC_SIZE, b""), "big")
    return told
