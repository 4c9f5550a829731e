"""Questions to the kernel that are answered at once: the answers' payloads, or the kernel's error.

In: a message with REQUEST, and ACK or DUMP. Out: payloads. The kernel writes its answer within `send`, and goes on with a
dump within `recv`, so nothing here waits. Source: linux/netlink.h.
"""

from ..base.portable import strerror
from .socket import NETLINK_NETFILTER, Dump
from .wire import HEADER, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NUMBER, messages

_ENODATA = 61
_ATTEMPTS = 5
"""Times that a dump is started over because something changed while the kernel walked."""


class Questions:
    """A socket for questions, opened when first used; each question needs a number of its own."""

    def __init__(self, family: int = NETLINK_NETFILTER) -> None:
        self._dump = Dump(family)
        self._sequence = 0

    def number(self) -> int:
        """Return a sequence number for the next question."""
        self._sequence += 1
        return self._sequence

    def ask(self, request: bytes) -> list[bytes]:
        """Return the payload of each message of the answer. Raises OSError, with the kernel's error number."""
        for _ in range(_ATTEMPTS):
            found, whole = self._once(request)
            if whole:
                break
        return found

    def _once(self, request: bytes) -> tuple[list[bytes], bool]:
        """Return the payloads, and whether nothing changed meanwhile."""
        number = HEADER.unpack_from(request)[3]
        self._dump.ask(request)
        found: list[bytes] = []
        whole = True
        while True:
            data = self._dump.next()
            if not data:
                raise OSError(_ENODATA, "the kernel gave no whole answer")
            for kind, flags, sequence, start, end in messages(data):
                if sequence != number:
                    continue
                whole = whole and not flags & NLM_F_DUMP_INTR
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    error = -NUMBER.unpack_from(data, start)[0] if end - start >= 4 else 0
                    if error:
                        raise OSError(error, strerror(error))
                    return found, whole
                found.append(data[start:end])

    def close(self) -> None:
        """Close the socket; the next question opens it again."""
        self._dump.close()
