"""Which bits of marks this policy writes, and who else uses them: a mark is one number that several programs share.

In: the folder of UCI's packages and a checked policy. Out: a warning for each target that writes a whole mark, or bits that
another target or another program uses. Only what UCI says is read: fw4's rules with a mark, mwan3's `mmx_mask`, pbr's
`fw_mask`, the scripts and options by which SQM and qosify read a mark (layer_cake_ct.qos, cake's `fwmark`), dscpclassify. Rules
in /etc/nftables.d are not read. Some of these mark packets, which become marks of connections where a rule saves them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nfa.compiler.base.files import FileError, read_bytes
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports, quote
from nfa.compiler.config import effects
from nfa.compiler.config.convert import UINT32
from nfa.compiler.config.features import inactive_code, target_is_active
from nfa.compiler.config.model import Policy, Target, Text
from nfa.compiler.config.uciconfig import MAX_SIZE
from nfa.compiler.config.ucitext import UciError, UciSection, parse

MWAN3, PBR, DSCP = 0x3F00, 0xFF0000, 0xFF
"""What mwan3 and pbr use where their configuration does not say, and layer_cake_ct.qos and dscpclassify always."""
_FALSE = ("0", "off", "false", "no", "disabled")
_NUMBER = re.compile(r"!?\s*(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})(?:/(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}))?")
_FWMARK = re.compile(r"\bfwmark\s+(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})")
_CLASS = "ctinfo"
_READERS = ("SQM", "qosify")
"""Who reads the class of a connection there, and means it by these bits."""
_NAMED = 4
_WIDTHS = (4, 8, 16)
"""Bits of a mask that is suggested."""


@dataclass(frozen=True)
class User:
    """Somebody who uses bits of marks. `name` is for people."""

    name: str
    bits: int


@dataclass(frozen=True)
class _Writer:
    """A target that writes bits, the mark as it is written there, and whether it says which bits.

    `option`: what stands before `mark` and `mask` in the names of its options; _CLASS for the class of a firewall target.
    """

    target: Target
    value: int
    bits: int
    masked: bool
    option: str

    @property
    def place(self) -> Place:
        """Where the mask is written, or the mark."""
        values = self.target.origins.values
        names = (_CLASS, "set_dscp") if self.option == _CLASS else (self.option + "mask", self.option + "mark")
        found = next((values[name] for name in names if name in values), None)
        return found.place if found else self.target.place

    def of_packets(self) -> bool:
        """Whether it is a mark of packets; else one of connections."""
        return self.option == "skb_"


def report(folder: str | None, policy: Policy, reports: Reports, paths: Paths) -> None:
    """Warn of marks that are written whole, and of bits that others use."""
    used = {name for action in policy.actions if not inactive_code(action, policy) for name in action.targets}
    active = [target for name, target in policy.targets.items() if name in used and target_is_active(target)]
    writers = [writer for target in active for writer in _writers(target)]
    if not writers:
        return
    others = list(users(folder, paths)) if folder else []
    taken = 0
    for bits in [user.bits for user in others] + [writer.bits for writer in writers if writer.masked]:
        taken |= bits
    for index, writer in enumerate(writers):
        about = f"target {quote(writer.target.name)}"
        if not writer.masked:
            known = _listed(others) or "none is known here, but rules in /etc/nftables.d are not read"
            mask, shift = _free(writer.value, taken)
            taken |= mask
            reports.warning(
                "mark-without-mask",
                writer.place,
                f"{about} writes all 32 bits of the mark, also those of other programs: {known}",
                hint=_hint(writer, mask, shift),
                consequence="what others have written into the mark is lost",
            )
            continue
        _report_overlap(writer, about, others, taken, reports)
        for other in writers[:index]:
            _report_shared(writer, other, reports)


def _report_overlap(writer: _Writer, about: str, others: list[User], taken: int, reports: Reports) -> None:
    """Warn of bits that another program uses."""
    both = [user for user in others if user.bits & writer.bits]
    if writer.option == _CLASS:
        both = [user for user in both if user.name not in _READERS]
    if both:
        reports.warning(
            "mark-overlap",
            writer.place,
            f"{about} writes bits of the mark that others use: {_listed(both)}",
            hint=_class_hint(taken) if writer.option == _CLASS else _hint(writer, *_free(writer.value, taken)),
            consequence="each of the two overwrites what the other has written",
        )


def _report_shared(writer: _Writer, other: _Writer, reports: Reports) -> None:
    """Tell of two targets that write the same bits. With one mask they are values of one field, which is often meant."""
    common = writer.bits & other.bits
    if not other.masked or not common or writer.of_packets() != other.of_packets():
        return
    if writer.option == other.option == _CLASS:
        return  # classes are values of one field
    field = writer.bits == other.bits
    if field and writer.value == other.value:
        return
    tell = reports.info if field else reports.warning
    tell(
        "mark-overlap",
        writer.place,
        f"the targets {quote(other.target.name)} and {quote(writer.target.name)} write the same bits of the mark ({common:#x})",
        hint="" if field else "give each a mask of its own",
        consequence=f"a connection that reaches both has the bits of {quote(writer.target.name)}",
    )


def firewall_mark(options: dict[str, Any]) -> tuple[int, int]:
    """What a firewall target writes into marks of connections: value and mask, (0, 0) for nothing.

    The class of set_dscp stands in it as tc's action ctinfo reads it, beside what set_mark says.
    """
    value, mask = options["set_mark"] or (0, 0)
    if options["set_dscp"] is not None:
        bits, state = effects.pair_of(options["ctinfo"]) or (0, 0)
        value |= options["set_dscp"] * (bits & -bits) | state
        mask |= bits | state
    return value, mask


def _writers(target: Target) -> list[_Writer]:
    """What a target writes into marks."""
    options: dict[str, Any] = target.options
    masked = target.origins.values.keys() & {"mask", "skb_mask"}
    if target.type == "ctmark":
        return [_Writer(target, options["mark"] << options["shift"] & UINT32, options["mask"], bool(masked), "")]
    if target.type == "ipset" and options["skb_mark"] is not None:
        return [_Writer(target, options["skb_mark"], options["skb_mask"], bool(masked), "skb_")]
    if target.type != "firewall":
        return []
    parts = [("set_", firewall_mark(options | {"set_dscp": None})), (_CLASS, firewall_mark(options | {"set_mark": None}))]
    return [_Writer(target, value, mask, True, option) for option, (value, mask) in parts if mask]


def _start(value: int) -> int:
    """The first bit of the hexadecimal digit in which a value begins."""
    return ((value & -value).bit_length() - 1) // 4 * 4 if value else 0


def _free(value: int, taken: int) -> tuple[int, int]:
    """A mask of bits that nobody uses, and by how much the value is to be shifted into it; (0, 0): there is none.

    Whole digits where the value is now, else whole digits elsewhere, else any bits that hold it.
    """
    start = _start(value)
    fields = [(width, shift) for width in _WIDTHS for shift in (start, *range(0, 33 - width, 4))]
    fields += [(width, shift) for width in (3, 2, 1) for shift in range(33 - width)]
    for width, shift in fields:
        mask = ((1 << width) - 1) << shift
        if not value >> start >> width and not mask & taken and mask <= UINT32:
            return mask, shift
    return 0, 0


def _class_hint(taken: int) -> str:
    """Where a class may stand instead."""
    for shift in range(0, 32, 8):
        if not 0xFF << shift & taken:
            return f"write ctinfo {63 << shift:#x}/{128 << shift:#x}: these bits are free; tc's action ctinfo must read them"
    return "give ctinfo bits that nobody else uses"


def _hint(writer: _Writer, mask: int, shift: int) -> str:
    """What to write instead."""
    if not mask:
        return "give it a mask of bits that nobody else uses"
    prefix, start = writer.option, _start(writer.value)
    if shift == start and prefix != "set_":
        return f"write {prefix}mask {mask:#x}: these bits are free"
    value = writer.value >> start << shift
    if prefix == "set_":
        return f"write set_mark {value:#x}/{mask:#x}: these bits are free; rules must use them too"
    shifted = ", without a shift" if writer.target.options.get("shift") else ""
    return f"write {prefix}mark {value:#x}{shifted} and {prefix}mask {mask:#x}: these bits are free; rules must use them too"


def _listed(found: list[User]) -> str:
    """Users and their bits in words."""
    words = [f"{user.name} ({user.bits:#x})" for user in found[:_NAMED]]
    return ", ".join(words) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")


# -- who else uses marks ---------------------------------------------------------------------------------------------------


def users(folder: str, paths: Paths) -> Iterable[User]:
    """Everybody in UCI's packages who uses bits of marks, each once."""
    found: dict[User, None] = {}
    for package, look in _PACKAGES.items():
        for user in look(_sections(folder, package, paths)):
            if user.bits:
                found.setdefault(user)
    return found


def _sections(folder: str, package: str, paths: Paths) -> list[UciSection]:
    """The sections of a package that are not switched off; none where it is not there, or is broken: its owner's affair."""
    file = paths.look(os.path.join(folder, package))
    try:
        text = read_bytes(file, MAX_SIZE).decode(errors="replace")
        sections = parse(text, file, package, Reports())
    except (FileError, UciError):
        return []
    return [section for section in sections if _value(section, "enabled").lower() not in _FALSE]


def _value(section: UciSection, option: str) -> str:
    """An option's value, "" where there is none; of a list, all of its values."""
    found = section.options.get(option)
    if found is None:
        return ""
    values = [found.value] if isinstance(found.value, Text) else found.value
    return " ".join(value.value for value in values)


def _number(text: str) -> int:
    return int(text, 16 if text[:2] in ("0x", "0X") else 10) & UINT32


def _bits(text: str) -> int:
    """The bits of VALUE or VALUE/MASK; without a mask those of the value."""
    match = _NUMBER.fullmatch(text.strip())
    return _number(match[2] or match[1]) if match else 0


def _firewall(sections: list[UciSection]) -> Iterable[User]:
    for section in sections:
        where = _value(section, "name") or section.name.value
        for option in ("set_mark", "set_xmark", "mark"):
            yield User(f"the firewall's {section.type.value} {quote(where)}", _bits(_value(section, option)))


def _mwan3(sections: list[UciSection]) -> Iterable[User]:
    given = [_bits(_value(section, "mmx_mask")) for section in sections if section.type.value == "globals"]
    if any(section.type.value == "interface" for section in sections):
        yield User("mwan3", next(filter(None, given), MWAN3))


def _pbr(sections: list[UciSection]) -> Iterable[User]:
    for section in sections:
        if section.type.value == "pbr":
            match = re.fullmatch(r"(?:0[xX])?([0-9a-fA-F]{1,8})", _value(section, "fw_mask").strip())
            yield User("pbr", int(match[1], 16) if match else PBR)


def _shaper(name: str) -> Callable[[list[UciSection]], Iterable[User]]:
    def look(sections: list[UciSection]) -> Iterable[User]:
        for section in sections:
            if "_ct" in _value(section, "script"):
                yield User(name, DSCP)
            for option in section.options:
                for match in _FWMARK.finditer(_value(section, option)):
                    yield User(name, _number(match[1]))

    return look


def _dscpclassify(sections: list[UciSection]) -> Iterable[User]:
    if sections:
        yield User("dscpclassify", DSCP)


_PACKAGES: dict[str, Callable[[list[UciSection]], Iterable[User]]] = {
    "firewall": _firewall,
    "mwan3": _mwan3,
    "pbr": _pbr,
    "sqm": _shaper("SQM"),
    "qosify": _shaper("qosify"),
    "dscpclassify": _dscpclassify,
}
