"""`nfa flush`: empty the sets of a target."""

from __future__ import annotations

import argparse

from .ask import Unanswered, add_control_argument, ask, control_of
from .common import fail, plural, shown

_EPILOG = """\
examples:
  nfa flush nft.video

exit codes: 0 done, 1 no daemon answers, or it could not flush the sets, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Flush the sets of a target of the running daemon. Live flows that still match are added again with their next\n"
        "records."
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
        print(f"{shown(arguments.target)}: {what} withdrawn from {plural(answer['withdrawn'], 'connection')}")
    else:
        taken = f"{plural(answer['withdrawn'], 'element')} withdrawn from {plural(answer['sets'], 'set')}"
        print(f"{shown(arguments.target)}: {taken}")
    return 0
