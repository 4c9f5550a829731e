"""Looks up the addresses of a name: a child of the daemon, whose loop waits for no name server.

In: a name on standard input. Out: its addresses as a JSON list on standard output, or {"problem": words}.
"""

import json
import socket
import sys


def main() -> int:
    """Answer. Returns the exit code."""
    name = sys.stdin.buffer.read()
    try:
        # As bytes: a string would need the codec idna, which OpenWrt has in a package of its own.
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
        print(json.dumps(list(dict.fromkeys(item[4][0] for item in found))))
    except (OSError, ValueError) as failure:
        print(json.dumps({"problem": failure.strerror if isinstance(failure, OSError) else str(failure)}))
    return 0
