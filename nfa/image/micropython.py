"""The policy image for MicroPython: no byte-code, but source that MicroPython compiles; no marshal, but `plain` data.

In: the bytes of a file. Out: the data that `image_of` makes, with `code` a list of sources; whole or not at all.
"""

import binascii
import sys

from . import plain

MYPY = False
if MYPY:
    from typing import Any

MAGIC = b"NFA-MICROPYTHON 2\n"
OTHER = b"NFA-IMAGE "


class ImageError(ValueError):
    """Bytes that are no whole image for MicroPython."""


def seal(body: bytes) -> bytes:
    """Return the image with this body."""
    return MAGIC + len(body).to_bytes(4, "big") + binascii.crc32(body).to_bytes(4, "big") + body


def load(raw: bytes) -> "dict[str, Any]":
    """Return an image's data. Raises ImageError when the bytes are not whole, of another form, or for another machine."""
    if raw.startswith(OTHER):
        raise ImageError("a policy image for CPython; compile it with --micropython")
    if not raw.startswith(MAGIC):
        raise ImageError("not a policy image for MicroPython of this version of nfa")
    start = len(MAGIC) + 8
    body = raw[start:]
    seal_of = len(body).to_bytes(4, "big") + binascii.crc32(body).to_bytes(4, "big")
    if raw[len(MAGIC) : start] != seal_of:
        raise ImageError("the policy image is damaged")
    try:
        data = plain.load(body)
    except plain.Damaged:
        data = None
    if not isinstance(data, dict):
        raise ImageError("the policy image is damaged")
    order = data.get("order")
    if order != sys.byteorder:
        # The messages that make and empty sets are ready for the kernel.
        raise ImageError("the policy image is for " + str(order) + "-endian machines, this one is " + sys.byteorder + "-endian")
    return data
