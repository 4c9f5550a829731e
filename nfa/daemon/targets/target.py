"""One target of a policy, as plans reach it: its interface, its slots, and what a flow that it takes holds from then on.

In: flow records that matched. Out: for each the packed element that the flow now holds (or None), wanted in its slot.
"""

import time

from ..stream.records import digest_key
from .counters import Counters
from .log import Log

MYPY = False
if MYPY:
    from collections.abc import Callable

    from .types import FilledSlot, Held, Key, Record

    Cut = Callable[[FilledSlot, bytes, Record], None]

LATELY = 128
"""Elements of a target that are looked at for being one object."""


def interface_test(name: str) -> "Callable[[Record], bool] | None":
    """Return a function (record) -> whether an action or target with this `interface` takes it; None: it takes all."""
    if name == "*":
        return None
    if name in ("lan", "wan"):
        return lambda record: record.get("internal") is (name == "lan")
    return lambda record: record.get("interface") == name


class SetTarget:
    """An ipset or nftset target: the slot of the flow's IP version takes its element. One of ctmark or ctlabel: its slot
    takes the connections of both versions."""

    def __init__(self, counters: Counters, interface: str, cut: "Cut | None" = None) -> None:
        """`cut`: called with the slot, the element and the flow record when the flow's element is brought into the set."""
        self.counters = counters
        self._cut = cut
        self._takes = interface_test(interface)
        self._lately: dict[bytes, bytes] = {}
        self.slots: list[FilledSlot] = []
        self._v4: FilledSlot | None = None
        self._v6: FilledSlot | None = None
        self._key4: Key | None = None
        self._key6: Key | None = None
        self.forbids: Callable[[bytes], bool] | None = None
        """For elements that are an address and nothing else: whether this one must not be in any set."""

    @property
    def lasting(self) -> "SetTarget":
        """What is applied also when a live flow is re-evaluated: all of it lasts as long as the flow."""
        return self

    def bind(self, slots: "list[tuple[FilledSlot, Key]]") -> None:
        """Take the slots and their element functions."""
        self.slots = [slot for slot, _ in slots]
        self._v4 = self._v6 = None
        for slot, function in slots:
            if slot.data["family"] != 6:
                self._v4, self._key4 = slot, function
            if slot.data["family"] != 4:
                self._v6, self._key6 = slot, function

    def apply(self, record: "Record", flow: "Record", now: int, held: "Held") -> "Held":
        """Want the flow's element in the set. Returns the element, or None when this flow has none here.

        `held`: what the flow holds already: None, one element, or a tuple of several. Raises one of `view.MALFORMED`, before
        anything was done, when the flow lacks a field of the element.
        """
        if self._takes is not None and not self._takes(record):
            return None
        slot, make = (self._v4, self._key4) if flow["ip_version"] == 4 else (self._v6, self._key6)
        if slot is None or make is None:
            return None
        key = make(record, flow)
        known = key == held or (isinstance(held, tuple) and key in held)
        if self.forbids is not None and not known and key not in slot.live and self.forbids(key[2:]):
            self.counters.skipped += 1
            return None
        if self._cut is not None and not (known and slot.has(key)):
            self._cut(slot, key, flow)
        if known:
            slot.want(key, now)
        else:
            key = self._same(key)
            slot.hold(key, now)
        return held if key == held else key  # one object for as long as the flow lives

    def key_of(self, record: "Record", flow: "Record") -> "bytes | None":
        """Return the flow's element without wanting it. Raises as `apply` does."""
        if self._takes is not None and not self._takes(record):
            return None
        make = self._key4 if flow["ip_version"] == 4 else self._key6
        return make(record, flow) if make is not None else None

    def _same(self, key: bytes) -> bytes:
        """Return one object for an element that many flows hold: 48 bytes less for each of them."""
        found = self._lately.get(key)
        if found is not None:
            return found
        if len(self._lately) >= LATELY:
            self._lately.clear()
        self._lately[key] = key
        return key


class LogTarget:
    """A log target, with its interface. `cutting` cuts flows and remembers which, where that is wanted.

    A flow that has an entry holds a packed key, as it holds elements of sets: the target's number (2 bytes) and the key of
    its digest (8). So later records of it complete the entry, and make no other.
    """

    def __init__(self, number: int, log: Log, interface: str, cutting: SetTarget | None) -> None:
        self.number = number
        self.log = log
        self.cutting = cutting
        self.slots: list[FilledSlot] = []
        self.counters = log.counters
        self.lasting = Noted(self)
        self._prefix = number.to_bytes(2, "big")
        self._takes = interface_test(interface)

    def apply(self, record: "Record", flow: "Record", now: int, held: "Held") -> "bytes | None":
        """Note the flow. Returns its key; None when it has no entry."""
        key = self.key_of(record, flow)
        return key if key is not None and self.log.note(flow, self.knows(held), now, time.time()) else None

    def knows(self, held: "Held") -> bool:
        """Return whether a flow that holds this has had an entry. It may have had it under another digest."""
        keys = held if isinstance(held, tuple) else () if held is None else (held,)
        return any(key[:2] == self._prefix for key in keys)

    def key_of(self, record: "Record", flow: "Record") -> "bytes | None":
        """Return the flow's key without noting it; None when it is not for this target."""
        if self._takes is not None and not self._takes(record):
            return None
        return self._prefix + digest_key(flow["digest"]).to_bytes(8, "big")


class Noted:
    """A log target for live flows that are re-evaluated: one that has had its entry keeps its key, and no other gets one."""

    def __init__(self, target: LogTarget) -> None:
        self._target = target
        self.counters = target.counters

    def apply(self, record: "Record", flow: "Record", now: int, held: "Held") -> "bytes | None":
        """Return the flow's key if it holds one."""
        return self._target.key_of(record, flow) if self._target.knows(held) else None

    def key_of(self, record: "Record", flow: "Record") -> "bytes | None":
        """Return the flow's key."""
        return self._target.key_of(record, flow)
