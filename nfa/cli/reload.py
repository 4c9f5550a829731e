"""`nfa reload`: make the daemon reload its configuration, and print the result."""

from __future__ import annotations

import argparse

from ..daemon.base.findings import in_words
from .ask import Unanswered, add_control_argument, ask, control_of
from .common import fail, paint, plural, shown

TIMEOUT = 310.0  # seconds; the daemon gives its compiler 300

_EPILOG = """\
examples:
  nfa reload

exit codes: 0 the configuration is active as it is written (there may be warnings), 1 it has errors, so that a part of it is
left out or stays in its last good version, or no daemon answers, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Make the running daemon reload its configuration, wait for the result, and print the findings.\n"
        "If the configuration cannot be used, the running policy stays active; of a section that has an error, its last\n"
        "good version. On OpenWrt, service nfa reload does the same without waiting."
    )
    parser.epilog = _EPILOG
    add_control_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    try:
        answer = ask(control_of(arguments), "reload", timeout=TIMEOUT)
    except Unanswered as why:
        return fail(str(why))
    for report in answer["reports"]:
        for line in in_words(report).splitlines():
            print(shown(line))
    errors, warnings = answer["errors"], answer["warnings"]
    found = f"{plural(errors, 'error')}, {plural(warnings, 'warning')}"
    if not answer["loaded"]:
        kept = "the running policy stays active" if answer["generation"] else "no policy is active"
        print(paint(f"the configuration cannot be used; {kept}: {found}", "error"))
        return 1
    colour = "error" if errors else "warning" if warnings else "good"
    print(f"policy {answer['generation']} is active: {paint(found, colour)}")
    return 1 if errors else 0
