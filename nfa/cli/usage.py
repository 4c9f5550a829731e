"""`nfa usage`: what devices and applications used, as the running daemon counted it; and to have it forgotten."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from typing import Any

from .ask import Unanswered, add_control_argument, ask, control_of
from .common import fail, nearest, paint, print_table, shown, wrong

_EPILOG = """\
examples:
  nfa usage                              today, by device and application
  nfa usage --since 7d --device tablet   the last seven days of one device, today among them
  nfa usage --since yesterday --app youtube
  nfa usage --since 12h --by hour        in all, hour by hour
  nfa usage --since "2026-11-30 14:00" --csv > usage.csv
  nfa usage --json | jq '.devices[] | {device, down: ([.applications[].down] | add)}'
  nfa usage --forget tablet              forget what was counted of the tablet, also in the file
  nfa usage --forget                     forget everything

exit codes: 0 done, 1 no daemon answers, usage is off or there is no such device, 2 wrong usage"""
COLUMNS = ("application", "category", "down", "up", "minutes", "connections", "blocked_packets")
EVERYTHING = "(everything)"
"""In place of the device of --forget, where none is named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show what devices and applications have used of the network: bytes down and up, minutes in which they were active,\n"
        "connections, and packets of blocked flows. Hours are kept for 48 hours, days for 31 days; the most used applications\n"
        "are kept, the rest is 'other'. A span that begins or ends within a day that has no hours any more is that whole day."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "--device", metavar="D", default="", help="only this device: its name, title, host name, MAC address or address"
    )
    parser.add_argument("--app", metavar="A", default="", help="only this application or protocol")
    parser.add_argument(
        "--since", metavar="WHEN", default="today", help="today (default), yesterday, 12h, 7d, 2026-11-30, '2026-11-30 14:00'"
    )
    parser.add_argument("--until", metavar="WHEN", default="", help="the same; default: now, or with yesterday its end")
    parser.add_argument(
        "--by", choices=("hour", "day", "action"), default="", help="show all together by hour or day, or by action"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--csv", action="store_true", help="print comma-separated values")
    form.add_argument(
        "--forget", nargs="?", const=EVERYTHING, metavar="DEVICE", help="forget what was counted, of a device or of all"
    )
    add_control_argument(parser)


def size(number: int) -> str:
    """Return a number of bytes in at most 8 characters: 812 B, 4.1 MB, 120 GB."""
    if number < 1000:
        return f"{number} B"
    value, units = number / 1000, ["kB", "MB", "GB", "TB", "PB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}" if value < 99.95 else f"{value:.0f} {units[0]}"


def cell(value: object) -> object:
    """Return a value for a CSV file: a text that a spreadsheet would take for a formula gets a quote in front."""
    if not isinstance(value, str):
        return value
    text = shown(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _moment(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(second))


def _gather(control: str, given: dict[str, object], key: str) -> dict[str, Any]:
    """Return the answer with the items of all its pages. Raises Unanswered."""
    whole = ask(control, "usage", given)
    page = whole
    while page["more"] and page[key]:
        page = ask(control, "usage", {**given, "offset": len(whole[key])})
        whole[key] += page[key]
    return whole


def _used(device: dict[str, Any]) -> int:
    return sum(app["down"] + app["up"] for app in device["applications"])


def _print_devices(answer: dict[str, Any]) -> None:
    rows = [["device", "application", "down", "up", "minutes", "conns"]]
    total = [0, 0, 0]
    for device in sorted(answer["devices"], key=_used, reverse=True):
        name = shown(device["device"])
        for app in device["applications"]:
            numbers = [str(app["minutes"]), str(app["connections"])]
            rows.append([name, shown(app["application"]), size(app["down"]), size(app["up"]), *numbers])
            name = ""
            for column, field in enumerate(("down", "up", "connections")):
                total[column] += app[field]
    if len(rows) == 1:
        print(f"nothing was counted from {_moment(answer['since'])} to {_moment(answer['until'])}")
        return
    rows.append(["in all", "", size(total[0]), size(total[1]), "", str(total[2])])
    print(paint(f"{_moment(answer['since'])} to {_moment(answer['until'])}", "bold"))
    print_table(rows, right=(2, 3, 4, 5), cut=(0, 1))


def _print_rows(answer: dict[str, Any], key: str) -> None:
    if not answer[key]:
        print(f"nothing was counted from {_moment(answer['since'])} to {_moment(answer['until'])}")
        return
    rows = [["from" if key == "periods" else "action", "down", "up", "minutes", "connections", "blocked packets"]]
    for item in answer[key]:
        name = _moment(item["since"]) if key == "periods" else shown(item["action"])
        counts = [str(item[field]) for field in COLUMNS[4:]]
        rows.append([name, size(item["down"]), size(item["up"]), *counts])
    print_table(rows, right=(1, 2, 3, 4, 5), cut=(0,) if key == "actions" else ())


def _print_csv(answer: dict[str, Any], key: str) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if key == "devices":
        writer.writerow(["device", "mac", *COLUMNS])
        for device in answer["devices"]:
            for app in device["applications"]:
                writer.writerow([cell(device["device"]), device["mac"], *(cell(app[field]) for field in COLUMNS)])
        return
    first = ("since", "until") if key == "periods" else ("action",)
    writer.writerow([*first, *COLUMNS[2:]])
    for item in answer[key]:
        writer.writerow([cell(item[field]) for field in (*first, *COLUMNS[2:])])


def run(arguments: argparse.Namespace) -> int:
    control = control_of(arguments)
    if arguments.forget is not None:
        chosen = [name for name in ("device", "app", "until", "by") if getattr(arguments, name)]
        chosen += ["since"] if arguments.since != "today" else []
        if chosen:
            return wrong(f"--forget takes a device or nothing, not --{chosen[0]}: nothing is forgotten. Write: --forget DEVICE")
        if arguments.forget is not EVERYTHING and not arguments.forget.strip():
            return wrong("--forget: expected a device, found an empty text: nothing is forgotten. For all write: --forget")
        return _forget(control, arguments.forget)
    given: dict[str, object] = {
        name: getattr(arguments, name) for name in ("since", "until", "device", "app", "by") if getattr(arguments, name)
    }
    key = {"hour": "periods", "day": "periods", "action": "actions"}.get(arguments.by, "devices")
    try:
        answer = _gather(control, given, key)
    except Unanswered as why:
        return fail(nearest(str(why), arguments.device or arguments.app))
    if arguments.json:
        print(json.dumps({name: answer[name] for name in ("since", "until", key)}, indent=2))
    elif arguments.csv:
        _print_csv(answer, key)
    elif key == "devices":
        _print_devices(answer)
    else:
        _print_rows(answer, key)
    return 0


def _forget(control: str, device: str) -> int:
    try:
        answer = ask(control, "forget_usage", {} if device is EVERYTHING else {"device": device}, timeout=30.0)
    except Unanswered as why:
        return fail(nearest(str(why), device))
    if not answer["written"]:
        return fail(f"forgotten, but {answer['error']}")
    print(f"forgotten, also in {shown(answer['file'])}")
    return 0
