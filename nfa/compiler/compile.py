"""The compiler: a configuration becomes a policy image. It runs as a child of the daemon and exits, or in a command.

In: the sources of the configuration, netifyd's folders, and a look into the kernel. Out: `Compiled`, the checked policy
with its expressions as trees (what `explain` walks), and from it the policy image (what the daemon loads). A broken
action is left out, with a report that says so; the others work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ..image import cpython as image
from . import catalogue
from .base.paths import FOLDERS, Paths
from .base.report import Place, Reports, did_you_mean, excerpt, line_at, quote
from .causes import causes
from .config.channels import channel_data
from .config.features import BROKEN, REASONS, inactive_code, target_is_active
from .config.groups import load_groups
from .config.members import members_of
from .config.model import Action, Policy, Text
from .config.sources import UCI_FOLDER, Sources, load
from .expression import Context, understand
from .expression.check import parse_address
from .expression.generate import Generator
from .expression.index import Index
from .expression.tree import And, Everything, Network, Node, Not, Or, Test, any_of
from .provision import conntrack, pf
from .provision.kernel import Kernel
from .provision.keys import key_source
from .provision.provision import provision
from .provision.slots import Slot
from .schedules import Schedules, in_words, schedules


@dataclass
class CompiledAction:
    """One action: the trees of its criteria and exemptions, and why it is not applied: a code of REASONS ("" when it is)."""

    action: Action
    criteria: Node | None
    exemptions: Node | None
    code: str

    @property
    def reason(self) -> str:
        """Why it is not applied, in words."""
        return REASONS[self.code] if self.code else ""


@dataclass
class Compiled:
    """A whole policy, understood. `exemptions` are the global ones."""

    policy: Policy
    actions: list[CompiledAction]
    exemptions: Node | None
    slots: list[Slot]
    catalogue: catalogue.Catalogue
    schedules: Schedules = field(default_factory=Schedules)
    reports: Reports = field(default_factory=Reports)


def names_of_agent(paths: Paths) -> catalogue.Catalogue:
    """Return the names that the running agent knows, found in its folders."""
    return catalogue.load(dict.fromkeys((paths.state_persistent, *FOLDERS)))


_ADDRESS_LIKE = re.compile(r"(?=.*[0-9])[0-9A-Fa-f.:/-]+")
_COMPACT_LINE = re.compile(r"!?(?:ai|pi|ac|pc):[^\s;]+")


def separate_lines(text: str) -> str:
    """Return a text of several lines (a file) with a `;` for the end of each line that is an expression of its own.

    Lists of compact expressions have none, and a file without any `;` holds one expression a line. No offset changes.
    """
    lines = text.split("\n")
    alone = ";" not in text
    ended = [line.strip() and (alone or _COMPACT_LINE.fullmatch(line.strip())) for line in lines]
    return "".join(line + (";" if end else "\n") for line, end in zip(lines, ended, strict=True))[:-1]


def negative(node: Node) -> bool:
    """Return whether an expression only says what a flow is not: nearly every flow matches it."""
    if isinstance(node, Not):
        return True
    return isinstance(node, Test) and node.op == "!="


def about(what: str, message: str) -> str:
    """Return a message with what it is about before it; "" when the place says that already."""
    return f"{what}: {message}" if what else message


class _Compiler:
    def __init__(self, paths: Paths, reports: Reports) -> None:
        self.reports = reports
        self.catalogue = names_of_agent(paths)
        self.groups = {name: members_of(group) for name, group in load_groups(paths, reports).items()}

    def texts(self, texts: list[Text], what: str, consequence: str, addresses: bool) -> tuple[Node | None, bool]:
        """Understand the entries of a criteria or exemption list. Returns the tree (None: nothing) and whether all is well."""
        before = len(self.reports.errors)
        nodes: list[Node] = []
        for text in texts:
            found = self.address(text, what, consequence) if addresses else None
            nodes += self.expressions(text, what, consequence) if found is None else found
        return any_of(nodes), len(self.reports.errors) == before

    def address(self, text: Text, what: str, consequence: str) -> list[Node] | None:
        """An exemption may be an address, a CIDR, a MAC address or a group: it exempts flows with it at either end.

        None when it is none of these.
        """
        word = text.value.strip()
        if word.startswith("@"):
            members = self.groups.get(word[1:])
            if members is None:
                hint = did_you_mean(word[1:], self.groups) or "there are no address groups"
                message = about(what, f"unknown address group {quote(word)}")
                self.reports.error("unknown-address-group", text.place, message, hint=hint, consequence=consequence)
                return []
            return [Test("ip", "==", members, f"ip == {word}"), Test("mac", "==", members, f"mac == {word}")]
        value = parse_address(word)
        if isinstance(value, Network):
            return [Test("ip", "==", value, f"ip == {word}")]
        if isinstance(value, bytes):
            return [Test("mac", "==", value, f"mac == {word}")]
        if _ADDRESS_LIKE.fullmatch(word):
            message = about(what, f"{quote(word)} is not an IP address, network or MAC address")
            self.reports.error("bad-address", text.place, message, consequence=consequence)
            return []
        return None

    def expressions(self, text: Text, what: str, consequence: str) -> list[Node]:
        def shown(offset: int) -> tuple[Place, str]:
            return text.at(offset), excerpt(*line_at(text.value, offset))

        def warn(code: str, message: str, offset: int, hint: str) -> None:
            place, lines = shown(offset)
            self.reports.warning(code, place, about(what, message), hint=hint, excerpt=lines)

        context = Context(self.catalogue, self.groups, warn=warn)
        nodes, errors = understand(separate_lines(text.value), context)
        for error in errors:
            place, lines = shown(error.offset)
            self.reports.error(
                error.code, place, about(what, error.message), hint=error.hint, consequence=consequence, excerpt=lines
            )
        if not nodes and not errors:
            self.reports.error("empty-text", text.place, f"{what or 'the text'} is empty", consequence=consequence)
        return nodes

    def action(self, action: Action, policy: Policy) -> CompiledAction:
        name = f"action {quote(action.name)}"
        left_out = "the action is left out" if action.enabled else "the action is disabled anyway"
        criteria, good = self.texts(action.criteria, f"{name}: criteria", left_out, False)
        if isinstance(criteria, Or) and len(criteria.items) > 1 and any(map(negative, criteria.items)):
            self.reports.warning(
                "criteria-negative",
                action.criteria[0].place,
                f"{name}: any one of these expressions is enough to match, and one of them only says what a flow is not",
                hint="join conditions that must all hold with '&&', or put exceptions into 'exemptions'",
                consequence="nearly every flow matches",
            )
        exemptions, fine = self.texts(action.exemptions, f"{name}: exemption", left_out, True)
        code = inactive_code(action, policy)
        if action.enabled and not (good and fine and criteria):
            code = BROKEN
        return CompiledAction(action, criteria, exemptions, code)


def compile_policy(
    sources: Sources, paths: Paths, *, look: bool = True, reports: Reports | None = None
) -> tuple[Compiled | None, Reports]:
    """Compile a configuration. None (with the reports) when a file cannot be read: the running policy stays active.

    `look`: ask the kernel about sets that are there already.
    """
    reports = reports if reports is not None else Reports()
    paths = sources.confine(paths)
    policy = load(sources, paths, reports)
    return (understand_policy(policy, paths, reports, look=look, uci=sources.uci) if policy else None), reports


def understand_policy(policy: Policy, paths: Paths, reports: Reports, *, look: bool, uci: str | None = UCI_FOLDER) -> Compiled:
    """Compile a policy that was read and merged. `look`: as for `compile_policy`; `uci`: the folder of UCI."""
    compiler = _Compiler(paths, reports)
    exemptions, _ = compiler.texts(policy.exemptions, "global exemption", "the exemption is ignored", True)
    actions = [compiler.action(action, policy) for action in policy.actions]
    wanted = [target for target in policy.targets.values() if target.enabled]
    if look:
        with Kernel() as kernel:
            slots = provision(wanted, kernel, reports)
    else:
        slots = provision(wanted, None, reports)
    slots += pf.provision(wanted, policy.target_globals["pftable"])
    slots += conntrack.provision(wanted, policy.target_globals["ctlabel"], compiler.catalogue, reports, paths)
    hours = schedules(policy, uci, reports)
    return Compiled(policy, actions, exemptions, slots, compiler.catalogue, hours, reports)


def check_texts(texts: list[Text], what: str, paths: Paths, reports: Reports) -> None:
    """Check entries of a list of `criteria` or `exemptions` (`what`) that are not (yet) in a configuration."""
    _Compiler(paths, reports).texts(texts, "", "", what == "exemptions")


# -- the image ---------------------------------------------------------------------------------------------------------


def interface_test(interface: str) -> Node:
    """Return the test that an action's `interface` makes of a record."""
    if interface == "*":
        return Everything()
    if interface in ("lan", "wan"):
        return Test("side", "==", 1 if interface == "lan" else -1, interface)
    return Test("interface", "==", interface, interface)


def decision(compiled: Compiled, generator: Generator) -> tuple[str, dict[str, object]]:
    """Return the source of `mask(r, f)` (see `expression.index`), and what its bits mean: part of the image."""
    index = Index(generator)
    everywhere = index.add(compiled.exemptions) if compiled.exemptions else []
    criteria: list[tuple[int, ...]] = []
    exemptions: list[tuple[int, ...]] = []
    for item in compiled.actions:
        used = not item.code and item.criteria is not None
        here = And((interface_test(item.action.interface), item.criteria), "") if used and item.criteria else None
        criteria.append(tuple(index.add(here) if here else ()))
        exemptions.append(tuple(index.add(item.exemptions) if here and item.exemptions else ()))
    source = index.source()
    return source, {
        "memos": index.memos,
        "direct": index.direct,
        "everywhere": tuple(everywhere),
        "criteria": criteria,
        "exemptions": exemptions,
        "halts": tuple(number for number, item in enumerate(compiled.actions) if item.action.halt_on_match),
    }


def image_of(compiled: Compiled, code_of: Callable[[str], object] = image.compile_source) -> dict[str, object]:
    """Return the policy image: plain data that the daemon can load without any of this. `code_of`: what its source becomes."""
    policy = compiled.policy
    generator = Generator()
    source, meaning = decision(compiled, generator)
    names = [f"key{index}" for index in range(len(compiled.slots))]
    source += "".join(key_source(name, slot) for name, slot in zip(names, compiled.slots, strict=True))
    uses_categories = "categories(f)" in source
    reports = compiled.reports
    applied = [(item.action, item.criteria, item.exemptions) for item in compiled.actions if not item.code and item.criteria]
    cause, decides = causes(policy, compiled.exemptions, applied, compiled.schedules, compiled.slots)
    return {
        "format": image.FORMAT,
        "code": code_of(source),
        "constants": generator.constants,
        "patterns": generator.patterns,
        "actions": [
            (item.action.name, item.action.enabled, item.reason, tuple(dict.fromkeys(item.action.targets)), item.code)
            for item in compiled.actions
        ],
        "targets": [
            {
                "name": target.name,
                "type": target.type,
                "enabled": target.enabled,
                "active": target_is_active(target),
                "interface": target.interface,
                "cut": target.cut and target.type != "pftable",
                "options": target.options if target.type == "log" else {},
                "trouble": target.trouble,
                "cause": cause[target.name],
                "channel": channel_data(target) if target.channel else {},
                "events": target.options.get("flow_events", ()),
                "slots": tuple(i for i, slot in enumerate(compiled.slots) if slot["target"] == target.name),
            }
            for target in policy.targets.values()
        ],
        # `note` is for status displays; the daemon does not use it.
        "slots": [{key: value for key, value in slot.items() if key != "note"} for slot in compiled.slots],
        "categories": catalogue.category_rows(compiled.catalogue) if uses_categories else (b"", b""),
        **meaning,
        "windows": compiled.schedules.windows,
        "zone": compiled.schedules.changes,
        "zone_name": compiled.schedules.zone,
        "hours": [in_words(*windows) for windows in compiled.schedules.windows],
        "schedules": [compiled.schedules.of.get(item.action.name, -1) for item in compiled.actions],
        "decides": decides,
        "reprocess": policy.reprocess_flows,
        "max_flows": policy.main["max_flows"],
        "names": json.dumps(catalogue.rows(compiled.catalogue), separators=(",", ":")).encode(),
        "log_level": policy.main["log_level"],
        "files": policy.files,
        **findings_of(reports),
    }


def findings_of(reports: Reports) -> dict[str, object]:
    """Return the part of an image that tells of the compilation: all that there is of one that failed."""
    return {
        "reports": reports.outside(),
        "errors": len(reports.errors),
        "warnings": len(reports.warnings),
    }
