"""Elements of nftables sets whose elements are ranges (`flags interval`): one address is a range from itself to itself.

In: packed elements, as for `nftables.Elements`. Out: the same messages as nft 1.0.6 sends (strace). Source:
linux/netfilter/nf_tables.h, nft's intervals.c. A set of a single field has two elements for each range: its first key, and,
flagged as an end, the first key after it; the range up to the highest key has no end. In a concatenation an element has both
ends itself: without NFTA_SET_ELEM_KEY_END the kernel takes the element for one key, but nft lists a range up to the next one,
and writes that back. Keys are compared from their first byte on, so marks, which are in host order elsewhere, are big-endian.
"""

import struct
import sys

from .nftables import (
    NEW,
    NFTA_DATA_VALUE,
    NFTA_LIST_ELEM,
    NFTA_SET_ELEM_EXPIRATION,
    NFTA_SET_ELEM_FLAGS,
    NFTA_SET_ELEM_KEY,
    NFTA_SET_ELEM_LIST_ELEMENTS,
    NFTA_SET_ELEM_TIMEOUT,
    Elements,
    expander,
    key_size,
    packer,
    widths,
)
from .nftables_sets import NFT_SET_CONCAT, NFT_SET_INTERVAL, ask_set, note, read_set
from .socket import Dump
from .wire import (
    NLA_F_NESTED,
    NLM_F_CREATE,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    WORD,
    attribute,
    message,
    messages,
)

MYPY = False
if MYPY:
    from collections.abc import Callable

NFTA_SET_ELEM_KEY_END = 10
NFTA_SET_ELEM_USERDATA = 6
NFT_SET_ELEM_INTERVAL_END = 1
_END = attribute(NFTA_SET_ELEM_FLAGS, struct.pack(">I", NFT_SET_ELEM_INTERVAL_END))
_OPEN = note(1, WORD.pack(1))
"""NFTNL_UDATA_SET_ELEM_FLAGS with SET_ELEM_F_INTERVAL_OPEN."""
_FILLER = 255
"""A note that nft does not know, and passes over."""
SINGLE, RANGES, CONCATENATED = 0, 1, 2
"""Forms of a set's elements: single keys; ranges of two elements each; ranges of one element with both of its ends."""


def form_of(dump: Dump, family: int, table: str, name: str) -> int:
    """Return which form the elements of a set have; -1: there is no such set, or the kernel does not say."""
    try:
        dump.ask(ask_set(1, family, table, name))
        data = dump.next()
    except OSError:
        dump.close()
        return -1
    form = -1
    while data:
        for kind, _, _, start, end in messages(data):
            if kind != NLMSG_ERROR:
                flags = read_set(data[start:end])["flags"]
                form = SINGLE
                if flags & NFT_SET_INTERVAL:
                    form = CONCATENATED if flags & NFT_SET_CONCAT else RANGES
        data = dump.next()
    return form


def _swapper(fields: tuple[str, ...], family: int) -> "Callable[[bytes], bytes] | None":
    """Return the function that turns the marks in a key around; None where there is nothing to turn."""
    if sys.byteorder == "big" or "mark" not in fields:
        return None
    places: list[int] = []
    place = 0
    for field, size in zip(fields, widths(fields, family)):
        if field == "mark":
            places.append(place)
        place += size + 3 & ~3

    def swap(key: bytes) -> bytes:
        for place in places:
            turned = bytes([key[place + 3 - index] for index in range(4)])
            key = key[:place] + turned + key[place + 4 :]
        return key

    return swap


def range_expander(fields: tuple[str, ...], family: int) -> "Callable[[bytes], bytes]":
    """As `nftables.expander`."""
    expand, swap = expander(fields, family), _swapper(fields, family)
    if swap is None:
        return expand
    return lambda element: swap(expand(element))


def range_packer(fields: tuple[str, ...], family: int, number: int) -> "Callable[[bytes], bytes]":
    """As `nftables.packer`."""
    pack, swap = packer(fields, family, number), _swapper(fields, family)
    if swap is None:
        return pack
    return lambda key: pack(swap(key)) if len(key) >= 4 else b""


class Ranges(Elements):
    """Encodes the elements of one set of ranges. `room`, `first` and `failed_index` count ranges as elements."""

    def __init__(
        self,
        table_family: int,
        table: str,
        name: str,
        sizes: tuple[int, ...],
        timeout: int,
        form: int,
        expand: "Callable[[bytes], bytes]",
    ) -> None:
        """As for `Elements`. `form`: RANGES or CONCATENATED. `expand`: `range_expander`."""
        super().__init__(table_family, table, name, sizes, timeout)
        self._form = form
        self._expand = expand
        self._timeout = attribute(NFTA_SET_ELEM_TIMEOUT, struct.pack(">Q", timeout)) if timeout >= 0 else b""
        self.element = len(self._range(bytes(key_size(sizes)), self._timeout))
        self.room = min(1024, (65535 - 4) // self.element)

    def _range(self, key: bytes, times: bytes) -> bytes:
        """Return one range: an element, and its end, if it has one."""
        body = times + _value(NFTA_SET_ELEM_KEY, key)
        if self._form == CONCATENATED:
            return _element(body + _value(NFTA_SET_ELEM_KEY_END, key))
        after = int.from_bytes(key, "big") + 1
        if after >> 8 * len(key):
            # Without an end: nft has a note about that. A second one makes it as long as all others, for `failed_index`.
            rest = len(_element(_END + _value(NFTA_SET_ELEM_KEY, key))) - 4 - len(_OPEN) - 2
            return _element(body + attribute(NFTA_SET_ELEM_USERDATA, _OPEN + note(_FILLER, bytes(rest))))
        return _element(body) + _element(_END + _value(NFTA_SET_ELEM_KEY, after.to_bytes(len(key), "big")))

    def encode(self, command: int, sequence: int, elements: list[bytes]) -> bytes:
        """As `Elements.encode`."""
        expand = self._expand
        times = self._timeout if command == NEW else b""
        return self._message(command, sequence, [self._range(expand(element), times) for element in elements])

    def restore(self, sequence: int, keys: list[bytes], left: list[int]) -> bytes:
        """As `Elements.restore`."""
        ranges = []
        for key, seconds in zip(keys, left):
            own = attribute(NFTA_SET_ELEM_EXPIRATION, struct.pack(">Q", seconds * 1000)) if seconds else b""
            ranges.append(self._range(key, self._timeout + own))
        return self._message(NEW, sequence, ranges)

    def _message(self, command: int, sequence: int, ranges: list[bytes]) -> bytes:
        body = self.head + attribute(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, b"".join(ranges))
        return message(command, NLM_F_REQUEST | NLM_F_CREATE if command == NEW else NLM_F_REQUEST, sequence, body)


def _value(kind: int, key: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, attribute(NFTA_DATA_VALUE, key))


def _element(body: bytes) -> bytes:
    return attribute(NFTA_LIST_ELEM | NLA_F_NESTED, body)
