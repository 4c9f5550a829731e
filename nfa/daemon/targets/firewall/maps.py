"""The elements of one map: what becomes of the packets of a connection, server or device.

As in a set, flows hold packed elements. Here such an element ends with the number of a combination: two flows may want
different things of one connection's, server's or device's packets. Then the kernel's element has the combination of both.
"""

from ..counters import Counters
from ..sets.slot import Slot
from .combinations import END, Combinations, element_number, number_of

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

PLACES = 8
"""Bytes for each element that tell, for most of them, that no other is like it but for its end."""
MIN_PLACES, MIN_ROOM = 1024, 256


class MapSlot(Slot):
    """One map. Elements in `live` are those that flows want; `in_effect` says which of them the kernel has."""

    pace, share = 0.02, 1
    """While it lacks elements, what is blocked passes."""

    def __init__(
        self,
        number: int,
        data: "dict[str, Any]",
        counters: Counters,
        combinations: Combinations,
        union: "Callable[[list[bytes]], bytes]",
        count: "Callable[[bytes, int, int, int], object]",
    ) -> None:
        """`union(ends)`: the end that elements of several combinations have together. `count(end, added, refreshed, withdrawn)`
        counts what is sent, for the targets of a combination."""
        self._count = count
        self._combinations = combinations
        self._union = union
        self._shared: dict[bytes, bytes] = {}
        """Elements that flows of several combinations hold, without the end, to the end that the kernel has."""
        self._before: dict[bytes, tuple[bytes, bytes]] = {}
        """What changed in this turn: an element without its end, to the end that the kernel has (b"": none), and the end with
        which it came or went."""
        self._places = bytearray(MIN_PLACES)
        """Whether none, one or more (2) elements, without their ends, have come to each place; some of them are gone. Each
        element has two places, which its hash gives: where one of them has no other, none is like it."""
        self._mask, self._room = MIN_PLACES - 1, MIN_ROOM
        """`_room`: how many more may come before the places are counted again."""
        self._refreshes_due = True
        super().__init__(number, data, counters)

    def expire(self, now: int) -> None:
        """Forget what the kernel has dropped by itself. To be called each second."""
        super().expire(now)
        self._refreshes_due = True

    # -- what flows want ------------------------------------------------------------------------------------------------

    def hold(self, key: bytes, now: int) -> None:
        """A flow that did not hold this element wants it in the map."""
        if key not in self.live:
            self._come(key)
        super().hold(key, now)

    def want(self, key: bytes, now: int) -> None:
        """A flow that holds this element lives."""
        if key not in self.live:
            self._come(key)
        super().want(key, now)

    def withdraw(self, key: bytes, staying: bool) -> None:
        """An element is to leave the map."""
        element, end = key[:-END], key[-END:]
        if element not in self._before:
            self._before[element] = self._shared.get(element) or end, end
        super().withdraw(key, staying)

    def _come(self, key: bytes) -> None:
        """An element is about to come."""
        element, end = key[:-END], key[-END:]
        self._room -= 1
        if self._room < 0:
            self._count_places()
        if element in self._before:
            before = self._before[element][0]
        else:
            ends = self._ends(element)
            before = self._shared.get(element) or (ends[0] if ends else b"")
        self._before[element] = before, end
        self._count_at(element)

    def _two_places(self, element: bytes) -> tuple[int, int]:
        number = hash(element)
        return number & self._mask, number >> 24 & self._mask

    def _count_at(self, element: bytes) -> None:
        """An element has come to its places."""
        places = self._places
        first, second = self._two_places(element)
        if places[first] < 2:
            places[first] += 1
        if second != first and places[second] < 2:
            places[second] += 1

    def _count_places(self) -> None:
        """Count again how many elements there are at each place."""
        size = MIN_PLACES
        while size < PLACES * len(self.live):
            size *= 2
        self._mask, self._room = size - 1, max(MIN_ROOM, len(self.live) // 2)
        self._places = bytearray(size)
        for key in self.live:
            self._count_at(key[:-END])
        for element, (_, end) in self._before.items():
            if element + end not in self.live:
                for place in self._two_places(element):
                    self._places[place] = 2  # another may be there

    def _ends(self, element: bytes) -> list[bytes]:
        """Return the ends with which flows want an element."""
        first, second = self._two_places(element)
        if not self._places[first] or not self._places[second]:
            return []
        live = self.live
        return [one.suffix for one in self._combinations.by_number.values() if element + one.suffix in live]

    # -- what the kernel has --------------------------------------------------------------------------------------------

    def take_pending(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Return the elements to add, to refresh and to withdraw, as the kernel is to have them.

        Refreshes alone are in no hurry, and go once a second.
        """
        if not (self._before or self.dels or self._refreshes_due):
            return [], [], []
        self._refreshes_due = False
        _, refreshes, dels = super().take_pending()
        changed, self._before = self._before, {}
        added: list[bytes] = []
        removed = [key for key in dels if key[:-END] not in changed and not self._ends(key[:-END])]
        for element, (before, end) in changed.items():
            after = self._settle(element, end)
            if before != after:
                if before:
                    removed.append(element + before)
                if after:
                    added.append(element + after)
        fresh = set(added)
        renewed = [key for key in self.in_effect(refreshes) if key not in fresh]
        for number, keys in enumerate((added, renewed, removed)):
            for key in keys:
                self._count(key[-END:], number == 0, number == 1, number == 2)
        return added, renewed, removed

    def _settle(self, element: bytes, end: bytes) -> bytes:
        """Return the end that an element is to have now; b"" for none. `end`: the one with which it came or went."""
        two = self._two_places(element)
        if self._places[two[0]] < 2 or self._places[two[1]] < 2:
            # None but this has been there.
            ends = [end] if element + end in self.live else []
            for place in two:
                if self._places[place] < 2:
                    self._places[place] = len(ends)
        else:
            ends = self._ends(element)
        if len(ends) > 1:
            after = self._shared[element] = self._union(ends)
            return after
        self._shared.pop(element, None)
        return ends[0] if ends else b""

    def number_of(self, key: bytes) -> int:
        """Return the number of an element's combination: targets share the map."""
        return element_number(key)

    def in_effect(self, keys: list[bytes]) -> list[bytes]:
        """Return how the kernel has elements that flows want, each once."""
        if not self._shared:
            return keys
        found = {key[:-END] + self._shared.get(key[:-END], key[-END:]): None for key in keys}
        return list(found)

    def expires(self, key: bytes) -> int:
        """Return the second in which an element ends; 0: never, or it is not in the map."""
        if key in self.live or key[:-END] not in self._shared:
            return super().expires(key)
        ends = [Slot.expires(self, key[:-END] + end) for end in self._ends(key[:-END])]
        return 0 if 0 in ends or not ends else max(ends)

    def wanted(self, element: bytes) -> bytes:
        """Return one of the packed elements that flows want, for one without its end; that itself when nobody does."""
        ends = self._ends(element)
        return element + ends[0] if ends else element

    def forget(self, keys: list[bytes]) -> None:
        """The kernel did not take these, or no longer has them."""
        super().forget(keys)
        for key in keys if self._shared else ():
            if key[:-END] in self._shared and not self._ends(key[:-END]):
                del self._shared[key[:-END]]

    def drop(self, key: bytes) -> None:
        """Withdraw an element, also if flows hold it: their next records want it again."""
        if key in self.live:
            self.withdraw(key, True)
            self.forget([key])

    def owe_pending(self) -> None:
        """The map cannot take elements now: all that flows want is restored later."""
        super().owe_pending()
        for element, (_, end) in list(self._before.items()):
            self._settle(element, end)
        self._before = {}

    def clear(self) -> None:
        """The daemon has emptied the map."""
        super().clear()
        self._shared, self._before = {}, {}

    def withdraw_all(self) -> int:
        """The map goes out of use."""
        count = super().withdraw_all()
        self._shared, self._before = {}, {}
        return count

    def used(self) -> set[int]:
        """Return the numbers of the combinations that flows want elements of, or that the kernel has elements of."""
        found = {number_of(key) for table in (self.live, self.holders.asleep, self.dels) for key in table}
        return found.union([number_of(end) for end in self._shared.values()])
