"""The control socket of MicroPython: what `nfa.daemon.base.listening` does, with what there is.

In: a path. Out: the socket, not blocking. MicroPython has no umask: the file's rights are those that the shell's leaves, with
the usual one (022) others than its owner cannot connect.
"""

import errno
import os

from ..base import socket
from ..base.listening import Answered, Taken
from ..base.portable_micropython import connect, socket_address

_FORMAT, _SOCKET = 0o170000, 0o140000


def listen_unix(path: str, mode: int, backlog: int) -> "tuple[socket.socket, int]":
    """Listen on a path. Returns the socket and the inode of its file. Raises `Answered`, `Taken`, or another OSError."""
    folder = ""
    for part in path.split("/")[1:-1]:
        folder += "/" + part
        try:
            os.mkdir(folder)
        except OSError as failure:
            if failure.errno not in (errno.EEXIST, errno.EACCES):
                raise
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.setblocking(False)
        if connect(probe, socket.AF_UNIX, path) in (0, errno.EAGAIN):
            raise Answered("another process answers on " + path)
    finally:
        probe.close()
    try:
        found = os.stat(path)[0]
    except OSError:
        found = 0
    if found:
        if found & _FORMAT != _SOCKET:
            raise Taken(path + " exists and is not a socket")
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(socket_address(socket.AF_UNIX, path))
        listener.listen(backlog)
        listener.setblocking(False)
        return listener, os.stat(path)[1]
    except OSError:
        listener.close()
        raise


def remove_unix(path: str, inode: int) -> None:
    """Remove the file of a socket, unless another process has put its own there."""
    try:
        if os.stat(path)[1] == inode:
            os.unlink(path)
    except OSError:
        pass
