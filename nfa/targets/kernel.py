"""From slots to the kernel: all effects of one turn of the loop in one batch for nftables and one for ipset.

In: slots with elements to add or refresh. Out: elements in kernel sets; counters; a message to the administrator once
when a set cannot be used and once when it can be again. What the kernel refuses is found element by element: an ipset
message stops at the refused element and names it; an nftables transaction is taken back whole, so it is sent again
without the refused ones.
"""

import errno

from ..netlink import ipset, nftables
from ..netlink.socket import MAX_SEND, Netlink, describe
from ..netlink.wire import NLM_F_ACK, with_sequence
from ..portable import EBUSY, EMSGSIZE
from .errors import FULL_ERRORS, HOPELESS, IN_THE_WAY, IN_USE, IS_FULL, IS_MISSING, OF_ANOTHER_TYPE, advice, label
from .slot import RETRY_FULL, RETRY_OTHER, Slot, set_of

_MAX_ROUNDS = 40
"""How often one turn may be sent anew to find refused elements; what is left then of the same sets counts as refused."""
MAX_UNITS = 128
"""Messages with an acknowledgement in one send: the default receive buffer holds 256 of them (6.18)."""
MIN_SEND = 8 << 10
ADD, REFRESH, REMOVE, RESTORE = 0, 1, 2, 3
_ADDING, _RENEWING, _REMOVING = (nftables.NEW,), (nftables.NEW, nftables.DEL, nftables.NEW), (nftables.DEL,)
QUIET = 300
"""Seconds without a full set after which it is told again."""
REPLACE_EVERY = 60
"""Seconds between two replacements of a set whose elements the kernel does not take: it may not be due to the set."""


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


class Sets:
    """All kernel sets of the running policy. `say(level, text)` reaches the administrator's log.

    `tell(target, set, trouble)` reaches those who listen for events: a set cannot be used, or (trouble "") can be again.
    """

    def __init__(self, say, tell) -> None:
        self._say = say
        self._tell = tell
        self._nft = Netlink(True)
        self._ipset = Netlink(False)
        self.batches = 0
        self.losses = False
        """Some slot is `lost`."""
        self.misfits: set[tuple] = set()
        """Managed sets (`set_of`) that were of another type when the compiler looked: each is replaced once."""
        self._turn: list[Unit] = []
        """All units of the turn that is being sent."""
        self._returned = 0
        """Elements that were put back by the last `put_back`, and (`_waiting`) those that it could not put back now."""
        self._waiting: list[bytes] = []
        self._limit = MAX_SEND
        """Bytes in one send; less where the kernel's send buffer turns out to be smaller."""

    def close(self) -> None:
        self._nft.close()
        self._ipset.close()

    def lost_answers(self) -> int:
        """Return how often the kernel's answers overran a receive buffer."""
        return self._nft.lost + self._ipset.lost

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

    # -- elements ---------------------------------------------------------------------------------------------------

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
                slot.expand = nftables.expander(data["fields"], data["family"])
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
        self._turn = list(units)
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
        self._turn = []

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
            return self._swap(slot, now)
        if error != errno.ENOENT:
            return False
        unit.remade = True
        if slot.remade_at == now:
            return slot.ready
        slot.remade_at = now
        self.lose(slot)
        self._say("notice", "target '" + slot.counters.name + "': " + label(slot) + " was deleted; it is made again")
        return self.provide(slot, now, False)

    def _swap(self, slot: Slot, now: int) -> bool:
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

    def port(self) -> int:
        """Return the port by which the kernel names what is done here to nftables. Raises OSError."""
        return self._nft.port()

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
