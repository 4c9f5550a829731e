"""What a daemon leaves to the next one: the records of live flows.

netifyd does not repeat them: a restart or an upgrade would set free what is blocked, until its connections are created again.

In: the kept records, and the folder of the control socket (in memory: it does not survive a reboot). Out: a file there, which
the next start reads once, and deletes. A record in it is as long as 4 bytes say (big-endian), and packed.
"""

import os
import stat
import time
import zlib

from .base import packing
from .base.files import write_whole
from .engine.engine import Engine
from .engine.view import MALFORMED
from .stream.records import BadRecord, digest_key, read

NAME = "flows"
MAGIC = b"nfa flows 1\n"
MAX_SIZE = 2 << 20
"""Bytes of the file: the latest records come first."""
MAX_AGE = 300
"""Seconds after which the flows are no longer taken for live."""


def leave(folder: str, engine: Engine) -> str:
    """Write the records of live flows. Returns "" or what went wrong."""
    parts = [MAGIC]
    size = len(MAGIC)
    for digest in reversed(engine.kept.digests()):
        payload = engine.kept.get(digest)
        if payload is None:
            continue
        packed = packing.pack(payload)
        size += 4 + len(packed)
        if size > MAX_SIZE:
            break
        parts.append(len(packed).to_bytes(4, "big") + packed)
    if len(parts) == 1:
        return ""
    return write_whole(folder, NAME, b"".join(parts), "." + NAME + ".tmp", True)


def take(folder: str, engine: Engine) -> int:
    """Keep the records that an earlier daemon left not long ago. Returns how many."""
    path = os.path.join(folder, NAME)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0
    with open(descriptor, "rb") as file:
        os.unlink(path)
        found = os.fstat(descriptor)
        if found.st_uid not in (0, os.geteuid()):
            return 0  # the folder may be one in which strangers may write
        if not stat.S_ISREG(found.st_mode) or not -1 <= time.time() - found.st_mtime <= MAX_AGE:
            return 0
        data = file.read(MAX_SIZE + 1)
    if not data.startswith(MAGIC) or len(data) > MAX_SIZE:
        return 0
    count = 0
    for packed in reversed(_parts(data)):
        try:
            payload = packing.unpack(packed)
            kind, record = read(payload)
            if kind == "flow":
                engine.kept.put(digest_key(record["flow"]["digest"]), payload, False, engine.flows.most)
                engine.kept.pack_some(1)
                count += 1
        except (BadRecord, zlib.error, *MALFORMED):
            continue
    return count


def _parts(data: bytes) -> list[bytes]:
    """Return the packed records of a file."""
    found = []
    at = len(MAGIC)
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found
