"""`nfa status`: ask the running daemon over its control socket."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from ..daemon.base.findings import in_words
from .ask import Unanswered, add_control_argument, ask, control_of
from .common import fail, paint, plural, print_table, shown

_EPILOG = """\
examples:
  nfa status
  nfa status --health      one line for monitoring
  nfa status --json | jq '.targets[] | {elements, errors}'

exit codes: 0 done, 1 no daemon answers, 2 wrong usage
with --health: 0 ok, 1 warning, 2 critical, 3 no daemon answers (the convention of Nagios)"""

_HEALTH = {"ok": 0, "warning": 1, "critical": 2}
_UNKNOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Show the state of the running daemon: its source, policy, flows, actions and targets."
    parser.epilog = _EPILOG
    add_control_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--health", action="store_true", help="print one line for monitoring; see the exit codes")


def _ago(moment: Any, now: float) -> str:
    """Say how long ago an epoch second was."""
    if not moment:
        return "never"
    seconds = max(0, int(now - moment))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _print(status: dict[str, Any], now: float) -> None:
    source, policy, flows = status["source"], status["policy"], status["flows"]
    state = paint("connected", "good") if source["connected"] else paint("not connected", "error")
    why = f" ({shown(source['last_error'])})" if not source["connected"] and source["last_error"] else ""
    agent = f", netifyd {shown(source['agent_version'])}" if source["agent_version"] else ""
    print(f"nfa {status['version']}, uptime {status['uptime']} s, {status['memory']['rss_kb'] / 1024:.1f} MB")
    print(f"source   {shown(source['uri'])}: {state}{why}{agent}")
    bad = {kind: count for kind, count in source["bad"].items() if count}
    worse = paint(f", bad: {', '.join(f'{count} {kind}' for kind, count in bad.items())}", "warning") if bad else ""
    print(f"         {source['records']} records, {source['bytes']} bytes, {source['reconnects']} reconnects{worse}")
    _print_policy(policy)
    words = f"{flows['evaluated']} evaluated, {flows['matched']} matched, {flows['exempt']} exempt, {flows['live']} live"
    many = f", {flows['dropped']} evicted: more than max_flows {flows['max']}" if flows["dropped"] else ""
    if policy["local_time"]:
        print(f"zone     {shown(policy['zone'])}, where it is {policy['local_time']}")
    print(f"flows    {words}{paint(many, 'warning') if many else ''}")
    _print_networks(status["networks"])
    for found in status["findings"]:
        words = in_words(found)
        print(f"         {paint(shown(words), 'warning') if found['severity'] != 'info' else shown(words)}")
    if status["actions"]:
        rows = [["action", "matches", "last match", "state"]]
        for name, action in status["actions"].items():
            state = "on" if action["active"] else "off: " + action["reason"]
            if action["active"] and action["in_hours"] is False:
                state = "outside its hours"
            if action["active"] and action["hours"]:
                state += f" until {action['until']}" * bool(action["until"]) + f" ({action['hours']})"
            if action["active"] and not any(status["targets"].get(target, {}).get("active") for target in action["targets"]):
                state = "on, but none of its targets work"
            if action["active"] and action["budget"]:
                spent = plural(action["budget_spent"], "device")
                state += f", budget {shown(action['budget'])} {'spent for ' + spent if action['budget_spent'] else 'not spent'}"
            if action["last_good"]:
                state += ", in its last good version"
            if action["active"] and action["paused_until"]:
                state = f"paused until {_clock(action['paused_until'])}"
            rows.append([shown(name), str(action["matches"]), _ago(action["last_match"], now), state])
        print_table(rows, right=range(1, len(rows[0]) - 1))
    if status["targets"]:
        counted = any(target["traffic"] for target in status["targets"].values())
        packets = ["packets", "bytes"] if counted else []
        rows = [["target", "type", "elements", *packets, "added", "refreshed", "skipped", "errors", "last error"]]
        for name, target in status["targets"].items():
            counts = [str(target[key]) for key in ("elements", "added", "refreshed", "skipped", "errors")]
            counts[1:1] = [str((target["traffic"] or {}).get(key, "")) for key in packets]
            state = target["reason"]
            if target["active"] and target["kind"] in ("unix", "tcp"):
                state = plural(target["readers"], "reader") if target["readers"] else "no reader"
            if target["last_error"]:
                over = f" ({_ago(target['last_error_at'], now)}{', over' if target['over'] else ''})"
                state = target["last_error"] + over
            if target["last_good"]:
                state = ", ".join(filter(None, (state, "in its last good version")))
            if target["active"] and target["paused_until"]:
                state = f"paused until {_clock(target['paused_until'])}"
            if target["trouble"]:
                state = "now: " + target["trouble"]
            rows.append([shown(name), target["type"], *counts, shown(state)])
        print_table(rows, right=range(1, len(rows[0]) - 1))
    _print_notices(status["notices"], now)


def _print_notices(notices: dict[str, Any], now: float) -> None:
    """Print what became of notices."""
    if not notices["notices"]:
        return
    rows = [["notice", "to", "sent", "left out", "lost", "last error"]]
    for name, notice in notices["notices"].items():
        state = ""
        if notice["last_error"]:
            state = f"{notice['last_error']} ({_ago(notice['last_error_at'], now)}{'' if notice['trouble'] else ', over'})"
        if notice["trouble"]:
            state = "now: " + notice["trouble"]
        counts = [str(notice[key]) for key in ("sent", "left_out", "lost")]
        rows.append([shown(name), shown(", ".join(notice["to"])), *counts, shown(state)])
    print_table(rows, right=(2, 3, 4))
    if notices["learning"]:
        print(f"what is there is learnt for {plural(-(-notices['learning'] // 60), 'more minute')}, without a word")


def _print_networks(networks: dict[str, Any]) -> None:
    """Print which interfaces records came from, and how often netifyd's view of a flow was not the router's."""
    rows = []
    for name, seen in networks["interfaces"].items():
        twice = f", {seen['duplicates']} duplicates" if seen["duplicates"] else ""
        rows.append(f"{shown(name)} ({seen['side'] or 'side unknown'}) {seen['records']}{twice}")
    if rows:
        print(f"records  from {'; '.join(rows)}")
    if networks["turned"] or networks["retyped"]:
        count = networks["turned"] + networks["retyped"]
        print(f"         {count} with the local end or the type that the router's networks say, not netifyd")


def _print_policy(policy: dict[str, Any]) -> None:
    """Print which policy is active, or that the last configuration could not be used."""
    words = f"{policy['errors']} errors, {policy['warnings']} warnings"
    words = paint(words, "error") if policy["errors"] else words
    if policy["failed_at"]:
        since = f"the policy of {_clock(policy['loaded_at'])} stays active"
        held = since if policy["generation"] else "no policy is active"
        failed = f"the configuration of {_clock(policy['failed_at'])} cannot be used; {held}; see: nfa check"
        print(f"policy   {paint(failed, 'error')}")
        for report in policy["reports"][:1]:
            print(f"         {shown(in_words(report).partition(chr(10))[0])}")
    else:
        print(f"policy   generation {policy['generation']}, {words}; {shown(', '.join(policy['files']))}")
    for kept in policy["last_good"]:
        print(f"         {paint(shown(kept['kind'] + ' ' + kept['name']), 'warning')} is in its last good version")
    for number, watched in enumerate(watched for watched in policy["watched"] if watched["time"] is not None):
        print(f"{'' if number else 'files':<9}{shown(watched['file'])} ({_clock(watched['time'])})")


def _clock(moment: int) -> str:
    """Return an epoch second as wall clock time, with the date unless it is today."""
    then = time.localtime(moment)
    today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)


def _health(status: dict[str, Any]) -> str:
    """One line: the state, the worst problem and how many more there are, and numbers after a bar, as Nagios takes them."""
    health, flows = status["health"], status["flows"]
    problems = [item for item in health["problems"] if item["severity"] != "info"]
    if problems:
        more = len(problems) - 1 + health["left_out"]
        words = problems[0]["text"] + (f"; {plural(more, 'more problem')}" if more else "")
    else:
        active = sum(target["active"] for target in status["targets"].values())
        state = "connected" if status["source"]["connected"] else "connecting"
        words = f"{state} to {status['source']['uri']}, {plural(active, 'target')} in use"
    elements = sum(target["elements"] for target in status["targets"].values())
    numbers = (
        f"flows={flows['live']} elements={elements} records={status['source']['records']}c rss={status['memory']['rss_kb']}KB"
    )
    # A bar ends the words, for Nagios.
    return f"{health['state'].upper()} - {shown(words).replace('|', '/')} | {numbers}"


def run(arguments: argparse.Namespace) -> int:
    try:
        status = ask(control_of(arguments), "status")
    except Unanswered as why:
        if not arguments.health:
            return fail(str(why))
        unknown = {"state": "unknown", "problems": [], "left_out": 0, "error": str(why)}
        print(json.dumps(unknown) if arguments.json else f"UNKNOWN - {shown(why).replace('|', '/')}")
        return _UNKNOWN
    if arguments.health:
        print(json.dumps(status["health"]) if arguments.json else _health(status))
        return _HEALTH[status["health"]["state"]]
    if arguments.json:
        print(json.dumps(status, indent=2))
    else:
        _print(status, time.time())
    return 0
