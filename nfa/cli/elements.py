"""`nfa elements`: list the elements that the running daemon added to the sets of a target, or of all targets."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .ask import Unanswered, add_control_argument, control_of, pages
from .common import fail, paint, plural, shown

_EPILOG = """\
examples:
  nfa elements                               elements of all targets
  nfa elements nft.video
  nfa elements nft.video 192.168.1.20        only elements with this text in them
  nfa elements nft.video --json | jq length

exit codes: 0 done, 1 no daemon answers or there is no such target, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show the elements that the running daemon has added to the sets of a target, or of all targets, as nft and ipset\n"
        "write them, with the seconds until they expire, counted since netifyd last reported traffic. For ctmark and ctlabel,\n"
        "show the connections, which keep mark and labels as long as they last. Elements that others added are not shown."
    )
    parser.epilog = _EPILOG
    parser.add_argument("target", nargs="?", default="", metavar="TARGET", help="the name of the target (default: all)")
    parser.add_argument("search", nargs="?", default="", metavar="SEARCH", help="only elements that contain this text")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    add_control_argument(parser)


CONNTRACK = ("conntrack mark", "conntrack labels")
"""The places of a ctmark and a ctlabel, which are no sets."""


def _line(element: dict[str, Any]) -> str:
    left = f"{element['left']} s"
    if element["left"] is None:
        # A mark or labels stay as long as their connection.
        left = "-" if element["set"] in CONNTRACK else "for ever"
    where = f"{element['table']} {element['set']}".strip()
    return f"  {left:>9}  {shown(where)}  {shown(element['element'])}"


def run(arguments: argparse.Namespace) -> int:
    given: dict[str, object] = {"target": arguments.target, "search": arguments.search}
    found: list[dict[str, Any]] = []
    count = total = 0
    try:
        for page in pages(control_of(arguments), "elements", "elements", given):
            total = page["total"]
            count += len(page["elements"])
            if arguments.json:
                found += page["elements"]
                continue
            if count == len(page["elements"]) and count:
                print(paint("       left  set and element", "dim"))
            for element in page["elements"]:
                print(_line(element))
    except Unanswered as why:
        return fail(str(why))
    if arguments.json:
        print(json.dumps(found, indent=2))
    print(f"{count} of {total} elements" if arguments.search else plural(count, "element"), file=sys.stderr)
    return 0
