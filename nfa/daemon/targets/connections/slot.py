"""Which connections one ctmark or ctlabel target holds, and what is to be done about each in this turn.

In: packed keys that flows hold and release, and the present time in whole seconds. Out: lists of keys to add, to refresh and
to withdraw, and for each the attributes of the message. It has the form of `slot.Slot`, so that engine and registry need
not tell connections from elements. A key is the slot's number (2 bytes), the packed connection (`netlink.conntrack`), and,
where labels depend on the flow, a byte each for the label of its application and of its protocol. The kernel itself is
spoken to in `connections.py`.
"""

from ...engine.view import NOTHING, reply_connection
from ...netlink import conntrack
from ..counters import Counters
from ..sets.holders import Holders
from ..sets.slot import MAX_LIVE
from ..trouble import Trouble, Troubled

MYPY = False
if MYPY:
    from typing import TypeVar

    from ..types import Data, Key, Record

    T = TypeVar("T")

RENEW = 14
"""Seconds after which a flow that comes again has its bits set again: its entry may be a new one. Statistics come
every 15 seconds."""
PATIENCE = 60
"""Seconds in which a connection that is not in the kernel's table is tried again, with later records of its flow."""
AFTER_CUT = 10
"""Seconds in which a connection that was cut is looked for each second: its next packet makes a new entry."""
MAX_TAILS = 4096
MAX_MISSING = 32
"""Names without a label that are reported."""
NO_LABEL = 0xFF


def connection_of(key: bytes) -> bytes:
    """Return the packed connection in a key."""
    return key[2:16] if key[2] == 4 else key[2:40]


def label_form(name: str) -> str:
    """Return a name as it stands in a label after `a-` or `p-`: lower case, `/` and `.` as hyphens."""
    return name.lower().replace("/", "-").replace(".", "-")


def _take(table: "dict[bytes, T]", most: int) -> "dict[bytes, T]":
    """Move up to `most` items out of a table, the oldest first."""
    if len(table) <= most:
        taken = dict(table)
        table.clear()
        return taken
    taken = {key: table[key] for key in list(table)[:most]}
    for key in taken:
        del table[key]
    return taken


def automatic(data: "Data", flow: "Record") -> tuple[int, int]:
    """Return the labels that the file has for a flow's application and protocol; NO_LABEL for none.

    An application is known by its whole name, `netify.youtube`, and by what follows the first dot.
    """
    application = flow.get("detected_application_name", "")
    whole = label_form(application)
    found = data["applications"].get(whole, NO_LABEL)
    if found == NO_LABEL and whole.startswith("netify-"):
        found = data["applications"].get(whole[7:], NO_LABEL)
    protocol = flow.get("detected_protocol_name", "")
    return found, data["protocols"].get(label_form(protocol) if isinstance(protocol, str) else "", NO_LABEL)


class ConnectionSlot(Troubled):
    """The connections of one target. Its image data has `kind` (ctmark, ctlabel, or cut: nothing is set in those), `rank`,
    and `mark` and `mask`, or `labels` (bits), `auto`, `applications`, `protocols` and `log_errors`."""

    def __init__(self, number: int, data: "Data", counters: Counters) -> None:
        self.number = number
        self.counters = counters
        self.live: dict[bytes, int] = {}
        """Connections that carry the target's bits: 4 times the second they were last set, and 0, 1 or 2 for what finds them:
        the tuple as the flow has it, its reverse, the reply tuple of the record."""
        self.waiting: dict[bytes, int] = {}
        """Connections that do not: the second they were first looked for; 0 when that was given up; negative, when the
        kernel has no room for labels in them: the second to try again."""
        self.holders = Holders()
        self.replies: dict[bytes, bytes] = {}
        """Reply tuples of records, of connections that are found by them or not found yet."""
        self.again: dict[bytes, int] = {}
        """Those of `waiting` that carried the bits before, with the second until which they are looked for each second."""
        self.adds: dict[bytes, None] = {}
        self.refreshes: dict[bytes, None] = {}
        self.dels: dict[bytes, tuple[int, bytes]] = {}
        """What to withdraw, with what finds it, and the reply tuple."""
        self.siblings: list[ConnectionSlot] = []
        """Slots of other targets of this kind."""
        self.state: Trouble = Trouble()
        self.worked_at = 0
        self.begun_at = 0
        """The second in which a connection got the bits that did not carry them before, and `without_room`: how many others
        had no room for labels since."""
        self.without_room = 0
        self.failed = b""
        """The first connection that could not be given its bits since that was last reported, and how many there were."""
        self.failures = 0
        self.missing: dict[str, bool] = {}
        """Names of applications and protocols that have no label, and whether that was reported."""
        self._latest: dict[bytes, bytes] | None = None
        """Where labels depend on the flow: connection to its latest key."""
        self._tails: dict[bytes, tuple[bytes, bytes]] = {}
        self._stamps = [0, 0, 0]
        self.take(data)

    def take(self, data: "Data") -> None:
        """Use (new) data of the policy image. What the target sets is part of a slot's identity: it stays."""
        self.data = data
        self._tails = {}
        self._latest = (self._latest or {}) if data["auto"] else None

    # -- the form of a Slot -----------------------------------------------------------------------------------------

    @property
    def present(self) -> int:
        """How many connections carry the target's bits."""
        return len(self.live)

    def key_function(self, make: "Key") -> "Key":
        """Return the function (record, flow) -> key, from the one that the image has for the connection."""

        def key(record: "Record", flow: "Record") -> bytes:
            found: bytes = make(record, flow)
            if self._latest is not None:
                found += bytes(self._automatic(flow))
            if flow.get("conntrack", NOTHING):
                self._note_reply(found, flow)
            return found

        return key

    def _automatic(self, flow: "Record") -> tuple[int, int]:
        """Return a flow's labels. Raises ValueError when it gets none at all."""
        data = self.data
        found = automatic(data, flow)
        if found == (NO_LABEL, NO_LABEL):
            name = flow.get("detected_application_name") or str(flow.get("detected_protocol_name"))
            if data["log_errors"] and len(self.missing) < MAX_MISSING:
                self.missing.setdefault(name, False)
            if not data["labels"]:
                raise ValueError("no label for " + name)
        return found

    def _note_reply(self, key: bytes, flow: "Record") -> None:
        if key not in self.live and len(self.replies) < MAX_LIVE:
            reply = reply_connection(flow)
            connection = connection_of(key)
            if reply and reply != connection and reply != conntrack.reverse(connection):
                self.replies[key] = reply

    def hold(self, key: bytes, now: int) -> None:
        """A flow that did not hold this connection wants the bits on it."""
        if key in self.live or key in self.waiting:
            self.holders.join(key)
            self.want(key, now)
        else:
            self.holders.wake(key, True)
            self._add(key, now)

    def _add(self, key: bytes, now: int) -> None:
        """Look for a connection, to set the bits on it."""
        for table in (self.live, self.waiting):
            if len(table) >= MAX_LIVE:
                self.forget(list(table)[: MAX_LIVE // 2])
        taken = self.dels.pop(key, None)
        if self.data["kind"] == "cut":
            self.live[key] = 0
        elif taken:
            self.live[key] = self._stamp(now, taken[0])
            if taken[1]:
                self.replies[key] = taken[1]
            self.refreshes[key] = None
        else:
            self.waiting[key] = now
            self.adds[key] = None
        if self._latest is not None:
            self._latest[connection_of(key)] = key

    def want(self, key: bytes, now: int) -> None:
        """A flow that holds this connection lives."""
        state = self.live.get(key)
        if state is not None:
            if now - (state >> 2) >= RENEW and self.data["kind"] != "cut":
                self.live[key] = self._stamp(now, state & 3)
                self.refreshes[key] = None
            return
        since = self.waiting.get(key)
        if since is None:
            self.holders.wake(key, False)
            self._add(key, now)
        elif since < 0:
            if now >= -since:
                self.adds[key] = None
        elif since and now - since > PATIENCE:
            self.waiting[key] = 0
            self._not_found(key)
        elif since:
            self.adds[key] = None

    def release(self, key: bytes, now: int, withdraw: bool) -> None:
        """A flow no longer holds this connection. `withdraw`: the bits go; else the connection has ended, or will."""
        if key not in self.live and key not in self.waiting:
            if self.holders.release_asleep(key) and withdraw and self.data["kind"] != "cut":
                self.dels[key] = 0, b""  # the bits may be there from before
            return
        if not self.holders.release(key):
            return
        state = self.live.pop(key, None)
        since = self.waiting.pop(key, 0)
        if since > 0 and key not in self.adds:
            self._not_found(key)
        reply = self.replies.pop(key, b"")
        self._forget_pending(key)
        if withdraw and state is not None and self.data["kind"] != "cut":
            self.dels[key] = state & 3, reply

    def _forget_pending(self, key: bytes) -> None:
        self.adds.pop(key, None)
        self.refreshes.pop(key, None)
        self.again.pop(key, None)
        if self._latest is not None:
            connection = connection_of(key)
            if self._latest.get(connection) == key:
                del self._latest[connection]

    def has(self, key: bytes) -> bool:
        """Return whether a connection has the bits, or is looked for to get them."""
        return key in self.live or key in self.waiting

    def expires(self, key: bytes) -> int:
        """Return 0: bits stay as long as their connection."""
        return 0

    def forget(self, keys: list[bytes]) -> None:
        """These are too many to be remembered; what they carry stays."""
        for key in keys:
            if key in self.live or key in self.waiting:
                self.holders.sleep(key)
            for table in (self.live, self.waiting, self.replies):
                table.pop(key, None)
            self._forget_pending(key)

    def expire(self, now: int) -> None:
        """Look again for what was cut. To be called each second."""
        for key, until in self.again.items():
            if now <= until:
                self.adds[key] = None

    def idle(self) -> list[bytes]:
        """Return nothing: bits go with the last flow that holds them."""
        return []

    def withdraw_idle(self, keys: list[bytes], now: int) -> None:
        """There are none."""

    def withdraw_all(self) -> int:
        """Withdraw the bits of all connections, and forget them. Returns of how many."""
        count = len(self.live)
        if self.data["kind"] != "cut":
            replies = self.replies
            self.dels.update([(key, (state & 3, replies.get(key, b""))) for key, state in self.live.items()])
        self.forget(list(self.live) + list(self.waiting))
        return count

    # -- for `connections.py` ---------------------------------------------------------------------------------------

    def take_pending(self, most: int) -> tuple[list[bytes], list[bytes], list[tuple[bytes, tuple[int, bytes]]]]:
        """Return keys to add, to refresh and to withdraw, `most` of each; they are no longer pending."""
        return list(_take(self.adds, most)), list(_take(self.refreshes, most)), list(_take(self.dels, most).items())

    def found(self, key: bytes, now: int, form: int) -> bool:
        """A connection carries the bits now. Returns False when no flow holds it any longer."""
        if key not in self.waiting and key not in self.live:
            return False
        known = key in self.live or key in self.again
        self.waiting.pop(key, None)
        self.again.pop(key, None)
        if form != 2:
            self.replies.pop(key, None)
        self.live[key] = self._stamp(now, form)
        if known:
            self.counters.refreshed += 1
        else:
            self.counters.added += 1
        return True

    def lost(self, key: bytes, now: int) -> None:
        """A connection that carried the bits is not in the table. Its flow's next records look for it again."""
        if self.live.pop(key, None) is not None:
            self.waiting[key] = now
            self.again[key] = 0

    def no_room(self, key: bytes, now: int) -> None:
        """A connection has no room for labels."""
        if self.live.pop(key, None) is not None or key in self.waiting:
            self.waiting[key] = -(now + PATIENCE)
            self._failed(key)

    def cut_off(self, connection: bytes, now: int) -> None:
        """The entry of a connection was deleted: what it carried is restored as soon as it is there again."""
        key = self._held(connection)
        if key is not None and self.data["kind"] != "cut":
            self.live.pop(key, None)
            self.waiting[key] = now
            self.again[key] = now + AFTER_CUT

    def tail(self, key: bytes, withdraw: bool) -> bytes:
        """Return the attributes of the message that sets this target's bits on a connection, or withdraws them.

        Where targets overlap, a bit is what the last of them that holds the connection wants, in the order of the policy.
        """
        suffix = key[16:] if key[2] == 4 else key[40:]
        if not self.siblings and (self._latest is None or self._latest.get(connection_of(key), key) == key):
            made = self._tails.get(suffix)
            if made is None:
                if len(self._tails) >= MAX_TAILS:
                    self._tails = {}
                value, mask = self.effect(key)
                made = self._tails[suffix] = self._attributes(value, mask), self._attributes(0, mask)
            return made[withdraw]
        connection = connection_of(key)
        value = 0
        for slot in sorted([self] + self.siblings, key=lambda slot: slot.data["rank"]):
            held = slot._held(connection)
            if held is not None:
                wanted, mask = slot.effect(held)
                value = value & ~mask | wanted
        return self._attributes(value, self.effect(key)[1])

    def _attributes(self, value: int, mask: int) -> bytes:
        return (conntrack.mark if self.data["kind"] == "ctmark" else conntrack.labels)(value & mask, mask)

    def effect(self, key: bytes) -> tuple[int, int]:
        """Return what a key sets: value and mask, as numbers."""
        data = self.data
        if data["kind"] == "ctmark":
            return data["mark"], data["mask"]
        bits: int = data["labels"]
        for label in key[16:] if key[2] == 4 else key[40:]:
            bits |= 1 << label if label != NO_LABEL else 0
        return bits, bits

    def _held(self, connection: bytes) -> bytes | None:
        """Return the key by which flows hold a connection, None when none does."""
        key: bytes | None = self.number.to_bytes(2, "big") + connection
        if self._latest is not None:
            key = self._latest.get(connection)
        return key if key in self.live or key in self.waiting else None

    def _stamp(self, now: int, form: int) -> int:
        """Return what `live` has for a connection; one object for all of a second, which saves 32 bytes each."""
        if self._stamps[0] >> 2 != now:
            self._stamps = [now << 2, now << 2 | 1, now << 2 | 2]
        return self._stamps[form]

    def _not_found(self, key: bytes) -> None:
        """A connection was looked for in vain; one that carried the bits before has only ended."""
        if key not in self.again:
            self.counters.skipped += 1
            self._failed(key)

    def _failed(self, key: bytes) -> None:
        if not self.failures:
            self.failed = key
        self.failures += 1
