"""`nfa status`: ask the running daemon over its control socket."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from ..bus.control import call
from .common import DEFAULT_CONTROL, fail, paint, shown

_EPILOG = """\
examples:
  nfa status
  nfa status --json | jq '.targets[] | {elements, errors}'

exit codes: 0 done, 1 no daemon answers, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Show what the running daemon does: its source, policy, flows, actions and targets."
    parser.epilog = _EPILOG
    parser.add_argument("--control", metavar="PATH", default=DEFAULT_CONTROL, help="control socket (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _ago(moment: Any, now: float) -> str:
    """Say how long ago an epoch second was."""
    if not moment:
        return "never"
    seconds = max(0, int(now - moment))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _table(rows: list[list[str]]) -> None:
    """Print rows in columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(
            cell.ljust(width) if column in (0, len(row) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        print("  " + (paint(line, "dim") if number == 0 else line))


def _print(status: dict[str, Any], now: float) -> None:
    source, policy, flows = status["source"], status["policy"], status["flows"]
    state = paint("connected", "good") if source["connected"] else paint("not connected", "error")
    why = f" ({shown(source['last_error'])})" if not source["connected"] and source["last_error"] else ""
    agent = f", netifyd {shown(source['agent_version'])}" if source["agent_version"] else ""
    print(f"nfa {status['version']}, up {status['uptime']} s, {status['memory_kb'] / 1024:.1f} MB")
    print(f"source   {source['uri']}: {state}{why}{agent}")
    bad = {kind: count for kind, count in source["bad"].items() if count}
    worse = paint(f", bad: {', '.join(f'{count} {kind}' for kind, count in bad.items())}", "warning") if bad else ""
    print(f"         {source['records']} records, {source['bytes']} bytes, {source['reconnects']} reconnects{worse}")
    words = f"{policy['errors']} errors, {policy['warnings']} warnings"
    words = paint(words, "error") if policy["errors"] else words
    print(f"policy   generation {policy['generation']}, {words}; {', '.join(policy['files'])}")
    print(
        f"flows    {flows['evaluated']} evaluated, {flows['matched']} matched, {flows['exempt']} exempt, {flows['live']} live"
    )
    if status["actions"]:
        rows = [["action", "matches", "last match", "state"]]
        for name, action in status["actions"].items():
            state = "on" if action["active"] else "off: " + action["reason"]
            rows.append([shown(name), str(action["matches"]), _ago(action["last_match"], now), state])
        _table(rows)
    if status["targets"]:
        rows = [["target", "type", "elements", "added", "refreshed", "errors", "last error"]]
        for name, target in status["targets"].items():
            counts = [str(target[key]) for key in ("elements", "added", "refreshed", "errors")]
            state = "" if target["active"] else "disabled" if not target["enabled"] else "not available"
            if target["last_error"]:
                now_wrong = target["type"] == "log" or any(found["trouble"] for found in target["sets"])
                over = "" if now_wrong else f" ({_ago(target['last_error_at'], now)}, over)"
                state = target["last_error"] + over
            rows.append([shown(name), target["type"], *counts, shown(state)])
        _table(rows)


def run(arguments: argparse.Namespace) -> int:
    try:
        status = call(arguments.control, "status", {})
    except (FileNotFoundError, ConnectionRefusedError):
        return fail(f"no daemon answers on {arguments.control}: is it running? (nfa run; on OpenWrt: service nfa start)")
    except PermissionError:
        return fail(f"only root may ask the daemon: {arguments.control} cannot be opened (sudo nfa status)")
    except OSError as failure:
        return fail(f"{arguments.control}: {failure.strerror or failure}")
    except (ValueError, KeyError, TypeError):
        return fail(f"what answers on {arguments.control} is not nfa; its control socket is named with --control")
    if arguments.json:
        print(json.dumps(status, indent=2))
    else:
        _print(status, time.time())
    return 0
