"""The targets of the running policy: made from the image, kept over reloads where they stay the same.

In: the image's targets and slots. Out: for each target name an object whose `apply(record, flow, now)` has the effect and
returns the packed element that the flow now holds (or None), and the numbers of the slots for the policy's functions.
"""

import time

from ..engine.view import MALFORMED, NOTHING, connection, reply_connection
from ..netlink.socket import describe
from .connections.slot import KINDS, ConnectionSlot
from .connections.writer import Connections
from .counters import Counters
from .log import Log
from .sets.errors import label
from .sets.slot import Slot, set_of
from .sets.writer import Sets
from .target import LogTarget, SetTarget, interface_test

MAX_CUTS = 4096
"""Connections that wait to be cut until the set is there that their element is in."""


class Registry:
    """All targets and slots. A slot keeps its number over reloads, and a number is not given to another slot before 65,536
    more were given out: live flows survive a reload, and none ever refreshes what is not its own."""

    def __init__(self, sets: Sets, write, say, tell, make_hub=None, hub=None, make_tables=None) -> None:
        """`tell`: as for `Sets`. `hub`: what has all channels of sinks; `make_hub` makes it when a policy first has one.
        `make_tables` likewise makes what has all tables of PF."""
        self.sets = sets
        self.connections = Connections(say, tell)
        self._write = write
        self._say = say
        self._tell = tell
        self._make_hub = make_hub
        self.hub = hub
        self._make_tables = make_tables
        self.tables = None
        self.sinks: dict = {}
        """Sink targets by the number of their packed keys."""
        self.by_number: dict[int, Slot | ConnectionSlot] = {}
        self._next_number = 0
        self.targets: dict = {}
        self.described: list[dict] = []
        self._counters: dict[str, Counters] = {}
        self._retired: list[Log] = []
        self._cuts: dict[bytes, tuple] = {}
        """Connections to cut at the end of this turn: to the slot, the element, and the reply tuple."""
        self._leaving: list[ConnectionSlot] = []
        """Slots that are out of use, while connections have their bits still."""

    def counters(self, name: str, kind: str) -> Counters:
        """Return the counters of a target, kept over reloads as long as its type stays."""
        found = self._counters.get(name)
        if found is None or found.kind != kind:
            found = self._counters[name] = Counters(name, kind)
        return found

    def number_slots(self, image: dict) -> list[int]:
        """Return a number for each slot of an image: that of the slot in force with the same set, or a new one."""
        known = {_identity(slot.data): slot.number for slot in self.by_number.values()}
        numbers = []
        for data in image["slots"]:
            number = known.pop(_identity(data), None)
            numbers.append(self._new_number() if number is None else number)
        return numbers

    def _new_number(self) -> int:
        """Return a number that is not in use."""
        while True:
            number = self._next_number
            self._next_number = (number + 1) & 0xFFFF
            if number not in self.by_number and number not in self.sinks:
                return number

    def replace(self, image: dict, numbers: list[int], functions: list, now: int) -> list:
        """Put an image's targets in force; make the sets that are new. Returns the slots that are no longer used."""
        if self._leaving:
            self.finish(now)  # a new slot may be about to set what an old one has yet to take back
        kinds = {target["name"]: target["type"] for target in image["targets"]}
        old = dict(self.by_number)
        made = [set_of(slot.data) for slot in old.values()]
        self.sets.misfits = {set_of(data) for data in image["slots"] if data.get("replace")}
        slots: list[Slot | ConnectionSlot] = []
        for data, number in zip(image["slots"], numbers):  # noqa: B905 (MicroPython's zip has no strict)
            counters = self.counters(data["target"], kinds[data["target"]])
            slot = old.pop(number, None)
            if slot is None and data["kind"] in KINDS:
                slot = ConnectionSlot(number, data, counters)
            elif slot is None:
                slot = self._slot(number, data, counters)
                # A set that another target fills already is not emptied for this one.
                self._keeper(slot).provide(slot, now, set_of(data) not in made)
                made.append(set_of(data))
            else:
                changed = slot.data != data
                slot.counters = counters
                slot.take(data)
                if changed and isinstance(slot, Slot):
                    self._keeper(slot).provide(slot, now, False)
            slots.append(slot)
        self.by_number = {slot.number: slot for slot in slots}
        for slot in slots:
            slot.siblings = [  # type: ignore[assignment]
                other for other in slots if other is not slot and set_of(other.data) == set_of(slot.data)
            ]
        self._bind(image, slots, functions)
        return list(old.values())

    def _slot(self, number: int, data: dict, counters: Counters) -> Slot:
        """Return a new slot of a set, or of a table of PF."""
        if data["kind"] != "pftable":
            return Slot(number, data, counters)
        if self.tables is None:
            self.tables = self._make_tables()
        made: Slot = self.tables.slot(number, data, counters)  # type: ignore[attr-defined]
        return made

    def _keeper(self, slot: Slot):
        """Return who sees to a slot's set or table."""
        return self.tables if slot.data["kind"] == "pftable" else self.sets

    def _bind(self, image: dict, slots: list, functions: list) -> None:
        logs = {name: target for name, target in self.targets.items() if isinstance(target, LogTarget)}
        self.targets = {}
        self.described = image["targets"]
        for target in image["targets"]:
            name = target["name"]
            if not target["active"]:
                continue
            counters = self.counters(name, target["type"])
            if target["type"] == "log":
                before = logs.pop(name, None)
                log = before.log if before and before.log.options == target["options"] else None
                if before and log is None:
                    self._retired.append(before.log)
                log = log or Log(target["options"], counters, self._write, self._say, self._tell)
                self.targets[name] = LogTarget(log, target["interface"], self._bound(target, counters, slots, functions))
            elif target["slots"] and target["type"] != "sink":
                self.targets[name] = self._bound(target, counters, slots, functions)
        self._retired += [target.log for target in logs.values()]
        sinks = [target for target in image["targets"] if target["active"] and target["type"] == "sink"]
        self._bind_sinks(sinks)
        for target in sinks:
            self.targets[target["name"]].cutting = self._bound(target, self.counters(target["name"], "sink"), slots, functions)

    def _bind_sinks(self, wanted: list[dict]) -> None:
        """Have sink targets. One that stays keeps its number: flows hold keys with it."""
        if wanted and self.hub is None:
            self.hub = self._make_hub()
        if self.hub is None:
            return
        channels = self.hub.replace([target["channel"] for target in wanted])
        before = {sink.counters.name: sink for sink in self.sinks.values()}
        kept = {}
        for target, channel in zip(wanted, channels):  # noqa: B905
            name = target["name"]
            sink = before.get(name)
            if sink is None:
                sink = self.hub.target(self._new_number(), self.counters(name, "sink"))
            sink.use(channel, target["events"], interface_test(target["interface"]))
            self.targets[name] = sink
            self.sinks[sink.number] = kept[sink.number] = sink
        self.sinks = kept

    def _bound(self, target: dict, counters: Counters, slots: list, functions: list) -> SetTarget | None:
        """Return what puts flows into the slots of a target; None when it has none."""
        if not target["slots"]:
            return None
        made = SetTarget(counters, target["interface"], self._cut if target["cut"] else None)
        bound = []
        for index in target["slots"]:
            slot, make = slots[index], functions[index]
            bound.append((slot, slot.key_function(make) if isinstance(slot, ConnectionSlot) else make))
        made.bind(bound)
        return made

    def _cut(self, slot, key: bytes, flow: dict) -> None:
        """A flow's element of a target with `cut` is on its way: once it is there, the connection is cut."""
        try:
            packed = connection(flow)
        except MALFORMED:
            return
        reply = reply_connection(flow) if flow.get("conntrack", NOTHING) else b""
        self._cuts[packed] = slot, key, reply

    def refresh(self, held, now: int) -> None:
        """A flow lives: its elements (one, or a tuple) are wanted again."""
        for key in held if isinstance(held, tuple) else (held,):
            number = key[0] << 8 | key[1]
            slot = self.by_number.get(number) or self.sinks.get(number)
            if slot is not None:
                slot.want(key, now)

    def release(self, held, now: int, withdraw: bool) -> None:
        """A flow no longer holds its elements (one, or a tuple). `withdraw`: what no other flow holds goes at once."""
        for key in held if isinstance(held, tuple) else (held,):
            number = key[0] << 8 | key[1]
            slot = self.by_number.get(number) or self.sinks.get(number)
            if slot is not None:
                slot.release(key, now, withdraw)

    def flush(self, now: int) -> None:
        """Bring all pending effects to the kernel: the end of a turn of the loop."""
        pending: list[Slot] = []
        connections: list[ConnectionSlot] = []
        for slot in self.by_number.values():
            if not (slot.adds or slot.refreshes or slot.dels) or slot.data["kind"] == "pftable":
                continue
            if isinstance(slot, ConnectionSlot):
                connections.append(slot)
                continue
            if slot.dels and slot.siblings:
                slot.keep_of_siblings()
            pending.append(slot)
        if pending:
            self.sets.commit(pending, now)
        if self._cuts:
            waiting: dict[bytes, tuple] = {}
            for packed, (slot, key, reply) in self._cuts.items():
                # The connection is cut when the element is there that it is to meet; what the kernel refused, it never meets.
                if slot.has(key):
                    self.connections.cut(packed, reply)
                elif key in slot.live and self.by_number.get(slot.number) is slot and len(waiting) < MAX_CUTS:
                    waiting[packed] = slot, key, reply
            self._cuts = waiting
        if self._leaving:
            self._leaving = [slot for slot in self._leaving if slot.dels]
            connections += self._leaving
        if connections or self.connections.pending:
            self.connections.flush(connections, self._connection_slots(), now)
        if self.tables is not None:
            self.tables.turn(now)

    def finish(self, now: int) -> None:
        """Bring all changes of connections to the kernel now, however many there are."""
        self.flush(now)
        while self._leaving or self.connections.more:
            self.flush(now)

    def tick(self, now: int) -> None:
        """What has to happen each second: forget expired elements, write logs whose interval is over."""
        for slot in self.by_number.values():
            slot.expire(now)
        self.connections.tick(self._connection_slots(), now)
        if self.tables is not None:
            self.tables.tick(now)
        for target in self.targets.values():
            if isinstance(target, LogTarget) and target.log.due and now >= target.log.due:
                target.log.flush(time.time())
        self._flush_retired()

    def _flush_retired(self) -> None:
        """Write what log targets have left that are no longer in the policy."""
        while self._retired:
            self._retired.pop().flush(time.time())

    def _connection_slots(self) -> list[ConnectionSlot]:
        return [slot for slot in self.by_number.values() if isinstance(slot, ConnectionSlot)]

    def close(self, slots: list) -> None:
        """Slots go out of use: empty the sets that are to be empty then, unless another target fills them.

        Connections give back the bits of a target that is no longer there. When the daemon ends they keep them: a new one
        would not hear of them again before their flows have something new to tell.
        """
        gone = [slot for slot in slots if isinstance(slot, ConnectionSlot) and slot.number not in self.by_number]
        self._leaving += [slot for slot in gone if slot.withdraw_all()]  # brought to the kernel in the next turns
        slots = [slot for slot in slots if isinstance(slot, Slot)]
        used = [set_of(slot.data) for slot in self.by_number.values() if slot not in slots]
        for slot in slots:
            if slot.data["kind"] == "pftable":
                self._keeper(slot).retire(slot)
            elif slot.data["flush_on_destroy"] and set_of(slot.data) not in used:
                error = self.sets.empty(slot)
                if error:
                    self.sets.fail(slot, error, 0)

    def flush_slots(self, slots: list) -> tuple[int, str]:
        """Empty sets because somebody asked for it. Returns how many elements that took, and what went wrong or ""."""
        withdrawn = 0
        for slot in slots:
            if isinstance(slot, ConnectionSlot):
                withdrawn += slot.withdraw_all()  # brought to the kernel at the end of this turn
                continue
            count = len(slot.live)
            problem = self._keeper(slot).empty(slot)
            if problem:
                return withdrawn, label(slot) + ": " + (problem if isinstance(problem, str) else describe(problem))
            withdrawn += count
        return withdrawn, ""

    def shut_down(self, now: int) -> None:
        """The daemon ends: write what is left, honour flush_on_destroy, close."""
        self._flush_retired()
        if self.hub is not None:
            self.hub.finish()
            self.hub.close()
        for target in self.targets.values():
            if isinstance(target, LogTarget):
                target.log.flush(time.time())
        self.close(list(self.by_number.values()))
        if self.tables is not None:
            self.tables.close(now)
        self.sets.close()
        self.connections.close()


def _identity(data: dict) -> tuple:
    """Return what makes a slot the same one after a reload: its elements stay what they are."""
    return (data["target"], data["family"], data["fields"], data["type"]) + set_of(data)
