"""`nfa explain`: for recorded flows, what a policy makes of them, and why."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..compiler.compile import compile_policy
from ..compiler.explain import Explainer, Verdict
from ..compiler.schedules import wall_time
from .common import (
    add_config_arguments,
    fail,
    paint,
    paths_of,
    print_reports,
    shown,
    sources_of,
    title,
)
from .recorded import Recording, add_networks_argument

_COLOURS = {"matched": "good", "exempt": "warning", "outside hours": "warning"}

_EPILOG = """\
examples:
  nfa explain recording.bin.gz | less                    use the configuration of this router
  nfa explain --no-uci -c policy.json recording.bin.gz | less
  nfa explain -c policy.json --matched flows.jsonl       only flows that some action matches
  nfa explain --at 'sat 21:30' --matched flows.jsonl     at this time, for actions with a time_of_day
  ssh router socat -u UNIX-CONNECT:/var/run/netifyd/netifyd.sock - | nfa explain -c policy.json
  nfa explain -c policy.json --json flows.jsonl | jq -c '[.digest, .actions, .targets]'

With --json each flow record gives one line: digest, actions (that matched), targets (that get something), and
exempt, steps (every action: outcome and why), effects (what each target gets), skipped (targets that get nothing).
exit codes: 0 done, 1 the configuration or the recording cannot be used, 2 wrong usage"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show for each flow record which actions match and why, which are exempt, halted or off, and what the targets\n"
        "would get: now, or at the time given with --at. Nothing is changed, and no daemon is needed."
    )
    parser.epilog = _EPILOG
    add_config_arguments(parser)
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="a recording, or - (default: standard input)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument(
        "--at", type=_moment, metavar="TIME", help="HH:MM, 'DAY HH:MM' or 'YYYY-MM-DD HH:MM' in the policy's zone; default now"
    )
    add_networks_argument(parser)
    parser.add_argument("--matched", action="store_true", help="leave out flows that no action matches")


def _moment(text: str) -> str:
    try:
        wall_time(text, 0)
        return text
    except ValueError:
        words = f"'{shown(text)}': expected a time such as '21:30', 'sat 21:30' or '2026-11-21 21:30'"
        raise argparse.ArgumentTypeError(words) from None


def _print(record: dict[str, Any], verdict: Verdict) -> None:
    print(paint(title(record), "bold"))
    print(f"  digest {shown(verdict.digest)}")
    if verdict.exempt:
        print(f"  {paint('exempt', 'warning')} from every action: {shown('; '.join(verdict.exempt))}")
    for step in verdict.steps:
        outcome = paint(f"{step.outcome:<15}", _COLOURS.get(step.outcome, "dim"))
        print(f"  {outcome} {shown(step.action)}: {shown('; '.join(step.why))}")
    for name, effects in verdict.effects.items():
        for effect in effects:
            print(f"  {paint('->', 'good')} {shown(name)}: {shown(effect)}")
    for name, why in verdict.skipped.items():
        print(f"  -- {shown(name)}: nothing, {shown(why)}")
    print()


def run(arguments: argparse.Namespace) -> int:
    """Explain every flow record of a recording."""
    compiled, reports = compile_policy(sources_of(arguments), paths_of(arguments), look=False)
    print_reports(reports)
    if compiled is None:
        return 1
    at = wall_time(arguments.at, compiled.schedules.now()[0]) if arguments.at else None
    explainer = Explainer(compiled, arguments.networks)
    recording = Recording(arguments.file)
    seen = matched = 0
    try:
        for record in recording.flows():
            try:
                verdict = explainer.explain(record, at)
            except (TypeError, AttributeError, ValueError, KeyError, OSError):
                recording.unusable += 1
                continue
            seen += 1
            matched += bool(verdict.matched)
            if verdict.matched or not arguments.matched:
                if arguments.json:
                    print(json.dumps(verdict.as_dict()))
                else:
                    _print(record, verdict)
    except BrokenPipeError:
        raise
    except OSError as failure:
        return fail(f"cannot read {arguments.file}: {failure.strerror}")
    print(f"{matched} of {seen} flow records match", file=sys.stderr)
    return 0 if recording.usable() else 1
