"""From slots to the kernel: all effects of one turn of the loop in one batch for nftables and one for ipset.

In: slots with elements to add or refresh. Out: elements in kernel sets; counters. What the kernel refuses is found element by
element: an ipset message stops at the refused element and names it; an nftables transaction is taken back whole, so it is sent
again without the refused ones. The sets themselves are the business of `keeping`.
"""

import errno

from ...base.portable import EMSGSIZE
from ...netlink import ipset, nftables
from ...netlink.socket import MAX_SEND, describe
from .errors import FULL_ERRORS, HOPELESS, IS_FULL, OF_ANOTHER_TYPE, label
from .keeper import KeptSets
from .slot import RETRY_FULL, Slot

_MAX_ROUNDS = 40
"""How often one turn may be sent anew to find refused elements; what is left then of the same sets counts as refused."""
MAX_UNITS = 128
"""Messages with an acknowledgement in one send: the default receive buffer holds 256 of them (6.18)."""
MIN_SEND = 8 << 10
ADD, REFRESH, REMOVE, RESTORE = 0, 1, 2, 3
_ADDING, _RENEWING, _REMOVING = (nftables.NEW,), (nftables.NEW, nftables.DEL, nftables.NEW), (nftables.DEL,)


class Unit:
    """Elements of one slot that travel together: `what` is to be done is ADD, REFRESH, REMOVE or RESTORE."""

    def __init__(self, slot: Slot, keys: list[bytes], what: int) -> None:
        self.slot = slot
        self.keys = keys
        self.what = what
        self.refresh = what == REFRESH
        renewing = self.refresh or (slot.carried_over and what == ADD)
        self.commands = _REMOVING if what == REMOVE else _RENEWING if renewing else _ADDING
        """Messages of nftables: elements that may be in the set already need three, unless they keep the time they have."""
        self.remade = False
        """The set was made again for these once."""


class Sets(KeptSets):
    """All kernel sets of the running policy, and what goes into them and out of them."""

    def __init__(self, say, tell) -> None:
        """As for `KeptSets`."""
        super().__init__(say, tell)
        self.batches = 0
        self._returned = 0
        """Elements that were put back by the last `put_back`, and (`_waiting`) those that it could not put back now."""
        self._waiting: list[bytes] = []
        self._limit = MAX_SEND
        """Bytes in one send; less where the kernel's send buffer turns out to be smaller."""

    def flush(self, slots: list[Slot], now: int) -> None:
        """Bring everything that is pending to the kernel."""
        nft: list[Unit] = []
        ipsets: list[Unit] = []
        for slot in slots:
            if slot.trouble not in ("", IS_FULL) and now < slot.retry_at and not (slot.adds or slot.refreshes):
                continue
            adds, refreshes, removals = slot.take_pending()
            if slot.trouble == IS_FULL and now < slot.retry_at:
                # What is in the set can be refreshed all the same.
                self._refuse(slot, adds)
                adds = []
                unusable = not slot.ready
            else:
                unusable = bool(slot.trouble) or not slot.ready
            if unusable and (now < slot.retry_at or not (slot.ready or self.provide(slot, now, False))):
                self._refuse(slot, adds + refreshes)
                slot.postpone(removals)
                continue
            into = nft if slot.data["kind"] == "nftset" else ipsets
            # Adds last: in a set that is filling up, what is there comes before what is new.
            for keys, what in ((removals, REMOVE), (refreshes, REFRESH), (adds, ADD)):
                if keys:
                    into += self._units(slot, keys, what)
        if nft:
            self._rounds(nft, self._send_nft, now)
        if ipsets:
            self._rounds(ipsets, self._send_ipset, now)

    def _units(self, slot: Slot, keys: list[bytes], what: int) -> list[Unit]:
        """Cut a list of elements into units that fit into one message, and into one send with its three messages."""
        encoder = self._encoder(slot)
        room = max(1, min(encoder.room, self._limit // (3 * encoder.element) - 8))  # type: ignore[attr-defined]
        return [Unit(slot, keys[start : start + room], what) for start in range(0, len(keys), room)]

    def _size(self, unit: Unit) -> int:
        """Return the bytes that a unit takes in a send."""
        encoder = self._encoder(unit.slot)
        one: int = len(encoder.head) + 64 + len(unit.keys) * encoder.element  # type: ignore[attr-defined]
        return one * len(unit.commands)

    def _encoder(self, slot: Slot) -> object:
        if slot.encoder is None:
            data = slot.data
            timeout = data["ttl"] if data["element_timeout"] and data["timeouts"] else -1
            if data["kind"] == "nftset":
                timeout = timeout * 1000 if timeout >= 0 else -1
                slot.expand = nftables.expander(data["fields"], data["family"])  # type: ignore[assignment]  # slot.py does not say what it is
                sizes = nftables.widths(data["fields"], data["family"])
                slot.encoder = nftables.Elements(data["table_family"], data["table"], data["set"], sizes, timeout)
            else:
                slot.encoder = ipset.Elements(
                    data["set"], data["family"], data["fields"], data["protocol"], timeout, data["skb"]
                )
        return slot.encoder

    def _rounds(self, units: list[Unit], send, now: int) -> None:
        """Send until every element is either in its set or refused."""
        rounds = 0
        while units:
            batch: list[Unit] = []
            size = 0
            while units and (not batch or (size + self._size(units[0]) <= self._limit and len(batch) < MAX_UNITS)):
                size += self._size(units[0])
                batch.append(units.pop(0))
            self.batches += 1
            again = send(batch, now)
            rounds += bool(again)
            if rounds > _MAX_ROUNDS and again:
                # Enough of looking for refused elements: what is in trouble goes, the rest does not have to wait for it.
                troubled = [unit for unit in again if unit.slot.counters.error_time == now] or again
                for unit in troubled:
                    self._leave_out(unit, unit.keys)
                again = [unit for unit in again if unit not in troubled]
            units[:0] = again

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
                    keys = [unit.slot.expand(key) for key in unit.keys]  # type: ignore[misc]
                    left = unit.slot.left(unit.keys, now)
                    messages.append(encoder.restore(first + len(owners), keys, left))  # type: ignore[attr-defined]
                else:
                    messages.append(encoder.encode(command, first + len(owners), unit.keys))  # type: ignore[attr-defined]
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
                self._accepted(unit, len(unit.keys))
            return []
        again: list[Unit] = []
        full = [unit.slot for unit, (error, _) in failed.items() if error in FULL_ERRORS and not unit.refresh]
        for unit in batch:
            # A refresh may have failed only because of what else was in the transaction: it is tried without that.
            if unit not in failed or (unit.refresh and unit.slot in full):
                again.append(unit)
                continue
            error, offset = failed[unit]
            keys = unit.keys
            more = nftables.EXPIRATION if unit.what == RESTORE and unit.slot.ttl else 0
            index = self._encoder(unit.slot).failed_index(offset, more) if offset >= 0 else -1  # type: ignore[attr-defined]
            known_full = unit.slot.trouble == IS_FULL and now < unit.slot.retry_at and not unit.refresh
            if error == errno.ENOENT and unit.what == REMOVE and (0 <= index < len(keys) or len(keys) == 1):
                # It was gone already, and there is nothing wrong with that.
                again += self._without(unit, max(index, 0))
            elif unit.what != REMOVE and self._remake(unit, error, now):
                again.append(unit)
            elif (unit.what != REMOVE and error in HOPELESS) or (error in FULL_ERRORS and known_full):
                self._give_up(unit, keys, error, now)
            elif 0 <= index < len(keys) or len(keys) == 1:
                index = max(index, 0)
                if error in FULL_ERRORS:
                    self._give_up(unit, keys[index:], error, now)
                    again += [Unit(unit.slot, keys[:index], unit.what)] if index else []
                else:
                    self._refuse(unit.slot, [keys[index]], error, now)
                    again += self._without(unit, index)
            else:
                # Kernels that do not tell which element it was (before 5.16 or so): look for it by halves.
                middle = len(keys) // 2
                again += [Unit(unit.slot, keys[:middle], unit.what), Unit(unit.slot, keys[middle:], unit.what)]
        return again

    @staticmethod
    def _without(unit: Unit, index: int) -> list[Unit]:
        """Return a unit without one of its elements, as up to two units."""
        return [Unit(unit.slot, part, unit.what) for part in (unit.keys[:index], unit.keys[index + 1 :]) if part]

    def _send_ipset(self, batch: list[Unit], now: int) -> list[Unit]:
        """Send one batch of ADD messages, each acknowledged. Returns the rests after refused elements."""
        first = self._ipset.reserve(len(batch))
        messages = []
        for index, unit in enumerate(batch):
            encoder = self._encoder(unit.slot)
            command = ipset.DEL if unit.what == REMOVE else ipset.ADD
            if unit.what == RESTORE:
                messages.append(encoder.restore(first + index, unit.keys, unit.slot.left(unit.keys, now)))  # type: ignore[attr-defined]
            else:
                messages.append(encoder.encode(command, first + index, unit.keys))  # type: ignore[attr-defined]
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
                self._accepted(unit, len(unit.keys))
                continue
            if self._remake(unit, answer.error, now):
                again.append(unit)
                continue
            done = 0 if answer.error in HOPELESS else min(ipset.failed_index(answer.echo), len(unit.keys) - 1)
            self._accepted(unit, done)
            # In a bitmap the same number means that the element lies outside its range.
            full = answer.error in FULL_ERRORS and not unit.slot.data["type"].startswith("bitmap")
            if answer.error in HOPELESS or full:
                self._give_up(unit, unit.keys[done:], answer.error, now)
            else:
                self._refuse(unit.slot, [unit.keys[done]], answer.error, now)
                if unit.keys[done + 1 :]:
                    again.append(Unit(unit.slot, unit.keys[done + 1 :], unit.what))
        for unit in unanswered:
            # The receive buffer ran over. What became of these is not known: they are added anew when seen again.
            self._leave_out(unit, unit.keys, errno.ENOBUFS, now)
        return again

    # -- what became of them ----------------------------------------------------------------------------------------

    def _accepted(self, unit: Unit, count: int) -> None:
        if not count:
            return
        if unit.remade:
            unit.slot.away = max(0, unit.slot.away - count)
        if unit.what == REMOVE:
            unit.slot.counters.withdrawn += count
        elif unit.what == RESTORE:
            self._returned += count
        elif unit.remade and unit.refresh:
            unit.slot.counters.restored += count
        elif unit.refresh:
            unit.slot.counters.refreshed += count
        else:
            unit.slot.counters.added += count
        # What was in a full set already says nothing about its room.
        if unit.slot.trouble and not (unit.what in (REFRESH, RESTORE) and unit.slot.trouble == IS_FULL):
            self.works(unit.slot)

    def _refuse(self, slot: Slot, keys: list[bytes], error: int = 0, now: int = 0) -> None:
        slot.forget(keys)
        slot.counters.errors += len(keys)
        if error:
            slot.counters.last_error = label(slot) + ": " + describe(error)
            slot.counters.error_time = now

    def _leave_out(self, unit: Unit, keys: list[bytes], error: int = 0, now: int = 0) -> None:
        """These do not reach the kernel now. What was to be put back is so later; the rest, when it is seen again."""
        if unit.what == RESTORE:
            self._waiting += keys
        else:
            self._refuse(unit.slot, keys, error, now)

    def _remake(self, unit: Unit, error: int, now: int) -> bool:
        """Somebody deleted a managed set, or put one of another type in its place: make it again, so that the flows that found
        out get their elements all the same.

        Returns whether the unit is to be sent again. What else was in the set is put back by `healing`.
        """
        slot = unit.slot
        if not slot.data["managed"] or unit.remade:
            return False
        if error in OF_ANOTHER_TYPE and slot.ready:
            unit.remade = True
            return self.swap(slot, now)
        if error != errno.ENOENT:
            return False
        unit.remade = True
        if slot.remade_at == now:
            return slot.ready
        slot.remade_at = now
        self.lose(slot)
        self._say("notice", "target '" + slot.counters.name + "': " + label(slot) + " was deleted; it is made again")
        return self.provide(slot, now, False)

    def put_back(self, slot: Slot, keys: list[bytes], now: int) -> tuple[int, list[bytes]]:
        """Put elements back with the time they have left.

        Returns how many the kernel took, and those to try again, from `slot.retry_at` on. What it refuses is forgotten, and
        counted as errors.
        """
        self._returned, self._waiting = 0, []
        send = self._send_nft if slot.data["kind"] == "nftset" else self._send_ipset
        self._rounds(self._units(slot, keys, RESTORE), send, now)
        waiting, self._waiting = self._waiting, []
        if waiting:
            slot.retry_at = max(slot.retry_at, now + RETRY_FULL)
        return self._returned, waiting

    def _give_up(self, unit: Unit, keys: list[bytes], error: int, now: int) -> None:
        """These of a unit cannot be added, and neither can others for a while; what is to be taken out is so later."""
        slot = unit.slot
        if unit.what != REMOVE:
            self._leave_out(unit, keys, error, now)
        elif error != errno.ENOENT:
            slot.postpone(keys)
        self.fail(slot, error, now)
        if error == errno.ENOENT and slot.data["managed"]:
            # Somebody deleted the set: it is made again, and its elements put back, by `healing`.
            slot.ready = False
            self.lose(slot)

    def _not_sent(self, batch: list[Unit], error: int, now: int) -> list[Unit]:
        """The kernel did not take a batch. One that is too large is cut smaller, from now on."""
        if error not in (EMSGSIZE, errno.ENOBUFS) or self._limit <= MIN_SEND:
            return self._all_failed(batch, error, now)
        self._limit //= 2
        return [part for unit in batch for part in self._units(unit.slot, unit.keys, unit.what)]

    def _all_failed(self, batch: list[Unit], error: int, now: int) -> list[Unit]:
        for unit in batch:
            self._give_up(unit, unit.keys, error, now)
        return []
