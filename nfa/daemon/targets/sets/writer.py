"""Commits the elements of slots to the kernel: those of one turn of the loop in one batch for nftables and one for ipset.

In: slots with elements to add, to refresh or to withdraw. Out: elements in kernel sets; counters. What the kernel refuses is
found element by element: an ipset message stops at the refused element and names it; an nftables transaction is taken back
whole, so it is sent again without the refused ones, a transaction for each set: no set waits for another's trouble. The sets
themselves are the business of `keeper`, and what may be sent at all, of their `states`.
"""

import errno

from ...base.portable import EBUSY, EMSGSIZE
from ...netlink import ipset, nftables
from ...netlink.socket import MAX_SEND
from . import encoders
from .errors import FULL_ERRORS, HOPELESS, OF_ANOTHER_TYPE, label, of_an_element
from .keeper import KeptSets
from .slot import RETRY_FULL, Slot
from .states import FULL, LOST, OWE, REFUSE, THERE

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..types import Say, Tell

    Send = Callable[[list["Unit"], int], list["Unit"]]

_MAX_ROUNDS = 40
"""How often the elements of one set are sent again in one turn to find the refused ones; what is left counts as refused."""
MAX_UNITS = 128
"""Messages with an acknowledgement in one send: the default receive buffer holds 256 of them (6.18)."""
MIN_SEND = 8 << 10
ADD, REFRESH, REMOVE, RESTORE = 0, 1, 2, 3
_ADDING, _RENEWING, _REMOVING = (nftables.NEW,), (nftables.NEW, nftables.DEL, nftables.NEW), (nftables.DEL,)
_REMOVING_ANYWAY = (nftables.NEW, nftables.DEL)
"""Deleting an element that is not there fails; adding it before is the way of all kernels around that."""


class Unit:
    """Elements of one slot that travel together: `what` is to be done is ADD, REFRESH, REMOVE or RESTORE."""

    def __init__(self, slot: Slot, keys: list[bytes], what: int, anyway: bool = False) -> None:
        """`anyway`: what is to be removed need not be there."""
        self.slot = slot
        self.keys = keys
        self.what = what
        self.refresh = what == REFRESH
        self.anyway = anyway
        renewing = self.refresh or (slot.carried_over and what == ADD)
        removing = _REMOVING_ANYWAY if anyway else _REMOVING
        self.commands = removing if what == REMOVE else _RENEWING if renewing else _ADDING
        """Messages of nftables: elements that may be in the set already need three, unless they keep the time they have."""

    def part(self, keys: list[bytes]) -> "Unit":
        """Return a unit for some of the elements."""
        return Unit(self.slot, keys, self.what, self.anyway)


class Sets(KeptSets):
    """All kernel sets of the running policy, and what goes into them and out of them."""

    def __init__(self, say: "Say", tell: "Tell") -> None:
        """As for `KeptSets`."""
        super().__init__(say, tell)
        self.batches = 0
        self._returned = 0
        """Elements that the last `restore` restored, and (`_waiting`) those that it could not restore now."""
        self._waiting: list[bytes] = []
        self._limit = MAX_SEND
        """Bytes in one send; less where the kernel's send buffer turns out to be smaller."""

    def commit(self, slots: list[Slot], now: int) -> None:
        """Bring everything that is pending to the kernel."""
        nft: list[Unit] = []
        ipsets: list[Unit] = []
        for slot in slots:
            treatment = slot.state.treat(now)
            if treatment == OWE:
                slot.owe_pending()
                continue
            if treatment == REFUSE and slot.adds:
                self._refuse(slot, slot.take_adds())
            if not slot.state.usable:
                slot.renew_form()  # what tells whether a set is there now must fit into it
            adds, refreshes, removals = slot.take_pending()
            into = nft if slot.data["kind"] == "nftset" else ipsets
            # Adds last: in a set that is filling up, what is there comes before what is new.
            for keys, what in ((removals, REMOVE), (refreshes, REFRESH), (adds, ADD)):
                if keys:
                    into += self._units(slot, keys, what)
        if nft:
            self._rounds(nft, self._send_nft, now)
        if ipsets:
            self._rounds(ipsets, self._send_ipset, now)

    def _units(self, slot: Slot, keys: list[bytes], what: int, anyway: bool = False) -> list[Unit]:
        """Cut a list of elements into units that fit into one message, and into one send with its three messages."""
        encoder = self._encoder(slot)
        room = max(1, min(encoder.room, self._limit // (3 * encoder.element) - 8))
        return [Unit(slot, keys[start : start + room], what, anyway) for start in range(0, len(keys), room)]

    def _size(self, unit: Unit) -> int:
        """Return the bytes that a unit takes in a send."""
        encoder = self._encoder(unit.slot)
        one: int = len(encoder.head) + 64 + len(unit.keys) * encoder.element
        return one * len(unit.commands)

    def _encoder(self, slot: Slot) -> "Any":
        if slot.encoder is None:
            encoders.make(slot, self._dump)
        return slot.encoder

    def packer(self, slot: Slot) -> "Callable[[bytes], bytes]":
        """Return the function that makes a packed element of a key of an nftables set (see `nftables.packer`)."""
        self._encoder(slot)
        found: Callable[[bytes], bytes] = slot.pack
        return found

    def _rounds(self, units: list[Unit], send: "Send", now: int) -> None:
        """Send until every element is either in its set or refused, at first all together."""
        groups = [units]
        while groups:
            group = groups.pop()
            rounds = 0
            while group:
                batch: list[Unit] = []
                size = 0
                while group and (not batch or (size + self._size(group[0]) <= self._limit and len(batch) < MAX_UNITS)):
                    size += self._size(group[0])
                    batch.append(group.pop(0))
                self.batches += 1
                again = send(batch, now)
                if not again:
                    continue
                slots = [unit.slot for unit in again]
                if slots.count(slots[0]) < len(slots):
                    # Each set by itself from now on: none pays for what is wrong with another.
                    for slot in {slot.number: slot for slot in slots}.values():
                        groups.append([unit for unit in again if unit.slot is slot])
                    continue
                rounds += 1
                if rounds > _MAX_ROUNDS:
                    for unit in again:
                        self._leave_out(unit, unit.keys)  # enough of looking for refused elements
                else:
                    group[:0] = again

    def _send_nft(self, batch: list[Unit], now: int) -> list[Unit]:
        """Send one transaction. Returns what must be sent again: all that was not refused, when something was."""
        count = sum([len(unit.commands) for unit in batch])
        first = self._nft.reserve(count + 2)
        messages = [nftables.begin(first)]
        owners: list[Unit] = []
        for unit in batch:
            encoder = self._encoder(unit.slot)
            for command in unit.commands:
                owners.append(unit)
                if unit.what == RESTORE:
                    keys = unit.keys if "map" in unit.slot.data else [unit.slot.expand(key) for key in unit.keys]
                    left = unit.slot.left(unit.keys, now)
                    messages.append(encoder.restore(first + len(owners), keys, left))
                else:
                    messages.append(encoder.encode(command, first + len(owners), unit.keys))
        messages.append(nftables.end(first + count + 1))
        try:
            answers = self._nft.send(b"".join(messages))
        except OSError as failure:
            return self._not_sent(batch, failure.errno or errno.EIO, now)
        failed: dict[Unit, tuple[int, int]] = {}
        for answer in answers:
            if not answer.error:
                continue
            index = answer.sequence - first - 1
            if not 0 <= index < len(owners):
                return self._all_failed(batch, answer.error, now)
            failed.setdefault(owners[index], (answer.error, answer.offset))
        if not failed:
            for unit in batch:
                self._accepted(unit, len(unit.keys), now)
            return []
        full = [unit.slot for unit, (error, _) in failed.items() if error in FULL_ERRORS and not unit.refresh]
        again: list[Unit] = []
        for unit in batch:
            # A refresh may have failed only because of what else was in the transaction: it is tried without that.
            if unit not in failed or (unit.refresh and unit.slot in full):
                again.append(unit)
            else:
                again += self._failed(unit, failed[unit][0], failed[unit][1], now)
        return again

    def _failed(self, unit: Unit, error: int, offset: int, now: int) -> list[Unit]:
        """A transaction was taken back because of this unit. Returns what of it is to be sent again.

        `offset`: where in the message the trouble is, -1 where the kernel does not tell (before 5.16 or so).
        """
        keys, slot = unit.keys, unit.slot
        if slot.state.treat(now) == OWE:
            self._leave_out(unit, keys)  # another unit has found out what is wrong with the set
            return []
        more = nftables.EXPIRATION if unit.what == RESTORE and slot.ttl else 0
        if unit.what == REMOVE and not unit.anyway:
            more -= self._encoder(slot).less
        index = self._encoder(slot).failed_index(offset, more) if offset >= 0 else -1
        if "map" in slot.data and (0 <= index < len(keys) or len(keys) == 1):
            index = max(index, 0)
            if error == errno.ENOENT and unit.what == REMOVE:
                # It was gone already.
                return [unit.part(part) for part in (keys[:index], keys[index + 1 :]) if part]
            if error in (EBUSY, errno.EEXIST) and unit.what in (ADD, RESTORE):
                # It is there, with another verdict.
                rest = [unit.part(part) for part in (keys[:index], keys[index + 1 :]) if part]
                return rest + [Unit(slot, [keys[index]], REMOVE), unit.part([keys[index]])]
        elif error == errno.ENOENT and unit.what == REMOVE and not unit.anyway and (index >= 0 or offset < 0):
            # Some element was gone already, or (no offset) perhaps the whole set: this way it tells.
            return [Unit(slot, keys, REMOVE, True)]
        if error in OF_ANOTHER_TYPE and self.misfits_now(slot, now):
            self._leave_out(unit, keys)
            return []
        known_full = slot.state.value == FULL and now < slot.state.retry_at and unit.what in (ADD, RESTORE)
        if error in HOPELESS or (error in FULL_ERRORS and known_full):
            self._give_up(unit, keys, error, now)
            return []
        if 0 <= index < len(keys) or len(keys) == 1:
            index = max(index, 0)
            if unit.what == REMOVE and error in FULL_ERRORS:
                # It was not there, and there was no room to add it.
                return [unit.part(part) for part in (keys[:index], keys[index + 1 :]) if part]
            if error in FULL_ERRORS:
                self._give_up(unit, keys[index:], error, now)
                return [unit.part(keys[:index])] if index else []
            self._refuse(slot, [keys[index]], error, now)
            return [unit.part(part) for part in (keys[:index], keys[index + 1 :]) if part]
        # The kernel does not say which element it was: find it by bisection.
        middle = len(keys) // 2
        return [unit.part(keys[:middle]), unit.part(keys[middle:])]

    def _send_ipset(self, batch: list[Unit], now: int) -> list[Unit]:
        """Send one batch of ADD messages, each acknowledged. Returns the rests after refused elements."""
        first = self._ipset.reserve(len(batch))
        messages = []
        for index, unit in enumerate(batch):
            encoder = self._encoder(unit.slot)
            command = ipset.DEL if unit.what == REMOVE else ipset.ADD
            if unit.what == RESTORE:
                messages.append(encoder.restore(first + index, unit.keys, unit.slot.left(unit.keys, now)))
            else:
                messages.append(encoder.encode(command, first + index, unit.keys))
        try:
            answers = self._ipset.send(b"".join(messages))
        except OSError as failure:
            return self._not_sent(batch, failure.errno or errno.EIO, now)
        again: list[Unit] = []
        unanswered = list(batch)
        for answer in answers:
            index = answer.sequence - first
            if not 0 <= index < len(batch) or batch[index] not in unanswered:
                continue
            unit = batch[index]
            unanswered.remove(unit)
            if not answer.error:
                self._accepted(unit, len(unit.keys), now)
                continue
            known = unit.slot.state.treat(now) == OWE  # another unit has found out what is wrong with the set
            if known or (answer.error in OF_ANOTHER_TYPE and self.misfits_now(unit.slot, now)):
                self._leave_out(unit, unit.keys)
                continue
            done = 0 if answer.error in HOPELESS else min(ipset.failed_index(answer.echo), len(unit.keys) - 1)
            self._accepted(unit, done, now)
            # In a bitmap the same number means that the element lies outside its range.
            full = answer.error in FULL_ERRORS and not unit.slot.data["type"].startswith("bitmap")
            if answer.error in HOPELESS or full:
                self._give_up(unit, unit.keys[done:], answer.error, now)
            else:
                self._refuse(unit.slot, [unit.keys[done]], answer.error, now)
                if unit.keys[done + 1 :]:
                    again.append(unit.part(unit.keys[done + 1 :]))
        for unit in unanswered:
            # The receive buffer ran over: what became of these is not known. Both ways they may be sent once more.
            if unit.what == RESTORE:
                self._waiting += unit.keys
            elif unit.what == REMOVE:
                unit.slot.postpone(unit.keys)
            else:
                self.lost_some(unit.slot, unit.keys)
        return again

    # -- what became of them ----------------------------------------------------------------------------------------

    def _accepted(self, unit: Unit, count: int, now: int) -> None:
        if not count:
            return
        slot = unit.slot
        if unit.what == REMOVE:
            slot.counters.withdrawn += count
        elif unit.what == RESTORE:
            self._returned += count
        elif unit.refresh:
            slot.counters.refreshed += count
        else:
            slot.counters.added += count
        # What was in a full set already says nothing about its room, nor does the part of a batch that has just filled it;
        # and what leaves a set says nothing about what it takes.
        state = slot.state.value
        tells = state != FULL or (unit.what == ADD and now >= slot.state.retry_at)
        if state not in (THERE, LOST) and unit.what != REMOVE and tells:
            self.accepted(slot)

    def _refuse(self, slot: Slot, keys: list[bytes], error: int = 0, now: int = 0) -> None:
        """The kernel does not take these elements. Their flows' next records want them again."""
        slot.forget(keys)
        slot.counters.errors += len(keys)
        if error:
            slot.counters.last_error = label(slot) + ": " + of_an_element(error)
            slot.counters.error_time = now

    def _leave_out(self, unit: Unit, keys: list[bytes]) -> None:
        """These do not reach the kernel now. What the set owes is put back later; what it could take is refused."""
        if unit.what == RESTORE:
            self._waiting += keys
        elif unit.what == REMOVE:
            unit.slot.postpone(keys)
        elif unit.slot.state.usable:
            self._refuse(unit.slot, keys)

    def _give_up(self, unit: Unit, keys: list[bytes], error: int, now: int) -> None:
        """These of a unit cannot be added, and neither can others for a while."""
        self.fail(unit.slot, error, now)
        self._leave_out(unit, keys)
        if not unit.slot.state.usable and error != errno.ENOENT and unit.what in (ADD, REFRESH):
            unit.slot.counters.errors += len(keys)

    def withdraw(self, slot: Slot, keys: list[bytes], now: int) -> None:
        """Withdraw elements of a slot that is out of use, whatever its state. Those that the kernel did not give up now are in
        `dels` again."""
        send = self._send_nft if slot.data["kind"] == "nftset" else self._send_ipset
        self._rounds(self._units(slot, keys, REMOVE), send, now)

    def restore(self, slot: Slot, keys: list[bytes], now: int) -> tuple[int, list[bytes]]:
        """Restore elements with the time they have left.

        Returns how many the kernel took, and those to try again, from the state's `retry_at` on. What it refuses is forgotten,
        and counted as errors.
        """
        self._returned, self._waiting = 0, []
        send = self._send_nft if slot.data["kind"] == "nftset" else self._send_ipset
        self._rounds(self._units(slot, slot.in_effect(keys), RESTORE), send, now)
        waiting, self._waiting = self._waiting, []
        if waiting and slot.state.usable:
            slot.state.wait(now + RETRY_FULL)
        return self._returned, waiting

    def _not_sent(self, batch: list[Unit], error: int, now: int) -> list[Unit]:
        """The kernel did not take a batch. One that is too large is cut smaller, from now on."""
        if error not in (EMSGSIZE, errno.ENOBUFS) or self._limit <= MIN_SEND:
            return self._all_failed(batch, error, now)
        self._limit //= 2
        return [part for unit in batch for part in self._units(unit.slot, unit.keys, unit.what, unit.anyway)]

    def _all_failed(self, batch: list[Unit], error: int, now: int) -> list[Unit]:
        for unit in batch:
            self._give_up(unit, unit.keys, error, now)
        return []
