"""What the configuration may say already but this release does not do yet.

In: a checked policy. Out: why an action is not applied, and an info for every such part of the policy. The
parts are read and checked like all others, so a configuration that is right now stays right.
"""

from __future__ import annotations

from nfa.config.model import Action, Policy, Target
from nfa.config.report import Reports, quote

BROKEN = "an error in it was reported"
INACTIVE_TYPES = ("pftable",)


def target_is_active(target: Target) -> bool:
    """Whether the target is enabled, of a type that this release serves, and without trouble."""
    return target.enabled and target.type not in INACTIVE_TYPES and not target.trouble


def inactive_reason(action: Action, policy: Policy) -> str | None:
    """Why the action of `policy` is not applied to any flow at any hour, for the user; None when it is applied."""
    if not action.enabled:
        return "the action is disabled"
    if action.broken:
        return BROKEN
    targets = [policy.targets[name] for name in action.targets]
    if not any(target.enabled for target in targets):
        return "all its targets are disabled"
    if not any(map(target_is_active, targets)):
        broken = any(target.enabled and target.trouble for target in targets)
        return "none of its targets can be used" if broken else "all its enabled targets are of types that are not yet active"
    return None


def report_inactive(policy: Policy, reports: Reports) -> None:
    """An info for each enabled part that is not yet active."""
    for target in policy.targets.values():
        if target.enabled and target.type in INACTIVE_TYPES:
            reports.info(
                target.place,
                f"target {quote(target.name)}: targets of type {target.type} are not yet active",
                consequence="no flow reaches the target",
            )
        elif target.enabled and target.cut and target.type == "sink":
            reports.info(
                target.place,
                f"target {quote(target.name)}: 'cut' is not yet active for targets of type sink",
                hint="give the action a target of another type as well, a log perhaps, with 'cut'",
                consequence="its connections go on",
            )
