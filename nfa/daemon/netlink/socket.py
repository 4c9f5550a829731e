"""Netlink sockets: send a batch, and read at once what failed.

The kernel works on a batch inside `send`; whatever it has to say is in the receive buffer when `send` returns. So nothing
here waits. Source: linux/netlink.h.
"""

import errno

from ..base import socket
from ..base.portable import EBUSY, EINTR, ENFILE, ENOPROTOOPT, ENOSPC, LATER, bind_netlink, debugging, receive, strerror
from . import ipset
from .wire import Failure, failures

MYPY = False
if MYPY:
    from collections.abc import Iterator

NETLINK_NETFILTER = 12
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
_AF_NETLINK = 16
MAX_SEND = 128 << 10
"""Bytes a batch may have: the default send buffer takes 176 kB in one send (6.18)."""
MAX_ANSWER = 64 << 10
"""Bytes of a datagram; the kernel makes them no larger than 32 kB."""


def open_socket(family: int = NETLINK_NETFILTER) -> socket.socket:
    """Return a new socket to a netlink family; with NFA_DEBUG=netlink one that prints what goes over it. Raises OSError."""
    if debugging("netlink"):
        traced = __import__("nfa.daemon.netlink.trace", None, None, ["Traced"])
        made: socket.socket = traced.Traced(_AF_NETLINK, socket.SOCK_RAW, family)
        return made
    return socket.socket(_AF_NETLINK, socket.SOCK_RAW, family)


class Listener:
    """A socket of notifications. `lost` counts what was missed, `more`: the last reading did not come to the end."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self.lost = 0
        self.more = False

    def datagrams(self, most: int = 64) -> "Iterator[bytes]":
        """Yield what waits, up to `most` datagrams. Never waits itself. Raises OSError."""
        self.more = True
        for _ in range(most):
            try:
                data = receive(self._socket, MAX_ANSWER)
            except OSError as failure:
                if failure.errno in LATER:
                    self.more = False
                    return
                if failure.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            yield data

    def close(self) -> None:
        self._socket.close()


class Netlink:
    """A socket that is opened when first used. `lost` counts answers that overran the receive buffer."""

    def __init__(self, extended: bool) -> None:
        """`extended`: ask for the place of an error (nftables); without it the kernel echoes the failed message (ipset)."""
        self._extended = extended
        self._socket: socket.socket | None = None
        self._sequence = self._port = 0
        self.lost = 0

    def reserve(self, count: int) -> int:
        """Return the first of `count` sequence numbers that no other message of this socket has for a while."""
        if self._sequence > 0x7FFF0000:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    def _open(self) -> socket.socket:
        made = open_socket()
        try:
            self._port = bind_netlink(made)
            made.setblocking(False)
            if self._extended:
                made.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
                made.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        except OSError as failure:
            # Kernels before 4.12 know no extended answers; everything works without them, only slower on errors.
            if failure.errno != ENOPROTOOPT:
                made.close()
                raise
        return made

    def send(self, data: bytes) -> list[Failure]:
        """Send a batch; return what the kernel said: failures, and acknowledgements (error 0) that were asked for.

        Raises OSError when the kernel does not take the batch at all.
        """
        if self._socket is None:
            self._socket = self._open()
        while True:
            try:
                self._socket.send(data)
                break
            except OSError as failure:
                if failure.errno != EINTR:
                    raise
        answers: list[Failure] = []
        while True:
            try:
                answers.extend(failures(receive(self._socket, MAX_ANSWER)))
            except OSError as failure:
                if failure.errno == errno.EAGAIN:
                    return answers
                if failure.errno == EINTR:
                    continue
                if failure.errno != errno.ENOBUFS:
                    raise
                self.lost += 1

    def port(self) -> int:
        """Return the port of the socket, by which the kernel tells whose a change was. Raises OSError."""
        if self._socket is None:
            self._socket = self._open()
        return self._port

    def close(self) -> None:
        """Close the socket; it is opened again when used."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Dump:
    """A socket that reads a table of the kernel datagram by datagram: the kernel walks on with each, so nothing waits."""

    def __init__(self, family: int = NETLINK_NETFILTER) -> None:
        self._family = family
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> None:
        """Send the request for a dump. Raises OSError."""
        if self._socket is None:
            self._socket = open_socket(self._family)
            bind_netlink(self._socket)
            self._socket.setblocking(False)
        self._socket.send(request)

    def next(self) -> bytes:
        """Return the next datagram, b"" when there is none. Raises OSError."""
        if self._socket is None:
            return b""
        try:
            return receive(self._socket, MAX_ANSWER)
        except OSError as failure:
            if failure.errno not in LATER:
                raise
            return b""

    def close(self) -> None:
        """Close the socket; it is opened again when used."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def describe(error: int) -> str:
    """Return an error number in words: ipset's own (linux/netfilter/ipset/ip_set.h), and those that netfilter means otherwise
    than the C library's words for files have it."""
    return _WORDS.get(error) or strerror(error)


_WORDS = {
    errno.ENOENT: "there is no such thing in the kernel, or no longer",
    ENFILE: "there is no room for more",
    ENOSPC: "there is no room for it",
    EBUSY: "it is in use",
    ipset.IPSET_ERR_PROTOCOL: "the kernel does not speak this ipset protocol",
    ipset.IPSET_ERR_FIND_TYPE: "the kernel has no such set type (a kernel module is missing)",
    ipset.IPSET_ERR_MAX_SETS: "the kernel has no room for another set",
    ipset.IPSET_ERR_BUSY: "the set is in use",
    ipset.IPSET_ERR_TYPE_MISMATCH: "the set exists with another type",
    ipset.IPSET_ERR_EXIST: "the element is already in the set",
    ipset.IPSET_ERR_INVALID_FAMILY: "the address family does not fit the set",
    ipset.IPSET_ERR_TIMEOUT: "the set was created without timeouts",
    ipset.IPSET_ERR_REFERENCED: "the set is used by a rule",
    ipset.IPSET_ERR_SKBINFO: "the set was created without skbinfo",
    ipset.IPSET_ERR_HASH_FULL: "the set is full, or the element lies outside its range",
    ipset.IPSET_ERR_INVALID_PROTO: "the protocol does not fit the set",
}
