"""`nfa pause` and `nfa resume`: let an action or target do nothing for a while."""

from __future__ import annotations

import argparse
import re
import time

from .ask import Unanswered, add_control_argument, ask, control_of
from .common import fail, shown

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d{1,6})(s|min|m|h|d)")
_EPILOG = """\
examples:
  nfa pause no_youtube 30m
  nfa pause all 1h30m
  nfa resume no_youtube
  nfa resume all

What is paused does nothing, and what it has done is taken back: blocked connections go on, marks are cleared. A pause
survives a reload and ends by itself; it does not survive the end of the daemon.

exit codes: 0 done, 1 no daemon answers, or there is no such action or target, 2 wrong usage"""


def duration(text: str) -> int:
    """Return the seconds of a duration as 90s, 30m, 1h30m or 1d. Raises ArgumentTypeError."""
    word = text.strip().lower()
    if not re.fullmatch(f"({_PART.pattern})+", word):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write a number with its unit, as 90s, 30m, 1h30m or 1d")
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(word))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    resuming = parser.prog.endswith(" resume")
    parser.description = (
        "End a pause: the action or target applies again, also to connections that began meanwhile."
        if resuming
        else "Pause an action, a target, or everything, for a while."
    )
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help="an action, a target, or all")
    if not resuming:
        parser.add_argument("seconds", metavar="DURATION", type=duration, help="how long: 90s, 30m, 1h30m, 1d")
    add_control_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    seconds: int | None = getattr(arguments, "seconds", None)
    method, given = ("resume", {}) if seconds is None else ("pause", {"seconds": seconds})
    try:
        answer = ask(control_of(arguments), method, {"name": arguments.name, **given})
    except Unanswered as why:
        return fail(str(why))
    if seconds is not None:
        until = time.strftime("%a %H:%M:%S", time.localtime(answer["until"]))
        print(f"{shown(arguments.name)}: paused until {until}")
    elif answer["resumed"]:
        print(f"{', '.join(map(shown, answer['resumed']))}: resumed")
    else:
        print(f"{shown(arguments.name)}: was not paused")
    return 0
