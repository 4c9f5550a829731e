"""The kernel sets that the daemon keeps: made, replaced, emptied; and whether they can be used.

In: slots. Out: sets in the kernel; a message to the administrator once when a set cannot be used and once when it can be again;
which slots have lost elements to somebody else. What is in the sets is the business of `kernel`.
"""

import errno

from ...base.portable import EBUSY
from ...netlink import nftables
from ...netlink.socket import Netlink, describe
from ...netlink.wire import NLM_F_ACK, with_sequence
from .errors import FULL_ERRORS, IN_THE_WAY, IN_USE, IS_FULL, IS_MISSING, OF_ANOTHER_TYPE, advice, label
from .slot import RETRY_FULL, RETRY_OTHER, Slot, set_of

QUIET = 300
"""Seconds without a full set after which it is told again."""
REPLACE_EVERY = 60
"""Seconds between two replacements of a set whose elements the kernel does not take: it may not be due to the set."""


class KeptSets:
    """All kernel sets of the running policy. `say(level, text)` reaches the administrator's log.

    `tell(target, set, trouble)` reaches those who listen for events: a set cannot be used, or (trouble "") can be again.
    """

    def __init__(self, say, tell) -> None:
        self._say = say
        self._tell = tell
        self._nft = Netlink(True)
        self._ipset = Netlink(False)
        self.losses = False
        """Some slot is `lost`."""
        self.misfits: set[tuple] = set()
        """Managed sets (`set_of`) that were of another type when the compiler looked: each is replaced once."""

    def close(self) -> None:
        self._nft.close()
        self._ipset.close()

    def lost_answers(self) -> int:
        """Return how often the kernel's answers overran a receive buffer."""
        return self._nft.lost + self._ipset.lost

    def port(self) -> int:
        """Return the port by which the kernel names what is done here to nftables. Raises OSError."""
        return self._nft.port()

    # -- making sets ------------------------------------------------------------------------------------------------

    def provide(self, slot: Slot, now: int, fresh: bool) -> bool:
        """Make a managed set if it is not there. `fresh`: the daemon or the slot is new, so flush_on_create holds.

        Returns whether the set can be used. Trouble is told once.
        """
        data = slot.data
        flush = fresh and data["managed"] and data["flush_on_create"]
        if fresh:
            slot.carried_over = not flush
        error = self._make(slot, flush) if data["create"] else 0
        if error:
            slot.ready = slot.ready and error not in IN_USE
            self.fail(slot, error, now)
            return False
        slot.ready = True
        slot.keep_carried(now)
        self.works(slot)
        return True

    def _make(self, slot: Slot, flush: bool) -> int:
        """Make a managed set that is not there, replace one of another type. Returns 0 or the error number."""
        data = slot.data
        if set_of(data) in self.misfits:
            return self._replace(slot)
        error = self._command(slot, list(data["create"]) + ([data["flush"]] if flush else []))
        if slot.lost and (error == errno.EEXIST or error in OF_ANOTHER_TYPE) and not self._replace(slot):
            return 0  # whoever deleted it has made one of another type in its place
        if error == errno.EEXIST:
            # It differs in what an element does not depend on (a comment, a bucket size): the compiler looked at the rest.
            error = self._command(slot, [data["flush"]]) if flush else 0
        return error

    def _replace(self, slot: Slot) -> int:
        """Delete a set of another type and make the right one: for nftables in one transaction. Returns 0 or the error number.

        The kernel refuses while something uses the set. ipset has no transactions: for a moment there is no set.
        """
        data = slot.data
        error = self._command(slot, list(data["destroy"]) + list(data["create"]))
        if error == errno.ENOENT:
            # It is not there any longer.
            error = self._command(slot, list(data["create"]))
        if not error:
            self.misfits.discard(set_of(data))
            for one in [slot] + slot.siblings:
                self.lose(one)
                one.replaced = True
            self._say("notice", "target '" + slot.counters.name + "': " + label(slot) + " was of another type; it is replaced")
        return error

    def empty(self, slot: Slot) -> int:
        """Flush a set. Returns 0 or the error number. A set that is not there is empty."""
        error = self._command(slot, [slot.data["flush"]])
        if not error:
            slot.counters.withdrawn += len(slot.live)
        slot.clear()
        return 0 if error == errno.ENOENT else error

    def _command(self, slot: Slot, messages: list[bytes]) -> int:
        nft = slot.data["kind"] == "nftset"
        netlink = self._nft if nft else self._ipset
        first = netlink.reserve(len(messages) + 2)
        batch = [with_sequence(m, first + 1 + i, 0 if nft else NLM_F_ACK) for i, m in enumerate(messages)]
        if nft:
            batch = [nftables.begin(first)] + batch + [nftables.end(first + len(messages) + 1)]
        try:
            # One send for each ipset command: the second may need what the first made.
            answers = netlink.send(b"".join(batch)) if nft else [a for m in batch for a in netlink.send(m)]
        except OSError as failure:
            return failure.errno or errno.EIO
        for answer in answers:
            if answer.error:
                return answer.error
        return 0

    def swap(self, slot: Slot, now: int) -> bool:
        """No element of ours fits into a managed set: somebody has made another one in its place. Replace it.

        Returns whether that was done. Where something uses the set, `provide` tries again later.
        """
        if now < slot.replace_at or [1 for other in slot.siblings if not other.data["managed"]]:
            return False
        slot.replace_at = now + REPLACE_EVERY
        self.misfits.add(set_of(slot.data))
        if not self._replace(slot):
            return True
        slot.ready = False
        self.lose(slot)
        return False

    # -- whether they can be used -----------------------------------------------------------------------------------

    def works(self, slot: Slot) -> None:
        """A set can be used (again): say so, if it could not."""
        if slot.trouble:
            was_full = slot.trouble == IS_FULL
            if slot.trouble == IS_MISSING:
                self.lose(slot)  # it is there again, and empty
            slot.trouble = ""
            slot.retry_at = 0
            if slot.told:
                slot.told = False
                self._tell(slot.counters.name, label(slot), "")
            if was_full:
                return
            self._say("notice", "target '" + slot.counters.name + "': " + label(slot) + " can be used again")

    def fail(self, slot: Slot, error: int, now: int) -> None:
        """Remember that a set cannot be used for a while, and say so the first time."""
        slot.retry_at = now + (RETRY_FULL if error in FULL_ERRORS else RETRY_OTHER)
        if error == errno.ENOENT and slot.data["managed"] and slot.data["create"]:
            slot.retry_at = now
        words = IS_FULL if error in FULL_ERRORS else IS_MISSING if error == errno.ENOENT else describe(error)
        if (error in IN_USE or error in OF_ANOTHER_TYPE) and set_of(slot.data) in self.misfits:
            words, error = IN_THE_WAY, EBUSY
        # A full set has room now and then: that is told again only after a while, not each time.
        quiet = words == IS_FULL and now < slot.quiet_until
        if words == IS_FULL:
            slot.quiet_until = now + QUIET
        if slot.trouble != words and not quiet:
            hint = advice(error, slot)
            text = "target '" + slot.counters.name + "': " + label(slot) + ": " + words
            self._say("error", text + (" (" + hint + ")" if hint else ""))
            slot.told = True
            self._tell(slot.counters.name, label(slot), words)
        slot.trouble = words
        slot.counters.last_error = label(slot) + ": " + words
        slot.counters.error_time = now

    # -- what somebody else did -------------------------------------------------------------------------------------

    def lose(self, slot: Slot, count: int | None = None) -> None:
        """Somebody else has emptied or deleted a set: its elements are to be put back (see `healing`).

        `count`: how many are known to be gone, None: all.
        """
        slot.lost = True
        slot.away = len(slot.live) if count is None else min(len(slot.live), slot.away + count)
        self.losses = True

    def lose_some(self, slot: Slot, keys: list[bytes]) -> None:
        """Somebody else has taken these packed elements out of a set."""
        for key in keys:
            if key in slot.live and key not in slot.missing:
                slot.missing[key] = None
                slot.away += 1
        self.losses = True
