"""What the generated index of a policy calls (`nfa.compiler.expression.index`): masks of values, made once and remembered.

In: tables of the policy image, values of a flow record. Out: numbers whose bits are alternatives of actions and exemptions.
What is remembered is bounded in entries and in the length of a value: strangers choose host names and addresses.
"""

from ..base.portable import ROOM, SECRET_HASH

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable
    from typing import Any

    Condition = Callable[[dict[str, Any], dict[str, Any]], bool]

MAX_REMEMBERED = ROOM
"""Values of one attribute (or combinations of those that are remembered together)."""
MASKS = 512 * ROOM
"""Bytes that the masks of one attribute may take: a policy of thousands of alternatives has long ones, and remembers fewer."""
MAX_LENGTH = 100
"""Characters of a value that is remembered; `MAX_PARTS`: values that are remembered together, or of one list."""
MAX_PARTS = 64


def bits(numbers: "Iterable[int]") -> int:
    """Return the number with these bits."""
    found = 0
    for number in numbers:
        found |= 1 << number
    return found


def pick(table: "dict[Any, tuple[int, ...]]", value: object) -> int:
    """Return the alternatives that a table has for a value."""
    numbers = table.get(value)
    return bits(numbers) if numbers else 0


def inside(packed: bytes, families: "tuple[Any, ...]") -> int:
    """Return the alternatives whose networks an address lies in.

    `families`, IPv4 and IPv6, are (bytes of a head, the heads of all networks that have so many, rows of wider networks, all
    rows). A row is for one prefix length: (whole bytes of the prefix, mask of the byte after them or 0, the networks' prefixes
    to their alternatives). One look-up a row, however many networks there are; mostly the one of the head is all.
    """
    head, heads, wide, rows = families[0 if len(packed) == 4 else 1]
    found = 0
    for whole, mask, prefixes in rows if packed[:head] in heads else wide:
        prefix = packed[:whole]
        if mask:
            prefix += bytes((packed[whole] & mask,))
        if prefix in prefixes:
            found |= bits(prefixes[prefix])
    return found


def rememberer(alternatives: int) -> "Callable[[dict[object, int], Any, int], int]":
    """Return the function that remembers the mask of a value, or of a tuple of values, and returns it.

    It raises TypeError for what cannot be a key.
    """
    most = max(MAX_REMEMBERED // 16, min(MAX_REMEMBERED, MASKS // (alternatives // 8 + 32)))

    def remember(memo: "dict[object, int]", key: "Any", mask: int) -> int:
        if not SECRET_HASH:
            hash(key)  # MicroPython looks into an empty table without
        if len(memo) >= most:
            memo.clear()
        if len(key) <= MAX_LENGTH if isinstance(key, str) else _short(key):
            memo[key] = mask
        return mask

    return remember


def _short(key: object) -> bool:
    """Return whether a value that is no text, or each of a tuple of not too many, is short."""
    if isinstance(key, tuple):
        if len(key) > MAX_PARTS:
            return False
        for one in key:
            if isinstance(one, str):
                if len(one) > MAX_LENGTH:
                    return False
            elif isinstance(one, tuple) and not _short(one):
                return False
    return True


def rest(mask: int, functions: "tuple[tuple[int, Condition], ...]", record: "dict[str, Any]", flow: "dict[str, Any]") -> int:
    """Rule out alternatives by conditions that look at several attributes: (alternative, function) each."""
    known: dict[Condition, bool] = {}
    for number, function in functions:
        if mask >> number & 1:
            holds = known.get(function)
            if holds is None:
                holds = known[function] = function(record, flow)
            if not holds:
                mask ^= 1 << number
    return mask


def numbers_of(mask: int) -> list[int]:
    """Return the bits of a number, the lowest first."""
    found = []
    base = 0
    while mask:
        byte = mask & 0xFFFF
        if byte:
            for number in range(16):
                if byte >> number & 1:
                    found.append(base + number)
        mask >>= 16
        base += 16
    return found
