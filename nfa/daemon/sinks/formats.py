"""Records as bytes for those who read a sink: JSON or MessagePack. Pure: values in, bytes out.

What strangers put into a record never makes invalid output: half of a surrogate pair becomes U+FFFD, a number that is none
(NaN, infinity) becomes null. Source of MessagePack's form: github.com/msgpack/msgpack, spec.md.
"""

import struct

from ..base import json

MYPY = False
if MYPY:
    from collections.abc import Callable

_json = json.compact


def to_json(value: object) -> bytes:
    """Return a value as JSON in UTF-8. Raises RecursionError when it is nested too deeply."""
    try:
        return _json(value).encode()
    except ValueError:  # a number or a text that JSON cannot have
        return _json(clean(value)).encode()


def clean(value: object) -> object:
    """Return a value without what JSON has no words for."""
    if isinstance(value, str):
        return _text(value).decode()
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, dict):
        return {clean(name): clean(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return value


def _text(text: str) -> bytes:
    """Return text in UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


# -- MessagePack ----------------------------------------------------------------------------------------------------------


def to_msgpack(value: object) -> bytes:
    """Return a value as MessagePack: what JSON can say, in the shortest form. Raises RecursionError as above.

    An integer beyond 64 bits is a float: a count that is too large stays a number of the right size.
    """
    parts: list[bytes] = []
    _pack(value, parts.append)
    return b"".join(parts)


def _pack(value: object, put: "Callable[[bytes], None]") -> None:
    if isinstance(value, str):
        data = _text(value)
        put(_head(len(data), 0xA0, 31, (0xD9, 0xDA, 0xDB)))
        put(data)
    elif value is None or value is False or value is True:
        put(b"\xc0" if value is None else b"\xc3" if value else b"\xc2")
    elif isinstance(value, int):
        put(_integer(value))
    elif isinstance(value, float):
        put(_float(value))
    elif isinstance(value, dict):
        put(_head(len(value), 0x80, 15, (0, 0xDE, 0xDF)))
        for name, item in value.items():
            _pack(name, put)
            _pack(item, put)
    elif isinstance(value, (list, tuple)):
        put(_head(len(value), 0x90, 15, (0, 0xDC, 0xDD)))
        for item in value:
            _pack(item, put)
    else:
        raise TypeError("no form for " + type(value).__name__)


def _head(length: int, short: int, most: int, codes: tuple[int, int, int]) -> bytes:
    """Return what stands before a text, a list or a table: its kind, and its length with 4, 8, 16 or 32 bits."""
    if length <= most:
        return bytes((short | length,))
    if length < 0x100 and codes[0]:
        return struct.pack(">BB", codes[0], length)
    return struct.pack(">BH", codes[1], length) if length < 0x10000 else struct.pack(">BI", codes[2], length)


_INTEGERS = (
    (-0x20, 0x80, ">b", b""),
    (0, 0x100, ">B", b"\xcc"), (0, 0x10000, ">H", b"\xcd"), (0, 1 << 32, ">I", b"\xce"), (0, 1 << 64, ">Q", b"\xcf"),
    (-0x80, 0, ">b", b"\xd0"), (-0x8000, 0, ">h", b"\xd1"), (-1 << 31, 0, ">i", b"\xd2"), (-1 << 63, 0, ">q", b"\xd3"),
)  # fmt: skip
"""Lowest, above the highest, form of struct, code."""


def _integer(value: int) -> bytes:
    for lowest, end, form, code in _INTEGERS:
        if lowest <= value < end:
            return code + struct.pack(form, value)
    try:
        return _float(float(value))
    except OverflowError:
        return b"\xc0"


def _float(value: float) -> bytes:
    return b"\xcb" + struct.pack(">d", value) if value - value == 0.0 else b"\xc0"
