"""Tables of PF (FreeBSD), filled by pfctl. A policy without a pftable target does not load this.

In: addresses that flows want in a table, by the slots that hold them; the present time in whole seconds. Out: runs of pfctl,
with addresses on its standard input; counters; one message when a table cannot be used, and one when it can be used again.

PF has no timeouts, so addresses are withdrawn here when they expire, and none is forgotten that is still in a table. One pfctl
runs at a time. What comes meanwhile waits in the slots, where an address that is wanted, and then no longer, costs nothing.
"""

import time

from .counters import Counters
from .sets.errors import CODE_REFUSED, label
from .sets.slot import Slot
from .sets.states import MADE
from .texts import address_text

MYPY = False
if MYPY:
    from typing import Any

    from .types import Data, Say, Tell

BATCH = 1024
"""Addresses that one run of pfctl gets."""
MAX_WAITING = 65536
"""Addresses of one table that may wait to be added, or to be withdrawn."""
LIMIT = 10.0
"""Seconds that pfctl may take."""
LAST_RETRY = 60
"""After a failure pfctl is run again for this table in 1 second, then 2, 4, at last each time this much later."""
STOP_LIMIT = 3.0
"""Seconds that withdrawing the addresses may take when the daemon ends."""
MAX_SAID = 200
"""Characters of pfctl's output that are reported."""
_GONE = "does not exist"
_NOT_ALL = 2
"""The exit code of `test` when the table is there, and the address is not in it."""


class TableSlot(Slot):
    """The addresses that one target holds in one table. Of both IP versions: a packed element is the slot's number and 4 or
    16 bytes."""

    def __init__(self, number: int, data: "Data", counters: Counters) -> None:
        super().__init__(number, data, counters)
        self.begin(True)  # nothing is forgotten that may be in the table
        self.state.happens(MADE, 0)  # pfctl tells what is wrong; no set of the kernel is looked at
        self.tasks: list[str] = []
        """What pfctl is to do before any address: `replace` (make the table, and empty it), `add` (make it), `test` (is
        it there?), `flush`."""
        self.tried: dict[bytes, None] = {}
        """Those of `adds` that a pfctl was given which failed: they may be in the table all the same."""
        self.batch = BATCH
        self.waits: dict[str, int] = {}
        """What failed (a command of pfctl), and how many seconds it waits; `retry`: the second to try it again."""
        self.retry: dict[str, int] = {}
        self.removed = False
        """Addresses were withdrawn last time; now it is the turn of adds."""

    def take(self, data: "Data") -> None:
        """Use (new) data of the policy image. Another ttl is brought to what is there by `retime`."""
        self.data = data
        self.ttl = data["ttl"]
        self._second = self._end = 0
        self._complements = {}

    def retime(self, now: int) -> None:
        """The ttl may be another one: nothing stays longer than it says; in the order of the deadlines again."""
        times = []
        for key, deadline in self.live.items():
            end = self.expires(key)
            end = min(end or now + self.ttl, now + self.ttl) if self.ttl else 0
            times.append((end, key, deadline < 0))
        self.live = {key: ~end if alone else end for end, key, alone in sorted(times)}

    def withdraw(self, key: bytes, staying: bool) -> None:
        """An address is to leave the table. PF drops none by itself."""
        self.refreshes.pop(key, None)
        if key in self.adds:
            del self.adds[key]
            if key not in self.tried:
                return
            del self.tried[key]
        self.dels[key] = None

    def evict(self, keys: list[bytes]) -> None:
        """Too many addresses: withdraw these. PF would keep them for ever."""
        self.withdraw_each(keys)

    def withdraw_each(self, keys: list[bytes]) -> None:
        """Forget these addresses, and withdraw them."""
        for key in keys:
            self.forget([key])
            self.withdraw(key, True)

    def expire(self, now: int) -> None:
        """Withdraw what has expired. To be called each second."""
        if self.ttl:
            self.withdraw_each(self._ended(now))

    def clear(self) -> None:
        """The table is empty, or about to be."""
        super().clear()
        self.tried = {}

    def withdraw_adds(self) -> None:
        """What is not in the table need not come any more."""
        self.withdraw_each([key for key in self.adds if key in self.live])

    def limit(self) -> int:
        """Forget what is too much to wait. Returns how many addresses stay in the table that should not."""
        while len(self.adds) > MAX_WAITING:
            key = self.adds.popitem()[0]
            self.tried.pop(key, None)
            self.forget([key])
            self.counters.skipped += 1
        left = max(0, len(self.dels) - MAX_WAITING)
        for key in list(self.dels)[:left]:
            del self.dels[key]
        return left

    def requeue(self, what: str, keys: list[bytes]) -> None:
        """A pfctl failed that was given these: whether they are in the table is not known."""
        for key in keys:
            if what == "delete" or key not in self.live:
                if key not in self.live:
                    self.dels[key] = None
            elif key not in self.refreshes:
                self.adds[key] = self.tried[key] = None


class Tables:
    """All tables. `program` runs pfctl (see `nfa.daemon.processes.program`); `say` and `tell` as for `kernel.Sets`."""

    def __init__(self, program: "Any", say: "Say", tell: "Tell") -> None:
        self._program = program
        self._say = say
        self._tell = tell
        self._slots: list[TableSlot] = []
        """Those of the active policy; the next one to be served comes first."""
        self._leaving: list[TableSlot] = []
        """Those that a reload has put out of use, while what they hold is being withdrawn."""
        self._run: tuple[TableSlot, str, list[bytes], int] | None = None
        """What pfctl does now: (slot, what, its addresses, how many of them are new)."""
        self.runs = 0

    # -- the policy -----------------------------------------------------------------------------------------------------

    def slot(self, number: int, data: "Data", counters: Counters) -> TableSlot:
        """Return a new slot; `provide` takes it into use."""
        return TableSlot(number, data, counters)

    def provide(self, slot: TableSlot, now: int, fresh: bool) -> bool:
        """See to the table of a slot that is new, or has changed. `fresh`: nothing of this daemon is in the table.

        What an earlier life left in a managed table would stay for ever, so it begins empty; with ttl 0 that is wanted.
        """
        if slot not in self._slots:
            self._slots.append(slot)
        slot.retime(now)
        slot.retry = {}
        if not slot.data["managed"]:
            slot.tasks = ["test"] + [task for task in slot.tasks if task == "flush"]
        elif fresh:
            slot.tasks = ["replace" if slot.ttl else "add"]
        return True

    def flush(self, slot: TableSlot) -> str:
        """Somebody wants the table empty. Returns why that is not possible now (it will be done later), or ""."""
        slot.counters.withdrawn += len(slot.live)
        slot.clear()
        if "flush" not in slot.tasks:
            slot.tasks.append("flush")
        return slot.trouble

    def retire(self, slot: TableSlot) -> None:
        """A slot goes out of use: what it holds is withdrawn."""
        self._slots.remove(slot)
        if "replace" in slot.tasks:
            # Nothing of it is in the table, which is not empty yet.
            for other in self._same(slot)[:1]:
                other.tasks.insert(0, "replace")
            return
        slot.tasks = [task for task in slot.tasks if task == "flush"]
        slot.withdraw_each(list(slot.live))
        if slot.dels or slot.tasks or (self._run and self._run[0] is slot):
            self._leaving.append(slot)

    def tick(self, now: int) -> None:
        """What has to happen each second, for slots that are out of use."""
        for slot in list(self._leaving):
            slot.expire(now)
            if slot.live or (self._run and self._run[0] is slot):
                continue
            if not (slot.dels or slot.tasks) or LAST_RETRY in slot.waits.values():
                self._forget(slot)

    def _forget(self, slot: TableSlot) -> None:
        """Forget a slot that is out of use."""
        self._leaving.remove(slot)
        if slot.dels:
            words = str(len(slot.dels)) + " addresses remain in " + label(slot)
            self._say("warning", "target '" + slot.counters.name + "': " + words)

    def _same(self, slot: TableSlot) -> list[TableSlot]:
        """Return the other slots with the same table."""
        name = slot.data["table"], slot.data["set"]
        every = self._slots + self._leaving
        return [other for other in every if other is not slot and (other.data["table"], other.data["set"]) == name]

    # -- runs of pfctl --------------------------------------------------------------------------------------------------

    def turn(self, now: int) -> None:
        """The end of a turn of the loop: see what became of the last run, and begin the next."""
        self._finish(now)
        for slot in self._leaving + self._slots:
            slot.counters.errors += slot.limit()
        if not self._program.running:
            self._begin(now)

    def _begin(self, now: int) -> None:
        """Start pfctl for the first slot that has something to do."""
        for slot in self._leaving + self._slots:
            run = self._work(slot, now)
            if run is None:
                continue
            if slot in self._slots:
                self._slots.remove(slot)
                self._slots.append(slot)
            _, what, keys, _ = self._run = run
            self.runs += 1
            command = slot.data["command"] + [what]
            if what != "flush":
                command += ["-f", "-"]
            # An address to ask for; it need not be in the table.
            texts = ["127.0.0.1"] if what == "test" else [address_text(key[2:]) for key in keys]
            try:
                self._program.start(command, "".join([text + "\n" for text in texts]).encode(), LIMIT)
            except OSError as failure:
                self._run = None
                self._failed(run, "cannot start " + command[0] + ": " + (failure.strerror or str(failure)), now)
                continue
            return

    def _work(self, slot: TableSlot, now: int) -> "tuple[TableSlot, str, list[bytes], int] | None":
        """Return the next run for a slot (as `_run`), None when there is nothing to do now."""
        if slot.tasks:
            return (slot, slot.tasks[0], [], 0) if now >= slot.retry.get(slot.tasks[0], 0) else None
        same = self._same(slot)
        if [other for other in same if "replace" in other.tasks or "flush" in other.tasks]:
            return None  # what is added now would be lost
        adding = (slot.adds or slot.refreshes) and now >= slot.retry.get("add", 0)
        if slot.dels and now >= slot.retry.get("delete", 0) and not (slot.removed and adding):
            keys = list(slot.dels)[: slot.batch]
            for key in keys:
                del slot.dels[key]
            others = [(other.number.to_bytes(2, "big"), other.live) for other in same]
            keys = [key for key in keys if not [1 for prefix, live in others if prefix + key[2:] in live]]
            slot.removed = True
            if keys:
                return slot, "delete", keys, 0
        slot.removed = False
        if not adding:
            return None
        keys = list(slot.adds)[: slot.batch]
        for key in keys:
            del slot.adds[key]
            slot.tried.pop(key, None)
        new = len(keys)
        # What is there is added once more: another program may have removed it.
        again = list(slot.refreshes)[: slot.batch - new]
        for key in again:
            del slot.refreshes[key]
        return (slot, "add", keys + again, new) if keys or again else None

    def _finish(self, now: int) -> None:
        """See whether pfctl has ended."""
        outcome = self._program.outcome()
        if outcome is None:
            return
        code, said = outcome
        run, self._run = self._run, None
        assert run is not None
        words = _words(said)
        slot, what, keys, new = run
        if code == 0 or (what == "test" and code == _NOT_ALL):
            self._done(slot, what, len(keys), new)
        elif what in ("delete", "flush") and _GONE in words:
            self._done(slot, what, 0, 0)
            self._vanished(slot)
        elif code is None:
            self._failed(run, "pfctl did not finish within " + str(int(LIMIT)) + " seconds", now)
        elif code < 0:
            self._failed(run, "pfctl was killed by signal " + str(-code), now)
        else:
            self._failed(run, "pfctl: " + (words or "exit code " + str(code)), now)

    def _done(self, slot: TableSlot, what: str, count: int, new: int) -> None:
        """pfctl has done what it was to do."""
        counters = slot.counters
        if what == "delete":
            counters.withdrawn += count
        elif slot.tasks and slot.tasks[0] == what:
            slot.tasks.pop(0)
        else:
            counters.added += new
            counters.refreshed += count - new
        slot.batch = min(BATCH, slot.batch * 2)
        slot.waits.pop(what, None)
        slot.retry.pop(what, None)
        if slot.trouble and not slot.waits:
            slot.state.end()
            self._tell(counters.name, label(slot), "")
            self._say("notice", "target '" + counters.name + "': " + label(slot) + " can be used again")

    def _vanished(self, slot: TableSlot) -> None:
        """Somebody has taken the table away, and all that was in it."""
        if slot not in self._slots:
            return
        for key in slot.live:
            if key not in slot.adds:
                slot.refreshes[key] = None
        if not slot.data["managed"] and "test" not in slot.tasks:
            slot.tasks.insert(0, "test")

    def _failed(self, run: "tuple[TableSlot, str, list[bytes], int]", words: str, now: int) -> None:
        """pfctl has not: it is tried again later, with fewer addresses, the others first."""
        slot, what, keys, _ = run
        counters = slot.counters
        counters.errors += 1
        if what == "add" and len(keys) == 1 and slot.batch == 1:
            # The table may take the others.
            slot.forget(keys)
        slot.requeue(what, keys)
        slot.batch = max(1, slot.batch // 2) if keys else slot.batch
        slot.waits[what] = min(LAST_RETRY, slot.waits.get(what, 0) * 2 or 1)
        slot.retry[what] = now + slot.waits[what]
        counters.last_error = label(slot) + ": " + words
        counters.error_time = now
        if slot.state.begin(CODE_REFUSED, words):
            hint = _advice(words, slot)
            text = "target '" + counters.name + "': " + label(slot) + ": " + words
            self._say("error", text + (" (" + hint + ")" if hint else "") + "; trying again")
            self._tell(counters.name, label(slot), words)

    # -- the end --------------------------------------------------------------------------------------------------------

    def close(self, now: int) -> None:
        """The daemon ends, and with it the clock of what is in the tables: they are withdrawn, as far as STOP_LIMIT allows."""
        for slot in list(self._slots):
            self.retire(slot)
        for slot in self._leaving:
            slot.withdraw_each(list(slot.live))
            slot.retry = {}
        ends_at = time.monotonic() + STOP_LIMIT
        self.turn(now)
        while self._program.running and time.monotonic() < ends_at:
            time.sleep(0.002)
            if self._program.descriptor >= 0:
                self._program.ready()
            self.turn(now)
        if self._program.running and self._run is not None:
            self._program.kill()
            self._run[0].requeue(*self._run[1:3])
        for slot in list(self._leaving):
            self._forget(slot)


def _words(said: bytes) -> str:
    """Return the first line of what pfctl said, as far as it is reported."""
    text = said.decode("utf-8", "replace").strip().partition("\n")[0]
    text = "".join([c if c.isprintable() else "?" for c in text])
    return (text[7:] if text.startswith("pfctl: ") else text)[:MAX_SAID]


def _advice(words: str, slot: TableSlot) -> str:
    """Return what an administrator can do."""
    if _GONE in words:
        return "create it in pf.conf: table <" + str(slot.data["set"]) + "> persist, or set managed to true"
    if "Permission denied" in words or "not permitted" in words:
        return "the daemon needs root"
    if "/dev/pf" in words:
        return "is PF loaded? kldload pf"
    if "Cannot allocate memory" in words:
        return "the table may be full: raise 'set limit table-entries' in pf.conf"
    return ""
