"""`nfa matches`: the last decisions of the running daemon."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from .ask import Unanswered, add_control_argument, ask, control_of
from .common import ends, fail, print_table, shown

_EPILOG = """\
examples:
  nfa matches
  nfa matches -n 200 | grep 192.168.1.20
  nfa matches --json | jq -r '.matches[].flow.host_server_name'

exit codes: 0 done, 1 no daemon answers, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show the last flows that an action of the running daemon matched, the newest first. The daemon remembers 200.\n"
        "nfa explain shows why a flow matches or does not."
    )
    parser.epilog = _EPILOG
    parser.add_argument("-n", type=_count, default=20, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("number", nargs="?", type=_count, metavar="N", help="the same as -n N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_control_argument(parser)


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < len(text) < 10:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{shown(text)}': expected a whole number, 0 or more")


def _moment(second: float, now: float) -> str:
    """A time of the day, with the day when that is another one than today."""
    form = "%H:%M:%S" if time.localtime(second)[:3] == time.localtime(now)[:3] else "%Y-%m-%d %H:%M:%S"
    return time.strftime(form, time.localtime(second))


def _row(match: dict[str, Any], now: float) -> list[str]:
    flow = match["flow"]
    names = [str(flow.get(f"detected_{kind}_name") or "Unknown") for kind in ("application", "protocol")]
    application = next((name for name in names if name != "Unknown"), "-")
    cells = [
        *([match["local_device"] or "-"] if "local_device" in match else []),
        ends(flow),
        application,
        ", ".join(match["actions"]),
        ", ".join(match["targets"]) or "-",
    ]
    return [_moment(match["time"], now), *map(shown, cells)]


def run(arguments: argparse.Namespace) -> int:
    limit = arguments.n if arguments.number is None else arguments.number
    try:
        answer = ask(control_of(arguments), "matches", {"limit": limit})
    except Unanswered as why:
        return fail(str(why))
    if arguments.json:
        print(json.dumps(answer, indent=2))
    elif answer["matches"]:
        now = time.time()
        heading = ["time", "flow", "application", "actions", "targets"]
        if "local_device" in answer["matches"][0]:
            heading.insert(1, "device")
        print_table([heading, *(_row(match, now) for match in answer["matches"])])
    else:
        print("no flow has matched yet; nfa status shows whether flows arrive")
    return 0
