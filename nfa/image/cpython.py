"""The policy image: what the compiler hands to the daemon. Plain data; an image loads atomically.

An image is a magic line, a CRC and marshalled data. Byte-code is part of it (the daemon then need not compile), so an
image fits one Python version only, which its magic names; it never travels further than from child to parent.
"""

from __future__ import annotations

import binascii
import marshal
import os
import struct
import sys

FORMAT = 1
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The folder that holds the package: where the daemon and its compiler, started without a shell, find it."""
MAX_SIZE = 64 << 20
_MAGIC = b"NFA-IMAGE %d %s\n" % (FORMAT, sys.implementation.cache_tag.encode())


class ImageError(ValueError):
    """Bytes that are no whole image for this Python."""


Stamp = tuple[int, int, int, int] | None
"""What changes when a file does: inode, size, time of modification and of change (ns); None: it cannot be looked at."""


def stamp(path: str) -> Stamp:
    """Return the stamp of a file or folder."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def compile_source(source: str) -> bytes:
    """Return the byte-code of a module's source, without docstrings and assertions."""
    return marshal.dumps(compile(source, "<policy>", "exec", optimize=2, dont_inherit=True))


def dump(data: dict[str, object]) -> bytes:
    """Return the bytes of an image."""
    body = marshal.dumps(data)
    return _MAGIC + struct.pack(">II", len(body), binascii.crc32(body)) + body


def load(raw: bytes) -> dict[str, object]:
    """Return an image's data. Raises ImageError when the bytes are not whole, or of another Python or format."""
    if not raw.startswith(_MAGIC):
        raise ImageError("not a policy image of this version")
    start = len(_MAGIC) + 8
    size, crc = struct.unpack(">II", raw[len(_MAGIC) : start].ljust(8, b"\0"))
    body = raw[start:]
    if len(body) != size or binascii.crc32(body) != crc:
        raise ImageError("the policy image is damaged")
    try:
        data = marshal.loads(body)
    except (EOFError, ValueError, TypeError):
        data = None
    if not isinstance(data, dict):
        raise ImageError("the policy image is damaged")
    return data


def code_of(raw: bytes) -> object:
    """Return the code object of an image, to be executed by the engine."""
    return marshal.loads(raw)
