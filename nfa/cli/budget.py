"""`nfa budget`: what devices have left of the budgets of the running daemon; and to give one more, until the period ends."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from ..compiler.config.amounts import bytes_of, seconds_of
from .ask import Unanswered, add_control_argument, ask, control_of
from .common import fail, nearest, paint, print_table, shown
from .usage import size

_EPILOG = """\
examples:
  nfa budget                                        all budgets, device by device
  nfa budget hour_of_games --device tablet
  nfa budget hour_of_games --device tablet --add 30m      half an hour more, until the period ends
  nfa budget volume --add 500MB                           of a budget that all devices share
  nfa budget --json | jq '.budgets[] | select(.spent) | .device'

exit codes: 0 done, 1 no daemon answers, or there is no such budget or device, 2 wrong usage"""


def _more(text: str) -> dict[str, int]:
    """Return what --add gives. Raises ArgumentTypeError."""
    word = "".join(text.lower().split())
    seconds, number = seconds_of(word), bytes_of(word)
    if not (seconds or number):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected whole minutes such as 30m or 1h30m, at most 7d, or bytes such as 500MB; above 0"
        )
    return {"seconds": seconds} if seconds else {"bytes": number or 0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show what devices have used of budgets, what is left, and until when; or give a device more for the present period."
    )
    parser.epilog = _EPILOG
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="only this budget")
    parser.add_argument("--device", metavar="D", default="", help="only this device: name, host name, MAC address or address")
    parser.add_argument("--add", metavar="AMOUNT", type=_more, help="give it more: 30m, 1h30m, 500MB, 2GB")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_control_argument(parser)


def duration(seconds: int) -> str:
    """Return a number of seconds as 45 min or 1 h 30 min."""
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours and minutes else f"{hours} h" if hours else f"{minutes} min"


def _amounts(row: dict[str, Any], kind: str) -> str:
    """Return used or left, of what the budget limits."""
    words = []
    if row["amount_seconds"] is not None:
        words.append(duration(row[f"{kind}_seconds"]))
    if row["amount_bytes"] is not None:
        words.append(size(row[f"{kind}_bytes"]))
    return ", ".join(words)


def _left(row: dict[str, Any]) -> str:
    if row["amount_seconds"] is None and row["amount_bytes"] is None:
        return "unlimited"
    given = [duration(row["bonus_seconds"])] * bool(row["bonus_seconds"]) + [size(row["bonus_bytes"])] * bool(
        row["bonus_bytes"]
    )
    words = "spent" if row["spent"] else _amounts(row, "left")
    return words + (f" (with {', '.join(given)} more)" if given else "") + (", exempt now" if row["exempt"] else "")


def _used(row: dict[str, Any]) -> str:
    unlimited = row["amount_seconds"] is None and row["amount_bytes"] is None
    return f"{duration(row['used_seconds'])}, {size(row['used_bytes'])}" if unlimited else _amounts(row, "used")


def _print(rows: list[dict[str, Any]]) -> None:
    table = [["budget", "device", "used", "left", "until"]]
    name = ""
    for row in rows:
        first = shown(row["budget"]) if row["budget"] != name else ""
        name = row["budget"]
        until = time.strftime("%a %H:%M", time.localtime(row["until"]))
        table.append([first, shown(row["device"]) if not row["shared"] else "(all devices)", _used(row), _left(row), until])
    print_table(table, cut=(0, 1))
    for words in dict.fromkeys(f"{row['budget']}: {row['words']}" for row in rows):
        print(paint(shown(words), "dim"))


def run(arguments: argparse.Namespace) -> int:
    control = control_of(arguments)
    given: dict[str, object] = {key: getattr(arguments, key) for key in ("name", "device") if getattr(arguments, key)}
    try:
        if arguments.add:
            names = [arguments.name]
            rows = [ask(control, "add_budget", {**given, **arguments.add})]
        else:
            rows, more, names = [], True, []
            while more:
                page = ask(control, "budget", {**given, "offset": len(rows)})
                rows += page["budgets"]
                more, names = page["more"] and page["budgets"], page["names"]
    except Unanswered as why:
        return fail(nearest(str(why), arguments.device if "device" in str(why) else arguments.name))
    if arguments.json:
        print(json.dumps(rows[0] if arguments.add else {"budgets": rows}, indent=2))
    elif rows:
        _print(rows)
    elif not names:
        print("no action that is applied has a budget")
    else:
        print(f"no device has used anything of {', '.join(map(shown, [arguments.name] if arguments.name else names))}")
    return 0
