"""Why a flow does or does not reach its targets: the policy walked in the open, one flow record at a time.

In: a compiled policy and a flow record. Out: a `Verdict`: for every action what became of it and why, and what each
target would get. It walks the trees that the daemon's decision is generated from, so both say the same; nothing here
touches a kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..daemon.devices.configured import Devices
from ..daemon.engine.hours import shown
from ..daemon.engine.networks import TWICE, Networks
from ..daemon.engine.policy import namespace
from ..daemon.engine.view import View, address
from ..daemon.targets.connections.slot import NO_LABEL, automatic
from ..daemon.targets.firewall.target import PORTED
from ..daemon.targets.prepared import only_address
from ..daemon.targets.target import interface_test
from ..daemon.targets.texts import reader
from .assemble import chooses_side
from .catalogue import category_rows
from .compile import Compiled, CompiledAction
from .config.devices import device_rows
from .config.effects import in_words
from .config.features import target_is_active
from .expression.walk import Walker
from .provision.keys import key_source
from .provision.slots import Slot

SETS = ("ipset", "nftset", "pftable")


@dataclass(frozen=True)
class Step:
    """What became of one action, and why.

    `matched`, `exempt`, `no match`, `other interface`, `outside hours`, `halted` or `off`.
    """

    action: str
    outcome: str
    why: tuple[str, ...]


@dataclass
class Verdict:
    """Everything that a flow record leads to. `effects`: target name to what it would get, in words."""

    digest: str
    exempt: tuple[str, ...] = ()
    """Why the flow is exempt from every action; empty when it is not."""
    steps: list[Step] = field(default_factory=list)
    effects: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Targets of matched actions that get nothing, and why."""

    @property
    def matched(self) -> list[str]:
        return [step.action for step in self.steps if step.outcome == "matched"]

    def as_dict(self) -> dict[str, object]:
        """Return the verdict as plain data, for `nfa explain --json` and the bus."""
        return {
            "digest": self.digest,
            "actions": self.matched,
            "targets": list(self.effects),
            "exempt": list(self.exempt),
            "steps": [{"action": step.action, "outcome": step.outcome, "why": list(step.why)} for step in self.steps],
            "effects": self.effects,
            "skipped": self.skipped,
        }


def on_interface(interface: str, record: dict[str, Any]) -> bool:
    """Return whether a record comes from the interface, or from one of the role, that an action or target names."""
    test = interface_test(interface)
    return test is None or bool(test(record))


class Explainer:
    """Explains what one compiled policy does with flow records."""

    def __init__(self, compiled: Compiled, networks: Networks | None = None) -> None:
        """`networks`: those that are ours, by which records are oriented; None: they stay as they are."""
        self._compiled = compiled
        self.devices = Devices(device_rows(compiled.devices))
        """By their MAC addresses and the addresses of the configuration, and by what somebody tells them."""
        self._networks = networks
        self._known = networks or Networks()
        self._view = View(*category_rows(compiled.catalogue), self.devices)
        self._walker = Walker(self._view)
        self._keys: dict[str, Callable[[dict[str, Any], dict[str, Any]], bytes]] = {}
        """Functions that make elements, by their source, as the daemon has them."""

    def explain(self, record: dict[str, Any], at: tuple[int, int] | None = None, twice: bool = False) -> Verdict:
        """Walk the policy for one flow record, which must be one that `stream.records` accepts.

        `at`: (weekday, second of the day) for actions with hours; None: now, in the policy's zone. `twice`: another interface
        reports this flow, too.
        """
        compiled = self._compiled
        if self._networks is not None:
            twice = bool(self._networks.orient(record, record["flow"], 1) & TWICE)
        at = at or compiled.schedules.now()
        verdict = Verdict(record["flow"]["digest"])
        if compiled.exemptions is not None:
            exempt, why = self._walker.reasons(compiled.exemptions, record)
            if exempt:
                verdict.exempt = tuple(why)
                return verdict
        halted = ""
        names: dict[str, None] = {}
        for item in compiled.actions:
            step = self._step(item, record, halted, at, twice)
            verdict.steps.append(step)
            if step.outcome == "matched":
                names.update(dict.fromkeys(item.action.targets))
                if item.action.halt_on_match:
                    halted = item.action.name
        for name in names:
            self._effect(name, record, verdict)
        self._let_blocks_win(verdict)
        return verdict

    def _let_blocks_win(self, verdict: Verdict) -> None:
        """Say of firewall targets that they do nothing where another one blocks."""
        table = self._compiled.firewall
        reached = {name: table["effects"][name] for name in verdict.effects if table and name in table["effects"]}
        for hook in {effect["hook"] for effect in reached.values()}:
            blocks = [name for name, effect in reached.items() if effect["block"] and effect["hook"] == hook]
            for name, effect in reached.items():
                if blocks and not effect["block"] and effect["hook"] == hook:
                    verdict.effects.pop(name)
                    verdict.skipped[name] = f"target '{blocks[0]}' blocks, and a block wins"

    def _step(self, item: CompiledAction, record: dict[str, Any], halted: str, at: tuple[int, int], twice: bool) -> Step:
        name = item.action.name
        hours = self._compiled.schedules
        if item.reason:
            return Step(name, "off", (item.reason,))
        if halted:
            return Step(name, "halted", (f"action '{halted}' matched and has halt_on_match",))
        if not on_interface(item.action.interface, record):
            where = f"{record.get('interface', '?')} ({'lan' if record.get('internal') else 'wan'})"
            return Step(name, "other interface", (f"interface is '{item.action.interface}', the flow is on {where}",))
        if twice and not chooses_side(item, self._compiled.policy):
            return Step(name, "duplicate", ("another interface reports this flow, too, and this action names no side",))
        if item.exemptions is not None:
            exempt, why = self._walker.reasons(item.exemptions, record)
            if exempt:
                return Step(name, "exempt", tuple(why))
        assert item.criteria is not None  # an action without criteria is off
        matched, why = self._walker.reasons(item.criteria, record)
        if matched and not hours.hold(name, at):
            when = f"would match, but is outside its schedule at {shown(*at)} ({hours.words(name)}, zone {hours.zone})"
            return Step(name, "outside hours", (when, *why))
        if matched and hours.exempts(item.action.budget, at):
            words = f"would match, but it is exempt time of the budget '{item.action.budget}' at {shown(*at)}"
            return Step(name, "outside hours", (words, *why))
        if matched and item.action.budget:
            why = [f"if the budget '{item.action.budget}' is spent: while it lasts, the action does nothing", *why]
        return Step(name, "matched" if matched else "no match", tuple(why))

    def _effect(self, name: str, record: dict[str, Any], verdict: Verdict) -> None:
        target = self._compiled.policy.targets[name]
        flow = record["flow"]
        if not target.enabled:
            verdict.skipped[name] = "the target is disabled"
        elif not on_interface(target.interface, record):
            verdict.skipped[name] = f"its interface is '{target.interface}'"
        elif not target_is_active(target):
            verdict.skipped[name] = target.trouble
        elif target.type == "log":
            verdict.effects[name] = [f"an entry in {target.options['path']}/{target.options['prefix']}-*"]
        elif target.channel is not None:
            channel = target.channel
            told = f"an event to sink '{channel.sink}', channel '{channel.name}' ({channel.kind})"
            verdict.effects[name] = [told]
        else:
            slots = [
                slot for slot in self._compiled.slots if slot["target"] == name and slot["family"] in (0, flow["ip_version"])
            ]
            for slot in slots:
                try:
                    text = self._in_words(slot, record)
                    self._refuse_ours(slot, flow)
                except (ValueError, OSError) as failure:
                    verdict.skipped[name] = f"the flow has no element here: {failure}"
                else:
                    verdict.effects.setdefault(name, []).append(text)
            if target.type == "firewall":
                verdict.effects.setdefault(name, []).insert(0, in_words(target.options))
                verdict.skipped.pop(name, None)  # its mark is not all that it does
                why = self._not_learnt(flow) if target.options["route"] else ""
                if why:
                    del verdict.effects[name]
                    verdict.skipped[name] = why
            elif not slots:
                verdict.skipped[name] = (
                    f"it has no set for IPv{flow['ip_version']}" if target.type in SETS else "it sets nothing"
                )
        if target.cut and target.type != "pftable" and name in verdict.effects:
            verdict.effects[name].append("the connection is cut: its next packet goes through the firewall rules again")

    def _not_learnt(self, flow: dict[str, Any]) -> str:
        """Return why the server of a flow is not learnt for a route; "" when it is: see `daemon.targets.firewall.target`."""
        if flow["local_origin"] is False:
            return "the other end began the connection"
        if flow["ip_protocol"] not in PORTED:
            return "its protocol has no ports"
        ours = self._known.forbids(address(flow["other_ip"]))
        return "the address is of our own networks, the router's, or no single host's" if ours else ""

    def _refuse_ours(self, slot: Slot, flow: dict[str, Any]) -> None:
        """Raise ValueError where an element would be nothing but an address that must not be one (see `Networks.forbids`)."""
        end = only_address(slot)
        if end and (self._known.forbids if end == "other" else self._known.forbids_local)(address(flow[end + "_ip"])):
            raise ValueError("the address is of our own networks, the router's, or no single host's")

    def _in_words(self, slot: Slot, record: dict[str, Any]) -> str:
        """Return what a flow gets in a slot. Raises ValueError or OSError when it gets nothing."""
        if slot["kind"] not in SETS:
            return f"conntrack: {self.element(slot, record)}"
        where = {"ipset": "ipset", "nftset": "nftables set", "pftable": "PF table"}[slot["kind"]]
        where += f" {slot['table']}" if slot["table"] else ""
        life = f" for {slot['ttl']} s" if slot["ttl"] else ""
        return f"{where} {slot['set']}: {self.element(slot, record)}{life}"

    def element(self, slot: Slot, record: dict[str, Any]) -> str:
        """Return the element of a flow record in a set, as `ipset` and `nft` write it, or its connection and what that gets.

        Raises ValueError or OSError when it has none: the record lacks what it needs, or is out of range.
        """
        source = key_source("key", slot)
        if source not in self._keys:
            names: dict[str, Any] = namespace(self._view) | {"S_key": 0}
            exec(source, names)
            self._keys[source] = names["key"]
        packed = self._keys[source](record, record["flow"])
        if slot.get("auto"):
            labels = automatic(slot, record["flow"])
            if not slot["labels"] and set(labels) == {NO_LABEL}:
                raise ValueError("its application and protocol have no label")
            packed += bytes(labels)
        text: str = reader(slot)(packed)
        return text


def explain(compiled: Compiled, record: dict[str, Any], at: tuple[int, int] | None = None, twice: bool = False) -> Verdict:
    """Explain one flow record: see `Explainer.explain`."""
    return Explainer(compiled).explain(record, at, twice)
