"""`nfa flush`: empty the sets of a target."""

from __future__ import annotations

import argparse

from .ask import Unanswered, add_control_argument, ask, control_of
from .common import fail, plural, shown

_EPILOG = """\
examples:
  nfa flush nft.video

exit codes: 0 done, 1 no daemon answers, or it could not empty the sets, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Empty the sets of a target of the running daemon. Flows that still go on come back with their next records,\n"
        "as long as the policy has them in the target."
    )
    parser.epilog = _EPILOG
    parser.add_argument("target", metavar="TARGET", help="the name of the target")
    add_control_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    try:
        answer = ask(control_of(arguments), "flush", {"target": arguments.target})
    except Unanswered as why:
        return fail(str(why))
    if answer.get("kind") in ("ctmark", "ctlabel"):
        what = "mark" if answer["kind"] == "ctmark" else "labels"
        print(f"{shown(arguments.target)}: {what} taken back from {plural(answer['withdrawn'], 'connection')}")
    else:
        taken = f"{plural(answer['withdrawn'], 'element')} taken out of {plural(answer['sets'], 'set')}"
        print(f"{shown(arguments.target)}: {taken}")
    return 0
