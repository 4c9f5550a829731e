"""What CPython and MicroPython do differently, under one name each: for the modules that run unchanged under both.

Here is CPython's side, in most cases its own function; MicroPython's is in `portable_micropython` and `micropython_text`.
"""

import sys

MYPY = False  # mypy takes it for true, and looks at CPython's side only
if MYPY or sys.implementation.name != "micropython":
    import os
    import struct
    import time
    from errno import (
        EAFNOSUPPORT,
        EAGAIN,
        EBUSY,
        EINTR,
        EMSGSIZE,
        ENFILE,
        ENOPROTOOPT,
        ENOSPC,
        EPROTONOSUPPORT,
    )
    from itertools import repeat
    from os import strerror, write

    from . import json, socket
    from .socket import SO_RCVBUF

    if MYPY:
        from collections import deque
        from collections.abc import Callable
        from typing import Any
    else:
        from _collections import deque

    LATER = (EAGAIN, EINTR)
    """Errors after which the same call may go through another time."""
    CHUNK = 1 << 16
    """Bytes that are read from netifyd at once; also what one turn of the loop takes at the most."""
    MAX_RECORD = 1 << 20
    """Bytes of a record; of a longer one nothing is kept."""
    ROOM = 1024
    """Values of one kind that are remembered."""
    ORDERED = True
    """A dict has its keys in the order in which they came."""
    SECRET_HASH = True
    """The hash of a str has a secret of this process in it."""
    ascii_only = str.isascii
    ordered_dict = dict
    characters = iter
    code_of = ord
    Struct = struct.Struct
    StructError = struct.error
    inet_pton = socket.inet_pton
    _scan, _NO_JSON = json.scan, json.NO_JSON
    lower = str.lower
    monotonic = time.monotonic
    printable = str.isprintable
    _BLANKS = " \t\n\r"
    """What may stand around a JSON value."""

    def decode(raw: bytes) -> str:
        """Return bytes of UTF-8 as text; those that are none are replaced."""
        return str(raw, "utf-8", "replace")

    def escaped(text: str) -> str:
        """Return a text in which what is not printable is escaped, so that a line stays a line."""
        return "".join([c if c.isprintable() else c.encode("unicode_escape").decode() for c in text])

    def parse_json(raw: bytes) -> object:
        """Decode one JSON value: `json.loads` without its wrapping, a third of the time. Raises ValueError, RuntimeError.

        Bytes that are not UTF-8 come from the wire; a flow must not escape its policy by sending some.
        """
        text = str(raw, "utf-8", "replace")
        start = 0 if raw[:1] == b"{" else len(text) - len(text.lstrip(_BLANKS))
        try:
            value, end = _scan(text, start)
        except _NO_JSON:
            raise ValueError("not JSON") from None
        if end != len(text) and text[end:].strip(_BLANKS):
            raise ValueError("more than one value")
        return value

    def searcher(pattern: str, program: "list[Any]") -> "Callable[[str], object]":
        """Return the function that searches for a pattern in a text. `program`: flags, codes and groups, which the compiler had
        of `re`: that alone would take a megabyte for as long as the daemon lives."""
        import _sre  # type: ignore[import-not-found]  # absent from typeshed

        flags, codes, groups = program
        search: Callable[[str], object] = _sre.compile(pattern, flags, codes, groups, {}, (None,) * (groups + 1)).search
        return search

    def debugging(what: str) -> bool:
        """Return whether the environment asks for this: NFA_DEBUG, words with commas between them."""
        return what in os.environ.get("NFA_DEBUG", "").split(",")

    def reason(failure: OSError) -> str:
        """Return why a call failed, in words."""
        return failure.strerror or str(failure)

    def name_of(function: object) -> str:
        """Return the name of a function or method, for messages."""
        return str(getattr(function, "__qualname__", type(function).__name__))

    def place(failure: BaseException) -> str:
        """Return the innermost place in nfa that an exception went through, "nfa/daemon/loop.py:12"; "" when there is none."""
        found = ""
        step = failure.__traceback__
        while step is not None:
            _, mark, file = step.tb_frame.f_code.co_filename.rpartition("/nfa/")
            if mark and file.startswith(("daemon/", "image/")):
                found = "nfa/" + file + ":" + str(step.tb_lineno)
            step = step.tb_next
        return found

    def connect(connection: socket.socket, family: int, address: object) -> int:
        """Begin to connect a socket that does not block. Returns 0 or the error number."""
        return connection.connect_ex(address)  # type: ignore[arg-type]  # an address of the socket's family

    def fault(connection: socket.socket, family: int, address: object) -> int:
        """Return what became of a connection that was begun, 0 when it stands."""
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def receive(connection: socket.socket, size: int) -> bytes:
        """Return what has come, at most `size` bytes or one datagram. Raises OSError."""
        return connection.recv(size)

    def pack_rows(
        whole: struct.Struct, fields: struct.Struct, rows: list[bytes], between: list[bytes], numbered: bool
    ) -> bytes:
        """Return all rows in another form, one after the other: each field after one of `between`, the last of which comes
        then, and the index of the row if they are `numbered`."""
        arguments: list = []  # type: ignore[type-arg]  # Any needs an import of typing
        for constant, column in zip(between, zip(*fields.iter_unpack(b"".join(rows)), strict=True)):
            arguments += [repeat(constant), column]
        arguments.append(repeat(between[-1]))
        if numbered:
            arguments.append(range(len(rows)))
        return b"".join(map(whole.pack, *arguments))

    def bind_netlink(made: socket.socket) -> int:
        """Bind a netlink socket. Returns its port, by which the kernel knows it. Raises OSError."""
        made.bind((0, 0))
        port: int = made.getsockname()[0]
        return port

    def set_filter(connection: socket.socket, program: bytes) -> None:
        """Give a socket a classic filter, eight bytes a step. Source: linux/filter.h. Raises OSError."""
        # `array` registers itself in collections.abc, and would load all of `collections` for that: a quarter of a megabyte.
        asked = {"collections": sys, "collections.abc": sys.modules["_collections_abc"]}
        absent = [name for name in asked if name not in sys.modules]
        sys.modules.update({name: asked[name] for name in absent})
        try:
            from array import array
        finally:
            for name in absent:
                del sys.modules[name]

        steps = array("B", program)
        address, size = steps.buffer_info()
        connection.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HP", size // 8, address))

else:
    from .micropython_text import ascii_only, characters, code_of, decode, escaped, lower, printable
    from .portable_micropython import (
        CHUNK,
        EAFNOSUPPORT,
        EBUSY,
        EINTR,
        EMSGSIZE,
        ENFILE,
        ENOPROTOOPT,
        ENOSPC,
        EPROTONOSUPPORT,
        LATER,
        MAX_RECORD,
        ORDERED,
        ROOM,
        SECRET_HASH,
        SO_RCVBUF,
        Struct,
        StructError,
        bind_netlink,
        connect,
        debugging,
        deque,
        fault,
        inet_pton,
        monotonic,
        name_of,
        ordered_dict,
        pack_rows,
        parse_json,
        place,
        reason,
        receive,
        searcher,
        set_filter,
        strerror,
        write,
    )
