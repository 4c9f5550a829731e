"""MicroPython's side of `nfa.daemon.base.portable`: what its Unix port does in another way than CPython, or lacks.

Measured with 1.25. Nothing here is loaded by CPython but by tests of what does not need MicroPython.
"""

import errno
import gc
import io
import json
import os
import re
import socket
import struct
import sys
import time
from collections import OrderedDict as ordered_dict
from collections import deque

from .micropython_text import decode, utf8

ORDERED = False
SECRET_HASH = False
"""It has 16 bits."""
CHUNK = 16 << 10
MAX_RECORD = 64 << 10
ROOM = 256
MIPS = errno.ENOBUFS == 132
"""Linux numbers errors and options of sockets in another way there."""
EBUSY, EINTR, ENFILE, ENOSPC = 16, 4, 23, 28
EMSGSIZE, ENOPROTOOPT, EPROTONOSUPPORT, EAFNOSUPPORT = (97, 99, 120, 124) if MIPS else (90, 92, 93, 97)
_EISCONN = 133 if MIPS else 106
SO_RCVBUF = 0x1002 if MIPS else 8
_SO_ATTACH_FILTER = 26
LATER = (errno.EAGAIN, EINTR)
_AF_NETLINK = 16
StructError = ValueError
_HOST = "<" if sys.byteorder == "little" else ">"
_ROOM = 64
"""A pattern for bytes is matched with so many: its engine calls itself for each character of a repeat."""
_WORDS = {
    errno.EPERM: "Operation not permitted",
    errno.ENOENT: "No such file or directory",
    errno.EIO: "Input/output error",
    errno.EAGAIN: "Resource temporarily unavailable",
    errno.ENOMEM: "Cannot allocate memory",
    errno.EACCES: "Permission denied",
    EBUSY: "Device or resource busy",
    errno.EEXIST: "File exists",
    errno.EINVAL: "Invalid argument",
    ENFILE: "Too many open files in system",
    24: "Too many open files",
    ENOSPC: "No space left on device",
    32: "Broken pipe",
    34: "Numerical result out of range",
    EMSGSIZE: "Message too long",
    ENOPROTOOPT: "Protocol not available",
    EPROTONOSUPPORT: "Protocol not supported",
    errno.EOPNOTSUPP: "Operation not supported",
    EAFNOSUPPORT: "Address family not supported by protocol",
    errno.EADDRINUSE: "Address already in use",
    errno.ECONNRESET: "Connection reset by peer",
    errno.ENOBUFS: "No buffer space available",
    errno.ETIMEDOUT: "Connection timed out",
    errno.ECONNREFUSED: "Connection refused",
    errno.EHOSTUNREACH: "No route to host",
}
_received = bytearray(40 << 10)
"""Where everything is received: the kernel's datagrams have 32 kB at most, and a little more with what it echoes."""
_view = memoryview(_received)
_clock = [time.ticks_ms(), 0]


# -- numbers, time, errors ---------------------------------------------------------------------------------------------


def monotonic() -> float:
    """Return seconds that never go back. To be called now and then: the counter below it wraps around after some days."""
    ticks = time.ticks_ms()
    _clock[1] += time.ticks_diff(ticks, _clock[0])
    _clock[0] = ticks
    return _clock[1] / 1000 + 1000


def strerror(number: int) -> str:
    """Return an error number in words."""
    return _WORDS.get(number) or errno.errorcode.get(number) or "error " + str(number)


def debugging(what: str) -> bool:
    """The decoders are not for MicroPython."""
    return False


def reason(failure: OSError) -> str:
    """Return why a call failed, in words."""
    return strerror(failure.errno) if isinstance(failure.errno, int) else str(failure)


class Struct:
    """A form of `struct`, which has no `=` here and no blanks."""

    def __init__(self, form: str) -> None:
        form = form.replace(" ", "")
        self.format = _HOST + form[1:] if form[0] == "=" else form
        self.size = struct.calcsize(self.format)

    def pack(self, *values) -> bytes:
        return struct.pack(self.format, *values)

    def unpack(self, data: bytes) -> tuple:
        return struct.unpack(self.format, data)

    def unpack_from(self, data: bytes, offset: int = 0) -> tuple:
        return struct.unpack_from(self.format, data, offset)


# -- exceptions, output, JSON -----------------------------------------------------------------------------------------


def name_of(function) -> str:
    """Return the name of a function or method, for messages."""
    return getattr(function, "__name__", "a callback")


def place(failure) -> str:
    """Return the innermost place in nfa that an exception went through, "nfa/daemon/loop.py:12"; "" when there is none."""
    output = io.StringIO()
    sys.print_exception(failure, output)
    found = ""
    for line in output.getvalue().split("\n"):
        # `File "nfa/daemon/loop.py", line 12, in turn`
        file, mark, rest = line.partition('", line ')
        start = file.rfind("nfa/")
        if mark and start >= 0:
            found = file[start:] + ":" + rest.partition(",")[0]
    return found


def write(descriptor: int, data: bytes) -> None:
    """Write to standard output (1) or standard error (2)."""
    (sys.stdout if descriptor == 1 else sys.stderr).buffer.write(data)


def parse_json(raw: bytes) -> object:
    """Decode one JSON value. Raises ValueError, RuntimeError.

    MicroPython's reader takes what is cut off for whole, and halves of a character for two: that is seen to here.
    """
    if raw[-2:].rstrip()[-1:] not in _ENDS and raw[-64:].rstrip()[-1:] not in _ENDS:
        raise ValueError("not JSON")
    try:
        if raw.count(b"{") != raw.count(b"}") and not _is_whole(raw):
            raise ValueError("cut off")
        text = decode(raw)
        if "\\ud" in text or "\\uD" in text:
            text = _joined(text)
        return json.loads(text)
    except MemoryError:
        gc.collect()
        raise ValueError("too large for the memory there is") from None


def _is_whole(raw: bytes) -> bool:
    """Return whether there are as many braces that open as braces that close, but for those in strings."""
    outside = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    return outside.count(b"{") == outside.count(b"}")


def _joined(text: str) -> str:
    """Return JSON in which a character that is written as two halves (`\\ud83d\\ude00`) stands for itself."""
    parts = []
    start = 0
    place = text.find("\\")
    while place >= 0:
        following = place + 2
        if text[place + 1 : place + 2] == "u" and text[place + 6 : place + 8] == "\\u":
            try:
                high, low = int(text[place + 2 : place + 6], 16), int(text[place + 8 : place + 12], 16)
            except ValueError:
                high = low = 0
            if 0xD800 <= high < 0xDC00 and 0xDC00 <= low < 0xE000:
                parts.append(text[start:place])
                parts.append(str(utf8(0x10000 + ((high - 0xD800) << 10 | (low - 0xDC00))), "utf-8"))
                start = following = place + 12
        place = text.find("\\", following)
    parts.append(text[start:])
    return "".join(parts)


_ENDS = (b"}", b"]")


def searcher(pattern: str, program: list):
    """Every pattern is an automaton here: see `nfa.compiler.micropython`."""
    raise ValueError("a pattern for CPython only")


# -- sockets -----------------------------------------------------------------------------------------------------------


def inet_pton(family: int, text: str) -> bytes:
    """Return the bytes of an address. Raises ValueError or OSError when it is none."""
    if "\0" in text:
        raise ValueError("no address")
    packed: bytes = socket.inet_pton(family, text)
    return packed


def socket_address(family: int, address) -> bytes:
    """Return an address as the kernel has it. Raises OSError when a host is no address: nobody looks up names here."""
    if family == socket.AF_UNIX:
        return struct.pack("H", family) + address.encode() + b"\0"
    host, port = address
    packed = inet_pton(family, host)
    if family == socket.AF_INET:
        return struct.pack("H", family) + struct.pack(">H", port) + packed + bytes(8)
    return struct.pack("H", family) + struct.pack(">HI", port, 0) + packed + bytes(4)


def connect(connection, family: int, address) -> int:
    """Begin to connect a socket that does not block. Returns 0 or the error number."""
    try:
        connection.connect(socket_address(family, address))
    except OSError as failure:
        return failure.errno
    return 0


def fault(connection, family: int, address) -> int:
    """Return what became of a connection that was begun, 0 when it stands: the kernel tells who asks for it again."""
    problem = connect(connection, family, address)
    return 0 if problem == _EISCONN else problem


def receive(connection, size: int) -> bytes:
    """Return what has come, at most `size` bytes or one datagram. Raises OSError."""
    count = connection.readinto(_view[:size] if size < len(_view) else _received)
    if count is None:
        raise OSError(errno.EAGAIN)
    return bytes(_view[:count])


def pack_rows(whole: Struct, fields: Struct, rows: list, between: list, numbered: bool) -> bytes:
    """Return all rows in another form, one after the other: each field after one of `between`, the last of which comes then,
    and the index of the row if they are `numbered`."""
    made = []
    for index, row in enumerate(rows):
        arguments = []
        for number, value in enumerate(fields.unpack(row)):
            arguments.append(between[number])
            arguments.append(value)
        arguments.append(between[-1])
        if numbered:
            arguments.append(index)
        made.append(whole.pack(*arguments))
    return b"".join(made)


def bind_netlink(made) -> int:
    """Bind a netlink socket. Returns its port, by which the kernel knows it. Raises OSError.

    There is no asking for the port that the kernel gives, so it is chosen here, where process numbers do not reach.
    """
    for _ in range(16):
        port = int.from_bytes(os.urandom(4), "big") & 0x3FFFFFFF | 0x40000000
        try:
            made.bind(struct.pack(_HOST + "HHII", _AF_NETLINK, 0, port, 0))
            return port
        except OSError as failure:
            if failure.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE)


def set_filter(connection, program: bytes) -> None:
    """Give a socket a classic filter, eight bytes a step. Raises OSError."""
    import uctypes

    steps = bytearray(program)
    form = struct.pack("@HP", len(steps) // 8, uctypes.addressof(steps))
    connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, form)
