"""The wire format of ubus: messages, their attributes, and blobmsg tables. Bytes in, bytes out; no socket.

Source: libubox blob.h, blobmsg.h and blobmsg_json.c, ubus ubusmsg.h and ubusd_main.c (2025-12). All numbers are big endian.

    message     u8 version 0, u8 kind, u16 sequence, u32 peer, then one root attribute (id 0)
    attribute   u32: bit 31 extended, bits 30..24 id, bits 23..0 length with this header and without padding; then the payload
    field       an extended attribute, its id the type; payload: u16 name length, name, NUL, padding to 4, then the value

An attribute is padded to 4 bytes; the length of what holds it counts the padding. What is sent is always valid, whatever
text and numbers strangers chose; what is received is checked in full, in time proportional to its length.
"""

import struct

MYPY = False
if MYPY:
    from collections.abc import Iterable
    from typing import Any

HELLO, STATUS, DATA, INVOKE, ADD_OBJECT = 0, 1, 2, 5, 6
"""Kinds of messages, those that are used here."""
ATTR_STATUS, ATTR_OBJPATH, ATTR_OBJID, ATTR_METHOD, ATTR_SIGNATURE, ATTR_DATA, ATTR_NO_REPLY = 1, 2, 3, 4, 6, 7, 10
"""Ids of their attributes."""
NULL, ARRAY, TABLE, STRING, INT64, INT32, INT16, INT8, DOUBLE = range(9)
"""Types of fields. INT8 is the boolean."""

MAX_BODY = 1 << 20
"""Bytes of a root attribute with its header; a longer one ends the connection, on ubusd's side too (UBUS_MAX_MSGLEN)."""
MAX_DEPTH = 32
"""Tables within tables that are read; json-c, which the ubus command and uhttpd read with, goes as deep."""
MAX_FIELDS = 10000
"""Fields that are read of one table, those within it counted: a call may not hold up the loop."""

_HEADER = struct.Struct(">BBHII")
_FIELD = struct.Struct(">IH")
_WORD = struct.Struct(">I")
_DOUBLE = struct.Struct(">d")
_LENGTH = 0xFFFFFF
_FIRST = [(0x80 | kind) << 24 | 4 for kind in range(9)]
"""The first word of a field by its type, with the length of nothing but itself."""
_INT_SIZES = {INT64: 8, INT32: 4, INT16: 2}
_ZEROS = (b"", b"\0\0\0", b"\0\0", b"\0")
_NAMELESS = object()


# -- messages -------------------------------------------------------------------------------------------------------------


def message(kind: int, sequence: int, peer: int, attributes: bytes) -> bytes:
    """Return one message. `attributes`: as `attribute` made them, one after the other. The caller minds MAX_BODY."""
    return _HEADER.pack(0, kind, sequence, peer, 4 + len(attributes)) + attributes


def attribute(ident: int, payload: bytes) -> bytes:
    """Return one attribute of a message, padded."""
    return _WORD.pack(ident << 24 | 4 + len(payload)) + payload + _ZEROS[len(payload) & 3]


def number(value: int) -> bytes:
    """Return the payload of an attribute that is a number: a status, or the id of an object."""
    return _WORD.pack(value)


def string(text: str) -> bytes:
    """Return text as the bus has it, NUL-terminated. A NUL within, and half of a surrogate pair, are written out (`\\x00`)."""
    data = text.encode("utf-8", "backslashreplace")
    return (data.replace(b"\0", b"\\x00") if b"\0" in data else data) + b"\0"


def take(buffer: bytearray) -> tuple[int, int, int, bytes] | None:
    """Cut the first message off a buffer: (kind, sequence, peer, attributes). None while it is not complete.

    Raises ValueError when no message begins there, or one that is longer than MAX_BODY.
    """
    if len(buffer) < _HEADER.size:
        return None
    version, kind, sequence, peer, root = _HEADER.unpack_from(buffer)
    length = root & _LENGTH
    if version != 0 or length < 4:
        raise ValueError("not a ubus message")
    if length > MAX_BODY:
        raise ValueError("a message of " + str(length) + " bytes")
    end = 8 + length
    if len(buffer) < end:
        return None
    body = bytes(buffer[_HEADER.size : end])
    del buffer[:end]
    return kind, sequence, peer, body


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the payloads of a message's attributes, by id. Raises ValueError when the data is malformed."""
    found = {}
    position, end = 0, len(data)
    while position < end:
        if position + 4 > end:
            raise ValueError("an attribute is cut off")
        word = _WORD.unpack_from(data, position)[0]
        after = position + (word & _LENGTH)
        if after < position + 4 or after > end:
            raise ValueError("an attribute has a wrong length")
        found[word >> 24 & 0x7F] = data[position + 4 : after]
        position = (after + 3) & ~3
    return found


def read_number(payload: bytes) -> int:
    """Return the number of an attribute. Raises ValueError when it is none."""
    if len(payload) != 4:
        raise ValueError("a number of " + str(len(payload)) + " bytes")
    return int.from_bytes(payload, "big")


def read_string(payload: bytes) -> str:
    """Return the text of an attribute or field, up to its first NUL as libubox reads it. Raises ValueError."""
    if payload[-1:] != b"\0":
        raise ValueError("a string without its NUL")
    return payload[: payload.index(0)].decode()


# -- tables ---------------------------------------------------------------------------------------------------------------


def encode(table: "dict[str, Any]") -> bytes:
    """Return the fields of a table, for ATTR_DATA or ATTR_SIGNATURE. Names that are no text are written as text.

    None, bool, int, float, str, list, tuple and dict can be told; anything else is a TypeError. Integers are int32 where they
    fit, else int64, and beyond that a double: a count that is too large stays a number of the right size, where clamping
    would lie. A double that is no number, or infinite, is null: JSON has no word for it. An empty name is `(empty)`: what
    the ubus command prints for none is not JSON.
    """
    return _fields(table.items(), {_NAMELESS: b"\0\0\0\0"})


def _fields(pairs: "Iterable[tuple[object, object]]", heads: dict[object, bytes]) -> bytes:
    """`pairs`: (name, value), the name `_NAMELESS` in arrays. `heads`: names encoded so far; most come again and again."""
    found = []
    for name, value in pairs:
        head = heads.get(name)
        if head is None:
            head = heads[name] = _head(name)
        if isinstance(value, str):
            kind, data = STRING, string(value)
        elif isinstance(value, bool):
            kind, data = INT8, b"\1" if value else b"\0"
        elif isinstance(value, int):
            kind, data = _integer(value)
        elif value is None:
            kind, data = NULL, b""
        elif isinstance(value, dict):
            kind, data = TABLE, _fields(value.items(), heads)
        elif isinstance(value, (list, tuple)):
            kind, data = ARRAY, _fields([(_NAMELESS, item) for item in value], heads)
        elif isinstance(value, float):
            kind, data = _double(value)
        else:
            raise TypeError("ubus has no type for " + type(value).__name__)
        length = len(head) + len(data)
        found.append(_WORD.pack(_FIRST[kind] + length) + head + data + _ZEROS[length & 3])
    return b"".join(found)


def _head(name: object) -> bytes:
    """Return what stands before a value: the length of its name, the name, and padding."""
    data = string(name if isinstance(name, str) else str(name))[:-1] or b"(empty)"
    if len(data) > 0xFFFF:
        data = data[:0xFFFF].decode("utf-8", "ignore").encode()
    return len(data).to_bytes(2, "big") + data + b"\0" + _ZEROS[len(data) + 3 & 3]


def _integer(value: int) -> tuple[int, bytes]:
    if -0x80000000 <= value <= 0x7FFFFFFF:
        return INT32, value.to_bytes(4, "big", signed=True)
    if -1 << 63 <= value < 1 << 63:
        return INT64, value.to_bytes(8, "big", signed=True)
    try:
        return _double(float(value))
    except OverflowError:
        return NULL, b""


def _double(value: float) -> tuple[int, bytes]:
    return (DOUBLE, _DOUBLE.pack(value)) if value - value == 0.0 else (NULL, b"")


def decode(data: bytes, most: int = MAX_FIELDS) -> dict[str, object]:
    """Return the table that these fields are. The first of two fields with one name counts, as it does for libubox.

    Raises ValueError, and nothing else, when the data is malformed, deeper than MAX_DEPTH, has more than `most` fields, or
    text that is not UTF-8.
    """
    top: dict[str, object] = {}
    box: dict[str, object] | list[object] = top
    outer: list[tuple[dict[str, object] | list[object], int]] = []
    position, end, count = 0, len(data), 0
    while True:
        if position == end:
            if not outer:
                return top
            box, end = outer.pop()
            continue
        count += 1
        if count > most:
            raise ValueError("more than " + str(most) + " fields")
        if position + 8 > end:
            raise ValueError("a field is cut off")
        word, name_length = _FIELD.unpack_from(data, position)
        name_end = position + 6 + name_length
        start, after = (name_end + 4) & ~3, position + (word & _LENGTH)
        following = (after + 3) & ~3
        if start > after or following > end or data[name_end] or not word >> 31:
            raise ValueError("a field has a wrong length, or no name")
        kind = word >> 24 & 0x7F
        value: object
        if kind == STRING:
            value = read_string(data[start:after])
        elif kind in (TABLE, ARRAY):
            value = {} if kind == TABLE else []
        else:
            value = _scalar(kind, data[start:after])
        if isinstance(box, list):
            box.append(value)
        else:
            box.setdefault(data[position + 6 : name_end].decode(), value)
        if isinstance(value, (dict, list)):
            if len(outer) == MAX_DEPTH:
                raise ValueError("more than " + str(MAX_DEPTH) + " tables within each other")
            outer.append((box, end))
            box, position, end = value, start, after
        else:
            position = following


def _scalar(kind: int, payload: bytes) -> object:
    if kind == INT8 and len(payload) == 1:
        return payload != b"\0"
    if len(payload) == _INT_SIZES.get(kind):
        return int.from_bytes(payload, "big", signed=True)
    if kind == NULL:
        return None
    if kind == DOUBLE and len(payload) == 8:
        value: float = _DOUBLE.unpack(payload)[0]
        return value if value - value == 0.0 else None
    raise ValueError("a value of " + str(len(payload)) + " bytes cannot be of type " + str(kind))
