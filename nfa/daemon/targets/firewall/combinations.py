"""Combinations: which actions and firewall targets one flow reached together, and so what becomes of its packets.

An element of a map has one number, N, for which the map `combinations` leads to the chain cN. That counts, and leads to the
chains of the targets' effects. In: pairs (action, target), in the order of the policy. Out: combinations, each with a chain and
a number that ends the packed elements it is for (2 bytes, in host order). A block wins, the first of several; else all
effects apply, in the order of the targets in the configuration.
"""

import sys

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable
    from typing import Any

    Data = dict[str, Any]
    Pair = tuple[str, str]

BY_ACTION = 1024
"""Combinations that tell actions apart. Of more, only the targets are: what happens to packets is the same."""
MAX_COMBINATIONS = 4096
MAP = "combinations"
"""The map from their numbers to their chains."""
END = 2
"""Bytes of a packed element that name its combination."""
ELEMENTS = 1 << 16
"""What `element_number` adds: no slot has such a number."""


def element_number(key: bytes) -> int:
    """Return the number of a packed element's combination, beyond those that slots have."""
    return ELEMENTS | number_of(key)


def number_of(key: bytes) -> int:
    """Return the number of a packed element's combination, or of its end."""
    return int.from_bytes(key[-END:], sys.byteorder)


class Combination:
    """One combination. `way`: which of each target's two chains it uses."""

    __slots__ = (
        "bytes",
        "bytes_before",
        "chain",
        "chains",
        "last",
        "number",
        "packets",
        "packets_before",
        "pairs",
        "suffix",
        "way",
    )

    def __init__(self, number: int, pairs: "tuple[Pair, ...]", way: int) -> None:
        self.number = number
        self.suffix = number.to_bytes(END, sys.byteorder)
        self.chain = f"c{number:04x}"
        """As long for each."""
        self.pairs = pairs
        self.way = way
        self.chains: tuple[str, ...] | None = None
        """The chains that its own leads to, as it is in the kernel; None: it is not there."""
        self.last: bool | None = None
        """Whether its number leads to its chain for good (`Combinations.is_last`), as it is in the kernel; None: it may not."""
        self.packets = self.bytes = 0
        """What its chain has counted; `_before`: what it had counted when it was last written again."""
        self.packets_before = self.bytes_before = 0

    def counted(self) -> tuple[int, int]:
        """Return the packets and bytes that it was in effect for."""
        return self.packets_before + self.packets, self.bytes_before + self.bytes

    def begin_again(self) -> None:
        """Its chain is about to be written again, and counts from 0."""
        self.packets_before, self.bytes_before = self.counted()
        self.packets = self.bytes = 0


def number_in(name: str) -> int:
    """Return the number of the combination that a chain has its name of; 0 for another name."""
    own = len(name) == 5 and name[0] == "c" and not name[1:].strip("0123456789abcdef")
    return int(name[1:], 16) if own else 0


class Combinations:
    """All combinations that flows hold, or that were of use lately."""

    def __init__(self) -> None:
        self.by_number: dict[int, Combination] = {}
        self._numbers: dict[tuple[tuple[Pair, ...], int], int] = {}
        self._next = 0
        self.effects: dict[str, Data] = {}
        """For each target of the policy what it does (see `compiler.provision.firewall`)."""
        self.applies: Callable[[str, str], bool] = _always
        """Whether an action applies a target now."""

    def reduced(self, pairs: "Iterable[Pair]") -> "tuple[Pair, ...]":
        """Return what of some pairs has an effect, were all applied: the first block or route, else everything."""
        known = [pair for pair in pairs if pair[1] in self.effects]
        for pair in known:
            if self.effects[pair[1]]["block"] or self.effects[pair[1]]["hook"] == "route":
                return (pair,)
        return tuple(known)

    def find(self, pairs: "Iterable[Pair]", way: int, make_room: "Callable[[], object]") -> Combination | None:
        """Return the combination of some pairs; None when there are too many. `make_room()` forgets those that nobody uses."""
        wanted = self.reduced(pairs)
        number = self._numbers.get((wanted, way))
        if number is None and len(self.by_number) >= BY_ACTION:
            make_room()
            if len(self.by_number) >= BY_ACTION:
                wanted = tuple([("", target) for target in _each_once([pair[1] for pair in wanted])])
                number = self._numbers.get((wanted, way))
        if number is not None:
            return self.by_number[number]
        if len(self.by_number) >= MAX_COMBINATIONS:
            return None
        while True:
            self._next = self._next % 0xFFFF + 1
            if self._next not in self.by_number:
                break
        made = self.by_number[self._next] = Combination(self._next, wanted, way)
        self._numbers[(wanted, way)] = self._next
        return made

    def union(self, numbers: "list[int]", make_room: "Callable[[], object]") -> Combination | None:
        """Return the combination of several, of flows that share an element."""
        pairs: list[Pair] = []
        for number in numbers:
            pairs += [pair for pair in self.by_number[number].pairs if pair not in pairs]
        return self.find(pairs, self.by_number[numbers[0]].way, make_room)

    def forget(self, used: "set[int]") -> list[Combination]:
        """Forget all combinations but these. Returns those that had a chain, which is none any longer."""
        gone = [self.by_number.pop(number) for number in list(self.by_number) if number not in used]
        written = [one for one in gone if one.chains is not None]
        for one in gone:
            del self._numbers[(one.pairs, one.way)]
            one.chains = one.last = None
        return written

    def numbers_of(self, target: str) -> set[int]:
        """Return `element_number` of each combination that a target is in."""
        return {ELEMENTS | one.number for one in self.by_number.values() if target in [pair[1] for pair in one.pairs]}

    def is_last(self, combination: Combination) -> bool:
        """Return whether no other map is for the packets that a combination is for: those of one connection."""
        scopes = [self.effects[target]["scope"] for _, target in combination.pairs if target in self.effects]
        return not [scope for scope in scopes if scope not in ("connection", "route")]

    def chains_now(self, combination: Combination) -> tuple[str, ...]:
        """Return the chains of effects that a combination's own is to jump to now: what has ended has none."""
        pairs = [pair for pair in combination.pairs if pair[1] in self.effects and self.applies(pair[0], pair[1])]
        # In the order of the configuration: of two that set the same, the later one wins, as it does in marks.
        targets = sorted([target for _, target in self.reduced(pairs)], key=self._order)
        return tuple(_each_once([str(self.effects[target]["chains"][combination.way]) for target in targets]))

    def _order(self, target: str) -> int:
        number: int = self.effects[target]["order"]
        return number


def _always(action: str, target: str) -> bool:
    return True


def _each_once(names: "list[str]") -> list[str]:
    return [name for index, name in enumerate(names) if name not in names[:index]]
