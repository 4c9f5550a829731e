"""A connection to a server, with TLS if wanted: look up its name, connect, lose, wait, connect again. Nothing in it waits.

In: where the server is, bytes to send, the news that the descriptor is ready. Out: calls of the owner: `connected(moment)`,
`received(data, moment)`, `ended(moment)` when the server closes, `lost(why)`. The owner calls `good` when the server has shown
that it works: the waits between attempts start over then.
"""

import errno
import os
import select

from ..base import socket
from .channel import Channel

MYPY = False
if MYPY:
    from typing import Any

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
CHUNK = 1 << 16
MAX_CHUNKS = 16
"""Read in one turn of the loop: a server that says more than 1 MiB at once is none of ours."""
CLOSED = "the server closed the connection"
NO_TLS = "TLS needs Python's module ssl; OpenWrt: opkg install python3-openssl"


class Served(Channel):
    """A channel with a server behind a link, which tells it what happens."""

    def connected(self, moment: float) -> None:
        """The server is there."""

    def received(self, data: bytes, moment: float) -> None:
        """The server says something."""
        raise NotImplementedError

    def ended(self, moment: float) -> None:
        """The server closes the connection."""
        raise NotImplementedError

    def lost(self, why: str) -> None:
        """The connection, or an attempt, is lost; the link tries again."""
        raise NotImplementedError


class Link:
    """One server. Options of the channel: `host`, `port`, `tls`, `timeout_connect` (seconds), and `ca`, the certificate of
    the authority that signed the server's (PEM); without, those that the system trusts.

    `state` is waiting, resolving, connecting, securing or connected; `deadline` is when `timeout` must be called.
    """

    def __init__(self, owner: "Served", options: "dict[str, Any]") -> None:
        self._owner = owner
        self._hub = owner.hub
        self.host: str = options["host"]
        self._port: int = options["port"]
        self._tls: bool = options["tls"]
        self._ca: str = options.get("ca", "")
        self._seconds: int = options["timeout_connect"]
        self._context: object = None
        self._addresses: list[str] = []
        self._asked = 0
        """Counts lookups, so that an answer that comes too late is not taken for a new one."""
        self._wait = FIRST_WAIT
        self._socket: socket.socket | None = None
        self._outgoing = bytearray()
        self.state = "waiting"
        self.deadline = 0.0

    # -- connecting -----------------------------------------------------------------------------------------------------

    def start(self, moment: float) -> None:
        """Begin to connect."""
        self.deadline = moment + self._seconds
        if self._addresses:
            self._connect(moment)
            return
        self.state = "resolving"
        self._asked += 1
        number = self._asked
        self._hub.resolve(self._owner, self.host, lambda addresses, problem: self._resolved(number, addresses, problem, moment))

    def _resolved(self, number: int, addresses: list[str], problem: str, moment: float) -> None:
        if number != self._asked or self.state != "resolving":
            return
        self._addresses = addresses
        if problem:
            self.lose("cannot resolve " + self.host + ": " + problem, moment)
        else:
            self._connect(moment)

    def _connect(self, moment: float) -> None:
        address = self._addresses[0]
        self.state = "connecting"
        try:
            self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            problem = self._socket.connect_ex((address, self._port))
        except OSError as failure:
            problem = failure.errno or errno.EIO
        if problem not in (0, errno.EINPROGRESS):
            self.lose(os.strerror(problem), moment)
            return
        assert self._socket is not None
        self._hub.watch(self._socket.fileno(), self._owner, select.POLLOUT)

    def _secure(self, moment: float) -> None:
        """Begin TLS, or go on with it."""
        try:
            import ssl
        except ImportError:
            self.lose(NO_TLS, moment)
            return
        assert self._socket is not None
        try:
            if self.state == "connecting":
                self.state = "securing"
                context = self._context = self._context or ssl.create_default_context(cadata=self._ca or None)
                self._hub.unwatch(self._socket.fileno())
                # As bytes: a string would need the codec idna, which OpenWrt has in a package of its own.
                self._socket = context.wrap_socket(  # type: ignore[attr-defined]  # ssl may be missing
                    self._socket, server_hostname=self.host.encode(), do_handshake_on_connect=False
                )
            self._socket.do_handshake()  # type: ignore[union-attr]  # wrapped by now
        except ssl.SSLWantReadError:
            self._hub.watch(self._socket.fileno(), self._owner, select.POLLIN)
        except ssl.SSLWantWriteError:
            self._hub.watch(self._socket.fileno(), self._owner, select.POLLOUT)
        except (OSError, ValueError) as failure:
            self.lose("TLS: " + (getattr(failure, "verify_message", "") or str(failure)), moment)
        else:
            self._connected(moment)

    def _connected(self, moment: float) -> None:
        assert self._socket is not None
        self.state = "connected"
        self.deadline = 0.0
        self._hub.watch(self._socket.fileno(), self._owner, select.POLLIN)
        self._owner.connected(moment)

    # -- what the owner calls -------------------------------------------------------------------------------------------

    def ready(self, event: int, moment: float) -> None:
        """The descriptor is ready, for what poll said."""
        assert self._socket is not None
        if self.state == "connecting":
            problem = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if problem:
                self.lose(os.strerror(problem), moment)
            elif self._tls:
                self._secure(moment)
            else:
                self._connected(moment)
        elif self.state == "securing":
            self._secure(moment)
        else:
            if event & select.POLLOUT:
                self._flush(moment)
            if event & ~select.POLLOUT and self.state == "connected":
                self._read(moment)

    def timeout(self, moment: float) -> None:
        """The deadline has come."""
        if self.state == "waiting":
            self.start(moment)
        else:
            self.lose("no answer", moment)

    def send(self, data: bytes, moment: float) -> None:
        """Send, and keep what the server does not take now. The owner minds `waiting`."""
        self._outgoing += data
        if len(self._outgoing) == len(data):
            self._flush(moment)

    @property
    def waiting(self) -> int:
        """Bytes that the server has not taken yet."""
        return len(self._outgoing)

    def good(self) -> None:
        """The server works."""
        self._wait = FIRST_WAIT

    def rest(self, moment: float, seconds: float = 0.0) -> None:
        """Close, and connect again after a while: as long as the server asked for, or longer each time."""
        self.close()
        wait = max(self._wait * (0.75 + os.urandom(1)[0] / 510), seconds)
        self.deadline = moment + wait
        self._wait = min(self._wait * 2, LONGEST_WAIT)

    def lose(self, why: str, moment: float) -> None:
        """Give up this connection or attempt, and try again later, at the server's next address if it has several."""
        if self.state != "connected":
            self._addresses = self._addresses[1:]
        self.rest(moment)
        self._owner.lost(why)

    def close(self) -> None:
        """Close, and stay so."""
        self._asked += 1
        if self._socket is not None:
            self._hub.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._outgoing = bytearray()
        self.state = "waiting"
        self.deadline = 0.0

    # -- bytes ----------------------------------------------------------------------------------------------------------

    def _flush(self, moment: float) -> None:
        assert self._socket is not None
        try:
            if self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except OSError as failure:
            if not _not_now(failure):
                self.lose(_words(failure), moment)
                return
        event = select.POLLIN | select.POLLOUT if self._outgoing else select.POLLIN
        self._hub.watch(self._socket.fileno(), self._owner, event)

    def _read(self, moment: float) -> None:
        """Read all there is: of TLS, poll does not tell what was decrypted already."""
        for _ in range(MAX_CHUNKS):
            if self._socket is None:
                return  # the owner has closed it
            try:
                data = self._socket.recv(CHUNK)
            except OSError as failure:
                if not _not_now(failure):
                    self.lose(_words(failure), moment)
                return
            if not data:
                self._owner.ended(moment)
                return
            self._owner.received(data, moment)
        if self._socket is not None:
            self.lose("the server sends too much", moment)


def _words(failure: OSError) -> str:
    """Return why a connection was lost. A server that closes is one reason, whatever was under way to it."""
    return CLOSED if failure.errno in (errno.ECONNRESET, errno.EPIPE) else failure.strerror or str(failure)


def _not_now(failure: OSError) -> bool:
    """Return whether a call failed only because it would have had to wait (of TLS: SSLWantReadError, SSLWantWriteError)."""
    return isinstance(failure, BlockingIOError) or type(failure).__name__ in ("SSLWantReadError", "SSLWantWriteError")
