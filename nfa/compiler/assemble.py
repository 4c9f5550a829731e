"""Assembles the policy image: what the daemon loads, from a policy that was compiled.

In: `Compiled`, with its expressions as trees. Out: plain data (see `nfa.image`), with the generated functions that decide and
make elements, and all that status tells of the policy.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address

from ..image import cpython as image
from . import budgets, catalogue
from .base.report import Reports, quote
from .causes import causes
from .compile import Compiled, CompiledAction
from .config.channels import SHAPE, channel_data
from .config.devices import device_rows
from .config.features import target_is_active
from .config.model import Policy
from .expression.attributes import SIDES, find
from .expression.generate import Generator
from .expression.index import Index
from .expression.tree import And, Everything, Network, Node, Test, attributes_of, equalities
from .provision.keys import key_source
from .schedules import in_words


def interface_test(interface: str) -> Node:
    """Return the test that an action's `interface` makes of a record."""
    if interface == "*":
        return Everything()
    if interface in ("lan", "wan"):
        return Test("side", "==", "side_" + interface, interface)
    return Test("interface", "==", interface, interface)


def chooses_side(item: CompiledAction, policy: Policy) -> bool:
    """Return whether an action says from which interface its flows come, or one of its targets does.

    Such an action also gets the second record of a flow that two interfaces report.
    """
    interfaces = [
        item.action.interface,
        *(policy.targets[name].interface for name in item.action.targets if name in policy.targets),
    ]
    if any(interface != "*" for interface in interfaces):
        return True
    return item.criteria is not None and any(find(name).name in SIDES for name in attributes_of(item.criteria))


def reads_marks(compiled: Compiled) -> list[str]:
    """Return what reads conntrack marks: actions and targets, as they are called in messages."""
    found = []
    for item in compiled.actions:
        trees = [tree for tree in (item.criteria, item.exemptions) if tree is not None and not item.code]
        if any("fwmark" in (find(name).name for name in attributes_of(tree)) for tree in trees):
            found.append(f"action {quote(item.action.name)}")
    if compiled.exemptions is not None and any(find(name).name == "fwmark" for name in attributes_of(compiled.exemptions)):
        found.append("a global exemption")
    return found + [f"target {quote(slot['target'])}" for slot in compiled.slots if "mark" in slot["fields"]]


MAX_WANTED = 256
"""Conditions on interfaces and networks of which the daemon tells when no record comes from there."""


def wanted(compiled: Compiled) -> list[tuple[str, str, str]]:
    """Return what active actions ask of where flows come from: (action, "interface", "side" or "network", which)."""
    found: dict[tuple[str, str, str], None] = {}
    for item in compiled.actions:
        if item.code or item.criteria is None:
            continue
        name, where = item.action.name, item.action.interface
        if where != "*":
            found[(name, "side" if where in ("lan", "wan") else "interface", where)] = None
        for test in equalities(item.criteria):
            attribute = find(test.attribute).name
            if attribute == "interface" and isinstance(test.value, str):
                found[(name, "interface", test.value)] = None
            elif attribute == "side" and test.value in ("side_lan", "side_wan"):
                found[(name, "side", str(test.value)[5:])] = None
            elif attribute in ("local_ip", "ip") and isinstance(test.value, Network):
                found[(name, "network", f"{ip_address(test.value.packed)}/{test.value.prefix}")] = None
    return list(found)[:MAX_WANTED]


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
        "wanted": wanted(compiled),
        "marks": bool(reads_marks(compiled)),
        "sided": tuple(number for number, item in enumerate(compiled.actions) if chooses_side(item, compiled.policy)),
        "halts": tuple(number for number, item in enumerate(compiled.actions) if item.action.halt_on_match),
    }


def _notices(compiled: Compiled) -> dict[str, object] | None:
    """The part `notices` of the image."""
    if not compiled.policy.notices:
        return None
    from . import telling  # the sentences of four languages: most policies have none

    return telling.data_of(compiled)


def image_of(compiled: Compiled, code_of: Callable[[str], object] = image.compile_source) -> dict[str, object]:
    """Return the policy image: plain data that the daemon can load without any of this. `code_of`: what its source becomes."""
    policy = compiled.policy
    generator = Generator()
    source, meaning = decision(compiled, generator)
    names = [f"key{index}" for index in range(len(compiled.slots))]
    source += "".join(key_source(name, slot) for name, slot in zip(names, compiled.slots, strict=True))
    uses_categories = "categories(f)" in source
    reports = compiled.reports
    last_good = compiled.keeping.good.pack()
    if not last_good:
        message = "the policy is too large for the daemon to keep the last good version of its sections"
        reports.warning("last-good-too-large", None, message, consequence="a section that has an error later is left out")
    applied = [(item.action, item.criteria, item.exemptions) for item in compiled.actions if not item.code and item.criteria]
    counted = list(dict.fromkeys(item.action.budget for item in compiled.actions if not item.code and item.action.budget))
    cause, decides = causes(policy, compiled.exemptions, applied, compiled.schedules, compiled.slots, compiled.firewall)
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
                "channel": channel_data(target.channel, {key: target.options[key] for key in SHAPE}) if target.channel else {},
                "events": target.options.get("flow_events", ()),
                "slots": tuple(i for i, slot in enumerate(compiled.slots) if slot["target"] == target.name),
            }
            for target in policy.targets.values()
        ],
        # `note` is for status displays; the daemon does not use it.
        "slots": [{key: value for key, value in slot.items() if key != "note"} for slot in compiled.slots],
        "firewall": compiled.firewall,
        "routes": routes_of(compiled),
        "categories": catalogue.category_rows(compiled.catalogue) if uses_categories else (b"", b""),
        "devices": device_rows(compiled.devices),
        "leases": (policy.lease_files, [(host.mac, host.name, host.address) for host in policy.hosts]),
        **meaning,
        "windows": compiled.schedules.windows,
        "zone": compiled.schedules.changes,
        "zone_name": compiled.schedules.zone,
        "hours": [in_words(*windows) for windows in compiled.schedules.windows],
        "schedules": [compiled.schedules.of.get(item.action.name, -1) for item in compiled.actions],
        "budgets": budgets.rows(counted, policy.budgets, compiled.schedules),
        "action_budgets": [
            counted.index(item.action.budget) if item.action.budget in counted else -1 for item in compiled.actions
        ],
        "decides": decides,
        "reprocess": policy.reprocess_flows,
        "max_flows": policy.main["max_flows"],
        "names": json.dumps(catalogue.rows(compiled.catalogue), separators=(",", ":")).encode(),
        "log_level": policy.main["log_level"],
        "adopt": policy.main["adopt"],
        "usage": {"file": policy.main["usage_file"]} if policy.main["usage"] else None,
        "usage_file": policy.main["usage_file"],
        "notices": _notices(compiled),
        "files": policy.files,
        "kept": [{"kind": kind, "name": name} for kind, name in compiled.keeping.kept],
        "last_good": last_good,
        **findings_of(reports),
    }


def routes_of(compiled: Compiled) -> list[dict[str, object]]:
    """Return the WANs whose rules and routes the daemon itself sees to: the input of `nfa.routes`."""
    used = compiled.firewall["effects"] if compiled.firewall is not None else {}
    assert isinstance(used, dict)
    wans = dict.fromkeys(wan for name, wan in compiled.wans.items() if name in used and not wan.networks)
    return [
        {
            "name": wan.name, "device": wan.devices[0], "mark": wan.mark, "mask": wan.mask, "table": wan.tables[0],
            "priority": wan.priority, "fallback": wan.fallback,
        }
        for wan in wans
    ]  # fmt: skip


def findings_of(reports: Reports) -> dict[str, object]:
    """Return the part of an image that tells of the compilation: all that there is of one that failed."""
    return {
        "reports": reports.outside(),
        "errors": len(reports.errors),
        "warnings": len(reports.warnings),
    }
