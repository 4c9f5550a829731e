"""The kernel sets of the policy: creating, replacing and flushing them, and whether they can be used.

In: slots. Out: sets in the kernel; one message when a set cannot be used, and one when it can be used again.
Every event of a set comes through here to its state (`states`). What is in the sets is the business of `writer`.
"""

import errno

from ...base.portable import EBUSY
from ...netlink import nftables
from ...netlink.socket import Dump, Netlink
from ...netlink.wire import NLM_F_ACK, with_sequence
from .errors import (
    CODE_FULL,
    CODE_MISSING,
    CODE_OTHER_TYPE,
    IN_THE_WAY,
    IN_USE,
    IS_MISSING,
    OF_ANOTHER_TYPE,
    advice,
    code_of,
    label,
    words_of,
)
from .slot import RETRY_FULL, RETRY_OTHER, Slot, set_of
from .states import ACCEPTED, FILLED, FULL, GONE, IS_REFUSED, MADE, MISFITS

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ...netlink.wire import Failure
    from ..types import Say, Tell

QUIET = 300
"""Seconds without a full set after which a full one is reported again."""
REPLACE_EVERY = 60
"""Seconds between two replacements of a set whose elements the kernel does not take: it may not be due to the set."""


class KeptSets:
    """All kernel sets of the running policy. `say(level, text)` reaches the administrator's log.

    `tell(target, set, trouble)` reaches those who listen for events: a set cannot be used, or (trouble "") can be again.
    """

    def __init__(self, say: "Say", tell: "Tell") -> None:
        self._say = say
        self._tell = tell
        self._nft = Netlink(True)
        self._ipset = Netlink(False)
        self._dump = Dump()
        self.changed = False
        """The state of some set has changed, so that `healing` may have something to do."""
        self.misfits: set[tuple[Any, ...]] = set()
        """Managed sets (`set_of`) of another type, each of which is to be replaced once."""
        self._quiet_until: dict[tuple[Any, ...], int] = {}
        """The second until which a full set is not reported again."""
        self._replace_at: dict[tuple[Any, ...], int] = {}
        """The second before which a set is not replaced again."""

    def close(self) -> None:
        self._nft.close()
        self._ipset.close()
        self._dump.close()

    def lost_answers(self) -> int:
        """Return how often the kernel's answers overran a receive buffer."""
        return self._nft.lost + self._ipset.lost

    def port(self) -> int:
        """Return the port by which the kernel names what is done here to nftables. Raises OSError."""
        return self._nft.port()

    # -- making sets ------------------------------------------------------------------------------------------------

    def provide(self, slot: Slot, now: int, fresh: bool) -> bool:
        """Make a managed set if it is not there. `fresh`: the daemon or the slot is new, so flush_on_create holds.

        Returns whether the set can be used. Trouble is reported once.
        """
        data, state = slot.data, slot.state
        flush = fresh and data["managed"] and data["flush_on_create"]
        if fresh:
            slot.begin(flush)
        deleted = not fresh and not state.usable
        state.making()
        error = self._make(slot, flush, deleted) if data["create"] else 0
        if error:
            self.fail(slot, error, now, True)
            return False
        slot.keep_carried(now)
        self.happens(slot, MADE)
        if state.value != FULL:  # that it is there says nothing about its room
            self.works(slot)
        return True

    def _make(self, slot: Slot, flush: bool, deleted: bool) -> int:
        """Make a managed set that is not there, replace one of another type. Returns 0 or the error number."""
        data = slot.data
        if set_of(data) in self.misfits:
            return self._replace(slot)
        error = self._command(slot, list(data["create"]) + ([data["flush"]] if flush else []))
        if deleted and (error == errno.EEXIST or error in OF_ANOTHER_TYPE) and not self._replace(slot):
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
                self.lost(one)
                one.state.replaced = True
            self._say("notice", "target '" + slot.counters.name + "': " + label(slot) + " had another type and was replaced")
        return error

    def flush(self, slot: Slot) -> int:
        """Flush a set. Returns 0 or the error number. A set that is not there is empty."""
        error = self._command(slot, [slot.data["flush"]])
        if not error:
            slot.counters.withdrawn += len(slot.live)
        slot.clear()
        return 0 if error == errno.ENOENT else error

    def refill(self, slot: Slot) -> None:
        """Empty a set of what nobody knows. What flows want in it, `healing` restores."""
        if not self._command(slot, [slot.data["flush"]]):
            slot.carried_over = False
            for one in [slot] + slot.siblings:
                self.lost(one)

    def _command(self, slot: Slot, messages: list[bytes]) -> int:
        if slot.data["kind"] == "nftset":
            return self.transact(messages)
        first = self._ipset.reserve(len(messages))
        # One send for each: the second may need what the first made.
        return _outcome(
            lambda: [
                answer
                for index, one in enumerate(messages)
                for answer in self._ipset.send(with_sequence(one, first + index, NLM_F_ACK))
            ]
        )

    def transact(self, messages: list[bytes]) -> int:
        """Have nftables do all of this, or nothing. Returns 0 or the error number."""
        first = self._nft.reserve(len(messages) + 2)
        batch = [with_sequence(one, first + 1 + index, 0) for index, one in enumerate(messages)]
        batch = [nftables.begin(first)] + batch + [nftables.end(first + len(messages) + 1)]
        return _outcome(lambda: self._nft.send(b"".join(batch)))

    # -- whether they can be used -----------------------------------------------------------------------------------

    def happens(self, slot: Slot, event: int) -> None:
        """Something has happened to a slot's set (see `states`)."""
        slot.state.happens(event, len(slot.live))
        if event in (MADE, GONE):
            slot.renew_form()
        self.changed = True

    def works(self, slot: Slot) -> None:
        """A set can be used (again): say so, if the trouble was reported."""
        state = slot.state
        was_full = state.code == CODE_FULL
        if state.end():
            self._tell(slot.counters.name, label(slot), "")
            if not was_full:
                self._say("notice", "target '" + slot.counters.name + "': " + label(slot) + " can be used again")

    def accepted(self, slot: Slot) -> None:
        """A set that could not be used, or was full, has taken an element."""
        self.happens(slot, ACCEPTED)
        self.works(slot)

    def fail(self, slot: Slot, error: int, now: int, making: bool = False) -> None:
        """The kernel said that a set cannot be used, or (`making`) cannot be made: remember why, and say so the first time."""
        state = slot.state
        misfit = (error in IN_USE or error in OF_ANOTHER_TYPE) and set_of(slot.data) in self.misfits
        if error == errno.ENOENT and state.managed and not making:
            # `healing` makes it at once, so that nobody need hear of it; status says so meanwhile.
            state.begin(CODE_MISSING, IS_MISSING)
            for one in [slot] + slot.siblings:
                self.happens(one, GONE)
            return
        if misfit:
            code, words, error = CODE_OTHER_TYPE, IN_THE_WAY, EBUSY
        else:
            code = code_of(error)
            words = words_of(error)
        self.happens(slot, MISFITS if misfit else IS_REFUSED if making else _EVENTS.get(code, IS_REFUSED))
        state.wait(now + (RETRY_FULL if state.value == FULL else RETRY_OTHER))
        # A full set has room now and then: that is reported again only after a while, not each time.
        quiet = state.value == FULL and now < self._quiet_until.get(set_of(slot.data), 0)
        if state.value == FULL:
            self._quiet_until[set_of(slot.data)] = now + QUIET
        if state.begin(code, words) and not quiet:
            hint = advice(error, slot)
            text = "target '" + slot.counters.name + "': " + label(slot) + ": " + words
            self._say("error", text + (" (" + hint + ")" if hint else ""))
            state.told = True
            self._tell(slot.counters.name, label(slot), words)
        slot.counters.last_error = label(slot) + ": " + words
        slot.counters.error_time = now

    def misfits_now(self, slot: Slot, now: int) -> bool:
        """No element of ours fits into a managed set: another program created another one in its place. `healing` replaces it.

        Returns False when that is not to be: something else may be wrong with the elements.
        """
        name = set_of(slot.data)
        if now < self._replace_at.get(name, 0) or not slot.state.made:
            return False
        if [1 for other in [slot] + slot.siblings if not other.data["managed"]]:
            return False
        self._replace_at[name] = now + REPLACE_EVERY
        self.misfits.add(name)
        self.happens(slot, MISFITS)
        return True

    # -- what other programs did -----------------------------------------------------------------------------------

    def lost(self, slot: Slot, count: int | None = None) -> None:
        """Another program flushed a set: its elements are to be restored (see `healing`).

        `count`: how many are known to be gone, None: all.
        """
        slot.state.lost(len(slot.live) if count is None else count, len(slot.live))
        self.changed = True

    def lost_some(self, slot: Slot, keys: list[bytes]) -> None:
        """Another program removed these packed elements from a set."""
        slot.state.lost_some([key for key in keys if key in slot.live])
        self.changed = True


def _outcome(send: "Callable[[], list[Failure]]") -> int:
    """Send. Returns 0 or the first error number."""
    try:
        answers = send()
    except OSError as failure:
        return failure.errno or errno.EIO
    return next((answer.error for answer in answers if answer.error), 0)


_EVENTS = {CODE_FULL: FILLED, CODE_MISSING: GONE}
