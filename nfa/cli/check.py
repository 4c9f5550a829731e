"""`nfa check`: everything that can be known about a configuration without a flow, in words and as JSON."""

from __future__ import annotations

import argparse
import json
import sys

from ..compiler import Compiled, compile_policy
from .common import add_config_arguments, config_of, paint, print_reports, shown

_EPILOG = """\
examples:
  nfa check -c policy.json            errors and warnings, with their places
  nfa check -c policy.json --json     the same for a program

exit codes: 0 no errors (there may be warnings), 1 errors, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check a configuration: properties, names, expressions, targets, and whether the sets of targets that are not\n"
        "managed are in the kernel with the right type. Nothing is changed."
    )
    parser.epilog = _EPILOG
    add_config_arguments(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the same as -c FILE")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("-q", "--quiet", action="store_true", help="print findings only")


def _summary(compiled: Compiled) -> None:
    """Print the policy as it was understood: actions in the order in which they are tried."""
    for item in compiled.actions:
        action = item.action
        state = paint("on ", "good") if not item.reason else paint("off", "warning")
        halt = ", then halt" if action.halt_on_match else ""
        print(f"  {state} {action.priority:>5}  {shown(action.name)} -> {', '.join(map(shown, action.targets))}{halt}")
        if item.reason:
            print(f"            {item.reason}")
    sets = {f"{slot['table']} {slot['set']}".strip(): slot for slot in compiled.slots}
    for name, slot in sets.items():
        kind = "ipset" if slot["kind"] == "ipset" else "nftables set"
        life = f"{slot['ttl']} s" if slot["ttl"] else "no timeout"
        print(f"  {kind} {shown(name)}: {slot['type']}, {life}, {'managed' if slot['managed'] else 'not managed'}")


def run(arguments: argparse.Namespace) -> int:
    if arguments.file:
        arguments.files = [*(arguments.files or []), arguments.file]
    files, paths = config_of(arguments)
    compiled, reports = compile_policy(files, paths)
    errors, warnings = len(reports.errors), len(reports.warnings)
    if arguments.json:
        actions = [
            {"name": item.action.name, "active": not item.reason, "reason": item.reason, "targets": item.action.targets}
            for item in (compiled.actions if compiled else [])
        ]
        print(
            json.dumps(
                {
                    "files": files,
                    "ok": not errors,
                    "errors": errors,
                    "warnings": warnings,
                    "reports": [report.as_dict() for report in reports.items],
                    "actions": actions,
                },
                indent=2,
            )
        )
        return 1 if errors else 0
    print_reports(reports, sys.stdout)
    if compiled is not None and not arguments.quiet:
        active = sum(not item.reason for item in compiled.actions)
        print(f"{len(compiled.actions)} actions, {active} active; {len(compiled.policy.targets)} targets")
        _summary(compiled)
    words = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    if not arguments.quiet:
        print(paint(words, "error" if errors else "warning" if warnings else "good"))
    return 1 if errors else 0
