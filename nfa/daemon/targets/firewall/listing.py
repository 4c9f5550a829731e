"""What one firewall target holds in one map, for those who ask for elements, and flush them. Loaded when somebody does.

In: a map, and the combinations that the target is in. Out: what `bus.methods` lists of a slot, and for each element the actions
that it is held for, and the packets and bytes that have met it since it was added.
"""

from ...netlink.nftables_maps import counted
from ...netlink.question import Questions
from .combinations import END, Combination
from .maps import MapSlot

MYPY = False
if MYPY:
    from typing import Any

    from ..counters import Counters


class Held:
    """A target's part of a map."""

    def __init__(self, slot: MapSlot, counters: "Counters", combinations: "list[Combination]", questions: Questions) -> None:
        self.data = slot.data
        self.counters = counters
        self._slot = slot
        self._questions = questions
        self._actions = {one.suffix: [action for action, name in one.pairs if name == counters.name] for one in combinations}
        self.live = {key: None for key in list(slot.live) if key[-END:] in self._actions}

    @property
    def present(self) -> int:
        """How many elements are in the map, as far as is known."""
        return len(self.live) if self._slot.state.holds else 0

    def expires(self, key: bytes) -> int:
        """Return the second in which an element ends."""
        return self._slot.expires(key)

    def facts(self, key: bytes) -> "dict[str, Any]":
        """Return what is known of an element besides: why it is held, and what has met it (None: the kernel does not count)."""
        found = None
        slot = self._slot
        if slot.encoder is not None:
            try:
                for payload in self._questions.ask(slot.encoder.ask(self._questions.number(), key)):
                    found = counted(payload)
            except OSError:
                pass  # it has gone meanwhile
        packets, size = found or (None, None)
        return {"actions": self._actions[key[-END:]], "packets": packets, "bytes": size}

    def withdraw_all(self) -> int:
        """Take all of it out of the map: it comes back with the next records of its flows. Returns how many elements."""
        for key in self.live:
            self._slot.drop(key)
        return len(self.live)
