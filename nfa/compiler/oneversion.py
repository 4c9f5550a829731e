"""Policies that hold for IPv4 only, beside sets that are for both IP versions.

In: an action, understood. Out: a finding where an address makes its criteria or exemptions hold for IPv4 only.
"""

from __future__ import annotations

from .base.report import Reports, quote
from .catalogue import Catalogue
from .config.model import Action, Policy
from .expression.possible import by_address
from .expression.tree import Node


def report_one_version(
    action: Action, policy: Policy, criteria: Node | None, exemptions: Node | None, catalogue: Catalogue, reports: Reports
) -> None:
    """Warn of criteria for IPv4 beside a set for both versions; tell of such exemptions."""
    targets = [policy.targets[name] for name in action.targets if policy.targets[name].enabled]
    sets = [target for target in targets if target.options.get("families") == (4, 6)]
    if not action.enabled or not sets:
        return
    message = f"hold for IPv4 only, but the target {quote(sets[0].name)} is for IPv4 and IPv6"
    hint = "a device has addresses of both: give it a section 'config device' with its MAC address, and write local_ip == @NAME"
    what = f"action {quote(action.name)}"
    if criteria and by_address(criteria, catalogue) == {4}:
        gone = "IPv6 connections of the same devices do not match"
        place = action.criteria[0].place
        reports.warning("one-ip-version", place, f"{what}: its criteria {message}", hint=hint, consequence=gone)
    if exemptions and by_address(exemptions, catalogue) == {4}:
        gone = "IPv6 connections of the same devices are not exempt"
        place = action.exemptions[0].place
        reports.info("one-ip-version", place, f"{what}: its exemptions {message}", hint=hint, consequence=gone)
