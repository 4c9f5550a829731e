"""The compiler: a configuration becomes a policy image. It runs as a child of the daemon and exits, or in a command.

In: the sources of the configuration, netifyd's folders, and a look into the kernel. Out: `Compiled`, the checked policy
with its expressions as trees (what `explain` walks), and from it the policy image (what the daemon loads). Of what has an
error the last good version is used, where the daemon has one; see docs/configuration.md, "When something is wrong".
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import catalogue
from .base.paths import FOLDERS, Paths
from .base.report import Place, Reports, excerpt, line_at, quote
from .config.actions import LEFT_OUT
from .config.devices import Named, numbered
from .config.document import GLOBAL
from .config.features import BROKEN, EXEMPTIONS_BROKEN, INCOMPLETE, REASONS, inactive_code
from .config.groups import load_groups
from .config.lastgood import Keeping, LastGood
from .config.members import members_of
from .config.model import Action, Device, Policy, Text
from .config.servers import Server
from .config.sources import UCI_FOLDER, Sources, load
from .expression.attributes import find
from .expression.bare import bare_address
from .expression.lines import negative, separate_lines
from .expression.tree import Members, Node, Or, Test, any_of, attributes_of
from .expression.understand import Context, ExpressionError, understand
from .oneversion import report_one_version
from .provision import conntrack, pf, usage
from .provision.kernel import Kernel
from .provision.provision import provision
from .provision.slots import Slot
from .schedules import Schedules, schedules
from .shielding import hold_back

if TYPE_CHECKING:
    from .config.routes import Wan
    from .provision.abilities import Abilities


@dataclass
class CompiledAction:
    """One action: the trees of its criteria and exemptions, and why it is not applied: a code of REASONS ("" when it is)."""

    action: Action
    criteria: Node | None
    exemptions: Node | None
    code: str
    shield: str = ""
    """The action that holds it back."""

    @property
    def reason(self) -> str:
        """Why it is not applied, in words."""
        if self.shield:
            return f"held back by {quote(self.shield)}, which has an error"
        return REASONS[self.code] if self.code else ""


@dataclass
class Compiled:
    """A whole policy, understood. `exemptions` are the global ones."""

    policy: Policy
    actions: list[CompiledAction]
    exemptions: Node | None
    slots: list[Slot]
    catalogue: catalogue.Catalogue
    keeping: Keeping
    schedules: Schedules = field(default_factory=Schedules)
    firewall: dict[str, Any] | None = None
    """The table of nftables for firewall targets, as the image has it."""
    wans: dict[str, Wan] = field(default_factory=dict)
    """The WANs of firewall targets that have a route, by the name of the target."""
    devices: list[Device] = field(default_factory=list)
    """The devices that can be used, in the order of their numbers."""
    reports: Reports = field(default_factory=Reports)


def names_of_agent(paths: Paths) -> catalogue.Catalogue:
    """Return the names that the running agent knows, found in its folders."""
    return catalogue.load(dict.fromkeys((paths.state_persistent, *FOLDERS)), paths.look)


NONE_ACTS = "no action acts until it is corrected"
_UNKNOWN_NAMES = ("unknown-application", "unknown-protocol", "unknown-category", "unknown-risk")


def about(what: str, message: str) -> str:
    """Return a message with what it is about before it; "" when the place says that already."""
    return f"{what}: {message}" if what else message


@dataclass
class _Use:
    """What expressions are for. `instead`: what an error in them leads to, and `unmet`: a condition that no flow meets.

    `spares`: they keep flows from actions. `addresses`: they may be addresses, too.
    """

    what: str
    instead: str
    unmet: str = "no flow meets this condition"
    spares: bool = False
    addresses: bool = False


class _Compiler:
    def __init__(self, paths: Paths, reports: Reports, keeping: Keeping, devices: Named | None) -> None:
        """`devices`: what expressions may name, besides address groups."""
        self.reports = reports
        self.keeping = keeping
        self.catalogue = names_of_agent(paths)
        for path, problem in self.catalogue.problems:
            reports.warning("names-unreadable", Place(path, 0, 0), problem, consequence="the built-in names are used")
        self.found = load_groups(paths, reports, keeping.last.groups)
        for name, group in self.found.items():
            if group.broken and name in keeping.last.groups:
                self.found[name] = keeping.last.groups[name]
                keeping.kept["group", name] = None
        self.groups = {name: members_of(group) for name, group in self.found.items()}
        self.broken_groups = [name for name, group in self.found.items() if group.broken]
        self.named = numbered(*(devices or ({}, {})), {name: group.place for name, group in self.found.items()}, reports)
        self._marks_told = False

    def texts(self, texts: list[Text], use: _Use) -> tuple[Node | None, bool]:
        """Understand the entries of a criteria or exemption list. Returns the tree (None: nothing) and whether all is well."""
        before = len(self.reports.errors)
        nodes: list[Node] = []
        for text in texts:
            found = self.address(text, use) if use.addresses else None
            nodes += self.expressions(text, use) if found is None else found
        return any_of(nodes), len(self.reports.errors) == before

    def address(self, text: Text, use: _Use) -> list[Node] | None:
        """Understand an exemption that is an address, a device or a group; None for one that is an expression."""
        try:
            found = bare_address(text.value, self.groups, self.named.meaning)
        except ExpressionError as error:
            message = about(use.what, error.message)
            self.reports.error(error.code, text.at(error.offset), message, hint=error.hint, consequence=use.instead)
            return []
        for node in found or ():
            members = node.value if isinstance(node, Test) else None
            if not isinstance(members, Members):
                continue
            if members.name in self.broken_groups:
                message = about(use.what, f"entries of the address group '@{members.name}' could not be read")
                self.reports.error("address-group-unusable", text.place, message, consequence=use.instead)
            elif not members.networks and not members.macs:
                message = about(use.what, f"the address group '@{members.name}' is empty, so no flow is exempt because of it")
                self.reports.warning("empty-group", text.place, message)
            break
        return found

    def expressions(self, text: Text, use: _Use) -> list[Node]:
        what, consequence = use.what, use.instead

        def shown(offset: int) -> tuple[Place, str]:
            return text.at(offset), excerpt(*line_at(text.value, offset))

        def warn(code: str, message: str, offset: int, hint: str) -> None:
            place, lines = shown(offset)
            unmet = use.unmet if code in _UNKNOWN_NAMES else ""
            self.reports.warning(code, place, about(what, message), hint=hint, consequence=unmet, excerpt=lines)

        def info(code: str, message: str, offset: int, hint: str) -> None:
            place, lines = shown(offset)
            self.reports.info(code, place, about(what, message), hint=hint, excerpt=lines)

        named = self.named
        context = Context(self.catalogue, self.groups, named.meaning, named.every, self.broken_groups, use.spares, warn, info)
        nodes, errors = understand(separate_lines(text.value), context)
        for error in errors:
            place, lines = shown(error.offset)
            self.reports.error(
                error.code, place, about(what, error.message), hint=error.hint, consequence=consequence, excerpt=lines
            )
        read = {find(name).name for node in nodes for name in attributes_of(node)}
        if "fwmark" in read:
            self.tell_of_marks(text.place, what)
        if not nodes and not errors:
            self.reports.error("empty-text", text.place, f"{what or 'the text'} is empty", consequence=consequence)
        return nodes

    def tell_of_marks(self, place: Place | None, what: str) -> None:
        """Say once that marks are asked for."""
        if self._marks_told:
            return
        self._marks_told = True
        message = about(what, "netifyd knows no conntrack marks on the LAN, and OpenWrt's build knows none at all")
        consequence = "the daemon asks conntrack for the mark of each flow that has none: some 15 microseconds each"
        self.reports.info("marks-looked-up", place, message, consequence=consequence)

    def action(self, action: Action, policy: Policy) -> CompiledAction:
        """Understand an action; of one that has an error, its last good version."""
        name, halts = f"action {quote(action.name)}", action.halt_on_match
        left_out = self.keeping.consequence("action", action.name, LEFT_OUT, not action.enabled)
        unmet = "no flow meets this condition, so none is kept from later actions by it" if halts else _Use.unmet
        criteria, good = self.texts(action.criteria, _Use(f"{name}: criteria", left_out, unmet, halts))
        if isinstance(criteria, Or) and len(criteria.items) > 1 and any(map(negative, criteria.items)):
            self.reports.warning(
                "criteria-negative",
                action.criteria[0].place,
                f"{name}: any one of these expressions is enough to match, and one of them only says what a flow is not",
                hint="join conditions that must all hold with '&&', or put exceptions into 'exemptions'",
                consequence="nearly every flow matches",
            )
        exemptions, fine = self.texts(action.exemptions, _exemptions(f"{name}: exemption", left_out))
        report_one_version(action, policy, criteria, exemptions, self.catalogue, self.reports)
        code = inactive_code(action, policy)
        if action.enabled and not (good and fine and criteria):
            code = BROKEN
        last = self.keeping.action(action, policy.targets) if code == BROKEN or action.faulty else None
        if last is not None:
            return self.last_good(last, policy)
        if action.enabled and code != BROKEN and not action.faulty:
            self.keeping.keep(action)
        return CompiledAction(action, criteria, exemptions, code)

    def last_good(self, action: Action, policy: Policy) -> CompiledAction:
        """Understand the last good version of an action; what was said of it then is not repeated."""
        self.keeping.keep(action)
        criteria = self.kept(action.criteria, _Use("", "", spares=action.halt_on_match))
        exemptions = self.kept(action.exemptions, _exemptions("", ""))
        if action.budget and action.budget not in policy.budgets and action.budget in self.keeping.last.budgets:
            policy.budgets[action.budget] = self.keeping.good.budgets[action.budget] = self.keeping.last.budgets[action.budget]
        counted = not action.budget or (action.budget in policy.budgets and not policy.budgets[action.budget].broken)
        usable = criteria is not None and (exemptions is not None or not action.exemptions) and counted
        return CompiledAction(action, criteria, exemptions, inactive_code(action, policy) if usable else BROKEN)

    def kept(self, texts: list[Text], use: _Use) -> Node | None:
        """Understand expressions that were good before, with the groups of then where they are gone. None: they are not now."""
        other = copy(self)
        other.reports = Reports()
        other.found = self.keeping.last.groups | self.found
        other.groups = {name: members_of(group) for name, group in other.found.items()}
        node, good = other.texts(texts, use)
        return node if good else None


def _exemptions(what: str, instead: str) -> _Use:
    return _Use(what, instead, "no flow is exempt by it", spares=True, addresses=True)


def compile_policy(
    sources: Sources, paths: Paths, *, look: bool = True, reports: Reports | None = None, last_good: bytes = b""
) -> tuple[Compiled | None, Reports]:
    """Compile a configuration. None (with the reports) when a file cannot be read: the running policy stays active.

    `look`: ask the kernel about sets that are there already. `last_good`: of the image before this one.
    """
    reports = reports if reports is not None else Reports()
    keeping = Keeping(LastGood.unpack(last_good, Server))
    paths = sources.confine(paths)
    policy = load(sources, paths, reports, keeping)
    if policy is None:
        return None, reports
    return understand_policy(policy, paths, reports, look=look, uci=sources.uci, keeping=keeping), reports


def understand_policy(
    policy: Policy,
    paths: Paths,
    reports: Reports,
    *,
    look: bool,
    uci: str | None = UCI_FOLDER,
    keeping: Keeping | None = None,
) -> Compiled:
    """Compile a policy that was read and merged. `look`: as for `compile_policy`; `uci`: the folder of UCI."""
    keeping = keeping or Keeping()
    wans: dict[str, Wan] = {}
    if _of_firewall(policy):
        from .config.routes import resolve  # a quarter of a megabyte, as all that is about firewall targets

        wans = resolve(uci, policy, reports, paths)
    compiler = _Compiler(paths, reports, keeping, (policy.devices, policy.device_groups))
    with Kernel() as kernel:
        return _understood(compiler, policy, wans, paths, kernel if look else None, uci)


def _of_firewall(policy: Policy) -> bool:
    """Whether a policy has firewall targets."""
    return any(target.type == "firewall" for target in policy.targets.values())


def _understood(
    compiler: _Compiler, policy: Policy, wans: dict[str, Wan], paths: Paths, kernel: Kernel | None, uci: str | None
) -> Compiled:
    """Compile a policy. `kernel`: None where it is not asked."""
    reports, keeping = compiler.reports, compiler.keeping
    abilities: Abilities | None = None
    if _of_firewall(policy):
        from .provision.abilities import Abilities

        abilities = Abilities(kernel, reports)
        abilities.report(policy.targets.values())  # before the actions, which ask what targets can be used
    exemptions, spared = _global_exemptions(compiler, policy)
    actions = [compiler.action(action, policy) for action in policy.actions]
    actions.sort(key=lambda item: (item.action.priority, item.action.order))  # a last good version may have had another place
    policy.actions = [item.action for item in actions]
    hold_back(actions, INCOMPLETE if policy.incomplete else "" if spared else EXEMPTIONS_BROKEN, reports)
    keeping.keep_groups(compiler.found)
    wanted = [target for target in policy.targets.values() if target.enabled]
    slots = provision(wanted, kernel, reports)
    usage.fill(slots, {name for item in actions if not item.code for name in item.action.targets})
    slots += pf.provision(wanted, policy.target_globals["pftable"])
    reached = [item.action for item in actions if not item.code]
    frame = None
    if abilities is not None:
        from .provision import firewall

        table = firewall.provision(policy, reached, wans, abilities, reports)
        frame = table.image
        slots += table.slots
    slots += conntrack.provision(wanted, policy.target_globals["ctlabel"], compiler.catalogue, reports, paths, keeping)
    for slot in slots:
        if "mark" in slot["fields"]:
            compiler.tell_of_marks(policy.targets[slot["target"]].place, f"target {quote(slot['target'])}")
    hours = schedules(policy, uci, reports, paths)
    return Compiled(
        policy,
        actions,
        exemptions,
        slots,
        compiler.catalogue,
        keeping,
        hours,
        frame,
        wans,
        compiler.named.devices,
        reports,
    )


def _global_exemptions(compiler: _Compiler, policy: Policy) -> tuple[Node | None, bool]:
    """Understand the exemptions that hold for all actions, and return whether actions may act.

    If one has an error, those of the last good version apply, and so do those that can be read.
    """
    keeping = compiler.keeping
    instead = "the last good version of the global exemptions stays in use" if keeping.last.exemptions else NONE_ACTS
    node, good = compiler.texts(policy.exemptions, _exemptions("global exemption", instead))
    if good and not policy.exemptions_broken:
        keeping.good.exemptions = policy.exemptions
        return node, True
    last = compiler.kept(keeping.last.exemptions, _exemptions("", "")) if keeping.last.exemptions else None
    if last is None:
        return node, False
    keeping.kept["exemption", GLOBAL] = None
    keeping.good.exemptions = keeping.last.exemptions
    return any_of([last] + ([node] if node else [])), True


def check_texts(texts: list[Text], what: str, paths: Paths, reports: Reports, named: Named | None = None) -> None:
    """Check entries of a list of `criteria` or `exemptions` (`what`) that are not (yet) in a configuration.

    `named`: the devices and groups of devices that they may name.
    """
    use = _exemptions("", "") if what == "exemptions" else _Use("", "")
    _Compiler(paths, reports, Keeping(), named).texts(texts, use)


def named_devices(sources: Sources, paths: Paths, texts: Sequence[object]) -> Named | None:
    """Return the devices of the configuration that expressions may name; None when they name none, or there is none."""
    if not any(word in str(text) for text in texts for word in ("@", "device")):
        return None
    policy = load(replace(sources, salvage=True), paths, Reports())
    return (policy.devices, policy.device_groups) if policy else None
