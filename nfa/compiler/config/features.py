"""What the configuration may say, but this system or this release does not do.

In: a checked policy. Out: why an action is not applied, and an info for every such part of the policy. The
parts are read and checked like all others, so one configuration serves several systems.
"""

from __future__ import annotations

import os
import sys

from nfa.compiler.base.report import Reports, quote
from nfa.compiler.config.model import Action, Policy, Target

BROKEN = "action-broken"
HELD_BACK = "action-held-back"
EXEMPTIONS_BROKEN = "exemptions-broken"
INCOMPLETE = "configuration-incomplete"
TOO_LARGE = "regex-too-large"
REASONS = {
    "action-disabled": "the action is disabled",
    BROKEN: "it has an error",
    HELD_BACK: "held back by an action that has an error",
    EXEMPTIONS_BROKEN: "held back: the exemptions that hold for all actions have an error",
    INCOMPLETE: "held back: a file of the configuration cannot be used, and nobody knows what it exempts",
    "targets-disabled": "all its targets are disabled",
    "target-unusable": "none of its targets can be used",
    "budget-unsupported": "MicroPython cannot count its budget",
    TOO_LARGE: "MicroPython cannot match its regular expression",
}
"""Why an action is not applied, by code (docs/codes.md), in words that follow its name."""
NO_PF = "there is no PF on this system"
PFCTL = "/sbin/pfctl"
PFCTL_VARIABLE = "NFA_PFCTL"


def pfctl() -> str:
    """The program that fills tables of PF, "" where there is no PF: everywhere but on FreeBSD.

    For tests, a variable of the environment names another one, which is then used on any system.
    """
    return os.environ.get(PFCTL_VARIABLE) or (PFCTL if sys.platform.startswith("freebsd") else "")


def target_is_active(target: Target) -> bool:
    """Whether the target is enabled and without trouble."""
    return target.enabled and not target.trouble


def inactive_code(action: Action, policy: Policy) -> str:
    """Why the action of `policy` is not applied to any flow at any hour, as a code of REASONS; "" when it is applied."""
    if not action.enabled:
        return "action-disabled"
    if action.broken:
        return BROKEN
    targets = [policy.targets[name] for name in action.targets]
    if action.halt_on_match or any(map(target_is_active, targets)):
        return ""  # one that halts has an effect without any target
    return "target-unusable" if any(target.enabled for target in targets) or not targets else "targets-disabled"


def report_inactive(policy: Policy, reports: Reports) -> None:
    """A finding for each enabled part that does nothing here, or too much; one that cannot be used is in trouble."""
    for target in policy.targets.values():
        if not target.enabled:
            continue
        if target.type == "pftable" and not pfctl():
            target.trouble = NO_PF
            reports.info(
                "target-unsupported",
                target.place,
                f"target {quote(target.name)}: {NO_PF}, only on FreeBSD",
                hint="on Linux, use a target of type nftset or ipset",
                consequence="no flow reaches the target",
            )
        elif target.cut and target.type in ("log", "sink"):
            reports.warning(
                "cut-alone",
                target.place,
                f"target {quote(target.name)}: 'cut' makes connections meet rules of a set or mark; a {target.type} has none",
                hint="remove 'cut', or use a target of type nftset, ipset or ctmark",
                consequence="each connection that matches is cut, and goes on",
            )
        elif target.type == "pftable" and target.cut:
            reports.info(
                "cut-unsupported",
                target.place,
                f"target {quote(target.name)}: 'cut' works with Linux connection tracking, not with PF",
                hint="to kill the states of an address by hand: pfctl -k ADDRESS",
                consequence="existing connections continue",
            )
