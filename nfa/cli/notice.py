"""`nfa notice`: send a test of a notice, and say whether it was taken."""

from __future__ import annotations

import argparse

from .ask import Unanswered, add_control_argument, ask, control_of
from .common import fail, nearest, shown

_EPILOG = """\
examples:
  nfa notice phone --test

The test goes the way that notices go, whatever their limit. It is taken when the server has said so (http, mqtt with qos 1), or
when it was handed over (mqtt with qos 0, socket, ubus, log). nfa status shows what became of notices.

exit codes: 0 taken, 1 not taken, or no daemon answers, or there is no such notice, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Send a test of a notice, and say whether it was taken."
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help="a notice of the active policy")
    parser.add_argument("--test", action="store_true", required=True, help="send a test sentence")
    add_control_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    try:
        answer = ask(control_of(arguments), "notice", {"name": arguments.name}, timeout=30.0)
    except Unanswered as why:
        return fail(nearest(str(why), arguments.name))
    if not answer["taken"]:
        return fail(f"{shown(arguments.name)}: not taken: {shown(answer['error'])}")
    print(f"{shown(arguments.name)}: taken: {shown(answer['text'])}")
    return 0
