"""nftables' rules: questions about those of a table, and which sets they use.

Source: linux/netfilter/nf_tables.h. In: names and numbers. Out: messages; and from the kernel's answers plain data. The kernel
gives rules some at a time, so a table of any size takes no more memory here than one datagram.
"""

from ..base.portable import decode, strerror
from .nftables import NFTA_LIST_ELEM
from .nftables_rules import (
    NFTA_EXPR_DATA,
    NFTA_EXPR_NAME,
    NFTA_RULE_CHAIN,
    NFTA_RULE_EXPRESSIONS,
    NFTA_RULE_TABLE,
)
from .wire import (
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NUMBER,
    attributes,
    message,
    messages,
    nfgen,
    string,
)

MYPY = False
if MYPY:
    from collections.abc import Iterable

    from .socket import Dump

GET_RULE = 0xA07
"""NFT_MSG_GETRULE, with its subsystem."""
NFTA_RULE_HANDLE = 3
NFTA_LOOKUP_SET = 1
NFTA_DYNSET_SET_NAME = 1
NFTA_OBJREF_SET_NAME = 4

_USING = {b"lookup": NFTA_LOOKUP_SET, b"dynset": NFTA_DYNSET_SET_NAME, b"objref": NFTA_OBJREF_SET_NAME}
"""Expressions of a rule that use a set, and their attribute with its name."""
_EIO = 5


def ask_rules(sequence: int, family: int, table: str) -> bytes:
    """Return GETRULE for all rules of a table. Before 4.17 or so the kernel gives those of other tables too."""
    return message(GET_RULE, NLM_F_REQUEST | NLM_F_DUMP, sequence, nfgen(family) + string(NFTA_RULE_TABLE, table))


def read_rule(payload: bytes, family: int, table: str) -> tuple[str, int, set[str]]:
    """Return the chain and the handle of a rule, and the names of the sets that it uses: none for one of another table."""
    found = dict(attributes(payload[4:]))
    sets: set[str] = set()
    if payload[0] == family and _text(found.get(NFTA_RULE_TABLE, b"")) == table:
        for kind, listed in attributes(found.get(NFTA_RULE_EXPRESSIONS, b"")):
            expression = dict(attributes(listed)) if kind == NFTA_LIST_ELEM else {}
            used = _USING.get(expression.get(NFTA_EXPR_NAME, b"").rstrip(b"\0"))
            data = dict(attributes(expression.get(NFTA_EXPR_DATA, b"")))
            if used in data:
                sets.add(_text(data[used]))
    return _text(found.get(NFTA_RULE_CHAIN, b"")), int.from_bytes(found.get(NFTA_RULE_HANDLE, b""), "big"), sets


def _text(value: bytes) -> str:
    return decode(value.rstrip(b"\0"))


class Users:
    """Finds out which sets of a table its rules use, a datagram at a time."""

    def __init__(self, dump: "Dump", sequence: int, family: int, table: str, names: "Iterable[str]") -> None:
        """`dump`: a socket that nobody else reads from meanwhile; `names`: of the sets. Raises OSError."""
        self._family = family
        self._table = table
        self.used: set[str] = set()
        """Those that are used, as far as is known."""
        self.whole = True
        """No rule was added or deleted meanwhile, which may have kept others from being seen."""
        self._dump = dump
        self._sequence = sequence
        self._left = {name.encode() + b"\0": True for name in names}
        """Names that were not found yet, by how they stand in a rule."""
        dump.ask(ask_rules(sequence, family, table))

    def go_on(self) -> bool:
        """Read the next datagram. Returns whether there is more to read. Raises OSError."""
        data = self._dump.next()
        if not data:
            raise OSError(_EIO, "the kernel gave no whole answer")
        # Nearly all rules of a firewall name none of these sets: those are not taken apart.
        here = [name for name in self._left if name in data]
        for kind, flags, sequence, start, end in messages(data):
            if sequence != self._sequence:
                continue
            if flags & NLM_F_DUMP_INTR:
                self.whole = False
            if kind in (NLMSG_DONE, NLMSG_ERROR):
                error = -NUMBER.unpack_from(data, start)[0] if end - start >= 4 else 0
                if error:
                    raise OSError(error, strerror(error))
                return False
            if [1 for name in here if data.find(name, start, end) >= 0]:
                for used in read_rule(data[start:end], self._family, self._table)[2]:
                    if self._left.pop(used.encode() + b"\0", None) is not None:
                        self.used.add(used)
        if not self._left:
            self._dump.close()  # the kernel need not go on either
        return bool(self._left)
