"""What this kernel can do to packets: asked once, by transactions that it checks and does not commit.

In: the enabled firewall targets, and the kernel. Out: a finding for each target that needs what the kernel lacks, which then
has its trouble: no flow reaches it, the others work. Where the kernel cannot be asked it is taken to have everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nfa.compiler.base.report import Place, Reports, quote
from nfa.compiler.config.features import target_is_active
from nfa.compiler.config.model import Target
from nfa.compiler.config.routes import Wan
from nfa.compiler.provision import nftset, routing, rules
from nfa.compiler.provision.kernel import Kernel, KernelUnavailable
from nfa.compiler.provision.rules import FAMILY, PRIORITY
from nfa.daemon.netlink import nftables_rules, nftables_sets

_TABLE = "nfa_trial"
_CHAIN = "trial"
_SET = "trial_set"
_RATE = 1 << 16


@dataclass(frozen=True)
class _Piece:
    """Something that a target may need: what it is in words, the kernel module that has it, and what tries it."""

    words: str
    module: str
    messages: tuple[bytes, ...]


def _rules(*wanted: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(nftables_rules.new_rule(FAMILY, _TABLE, _CHAIN, list(rule)) for rule in wanted)


def _map(counted: bool) -> bytes:
    key = nftset.key_of(("local_addr", "ip_proto"), 4)
    flags = nftables_sets.NFT_SET_MAP | nftables_sets.NFT_SET_TIMEOUT
    each = rules.ELEMENT_COUNTER if counted else b""
    where = FAMILY, _TABLE, _SET
    return nftables_sets.new_set(*where, key.number, key.length, flags, 1000, 1, key.marks_userdata, each, nftset.MARKS)


def _devices() -> bytes:
    key = nftset.key_of(("local_addr",), 4)
    flags = nftables_sets.NFT_SET_EVAL | nftables_sets.NFT_SET_TIMEOUT
    return nftables_sets.new_set(FAMILY, _TABLE, _SET, key.number, key.length, flags, 1000, 1, key.userdata)


_START = (
    nftables_sets.new_table(FAMILY, _TABLE),
    nftables_rules.new_chain(FAMILY, _TABLE, _CHAIN),
)
_BASE = nftables_rules.new_base_chain(FAMILY, _TABLE, "trial_base", 2, PRIORITY)
_ANY = _Piece("decide about packets", "nf_tables", (_BASE, _map(False)))
_REJECT = _Piece("reject packets", "nft_reject_inet", _rules(*rules.VERDICTS["reject"]))
_LIMIT = _Piece("limit a rate", "nft_limit", _rules(rules.limit(_RATE)))
_EACH = _Piece(
    "limit the rate of each device",
    "nft_limit",
    (_devices(), *_rules(rules.limit_each(_SET, rules.SOURCE, 4, _RATE))),
)
_WAYS = _Piece("tell the directions of a connection", "nft_ct", _rules(*rules.by_direction(_CHAIN + "_up", _CHAIN + "_up")))
_DSCP = _Piece("set a DSCP class", "nf_tables", _rules(*rules.set_dscp(46)))
_MARK = _Piece("set a mark", "nf_tables", _rules(rules.set_mark(1, 1)))
_WAN = Wan("", True, 1, 1, (1, 1), 1, ("eth0",))
_ROUTE = _Piece(
    "give a connection to another WAN",
    "nft_ct",
    _rules(routing.keep(_WAN), routing.first_packet(_CHAIN + "_up"), routing.note(_WAN, "eth0")),
)
_LEADS_TO = (nftables_rules.new_chain(FAMILY, _TABLE, _CHAIN + "_up"),)
_COUNTED = _Piece("count for each element of a map", "nf_tables", (_map(True),))


def needs(options: dict[str, Any]) -> list[_Piece]:
    """What a firewall target with these options needs."""
    limited = any(options[name] for name in ("limit", "limit_up", "limit_down"))
    wanted = [
        (_ANY, True),
        (_REJECT, options["verdict"] == "reject"),
        (_EACH if options["per_device"] else _LIMIT, limited),
        (_WAYS, limited and options["scope"] != "device"),
        (_DSCP, options["set_dscp"] is not None),
        (_MARK, options["set_mark"] is not None),
        (_ROUTE, options["route"] is not None),
    ]
    return [piece for piece, needed in wanted if needed]


class Abilities:
    """What the kernel can do, each thing asked when it is first needed. `kernel`: None where nobody asks."""

    def __init__(self, kernel: Kernel | None, reports: Reports) -> None:
        self._kernel = kernel
        self._reports = reports
        self._known: dict[str, int] = {}

    def counted(self) -> bool:
        """Whether each element of a map can have a counter (Linux 5.7)."""
        return not self._lacks(_COUNTED, None)

    def report(self, targets: Iterable[Target]) -> None:
        """A finding for each target that this kernel cannot serve."""
        for target in targets:
            if target.type != "firewall" or not target_is_active(target):
                continue
            for piece in needs(target.options):
                failure = self._lacks(piece, target.place)
                if failure:
                    self._refuse(target, piece, failure)
                    break

    def _refuse(self, target: Target, piece: _Piece, failure: int) -> None:
        target.trouble = f"this kernel cannot {piece.words}"
        self._reports.error(
            "kernel-lacks-expression",
            target.place,
            f"target {quote(target.name)}: {target.trouble} ({os.strerror(failure)})",
            hint=f"install the kernel module {piece.module}. OpenWrt: opkg install kmod-nft-core",
            consequence="no flow reaches the target",
        )

    def _lacks(self, piece: _Piece, place: Place | None) -> int:
        """The error with which the kernel refuses what a piece needs; 0: it takes it, or cannot be asked."""
        if self._kernel is None:
            return 0
        if piece.words not in self._known:
            try:
                self._known[piece.words] = self._kernel.nft_refuses([*_START, *_LEADS_TO, *piece.messages])[0]
            except KernelUnavailable as reason:
                self._kernel = None
                self._reports.warning(
                    "kernel-unavailable",
                    place,
                    f"cannot query the kernel: {reason}",
                    consequence="it is taken to have all that firewall targets need",
                )
                return 0
        return self._known[piece.words]

    def refuses(self, frame: Sequence[bytes]) -> tuple[int, int]:
        """The first error of the whole table and the index of its message; (0, 0) when there is none, or nobody asks."""
        if self._kernel is None:
            return 0, 0
        try:
            return self._kernel.nft_refuses(frame)
        except KernelUnavailable:
            return 0, 0
