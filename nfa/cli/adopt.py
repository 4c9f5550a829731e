"""`nfa adopt`: have the connections that began before nfa begin again, so that policies are applied to them."""

from __future__ import annotations

import argparse

from .ask import Unanswered, add_control_argument, ask, control_of
from .common import fail, plural, shown

_EPILOG = """\
examples:
  nfa adopt --dry-run            how many connections it would concern
  nfa adopt

exit codes: 0 done, 1 no daemon answers, or the kernel refused, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "netifyd reports a flow once. What began before nfa was connected is never matched. This has it begin again:\n"
        "the conntrack entries of forwarded connections are deleted, and each TCP connection is reset at its next packet\n"
        "within ten minutes. Both ends are told, so programs connect again: downloads, calls and SSH sessions that go\n"
        "through the router are interrupted. Connections of the router itself (SSH, LuCI) are left alone. UDP (QUIC, calls)\n"
        "cannot be reset: netifyd reports such a flow again after it was idle for 30 seconds."
    )
    parser.epilog = _EPILOG
    parser.add_argument("--dry-run", action="store_true", help="only say how many connections there are")
    add_control_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    try:
        answer = ask(control_of(arguments), "adopt", {"dry_run": arguments.dry_run}, timeout=30.0)
    except Unanswered as why:
        return fail(str(why))
    tcp, udp = plural(answer["tcp"], "TCP connection"), plural(answer["udp"], "UDP connection")
    if arguments.dry_run:
        print(f"{tcp} would be reset at the next packet, and the entries of {udp} be deleted")
    else:
        print(f"{tcp} will be reset at the next packet within {answer['seconds']} s; entries deleted: {answer['deleted']}")
        print(f"{udp} among them: netifyd reports those again after 30 s without packets")
    if answer["left"]:
        print(f"{answer['left']} more were left out: repeat the command")
    print(shown(f"left alone: {answer['routers']} of the router itself, {answer['judged']} that nfa knows already"))
    return 0
