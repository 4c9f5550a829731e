"""From targets that mark or label connections to slots: bits, label names resolved, and what does not fit reported.

In: the targets of a configuration, the files that name labels, the agent's names. Out: slots, plain data for the daemon as
those of `provision.provision`, with the same keys where they mean something for connections. The daemon never reads the
label files. A log or sink target with `cut` has a slot as well, in which the daemon remembers what it has cut.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from nfa.compiler.base.files import FileError, read_text
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.catalogue import Catalogue
from nfa.compiler.config.lastgood import Keeping
from nfa.compiler.config.marks import firewall_mark
from nfa.compiler.config.model import Target
from nfa.compiler.config.options import CONNLABEL_CONF
from nfa.compiler.provision.slots import Slot

MAX_FILE = 1 << 16
_LINE = re.compile(r"([0-9]{1,9})\s+(\S.*)")
_UNUSED: dict[str, object] = {
    "family": 0,
    "table": "",
    "table_family": 0,
    "type": "",
    "ttl": 0,
    "timeouts": False,
    "managed": False,
    "flush_on_destroy": False,
    "auto": False,
    "log_errors": False,
}


def provision(
    targets: Iterable[Target],
    globals_: dict[str, object],
    catalogue: Catalogue,
    reports: Reports,
    paths: Paths | None = None,
    keeping: Keeping | None = None,
) -> list[Slot]:
    """A slot for each enabled target that changes conntrack entries, in the order of the targets.

    `globals_`: the target_globals of ctlabel. `paths` says whether its file is read. Slots can be marshalled; besides the keys
    of other slots they have `rank`, the order in which targets win over each other, and for a ctmark `mark` and `mask`, for a
    ctlabel `labels` (a number in which bit n is label n), `names` (pairs of label and name), `auto`, `applications` and
    `protocols` (names after `a-` and `p-` in the file, to label), `log_errors`.
    """
    made = []
    names: Names | None = None
    for rank, target in enumerate(targets):
        options: dict[str, Any] = target.options
        slot: Slot | None = None
        if target.type == "ctmark":
            slot = _ctmark_slot(target, reports)
        elif target.type == "firewall":
            value, mask = firewall_mark(options)
            slot = _mark(value, mask) if mask else None
        elif target.type == "ctlabel":
            names = names or Names(globals_, reports, paths)
            slot = _ctlabel_slot(target, options, names, catalogue, reports, keeping or Keeping())
        elif target.cut and target.type in ("log", "sink"):
            slot = {"kind": "cut", "set": "conntrack", "fields": ()}
        if slot is not None:
            made.append({"target": target.name, "rank": rank} | _UNUSED | slot)
    return made


def _ctmark_slot(target: Target, reports: Reports) -> Slot | None:
    """The slot of a ctmark target: the mark shifted, and cut to the mask."""
    options: dict[str, Any] = target.options
    mask: int = options["mask"]
    shifted: int = options["mark"] << options["shift"]
    value = shifted & mask
    if value != shifted:
        lost = shifted & ~mask
        reports.warning(
            "mark-outside-mask",
            target.place,
            f"target {quote(target.name)}: bits {lost:#x} of the mark lie outside the mask {mask:#x}",
            hint=f"the mask is not shifted: give the bits that are written, such as {mask << options['shift'] & 0xFFFFFFFF:#x}",
            consequence=f"{value:#x} is written",
        )
    if not mask:
        reports.warning(
            "mask-empty",
            target.place,
            f"target {quote(target.name)}: the mask is 0",
            consequence="the target does nothing",
        )
        return None
    return _mark(value, mask)


def _mark(value: int, mask: int) -> Slot:
    return {"kind": "ctmark", "set": "conntrack mark", "fields": (value, mask), "mark": value, "mask": mask}


class Names:
    """The names of labels, read from their files. `bits`: name to bit; `files`: those that were read."""

    def __init__(self, globals_: dict[str, object], reports: Reports, paths: Paths | None = None) -> None:
        given: Any = globals_["connlabel_conf"]
        limit: Any = globals_["max_bits"]
        self.limit: int = limit
        self.folders = paths.folders + CONNLABEL_CONF if paths is not None and given else None
        self.wanted = (given,) if given else CONNLABEL_CONF
        self.files: list[str] = []
        self.bits: dict[str, int] = {}
        self.checked = False
        self.high: dict[str, int] = {}
        """Names whose bits `max_bits` forbids."""
        self.unread = bool(given) and paths is not None and not paths.readable
        """The file is not read in this check: any name counts as one that it has."""
        if self.unread:
            reports.info(
                "not-looked-at",
                None,
                f"this check does not read {quote(given)}",
                consequence="its labels are taken to be known",
            )
            return
        for path in self.wanted:
            if os.path.exists(paths.look(path) if paths is not None else path) or given:
                self._read(path, reports)

    def _read(self, path: str, reports: Reports) -> None:
        try:
            lines = read_text(path, MAX_FILE, self.folders).split("\n")
        except FileError as error:
            consequence = "only labels given as bits can be used"
            reports.warning(error.code, error.place, str(error), hint=error.hint, consequence=consequence)
            return
        self.files.append(path)
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            match = _LINE.fullmatch(text)
            if not match:
                # The line is not shown: who names a file may lack the right to read it.
                what, hint = "this line is not a label", "write a bit and a name, such as: 3 games"
            elif int(match[1]) >= self.limit:
                self.high[match[2]] = int(match[1])
                what, hint = f"the bit {match[1]} must be less than max_bits, which is {self.limit}", ""
            elif self.bits.get(match[2], int(match[1])) != int(match[1]):
                before = self.bits[match[2]]
                what, hint = f"{quote(match[2])} is bit {match[1]} here, but was bit {before} before", ""
            else:
                self.bits.setdefault(match[2], int(match[1]))
                continue
            reports.warning("bad-label-file", Place(path, number, 1), what, hint=hint, consequence="the line is ignored")

    def where(self) -> str:
        """The files in words, for a message."""
        if self.files:
            return " and ".join(self.files)
        return " or ".join(self.wanted) + (", neither of which exists" if len(self.wanted) > 1 else ", which cannot be read")


def _ctlabel_slot(
    target: Target, options: dict[str, Any], names: Names, catalogue: Catalogue, reports: Reports, keeping: Keeping
) -> Slot | None:
    """The slot of a ctlabel target; None when it has nothing to set, which is reported."""
    from nfa.daemon.targets.connections.slot import label_form  # the daemon's targets, a quarter of a megabyte

    what = f"target {quote(target.name)}"
    bits = 0
    for label in options["labels"]:
        bit = label if isinstance(label, int) else names.bits.get(label, -1)
        key = ("label", "", str(label))
        if bit >= 0:
            bits |= 1 << bit
            keeping.good.options[key] = bit
            continue
        if names.unread:
            continue
        last = keeping.last.options.get(key)
        consequence = "this label is not set"
        if isinstance(last, int) and last < names.limit:
            bits |= 1 << last
            keeping.good.options[key] = last
            keeping.kept["target", target.name] = None
            consequence = f"its last good bit, {last}, stays in use"
        place = target.origins.values["labels"].place if "labels" in target.origins.values else target.place
        wrong, hint = f"is not in {names.where()}", did_you_mean(label, names.bits)
        if label in names.high:
            wrong = f"cannot be used: its bit {names.high[label]} must be less than max_bits, which is {names.limit}"
            hint = "raise max_bits in the target_globals of ctlabel (128 at most), or give the label a lower bit"
        reports.error(
            "unknown-label",
            place,
            f"{what}: the label {quote(label)} {wrong}",
            hint=hint or "add a line with a free bit and this name, or use the number of a bit",
            consequence=consequence,
        )
    auto: bool = options["auto_label"]
    applications = {label_form(name[2:]): bit for name, bit in names.bits.items() if auto and name[:2].lower() == "a-"}
    protocols = {label_form(name[2:]): bit for name, bit in names.bits.items() if auto and name[:2].lower() == "p-"}
    if auto and not applications and not protocols and not names.unread:
        reports.warning(
            "no-automatic-labels",
            target.place,
            f"{what}: auto_label finds no names that begin with a- or p- in {names.where()}",
            hint="add lines such as: 10 a-netify-youtube, 11 p-bittorrent",
            consequence="no label is set by application or protocol",
        )
        auto = False
    if auto and not names.checked:
        names.checked = True
        _check_names("application", {label_form(name) for name in catalogue.applications}, applications, names, reports)
        _check_names("protocol", {label_form(name) for name in catalogue.protocols}, protocols, names, reports)
    if not bits and not auto:
        return None
    text_of = {bit: name for name, bit in reversed(names.bits.items())}
    used = {bit for bit in range(128) if bits >> bit & 1} | {*applications.values(), *protocols.values()}
    return {
        "kind": "ctlabel",
        "set": "conntrack labels",
        "fields": (bits, auto),
        "labels": bits,
        "names": tuple((bit, text_of.get(bit, str(bit))) for bit in sorted(used)),
        "auto": auto,
        "applications": applications,
        "protocols": protocols,
        "log_errors": options["log_errors"],
    }


def _check_names(kind: str, known: set[str], found: dict[str, int], names: Names, reports: Reports) -> None:
    """A note for labels that the agent's names do not lead to; it may have learnt names of its own since."""
    from nfa.daemon.targets.connections.slot import label_form

    if kind == "application":
        known |= {name.removeprefix("netify-") for name in known}
    for name in found:
        if name not in known:
            label = next(label for label in names.bits if label_form(label[2:]) == name)
            reports.info(
                "label-without-name",
                Place(names.files[-1], 0, 0),
                f"auto_label: no {kind} is known for the label {quote(label)}",
                hint=did_you_mean(name, known),
                consequence=f"it is set if netifyd reports such {'an' if kind == 'application' else 'a'} {kind}",
            )
