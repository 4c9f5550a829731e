"""Looks up the addresses of a name, in a child of the daemon, whose loop waits for no name server.

The compiler does it for netifyd's socket (`addresses`); for sinks it is a child of its own: a name on standard input, its
addresses as a JSON list on standard output, or {"problem": words}.
"""

import json
import socket
import sys


def addresses(name: bytes) -> list[str]:
    """Return the addresses of a name, each once; a link-local one with its scope. Raises OSError or ValueError."""
    # As bytes: a string would need the codec idna, which OpenWrt has in a package of its own.
    found = []
    for *_, address in socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM):
        scope = f"%{address[3]}" if len(address) == 4 and address[3] else ""
        found.append(str(address[0]).partition("%")[0] + scope)
    return list(dict.fromkeys(found))


def main() -> int:
    """Answer. Returns the exit code."""
    try:
        print(json.dumps(addresses(sys.stdin.buffer.read())))
    except (OSError, ValueError) as failure:
        print(json.dumps({"problem": failure.strerror if isinstance(failure, OSError) else str(failure)}))
    return 0
