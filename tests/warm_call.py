"""What stands for Python in `warm_python`: have the server do it, and end as it ended; where it will not, start Python.

In: the server's socket, and the arguments of Python. It imports next to nothing: each start of nfa waits for it.
"""

from __future__ import annotations

import os
import sys

WARM = b"warm"
"""The server's answer when it does it."""


def call(path: str, command: list[str]) -> None:
    import _socket  # as quick as can be: socket would bring more than all the rest
    import array

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
        words = [*command, "", os.getcwd(), *(f"{name}={value}" for name, value in os.environ.items())]
        given = "\0".join(words).encode(errors="surrogateescape")
        ours = array.array("i", [0, 1, 2]).tobytes()
        connection.sendmsg([len(given).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, ours)])
        connection.sendall(given)
        answer = connection.recv(len(WARM))  # and no more: the exit code may be there already
    except OSError:
        answer = b""
    if answer != WARM:
        os.execv(sys.executable, [sys.executable, *command])
    for descriptor in (0, 1):  # or whoever reads our output would not see its end
        os.close(descriptor)
    status = connection.recv(16)
    os._exit(int(status) if status else 1)


if __name__ == "__main__":
    call(sys.argv[1], sys.argv[2:])
