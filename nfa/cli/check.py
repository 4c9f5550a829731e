"""`nfa check`: check a configuration and report the findings, as text or as JSON."""

from __future__ import annotations

import argparse
import json
import sys

from ..compiler import budgets
from ..compiler.base.report import Reports
from ..compiler.compile import Compiled, compile_policy
from ..compiler.config import uciconfig
from ..compiler.config.effects import in_words
from ..compiler.config.sources import UCI_FOLDER, Sources
from ..compiler.provision import usage
from ..daemon.engine.hours import shown as moment
from .common import add_config_arguments, paint, paths_of, plural, print_reports, shown, sources_of
from .show import policy_data, print_policy

_EPILOG = """\
examples:
  nfa check                           check /etc/config and the JSON file in netifyd's folder
  nfa check -u /tmp/new               the same with another folder for /etc/config
  nfa check -c policy.json            errors and warnings, with their places
  nfa check -c policy.json --json     the same as JSON
  nfa check --strict -q || exit 1     in a script that takes no warning either
  nfa check --show | less             the merged policy, and where each value of it came from

exit codes: 0 no errors (there may be warnings; with --strict, none), 1 errors, 2 wrong usage"""

_DISABLED = (
    "the service is disabled: service nfa start does nothing. To enable it: "
    f"uci set {uciconfig.PACKAGE}.main.enabled=1; uci commit {uciconfig.PACKAGE}; service nfa start"
)

_LAST_GOOD = (
    "This is what a daemon does when it starts: a running daemon keeps the last good version of each section that has an\n"
    "error, see: nfa status"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check a configuration: properties, names, expressions, targets, whether the sets of targets that are not managed\n"
        "are in the kernel with the right type, and whether rules use the sets that are there. Nothing is changed."
    )
    parser.epilog = _EPILOG
    add_config_arguments(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the same as -c FILE")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--strict", action="store_true", help="exit code 1 also for warnings")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--show", action="store_true", help="print the merged policy, and where each value of it came from")
    extent.add_argument("-q", "--quiet", action="store_true", help="print findings only")


def _summary(compiled: Compiled) -> None:
    """Print the policy as it was understood: actions in the order in which they are tried."""
    hours = compiled.schedules
    now = hours.now()
    for item in compiled.actions:
        action = item.action
        state = paint("on ", "good") if not item.reason else paint("off", "warning")
        halt = ", then halt" if action.halt_on_match else ""
        print(f"  {state} {action.priority:>5}  {shown(action.name)} -> {', '.join(map(shown, action.targets))}{halt}")
        if item.reason:
            print(f"            {item.reason}")
        elif hours.words(action.name):
            applied = "applied now" if hours.hold(action.name, now) else "not now"
            print(f"            {hours.words(action.name)} ({shown(hours.zone)}, where it is {moment(*now)}): {applied}")
        if action.budget and not item.reason:
            words = budgets.words(compiled.policy.budgets[action.budget], hours)
            print(f"            acts when the budget {shown(action.budget)} is spent: {shown(words)}")
    sets = {f"{slot['table']} {slot['set']}".strip(): slot for slot in compiled.slots}
    for name, slot in sets.items():
        if slot["kind"] not in ("ipset", "nftset") or "map" in slot:
            continue
        kind = "ipset" if slot["kind"] == "ipset" else "nftables set"
        life = f"{slot['ttl']} s" if slot["ttl"] else "no timeout"
        print(f"  {kind} {shown(name)}: {slot['type']}, {life}, {'managed' if slot['managed'] else 'not managed'}")
    for slot in compiled.slots:
        if slot["kind"] == "ctmark":
            print(f"  mark of {shown(slot['target'])}: {slot['mark']:#x}/{slot['mask']:#x}")
        elif slot["kind"] == "ctlabel":
            auto = ", and by application and protocol" if slot["auto"] else ""
            labels = ", ".join(shown(text) for bit, text in slot["names"] if slot["labels"] >> bit & 1)
            print(f"  labels of {shown(slot['target'])}: {labels or 'none'}{auto}")
    table = compiled.firewall["effects"] if compiled.firewall else {}
    for target in compiled.policy.targets.values():
        if target.name in table:
            print(f"  {shown(target.name)}: {in_words(target.options)}")
        if target.channel is not None and target.enabled:
            channel = target.channel
            print(f"  sink of {shown(target.name)}: {shown(channel.sink)}, channel {shown(channel.name)} ({channel.kind})")


def _data(compiled: Compiled | None, sources: Sources, reports: Reports, whole: bool) -> dict[str, object]:
    """What `--json` prints; with the merged policy when `whole`."""
    actions = [
        {
            "name": item.action.name,
            "active": not item.code,
            "reason": item.reason,
            "code": item.code,
            "targets": item.action.targets,
        }
        for item in (compiled.actions if compiled else [])
    ]
    data: dict[str, object] = {
        "files": compiled.policy.files if compiled else list(sources.files),
        "ok": not reports.errors,
        "errors": len(reports.errors),
        "warnings": len(reports.warnings),
        "reports": [report.as_dict() for report in reports.items],
        "actions": actions,
    }
    return data | {"policy": policy_data(compiled) if compiled else None} if whole else data


def run(arguments: argparse.Namespace) -> int:
    if arguments.file:
        arguments.files = [*(arguments.files or []), arguments.file]
    sources = sources_of(arguments)
    compiled, reports = compile_policy(sources, paths_of(arguments))
    if compiled is not None:
        usage.report(compiled.slots, compiled.policy, reports)
    if sources.uci == UCI_FOLDER:
        uciconfig.report_uncommitted(reports)
    errors, warnings = len(reports.errors), len(reports.warnings)
    code = 1 if errors or (arguments.strict and warnings) else 0
    if arguments.json:
        print(json.dumps(_data(compiled, sources, reports, arguments.show), indent=2))
        return code
    print_reports(reports, sys.stdout)
    if compiled is not None and arguments.show:
        print_policy(compiled)
    elif compiled is not None and not arguments.quiet:
        active = sum(not item.reason for item in compiled.actions)
        print(f"{len(compiled.actions)} actions, {active} active; {len(compiled.policy.targets)} targets")
        _summary(compiled)
    words = f"{plural(errors, 'error')}, {plural(warnings, 'warning')}"
    if errors and not arguments.quiet:
        print(_LAST_GOOD)
    if not arguments.quiet:
        print(paint(words, "error" if errors else "warning" if warnings else "good"))
        if compiled is not None and not compiled.policy.main["enabled"]:
            print(_DISABLED)
    return code
