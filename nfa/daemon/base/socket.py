"""`socket` as the daemon uses it: the C module of CPython, without the Python around it.

The standard library's `socket`, `json`, `signal` and `re` bring `enum`, `functools`, `collections` and more: 1.2 MB for as long
as the daemon lives. Their C modules do the work and have been the same since Python 3.2. Here, in `base.json` and in
`base.signal` is all that the daemon uses of them; where an interpreter lacks a C module, the standard one takes its place.
"""

import sys

MYPY = False
if MYPY or sys.implementation.name == "micropython":
    from socket import *  # noqa: F403 (this module is that one)
    from socket import socket
else:
    try:
        from _socket import *  # noqa: F403 (this module is that one)
        from _socket import socket as _Socket
    except ImportError:
        from socket import *  # noqa: F403 (this module is that one)
        from socket import socket
    else:

        class socket(_Socket):
            """A socket; as a context it closes itself."""

            def __enter__(self) -> "socket":
                return self

            def __exit__(self, *problem: object) -> None:
                self.close()

            def accept(self) -> "tuple[socket, object]":
                """Return the next connection and the address of who made it. Raises OSError."""
                descriptor, address = self._accept()
                return socket(self.family, self.type, self.proto, fileno=descriptor), address
