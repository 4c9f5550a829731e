"""`nfa route`: what /etc/config/network needs so that firewall targets with a `route` reach another WAN."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile

from ..compiler.base.paths import Paths
from ..compiler.base.report import Reports
from ..compiler.config import network, routes
from ..compiler.config.model import Policy
from ..compiler.config.network import Networks
from ..compiler.config.routes import Wan
from ..compiler.config.sources import UCI_FOLDER, Sources, load
from .common import add_config_arguments, fail, paths_of, plural, print_reports, sources_of

_EPILOG = """\
examples:
  nfa route show                  the WANs of the configuration, and the commands that apply would run
  nfa route apply                 write /etc/config/network; then: service network reload; service nfa reload
  nfa route remove                take out of /etc/config/network what apply has written

exit codes: 0 done (show: also when something is missing), 1 it could not be done, 2 wrong usage"""
_RELOAD = "now run: service network reload; service nfa reload"
Change = tuple[str, str]
"""An argument of `uci`, and what follows: ("set", "network.wan2.ip4table=7701")."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "On OpenWrt, netifd keeps the routing tables of WANs, and the rules that choose one: firewall targets with the option\n"
        "'route' need both in /etc/config/network. This writes them there, by the command uci, and nothing else: networks get\n"
        "'ip4table', 'ip6table' and for DHCPv6 'sourcefilter', and there are rules with names that begin with 'nfa_'.\n"
        "On other systems the daemon makes routes and rules itself, and there is nothing to apply."
    )
    parser.epilog = _EPILOG
    parser.add_argument("what", choices=("show", "apply", "remove"), metavar="show|apply|remove", help="what to do")
    parser.add_argument("--dry-run", action="store_true", help="only print the commands that apply or remove would run")
    add_config_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    sources, paths = sources_of(arguments), paths_of(arguments)
    networks = network.read(sources.uci, paths)
    if networks is not None and not networks.known:
        return fail(f"{os.path.join(sources.uci or '', network.PACKAGE)} cannot be read, or is broken: see uci show network")
    if arguments.what == "remove":
        if networks is None:
            return fail("there is no /etc/config/network: nothing was written there")
        return _do(_commands([], networks), sources, arguments.dry_run)
    found = _wans(sources, paths)
    if found is None:
        return fail("the configuration cannot be used; see: nfa check")
    wans, reports = found
    print_reports(reports)
    if networks is None:
        _show(wans)
        if arguments.what == "apply" and wans:
            return fail("there is no /etc/config/network: the daemon makes these rules and routes itself")
        return 0
    changes = _commands(wans, networks)
    if arguments.what == "show":
        _show(wans)
        _print(changes)
        return 0
    return _do(changes, sources, arguments.dry_run) or (1 if reports.errors else 0)


def _wans(sources: Sources, paths: Paths) -> tuple[list[Wan], Reports] | None:
    """Return the WANs of enabled targets, and what is wrong with others; None where there is no usable configuration."""
    policy = load(sources, sources.confine(paths), Reports())
    return wans_of(policy, sources, paths) if policy else None


def wans_of(policy: Policy, sources: Sources, paths: Paths) -> tuple[list[Wan], Reports]:
    """Return the WANs of the enabled targets of a policy, and what is wrong with others."""
    reports = Reports()
    found = routes.resolve(sources.uci, policy, reports, paths)
    reports.items[:] = [report for report in reports.items if report.code != "route-not-applied"]
    return list(dict.fromkeys(wan for name, wan in found.items() if policy.targets[name].enabled)), reports


def _commands(wans: list[Wan], networks: Networks) -> list[Change]:
    found = []
    for section, option, value in routes.changes(wans, networks):
        place = f"{network.PACKAGE}.{section}" + (f".{option}" if option else "")
        found.append(("delete", place) if value is None else ("set", f"{place}={value}"))
    return found


def _show(wans: list[Wan]) -> None:
    if not wans:
        print("no firewall target has a route")
    for wan in wans:
        where = ", ".join(one.name for one in wan.networks) or "made by the daemon"
        tables = " and ".join(str(table) for table in dict.fromkeys(wan.tables))
        name = wan.name + ("" if wan.fallback else " (no fallback)")
        way = f"mark {wan.mark_text}, table {tables}, rules from {wan.priority} on, device {', '.join(wan.devices)}"
        print(f"{name}: {way}; networks: {where}")


def _print(changes: list[Change]) -> None:
    if not changes:
        print("/etc/config/network has all that is needed")
    for command, argument in changes:
        name, equals, value = argument.partition("=")
        print(f"uci {command} {name}{equals}" + (f"'{value}'" if equals else ""))
    if changes:
        print(f"uci commit {network.PACKAGE}")


def _do(changes: list[Change], sources: Sources, dry: bool) -> int:
    """Run the commands, or only print them. What waits for `uci commit` already goes on waiting: it is not ours to commit."""
    if dry or not changes:
        _print(changes)
        return 0
    folder = sources.uci or UCI_FOLDER
    with tempfile.TemporaryDirectory() as saved:
        for words in [*changes, ("commit", network.PACKAGE)]:
            try:
                done = subprocess.run(
                    ["uci", "-c", folder, "-t", saved, *words], capture_output=True, text=True, check=False, timeout=30
                )
            except (OSError, subprocess.TimeoutExpired) as failure:
                return fail(f"uci cannot be run: {failure}; write it yourself: nfa route show")
            if done.returncode:
                return fail(
                    f"uci {' '.join(words)}: {done.stderr.strip() or 'failed'}; {os.path.join(folder, 'network')} is as it was"
                )
    print(f"{plural(len(changes), 'change')} written to {os.path.join(folder, network.PACKAGE)}; {_RELOAD}")
    return 0
