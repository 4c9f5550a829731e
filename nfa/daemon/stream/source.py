"""The form of a source: where netifyd's socket is. In: a text. Out: what a socket connects to."""

from ..base import socket
from ..base.portable import printable

DEFAULT_SOURCE = "unix:///var/run/netifyd/netifyd.sock"


def parse_source(uri: str, lowest_port: int = 1) -> tuple[int, object]:
    """Return (address family, address) of a source. Raises ValueError that says what is wrong with it.

    `lowest_port` 0: the address is to listen on, where 0 is any port that is free.
    """
    if not printable(uri):
        raise ValueError("a source may contain only printable characters: " + repr(uri)[:200])
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme not in ("unix", "tcp"):
        raise ValueError("a source is unix://PATH or tcp://ADDRESS:PORT, not '" + uri + "'")
    if scheme == "unix":
        if not rest.startswith("/") or len(rest.encode()) > 107:
            raise ValueError("a unix source needs an absolute path of at most 107 bytes: '" + uri + "'")
        return socket.AF_UNIX, rest
    host, _, port = rest.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not (port.isdigit() and len(port) == len(port.encode())) or not lowest_port <= int(port) < 65536:
        raise ValueError(f"a tcp source is tcp://ADDRESS:PORT with a port from {lowest_port} to 65535, not '{uri}'")
    return socket.AF_INET6 if ":" in host else socket.AF_INET, (host, int(port))


def is_local(family: int, address: object) -> bool:
    """Return whether a source is on this machine: a unix socket, or a loopback address."""
    host = str(address[0]) if isinstance(address, tuple) else ""
    return family == socket.AF_UNIX or host == "::1" or host.startswith("127.")
