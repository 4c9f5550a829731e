"""What causes the effects of each target, as digests: a reload then ends what no longer has the same cause, and only that.

In: a policy, understood. Out: for each target a digest of the actions that reach it, with all that they compare with (the
members of groups, the addresses of devices, the numbers of categories), and one of all that decides what flows reach.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .base.report import Place
from .config.model import Action, Policy
from .config.origins import Origins
from .expression.tree import And, Devices, Domains, Members, Node, Not, Nothing, Or, Pattern, Test
from .provision.slots import Slot
from .schedules import Schedules

NOWHERE = Place("", 0, 0)


def _value(value: object) -> str:
    if isinstance(value, Members):
        return f"{sorted(value.networks, key=repr)}{sorted(value.macs)}"
    if isinstance(value, Devices):
        return repr(value.members)
    if isinstance(value, Domains):
        return repr(sorted(value.names))
    return value.text if isinstance(value, Pattern) else repr(value)


def _words(node: Node | None) -> str:
    """Return an expression with the values that it compares with."""
    if isinstance(node, Test):
        return f"({node.attribute} {node.op} {_value(node.value)})"
    if isinstance(node, Not):
        return f"!{_words(node.item)}"
    if isinstance(node, And | Or):
        return f"{type(node).__name__}({','.join(map(_words, node.items))})"
    if isinstance(node, Nothing):
        return "0"
    return "*" if node else "-"


def _digest(*parts: object) -> bytes:
    """Return 8 bytes that differ when the parts do: no more is needed, and hashlib brings OpenSSL's 3.5 MB."""
    data = "\0".join(map(str, parts)).encode("utf-8", "replace")
    return zlib.crc32(data).to_bytes(4, "big") + zlib.adler32(data).to_bytes(4, "big")


def causes(
    policy: Policy,
    exemptions: Node | None,
    actions: Iterable[tuple[Action, Node, Node | None]],
    schedules: Schedules,
    slots: list[Slot],
    firewall: dict[str, Any] | None = None,
) -> tuple[dict[str, bytes], bytes]:
    """Return the digest of each target's cause, by name, and the one of all that decides.

    `actions`: those that are applied, in order, with their criteria and exemptions. One that halts is part of the cause of all
    targets that actions after it reach. `firewall`: the table of firewall targets. Where a target has packets looked up, and
    to which chains they go belongs to its cause; what is in the chains does not, for that is changed where it is.
    """
    halting = _words(exemptions)
    found: dict[str, list[object]] = {name: [] for name in policy.targets}
    everything: list[object] = [halting]
    for action, criteria, exempt in actions:
        schedule = schedules.of.get(action.name, -1)
        windows = schedules.windows[schedule] if schedule >= 0 else ()
        budget = replace(policy.budgets[action.budget], place=NOWHERE, origins=Origins()) if action.budget else ""
        own = _digest(action.interface, _words(criteria), _words(exempt), windows, budget)
        for name in action.targets:
            found.setdefault(name, []).append((own, halting))
        everything += [action.name, own, action.targets, action.halt_on_match]
        if action.halt_on_match:
            halting = repr(_digest(halting, own))
    effects = firewall["effects"] if firewall else {}
    for target in policy.targets.values():
        found[target.name] += [target.interface, effects.get(target.name)]
        everything.append((target.name, target.type, target.enabled, target.trouble, target.interface, target.cut))
    everything.append(schedules.changes)
    everything.append(effects)
    everything += [sorted((key, repr(value)) for key, value in slot.items()) for slot in slots]
    return {name: _digest(*parts) for name, parts in found.items()}, _digest(*everything)
