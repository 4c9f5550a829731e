"""A unix socket to listen on: one that a dead process left is replaced, one on which another process answers is not.

In: a path and its rights. Out: the socket, not blocking, and what it takes to remove the file again.
"""

import errno
import os

from . import socket

_FORMAT, _SOCKET = 0o170000, 0o140000
"""What a file is, in its mode; a socket."""


class Taken(OSError):
    """The path is taken by something else."""


class Answered(Taken):
    """Somebody listens on the path already."""


def listen_unix(path: str, mode: int, backlog: int) -> tuple[socket.socket, int]:
    """Listen on a path that root chose; its folder is made when missing. Returns the socket and the inode of its file.

    `mode`: the rights of the file. Raises `Answered` or `Taken` with words for it, or another OSError.
    """
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    return listen_at(path, path, mode, backlog)


def listen_at(path: str, named: str, mode: int, backlog: int) -> tuple[socket.socket, int]:
    """The same in a folder that is there. `named`: what people call the path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        answer = probe.connect_ex(path)
        if answer in (0, errno.EAGAIN):
            raise Answered("another process answers on " + named)
        if answer not in (errno.ECONNREFUSED, errno.ENOENT):
            # EPROTOTYPE: a socket of datagrams, as /dev/log is, lives there.
            raise Taken(named + " belongs to another process: " + os.strerror(answer))
    if os.path.lexists(path):
        if not os.lstat(path).st_mode & _FORMAT == _SOCKET:
            raise Taken(named + " exists and is not a socket")
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        listener.bind(path)
        listener.listen(backlog)
        listener.setblocking(False)
        return listener, os.lstat(path).st_ino
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)


def is_there(path: str, inode: int) -> bool:
    """Return whether the file of a socket is still the one that was made."""
    try:
        return os.lstat(path).st_ino == inode
    except OSError:
        return False


def remove_unix(path: str, inode: int) -> None:
    """Remove the file of a socket, unless another process has put its own there."""
    if is_there(path, inode):
        try:
            os.unlink(path)
        except OSError:
            pass
