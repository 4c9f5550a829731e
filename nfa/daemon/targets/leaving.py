"""Slots that are out of use, while what they brought about is being withdrawn: an effect ends with its cause.

In: slots that no target of the policy fills any longer. Out: removals of their elements, some in each turn of the loop.
"""

from .sets.errors import label
from .sets.slot import Slot, set_of
from .sets.writer import Sets

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterator

    from .prepared import AnySlot
    from .types import Say

PART = 2048
"""Elements that are withdrawn in one turn of the loop."""
TRIES = 5
"""How often the kernel is asked to give up elements, once a second."""


IDLE_PART = 1024
"""Idle elements that are withdrawn between two looks at the clock."""


def left_over(slot: Slot) -> bool:
    """Return whether a set of the daemon's own may have elements that an earlier life of it left: nobody knows which."""
    return slot.carried_over and slot.data["managed"] and slot.data["kind"] != "pftable" and slot.state.usable


def withdraw_idle(slots: "dict[int, AnySlot]", numbers: "set[int]", sets: Sets, now: "Callable[[], int]") -> "Iterator[None]":
    """Withdraw the elements of these numbers (see `Registry.number_of`) that no flow holds any longer: a generator that gives
    back the loop at times.

    In a set of the daemon's own may be what an earlier life of it left: the set is emptied, and filled again.
    """
    for slot in list(slots.values()):
        if "map" in slot.data:
            keys = [key for key in slot.idle() if slot.number_of(key) in numbers]  # type: ignore[union-attr]  # a MapSlot
        elif slot.number not in numbers:
            continue
        else:
            keys = slot.idle()
            if isinstance(slot, Slot) and left_over(slot):
                sets.refill(slot)
        for start in range(0, len(keys), IDLE_PART):
            slot.withdraw_idle(keys[start : start + IDLE_PART], now())
            yield


class Leaving:
    """Slots of sets that are out of use. Those of connections are drained by what writes connections."""

    def __init__(self, sets: Sets, say: "Say") -> None:
        self._sets = sets
        self._say = say
        self._slots: list[tuple[Slot, list[bytes]]] = []
        """Slots, and which of their elements are left."""
        self._later: list[tuple[Slot, int]] = []
        """Slots whose elements the kernel did not give up, and how often it was asked."""

    @property
    def busy(self) -> bool:
        """Whether there is something to do at once."""
        return bool(self._slots)

    def add(self, slot: Slot, active: "list[Slot]") -> None:
        """A slot goes out of use. `active`: all slots of sets that are in use."""
        slot.siblings = [other for other in active if other is not slot and set_of(other.data) == set_of(slot.data)]
        count = slot.withdraw_all()
        if count:
            self._slots.append((slot, slot.take_dels(count)))

    def drain(self, now: int) -> None:
        """Withdraw some elements."""
        if not self._slots:
            return
        slot, keys = self._slots[0]
        part = keys[-PART:]
        del keys[-PART:]
        self._sets.withdraw(slot, slot.of_no_sibling(part), now)
        if not keys:
            self._slots.pop(0)
            if slot.dels:  # the kernel did not give them up
                self._later.append((slot, 1))

    def tick(self, now: int) -> None:
        """Try again what the kernel did not give up. To be called each second."""
        later, self._later = self._later, []
        for slot, tries in later:
            keys = slot.take_dels(len(slot.dels))
            self._sets.withdraw(slot, slot.of_no_sibling(keys), now)
            if slot.dels and tries < TRIES:
                self._later.append((slot, tries + 1))
            elif slot.dels:
                count = str(len(slot.dels))
                self._say("error", "target '" + slot.counters.name + "': " + count + " elements remain in " + label(slot))
