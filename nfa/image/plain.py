"""Plain data as bytes: the form of a policy image for MicroPython, which has no marshal, and whose JSON has no bytes.

In: None, bool, int of any size, float, str, bytes, and list, tuple, set, frozenset and dict of those. Out: bytes: a letter for
the kind, then the number of bytes or of items that follow (be32), then those.
"""

import struct

MAX_DEPTH = 16


class Damaged(ValueError):
    """Bytes that are no plain data."""


def load(raw: bytes) -> object:
    """Return the data that bytes hold. Raises Damaged."""
    try:
        value, end = _read(raw, 0, 0)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError):
        raise Damaged("not plain data") from None
    if end != len(raw):
        raise Damaged("not plain data")
    return value


_CONSTANTS = {0x4E: None, 0x54: True, 0x46: False}
_MAKERS = {0x6C: list, 0x74: tuple, 0x65: set, 0x7A: frozenset}


def _read(raw: bytes, at: int, depth: int) -> tuple[object, int]:
    """Return the value that begins at a place, and where it ends."""
    kind = raw[at]
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], at + 1
    if depth > MAX_DEPTH:
        raise ValueError
    size = int.from_bytes(raw[at + 1 : at + 5], "big")
    at += 5
    if kind in _MAKERS:
        items: list[object] = []
        for _ in range(size):
            item, at = _read(raw, at, depth + 1)
            items.append(item)
        return (items if kind == 0x6C else _MAKERS[kind](items)), at
    if kind == 0x6D:
        table: dict[object, object] = {}
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
    if kind == 0x64 and len(data) == 8:
        return struct.unpack(">d", data)[0]
    raise ValueError


def dump(value: object) -> bytes:
    """Return plain data as bytes, for `load`. Raises TypeError for anything else."""
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"T", False: b"F"}[value]
    if isinstance(value, int):
        size = (abs(value).bit_length() + 7) // 8
        return _counted(b"i" if value >= 0 else b"n", abs(value).to_bytes(size, "big"))
    if isinstance(value, float):
        return _counted(b"d", struct.pack(">d", value))
    if isinstance(value, str):
        return _counted(b"s", value.encode("utf-8", "replace"))
    if isinstance(value, bytes):
        return _counted(b"b", value)
    if isinstance(value, dict):
        body = b"".join(dump(key) + dump(item) for key, item in value.items())
        return b"m" + len(value).to_bytes(4, "big") + body
    for kind, letter in ((list, b"l"), (tuple, b"t"), (set, b"e"), (frozenset, b"z")):
        if isinstance(value, kind):
            return letter + len(value).to_bytes(4, "big") + b"".join(map(dump, value))
    raise TypeError(f"no plain data: {type(value).__name__}")


def _counted(letter: bytes, data: bytes) -> bytes:
    return letter + len(data).to_bytes(4, "big") + data
