"""Whether the firewall offloads connections, so that rules about what this policy does never see their packets.

In: the folder of UCI's packages and a checked policy. Out: firewall targets that block cut connections, and a warning where
others wait for packets. Only what /etc/config/firewall says is
read, as fw4 reads it (fw4.uc): which devices can really offload is up to the kernel.
"""

from __future__ import annotations

import os

from nfa.compiler.base.files import FileError, read_bytes
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports, quote
from nfa.compiler.config.features import inactive_code, target_is_active
from nfa.compiler.config.model import Policy, Target, Text
from nfa.compiler.config.uciconfig import MAX_SIZE
from nfa.compiler.config.ucitext import UciError, parse

PACKAGE = "firewall"
OPTION = "flow_offloading"
"""flow_offloading_hw, offloading by hardware, does nothing without."""
_TRUE = ("1", "on", "true", "yes")  # as fw4's parse_bool has it
_LOCAL = {"local_addr", "local_mac"}
_NAMED = 3


def report(folder: str, policy: Policy, reports: Reports, paths: Paths) -> None:
    """Warn of offloading if a target that is in use is about connections that run, for rules, and does not end them (`cut`).

    A firewall target that blocks has `cut` then, unless the configuration says otherwise.
    """
    used = {name for action in policy.actions if not inactive_code(action, policy) for name in action.targets}
    targets = [target for name, target in policy.targets.items() if name in used and target_is_active(target)]
    waiting = [target for target in targets if _waits_for_rules(target) and not target.cut]
    option = _switch(folder, reports, paths) if waiting else None
    if option is None:
        return
    for target in waiting:
        if target.type == "firewall" and target.options["verdict"] and "cut" not in target.origins.values:
            target.cut = True
            reports.info(
                "cut-added",
                option.place,
                f"flow offloading is on, so the target {quote(target.name)} also cuts connections",
                hint="set its option cut, if that is not what you want",
                consequence="offloaded connections meet the rules again, and are blocked",
            )
    missed = [target.name for target in waiting if not target.cut]
    if not missed:
        return
    named = ", ".join(map(quote, missed[:_NAMED])) + (f" and {len(missed) - _NAMED} more" if len(missed) > _NAMED else "")
    reports.warning(
        "flow-offloading",
        option.place,
        f"flow offloading is on: firewall rules see only the first packets of a connection, usually before its "
        f"application is known; rules wait for {named}",
        hint="set cut '1' for a target that blocks, so that such connections end, or turn offloading off "
        "(LuCI: Network > Firewall) and reload nfa. Old kernels, such as 5.10, keep offloaded connections in spite of cut",
        consequence="offloaded connections continue",
    )


def _waits_for_rules(target: Target) -> bool:
    """Whether the target does nothing before a rule meets a packet of the very connection that matched.

    Sets of addresses, devices or services are met by the next connection, offloading or not.
    """
    if target.type in ("ctmark", "ctlabel"):
        return True
    if target.type == "firewall":
        return target.options["hook"] == "forward"
    kind = target.options.get("type")
    if target.type == "ipset":
        return kind == "hash:ip,port,ip"
    return target.type == "nftset" and isinstance(kind, tuple) and "other_addr" in kind and not _LOCAL.isdisjoint(kind)


def _switch(folder: str, reports: Reports, paths: Paths) -> Text | None:
    """The option that turns offloading on, None where none does or where that is not known."""
    file = paths.look(os.path.join(folder, PACKAGE))
    try:
        text = read_bytes(file, MAX_SIZE).decode(errors="replace")
        sections = parse(text, file, PACKAGE, Reports())
    except (FileError, UciError):
        return None  # the firewall's own affair
    # fw4 takes the first of these sections and leaves out others.
    defaults = next((section.options for section in sections if section.type.value == "defaults"), {})
    value = defaults[OPTION].value if OPTION in defaults else None
    if not isinstance(value, Text) or value.value not in _TRUE:
        return None
    reports.add_source(file, text)
    reports.open.add(file)
    return value
