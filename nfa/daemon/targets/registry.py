"""The targets of the running policy: made from the image, kept over reloads where they stay the same.

In: the image's targets and slots. Out: for each target name an object whose `apply(record, flow, now)` has the effect and
returns the packed element that the flow now holds (or None), and the numbers of the slots for the policy's functions.
"""

import time

from ..engine.flows import slot_of
from ..engine.view import MALFORMED, NOTHING, connection, reply_connection
from ..netlink.socket import describe
from .counters import Counters
from .leaving import Leaving, left_over, withdraw_idle
from .log import Log
from .owntable import OwnTable
from .prepared import Prepared
from .sets.errors import label
from .sets.slot import Slot, set_of
from .sets.writer import Sets
from .target import LogTarget

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ..engine.networks import Networks
    from ..sinks.hub import Hub
    from ..sinks.target import SinkTarget
    from .connections.slot import ConnectionSlot
    from .connections.writer import Connections
    from .pf import Tables
    from .prepared import AnySlot, Make, Target
    from .sets.keeper import KeptSets
    from .types import FilledSlot, Say, Tell, Write

    Data = dict[str, Any]


def call(function: "Callable[..., object]", *arguments: object) -> bool:
    """Call a function without a guard: what it raises is raised."""
    function(*arguments)
    return True


MAX_CUTS = 4096
"""Connections that wait to be cut until the set is there that their element is in."""


class Registry:
    """All targets and slots. A slot keeps its number over reloads, and a number is not given to another slot before 65,536
    more were given out: live flows survive a reload, and none ever refreshes what is not its own."""

    def __init__(
        self,
        sets: Sets,
        write: "Write | None",
        say: "Say",
        tell: "Tell",
        make_hub: "Callable[[], Hub] | None" = None,
        make_tables: "Callable[[], Tables] | None" = None,
        insist: "Callable[..., bool]" = call,
    ) -> None:
        """`tell`: as for `Sets`. `make_hub` makes what has all channels of sinks when a policy first has one, `make_tables`
        what has all tables of PF. `insist(function, *arguments)`: as that of `Dispatcher`."""
        self.sets = sets
        self.connections: Connections | None = None
        """What writes marks and labels, and cuts; None where no policy has had a target for that."""
        self.table = OwnTable(sets, say, tell)
        self._write, self._say, self._tell = write, say, tell
        self.make_hub = make_hub
        self.make_tables = make_tables
        self.networks: Networks | None = None
        """Which addresses must not be elements of their own."""
        self._insist = insist
        self.hub: Hub | None = None
        self.tables: Tables | None = None
        self.sinks: dict[int, SinkTarget] = {}
        """Sink targets by the number of their packed keys."""
        self.logs: dict[int, LogTarget] = {}
        """Log targets by the number of their packed keys."""
        self.device_of: Callable[[Data], str] | None = None
        """Returns the name of a flow's local device, or ""; for logs."""
        self.by_number: dict[int, AnySlot] = {}
        self._next_number = 0
        self.targets: dict[str, Target] = {}
        self.described: list[Data] = []
        self.all_counters: dict[str, Counters] = {}
        self.retired: list[Log] = []
        self._cuts: dict[bytes, tuple[FilledSlot, bytes, bytes]] = {}
        """Connections to cut at the end of this turn: to the slot, the element, and the reply tuple."""
        self._leaving: list[ConnectionSlot] = []
        """Slots that are out of use, while connections have their bits still; `_leaving_sets`: the same for elements."""
        self._leaving_sets = Leaving(sets, say)

    def counters(self, name: str, kind: str) -> Counters:
        """Return the counters of a target, kept over reloads as long as its type stays."""
        found = self.all_counters.get(name)
        if found is None or found.kind != kind:
            found = self.all_counters[name] = Counters(name, kind)
        return found

    def number_slots(self, image: "Data") -> list[int]:
        """Return a number for each slot of an image: that of the active slot with the same set, or a new one."""
        known = {_identity(slot.data): slot.number for slot in self.by_number.values()}
        numbers = []
        for data in image["slots"]:
            number = known.pop(_identity(data), None)
            numbers.append(self.new_number() if number is None else number)
        return numbers

    def new_number(self) -> int:
        """Return a number that is not in use."""
        while True:
            number = self._next_number
            self._next_number = (number + 1) & 0xFFFF
            if number not in self.by_number and number not in self.sinks and number not in self.logs:
                return number

    # -- a new policy: built completely, then activated ---------------------------------------------------------------

    def prepare(self, image: "Data", numbers: list[int], functions: "list[Make]") -> Prepared:
        """Build an image's targets, while the active ones stay as they are in every table. May raise.

        `numbers`: of the image's slots; `functions`: those that make their elements.
        """
        made = Prepared(image, self)
        made.build(numbers, functions)
        return made

    def make_connections(self) -> "Connections":
        """Return what writes marks and labels, and cuts. Only those whose policy wants that have it in memory."""
        from .connections.writer import Connections

        return Connections(self._say, self._tell)

    def make_log(self, options: "Data", counters: Counters) -> Log:
        """Return a new log."""
        return Log(options, counters, self._write, self._say, self._tell, self._device)

    def _device(self, flow: "Data") -> str:
        return self.device_of(flow) if self.device_of is not None else ""

    def adopt(self, made: Prepared, now: int) -> "list[AnySlot]":
        """Activate prepared targets: plain assignments, then what they bring about, each part guarded. Returns the slots that
        are no longer used, for `retire`. It raises nothing but at its very beginning."""
        self.by_number = made.by_number
        self.targets = made.targets
        self.described = made.described
        self.sinks = made.sinks
        self.logs = made.logs
        self.hub = made.hub
        self.connections = made.connections
        self.tables = made.tables
        self.all_counters = made.counters
        self.retired = made.retired
        self.sets.misfits = made.misfits
        for slot, siblings in made.siblings:
            slot.siblings = siblings  # type: ignore[assignment]  # slots of one set are of one type
        for sink, _, cutting in made.uses:
            sink.cutting = cutting
        if self._leaving:
            # A new slot may be about to set what an old one has yet to withdraw.
            self._insist(self.finish, now)
        self._insist(self.table.adopt, made.firewall, made.frame, made.maps)
        for slot, data, counters in made.kept:
            slot.counters = counters
            self._insist(self._renew, slot, data, now)
        for slot, fresh in made.new:
            self._insist(self._provide, slot, now, fresh)
        if self.hub is not None:
            self._insist(self.hub.adopt, made.channels)
        for sink, use, _ in made.uses:
            if not self._insist(sink.use, *use):
                self.targets.pop(sink.counters.name, None)
        return made.unused

    def _renew(self, slot: "AnySlot", data: "Data", now: int) -> None:
        """Give a slot that stays the data of the new policy."""
        changed = slot.data != data
        slot.take(data)
        if changed and isinstance(slot, Slot):
            self._provide(slot, now, False)

    def _provide(self, slot: Slot, now: int, fresh: bool) -> None:
        """See to a slot's set or table. After a fault healing does it."""
        if not self._insist(self._keeper(slot).provide, slot, now, fresh) and slot.data["kind"] != "pftable":
            self.sets.lost(slot)

    def _keeper(self, slot: Slot) -> "KeptSets | Tables":
        """Return who sees to a slot's set or table."""
        return self._tables() if slot.data["kind"] == "pftable" else self.sets

    def _tables(self) -> "Tables":
        assert self.tables is not None
        return self.tables

    def cut(self, slot: "FilledSlot", key: bytes, flow: "Data") -> None:
        """A flow's element of a target with `cut` is on its way: once it is there, the connection is cut."""
        try:
            packed = connection(flow)
        except MALFORMED:
            return
        reply = reply_connection(flow) if flow.get("conntrack", NOTHING) else b""
        self._cuts[packed] = slot, key, reply

    def refresh(self, held: "bytes | tuple[bytes, ...]", now: int) -> None:
        """A flow lives: its elements (one, or a tuple) are wanted again."""
        for key in held if isinstance(held, tuple) else (held,):
            number = key[0] << 8 | key[1]
            slot = self.by_number.get(number) or self.sinks.get(number)
            if slot is not None:
                slot.want(key, now)

    def release(self, held: "bytes | tuple[bytes, ...]", now: int, withdraw: bool) -> None:
        """A flow no longer holds its elements (one, or a tuple). `withdraw`: what no other flow holds goes at once."""
        for key in held if isinstance(held, tuple) else (held,):
            number = key[0] << 8 | key[1]
            slot = self.by_number.get(number) or self.sinks.get(number)
            if slot is not None:
                slot.release(key, now, withdraw)

    def count(self, digest: int, payload: bytes, ended: bool) -> None:
        """Statistics of a flow have come, or its purge (see `stream.records`): logs tell its bytes."""
        for target in self.logs.values():
            target.log.count(digest, payload, ended)

    def commit(self, now: int) -> None:
        """Commit all pending effects to the kernel, at the end of a turn of the loop."""
        pending: list[Slot] = []
        connections: list[ConnectionSlot] = []
        for slot in self.by_number.values():
            if not (slot.adds or slot.refreshes or slot.dels) or slot.data["kind"] == "pftable":
                continue
            if isinstance(slot, Slot):
                if slot.dels and slot.siblings:
                    slot.keep_of_siblings()
                pending.append(slot)
            else:
                connections.append(slot)
        self.table.commit()
        if pending:
            self.sets.commit(pending, now)
        self._leaving_sets.drain(now)
        if self._cuts:
            waiting: dict[bytes, tuple[FilledSlot, bytes, bytes]] = {}
            for packed, (filled, key, reply) in self._cuts.items():
                # The connection is cut when the element is there that it is to meet; what the kernel refused, it never meets.
                if self.connections is not None and filled.has(key):
                    self.connections.cut(packed, reply, filled, key)
                elif key in filled.live and self.by_number.get(filled.number) is filled and len(waiting) < MAX_CUTS:
                    waiting[packed] = filled, key, reply
            self._cuts = waiting
        if self._leaving:
            self._leaving = [slot for slot in self._leaving if slot.dels]
            connections += self._leaving
        if self.connections is not None and (connections or self.connections.pending):
            self.connections.commit(connections, self._connection_slots(), now)
        if self.tables is not None:
            self.tables.turn(now)

    @property
    def busy(self) -> bool:
        """Whether there is more to commit at once."""
        return self._leaving_sets.busy or self.table.busy or (self.connections is not None and self.connections.busy)

    def finish(self, now: int) -> None:
        """Commit all changes now, however many there are, but for connections that the kernel does not let change."""
        left = -1
        while True:
            self.commit(now)
            more = self._leaving_sets.busy or (self.connections is not None and self.connections.more)
            before, left = left, sum([len(slot.dels) for slot in self._leaving])
            if not more and left in (0, before):
                return

    def tick(self, now: int) -> None:
        """What has to happen each second: forget expired elements, write logs whose interval is over."""
        for slot in self.by_number.values():
            slot.expire(now)
        self._leaving_sets.tick(now)
        if self.connections is not None:
            self.connections.tick(self._connection_slots(), self.by_number, now)  # type: ignore[arg-type]  # dict is invariant
        if self.tables is not None:
            self.tables.tick(now)
        for target in self.logs.values():
            if target.log.due and now >= target.log.due:
                target.log.write_file(time.time())
        self._write_retired()

    def _write_retired(self) -> None:
        """Write what log targets have left that are no longer in the policy."""
        while self.retired:
            self.retired.pop().write_file(time.time())

    def _connection_slots(self) -> "list[ConnectionSlot]":
        return [slot for slot in self.by_number.values() if not isinstance(slot, Slot)]

    def retire(self, slots: "list[AnySlot]") -> None:
        """Slots go out of use: what they brought about ends. Elements are withdrawn and connections give back their bits, some
        in each of the next turns, unless another target has them there as well."""
        connections = [slot for slot in self._connection_slots() if slot not in slots]
        for slot in slots:
            if not isinstance(slot, Slot):
                # What another target wants on the same connection stays on it.
                slot.siblings = [other for other in connections if other.data["kind"] == slot.data["kind"]]
                if slot.withdraw_all():
                    self._leaving.append(slot)
        active = [slot for slot in self.by_number.values() if isinstance(slot, Slot) and slot not in slots]
        for slot in slots:
            if isinstance(slot, Slot):
                self._insist(self._retire_set, slot, active)

    def _retire_set(self, slot: Slot, active: "list[Slot]") -> None:
        """The same for a slot of a set or table. `active`: all of those that are in use."""
        if slot.data["kind"] == "pftable":
            self._tables().retire(slot)  # type: ignore[arg-type]  # it is a TableSlot
            return
        shared = set_of(slot.data) in [set_of(other.data) for other in active]
        if not shared and (slot.data["flush_on_destroy"] or left_over(slot)):
            error = self.sets.flush(slot)
            if error:
                self.sets.fail(slot, error, 0)
        else:
            self._leaving_sets.add(slot, active)

    def numbers_of(self, names: "Iterable[str]") -> set[int]:
        """Return the numbers (`number_of`) of what flows hold of targets."""
        found: set[int] = set()
        for name in names:
            found.update(self.table.numbers_of(name))
            target: Any = self.targets.get(name)
            if target is None:
                continue
            if target in self.sinks.values():
                found.add(target.number)
            for one in (target, getattr(target, "cutting", None)):
                found.update([slot.number for slot in one.slots] if one is not None else [])
        return found

    def number_of(self, key: bytes) -> int:
        """Return the number of what a packed element is of: a slot, sink or log; in a map, of its combination."""
        slot = self.by_number.get(slot_of(key))
        return slot.number_of(key) if isinstance(slot, Slot) else slot_of(key)

    def withdraw_idle(self, numbers: "set[int]", now: "Callable[[], int]") -> "Iterator[None]":
        """Withdraw what no flow holds any longer, of these numbers: see `leaving.withdraw_idle`."""
        return withdraw_idle(self.by_number, numbers, self.sets, now)

    def flush_slots(self, slots: "list[AnySlot]") -> tuple[int, str]:
        """Flush sets on request. Returns how many elements were withdrawn, and what went wrong or ""."""
        withdrawn = 0
        for slot in slots:
            if not isinstance(slot, Slot):
                withdrawn += slot.withdraw_all()  # brought to the kernel at the end of this turn
                continue
            count = len(slot.live)
            problem = self._keeper(slot).flush(slot)  # type: ignore[arg-type] # a TableSlot is kept by Tables
            if problem:
                return withdrawn, label(slot) + ": " + (problem if isinstance(problem, str) else describe(problem))
            withdrawn += count
        return withdrawn, ""

    def shut_down(self, now: int) -> None:
        """The daemon ends: write what is left, honour flush_on_destroy, close."""
        insist = self._insist
        insist(self._write_retired)
        if self.hub is not None:
            insist(self.hub.finish)
            insist(self.hub.close)
        for target in self.logs.values():
            insist(target.log.write_file, time.time())
        insist(self.retire, list(self.by_number.values()))
        insist(self.finish, now)
        insist(self.table.close)
        for slot in [one for one in self._leaving if one.dels]:
            words = str(len(slot.dels)) + " connections keep what it set: the kernel does not take it back"
            self._say("error", "target '" + slot.counters.name + "': " + words)
        if self.tables is not None:
            insist(self.tables.close, now)
        insist(self.sets.close)
        if self.connections is not None:
            insist(self.connections.close)


def _identity(data: "Data") -> "tuple[Any, ...]":
    """Return what makes a slot the same one after a reload: its elements stay what they are."""
    return (data["target"], data["family"], data["fields"], data["type"]) + set_of(data)
