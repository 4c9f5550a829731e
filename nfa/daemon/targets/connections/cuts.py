"""Connections that are to be cut: now, or later because the kernel would not let go of them.

In: connections, and the slot and key of what was done about their flow; what the kernel said of each. Out: those to delete at
the end of this turn, an error of the target for each that was refused, and one message to the administrator. One that is
offloaded is kept by older kernels (EBUSY on 5.10; 6.1 and 6.12 delete it): it is tried again, less and less often, for as long
as the slot has the key, which is while the flow lives and matches.
"""

import errno

from ...base.portable import EBUSY
from ...netlink.socket import describe
from ..texts import connection_text
from .errors import advice

MYPY = False
if MYPY:
    from ..types import FilledSlot, Say, Tell

MAX_LATER = 4096
"""Connections that wait to be tried again."""
MAX_AGAIN = 512
"""Connections that are tried again in one second, in about 5 ms."""
SLOWEST = 60
"""Seconds between two tries, at most: they double from one second on."""
CODE = "cut-refused"
OFFLOADED = "the kernel does not let go of connections that are offloaded"
_AGAIN = (EBUSY, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN)
"""What may be over soon."""
_MAX_TOLD = 64


class Cut:
    """One connection to cut. `slot` and `key`: it is to be cut while that slot has that key."""

    __slots__ = ("at", "key", "reply", "slot", "tries", "words")

    def __init__(self, reply: bytes, slot: "FilledSlot", key: bytes) -> None:
        self.reply = reply
        self.slot = slot
        self.key = key
        self.tries = 0
        self.at = 0
        """The second in which it is tried again, and (`words`) why that is necessary."""
        self.words = ""


class Cuts:
    """`say` and `tell`: as for `Connections`."""

    def __init__(self, say: "Say", tell: "Tell") -> None:
        self._say = say
        self._tell = tell
        self.now: dict[bytes, Cut] = {}
        """Connections to cut at the end of this turn."""
        self.later: dict[bytes, Cut] = {}
        """Connections that could not be cut, and are tried again."""
        self._told: dict[tuple[str, str], bool] = {}

    def take(self) -> dict[bytes, Cut]:
        """Return what is to be cut now; it is no longer pending."""
        taken, self.now = self.now, {}
        return taken

    def refused(self, connection: bytes, cut: Cut, error: int, now: int) -> None:
        """The kernel did not cut a connection. One that is not in its table meets the rules anyway."""
        if error == errno.ENOENT:
            return
        counters = cut.slot.counters
        words = OFFLOADED if error == EBUSY else describe(error)
        if not cut.tries:
            counters.errors += 1
        counters.last_error = "cannot cut " + connection_text(connection) + ": " + words
        counters.error_time = now
        if error in _AGAIN and len(self.later) < MAX_LATER:
            cut.at = now + min(1 << min(cut.tries, 16), SLOWEST)
            cut.words = words
            cut.tries += 1
            self.later[connection] = cut
        name = counters.name
        if not self._told.get((name, words)):
            if len(self._told) >= _MAX_TOLD:
                self._told = {}
            self._told[(name, words)] = True
            hint = advice(error, "cut")
            self._say(
                "error", "target '" + name + "': connections cannot be cut: " + words + (" (" + hint + ")" if hint else "")
            )
            self._tell(name, "conntrack", words)

    def tick(self, slots: "dict[int, FilledSlot]", now: int) -> None:
        """A second is over: try again what is due, and let go of what no flow is there for. `slots`: those of the policy."""
        again = 0
        for connection, cut in list(self.later.items()):
            slot = cut.slot
            if slots.get(slot.number) is not slot or not slot.has(cut.key):
                del self.later[connection]
            elif now >= cut.at and again < MAX_AGAIN:
                again += 1
                del self.later[connection]
                self.now.setdefault(connection, cut)

    def trouble(self, name: str) -> str:
        """Return why connections of a target wait to be cut; "" when none does."""
        for cut in self.later.values():
            if cut.slot.counters.name == name:
                return "connections cannot be cut: " + cut.words
        return ""
