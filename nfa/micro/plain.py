"""Plain data to bytes and back: what a policy image for MicroPython is made of, which has no marshal, and whose JSON no bytes.

In: None, bool, int of any size, float, str, bytes, and list, tuple, set, frozenset and dict of those. Out: bytes: a letter for
the kind, then the number of bytes or of items that follow (be32), then those.
"""

import struct

from ..portable import StructError

MAX_DEPTH = 16


class Damaged(ValueError):
    """Bytes that are no plain data."""


def load(raw: bytes) -> object:
    """Return the data that bytes hold. Raises Damaged."""
    try:
        value, end = _read(raw, 0, 0)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, StructError):
        raise Damaged("not plain data") from None
    if end != len(raw):
        raise Damaged("not plain data")
    return value


_CONSTANTS = {0x4E: None, 0x54: True, 0x46: False}
_MAKERS = {0x6C: list, 0x74: tuple, 0x65: set, 0x7A: frozenset}


def _read(raw: bytes, at: int, depth: int) -> tuple:
    """Return the value that begins at a place, and where it ends."""
    kind = raw[at]
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], at + 1
    if depth > MAX_DEPTH:
        raise ValueError
    size = int.from_bytes(raw[at + 1 : at + 5], "big")
    at += 5
    if kind in _MAKERS:
        items = []
        for _ in range(size):
            item, at = _read(raw, at, depth + 1)
            items.append(item)
        return (items if kind == 0x6C else _MAKERS[kind](items)), at
    if kind == 0x6D:
        table: dict = {}
        for _ in range(size):
            key, at = _read(raw, at, depth + 1)
            table[key], at = _read(raw, at, depth + 1)
        return table, at
    if at + size > len(raw):
        raise ValueError
    return _scalar(kind, raw[at : at + size]), at + size


def _scalar(kind: int, data: bytes) -> object:
    if kind == 0x73:
        return str(data, "utf-8")
    if kind == 0x62:
        return data
    if kind == 0x69:
        return int.from_bytes(data, "big")
    if kind == 0x6E:
        return -int.from_bytes(data, "big")
    if kind == 0x64:
        return struct.unpack(">d", data)[0]
    raise ValueError
