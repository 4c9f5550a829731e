"""Commits marks and labels of connections to the kernel: those of one turn of the loop in batches, then cuts.

In: slots with connections to mark, to refresh or to withdraw, and flows to cut. Out: changed conntrack entries, counters,
and one message to the administrator when something does not work, and one when it works again. An entry that is not
found by the tuple of the flow is looked for by the reverse and by the reply tuple of the record, in the next batch of the
same turn: with NAT, a flow that was seen on one side of it has the tuple of one direction only. ICMP has no tuple that a
flow record could tell: its entries are found by their addresses, in `search`.
"""

import errno

from ...base.portable import ENOSPC
from ...netlink import conntrack
from ...netlink.socket import Netlink, describe
from ..sets.errors import REFUSED, code_of
from ..sets.slot import RETRY_OTHER
from ..texts import connection_text, reader
from .cuts import Cut, Cuts
from .errors import advice
from .icmp import Search
from .slot import ConnectionSlot, connection_of

MYPY = False
if MYPY:
    from ..types import FilledSlot, Say, Tell

ADD, REFRESH, REMOVE, CUT = 0, 1, 2, 3
MAX_TURN = 2048
"""Changes of one kind that are made in one turn of the loop, in about 10 ms; the rest waits for the next one."""
QUIET = 30
"""Seconds without a new success after which missing room for labels is reported again, if MANY connections had none since."""
MANY = 8
CODE_NO_ROOM = "labels-no-room"
NO_ROOM = "connections have no room for labels, because no firewall rule sets a label"
ADD_A_RULE = (
    "add such a rule, which no packet has to reach: nft 'add table inet nfa_labels; add chain inet nfa_labels unused;"
    " add rule inet nfa_labels unused ct label set 0'. It takes effect for new connections"
)


class Change:
    """One connection and what is to be done with it. A `cut` has no slot, and its `key` begins with two zero bytes."""

    __slots__ = ("cut", "error", "form", "key", "reply", "slot", "tail", "tried", "what")

    def __init__(
        self, slot: ConnectionSlot | None, key: bytes, what: int, form: int, reply: bytes, cut: Cut | None = None
    ) -> None:
        self.slot = slot
        self.cut = cut
        self.key = key
        self.what = what
        self.form = form
        """What it is looked for by: 0 the tuple of the flow, 1 its reverse, 2 `reply`."""
        self.reply = reply
        self.tried = 0
        self.error = 0
        """Why an entry that was found in a search could not be changed."""
        self.tail = slot.tail(key, what == REMOVE) if slot is not None else b""

    def connection(self) -> bytes:
        """Return the packed connection in the present form."""
        if self.form == 2:
            return self.reply
        found = connection_of(self.key)
        return conntrack.reverse(found) if self.form else found

    def next_form(self) -> bool:
        """Go on to a form that was not tried. Returns False when there is none."""
        self.tried |= 1 << self.form
        for form in (0, 1, 2):
            if not self.tried & 1 << form and (form < 2 or self.reply):
                self.form = form
                return True
        return False


class Connections:
    """All connections of the running policy. `say` and `tell`: as for `kernel.Sets`."""

    def __init__(self, say: "Say", tell: "Tell") -> None:
        self._say = say
        self._tell = tell
        self.netlink = Netlink(True)
        self.search = Search(self._change_found)
        self.batches = 0
        self.cut_count = 0
        """Entries that were deleted."""
        self.cuts = Cuts(say, tell)
        self.more = False
        """Something is left for the next turn."""

    def close(self) -> None:
        self.netlink.close()
        self.search.close()

    @property
    def busy(self) -> bool:
        """Whether the next turn of the loop should come at once."""
        return self.search.reading or self.more

    @property
    def pending(self) -> bool:
        """Whether `commit` has something to do besides what is in the slots."""
        return bool(self.cuts.now or self.search.reading or self.search.asked)

    def cut(self, connection: bytes, reply: bytes, slot: "FilledSlot", key: bytes) -> None:
        """Delete the entry of a connection at the end of this turn; later, while a slot has a key, if the kernel refuses."""
        self.cuts.now[connection] = Cut(reply, slot, key)

    # -- a turn -----------------------------------------------------------------------------------------------------

    def commit(self, slots: list[ConnectionSlot], every: list[ConnectionSlot], now: int) -> None:
        """Commit everything that is pending in `slots`. `every`: all slots of the policy."""
        changes: list[Change] = []
        self.more = False
        for slot in slots:
            if slot.trouble and now < slot.state.retry_at and not (slot.adds or slot.refreshes):
                continue
            adds, refreshes, removals = slot.take_pending(max(0, MAX_TURN - len(changes)))
            self.more = self.more or bool(slot.adds or slot.refreshes or slot.dels)
            if slot.trouble and now < slot.state.retry_at:
                slot.dels.update(removals)
                continue
            for key, (form, reply) in removals:
                self._want(changes, Change(slot, key, REMOVE, form, reply))
            live, replies = slot.live, slot.replies
            for key in refreshes:
                self._want(changes, Change(slot, key, REFRESH, live.get(key, 0) & 3, replies.get(key, b"")))
            for key in adds:
                self._want(changes, Change(slot, key, ADD, 0, replies.get(key, b"")))
        self._bring(changes, every, now)
        if self.cuts.now:
            changes = []
            for connection, cut in self.cuts.take().items():
                self._want(changes, Change(None, b"\0\0" + connection, CUT, 0, cut.reply, cut))
            self._bring(changes, every, now)
        if self.search.reading or self.search.asked:
            self._search(every, now)

    def _want(self, changes: list[Change], change: Change) -> None:
        if change.key[3] in (conntrack.ICMP, conntrack.ICMPV6):
            if not self.search.ask(change.slot, change.key, change) and change.what == REMOVE:
                change.slot.dels[change.key] = change.form, change.reply  # type: ignore[union-attr]  # a REMOVE has a slot
        else:
            changes.append(change)

    def _bring(self, changes: list[Change], every: list[ConnectionSlot], now: int) -> None:
        """Send changes until each is done or refused; what is tried in another form stands at the end of the list."""
        start = 0
        while start < len(changes):
            batch = changes[start : start + conntrack.MAX_BATCH]
            start += len(batch)
            first = self.netlink.reserve(len(batch))
            messages = []
            for sequence, change in enumerate(batch, first):
                command = conntrack.DELETE if change.what == CUT else conntrack.UPDATE
                messages.append(conntrack.encode(command, sequence, change.connection(), change.tail))
            errors = self._send(messages, first)
            for index, change in enumerate(batch):
                error = errors.get(index, 0)
                if not error:
                    self._done(change, every, now)
                elif error == errno.ENOENT and change.next_form():
                    changes.append(change)
                else:
                    self._refused(change, error, now)

    def _send(self, messages: list[bytes], first: int) -> dict[int, int]:
        """Send a batch. Returns the error numbers of the refused messages, by their index."""
        self.batches += 1
        try:
            answers = self.netlink.send(b"".join(messages))
        except OSError as failure:
            return dict.fromkeys(range(len(messages)), failure.errno or errno.EIO)
        return {answer.sequence - first: answer.error for answer in answers if answer.error}

    # -- what became of it ------------------------------------------------------------------------------------------

    def _done(self, change: Change, every: list[ConnectionSlot], now: int) -> None:
        slot, key = change.slot, change.key
        if slot is None:
            self.cut_count += 1
            for other in every:
                other.cut_off(connection_of(key), now)
            return
        if change.what == REMOVE:
            slot.counters.withdrawn += 1
            return
        if not slot.found(key, now, change.form):
            # The flow let go of it while it was searched for.
            slot.dels[key] = change.form, change.reply
        slot.worked_at = now
        if change.what == ADD:
            slot.begun_at, slot.without_room = now, 0
        if slot.trouble and slot.state.end():
            self._tell(slot.counters.name, slot.data["set"], "")
            self._say("notice", "target '" + slot.counters.name + "': " + slot.data["set"] + " can be used again")

    def _refused(self, change: Change, error: int, now: int) -> None:
        slot, key = change.slot, change.key
        if slot is None:
            if change.cut is not None:
                self.cuts.refused(connection_of(key), change.cut, error, now)
            return
        if error == errno.ENOENT:
            if change.what == REFRESH:
                slot.lost(key, now)
            return
        no_room = error == ENOSPC and slot.data["kind"] == "ctlabel"
        if no_room and change.what == REMOVE:
            return
        if change.what == REMOVE:
            slot.dels[key] = change.form, change.reply  # later
        slot.counters.errors += 1
        slot.counters.error_time = now
        words = NO_ROOM if no_room else describe(error)
        slot.counters.last_error = slot.data["set"] + ": " + words
        if no_room:
            slot.no_room(key, now)
            slot.without_room += 1
            # Connections that began before the rule have none for as long as they last: where others work, that is no trouble.
            # Those that began before it was deleted keep theirs: that they are renewed says nothing.
            if not slot.begun_at or (now - slot.begun_at > QUIET and slot.without_room >= MANY):
                self._fail(slot, CODE_NO_ROOM, words, " (" + ADD_A_RULE + ")")
        elif error in REFUSED:
            slot.state.wait(now + RETRY_OTHER)
            hint = advice(error, slot.data["kind"])
            self._fail(slot, code_of(error), words, " (" + hint + ")" if hint else "")

    def _fail(self, slot: ConnectionSlot, code: str, words: str, advice: str) -> None:
        """A slot does not work; that is said once."""
        if slot.state.begin(code, words):
            slot.state.told = True
            self._say("error", "target '" + slot.counters.name + "': " + slot.data["set"] + ": " + words + advice)
            self._tell(slot.counters.name, slot.data["set"], words)

    # -- ICMP -------------------------------------------------------------------------------------------------------

    def _search(self, every: list[ConnectionSlot], now: int) -> None:
        """Go on with the search; tell what it could not find, when it has come to its end."""
        error, ended = self.search.go_on(now)
        for change, found in ended:
            if found:
                self._done(change, every, now)
            else:
                self._refused(change, change.error or error or errno.ENOENT, now)

    def _change_found(self, found: list[tuple[Change, bytes]]) -> list[Change]:
        """Change entries that were found in the table, each given by the payload of its tuple. Returns what was done."""
        done = []
        for start in range(0, len(found), conntrack.MAX_BATCH):
            batch = found[start : start + conntrack.MAX_BATCH]
            first = self.netlink.reserve(len(batch))
            messages = []
            for sequence, (change, original) in enumerate(batch, first):
                command = conntrack.DELETE if change.what == CUT else conntrack.UPDATE
                messages.append(conntrack.encode_raw(command, sequence, change.key[2], original, change.tail))
            errors = self._send(messages, first)
            for index, (change, _) in enumerate(batch):
                if index in errors:
                    change.error = errors[index]
                else:
                    done.append(change)
        return done

    # -- what is reported --------------------------------------------------------------------------------------------

    def tick(self, slots: list[ConnectionSlot], every: "dict[int, FilledSlot]", now: int) -> None:
        """Tell what could not be labelled in the last second, where that is wanted. `every`: all slots of the policy."""
        self.cuts.tick(every, now)
        for slot in slots:
            if slot.failures:
                more = " (and " + str(slot.failures - 1) + " more)" if slot.failures > 1 else ""
                if slot.waiting.get(slot.failed, 0) >= 0:
                    text = "not in the conntrack table: " + connection_text(connection_of(slot.failed)) + more
                    slot.counters.last_error, slot.counters.error_time = text, now
                else:
                    text = "no room for labels: " + reader(slot.data)(slot.failed) + more
                slot.failures = 0
                if slot.data["log_errors"]:
                    self._say("warning", "target '" + slot.counters.name + "': " + text)
            for name, told in slot.missing.items():
                if not told:
                    slot.missing[name] = True
                    self._say("warning", "target '" + slot.counters.name + "': no label for '" + name + "'")
