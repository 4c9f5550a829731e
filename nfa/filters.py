"""Packet filters on sockets: what the kernel need not even deliver."""

import array
import socket
import struct

_SO_ATTACH_FILTER = 26


def attach(connection: socket.socket, program: bytes) -> None:
    """Give a socket a classic filter, eight bytes a step. Source: linux/filter.h. Raises OSError."""
    steps = array.array("B", program)
    address, size = steps.buffer_info()
    connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", size // 8, address))
