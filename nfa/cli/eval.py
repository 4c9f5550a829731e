"""`nfa eval`: try an expression on recorded flows before it goes into a policy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from ..compiler.base.report import Reports, excerpt, line_at
from ..compiler.catalogue import category_rows
from ..compiler.compile import named_devices, names_of_agent
from ..compiler.config.devices import device_rows, numbered
from ..compiler.config.groups import load_groups
from ..compiler.config.members import members_of
from ..compiler.expression.generate import Generator
from ..compiler.expression.tree import Node, any_of
from ..compiler.expression.understand import Context, understand
from ..daemon.base.findings import begun
from ..daemon.devices.configured import Devices
from ..daemon.engine.policy import namespace
from ..daemon.engine.rx import finder
from ..daemon.engine.view import View
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
from .recorded import Recording, add_networks_argument, flow_of

_EPILOG = """\
examples:
  nfa eval "app == 'youtube' || category == 'games';" recording.bin.gz
  ssh router socat -u UNIX-CONNECT:/var/run/netifyd/netifyd.sock - | nfa eval "!app;"
  nfa eval --networks 192.168.1.0/24,fd00:1::/64 "other_type == other_remote;" recording.bin.gz
  nfa eval "port == 443;" flows.jsonl --json | jq .flow.host_server_name
  nfa eval --expressions expr.jsonl --flows flows.jsonl --bits

exit codes: 0 some flow matched (--bits: done), 1 none did or a file cannot be read, 2 wrong usage or expression"""

Predicate = Callable[[dict[str, Any]], bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print the flow records that match an expression."
    parser.epilog = _EPILOG
    parser.add_argument("expression", nargs="?", metavar="EXPR", help="the expression")
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="a recording, or - (default: standard input)")
    parser.add_argument("--json", action="store_true", help="print whole records, one a line")
    add_networks_argument(parser)
    parser.add_argument("--expressions", metavar="FILE", help='with --bits: a file of lines {"expr": "..."}')
    parser.add_argument("--flows", metavar="FILE", help="with --bits: a file of records, one a line")
    parser.add_argument(
        "--bits", action="store_true", help="print one character a record for each expression (0, 1), or E when it is invalid"
    )
    add_config_arguments(parser)


def predicate(nodes: list[Node], view: View) -> Predicate:
    """Compile trees to a function of a record, by the same generator that the daemon's policy comes from.

    `view`: how the record is read.
    """
    node = any_of(nodes)
    if node is None:
        return lambda record: False
    generator = Generator()
    result = generator.expression(node)
    source = "\n".join(["def match(r, f):", *(f"    {line}" for line in generator.lines), f"    return {result}"])
    names: dict[str, Any] = namespace(view, generator.constants, [finder(pattern) for pattern in generator.patterns])
    exec(compile(source, "<expression>", "exec"), names)
    match = names["match"]

    def matches(record: dict[str, Any]) -> bool:
        try:
            return bool(match(record, record["flow"]))
        except (TypeError, AttributeError, ValueError, KeyError, OSError):
            return False

    return matches


def _context(arguments: argparse.Namespace, texts: list[str]) -> tuple[Context, View]:
    """Return what expressions may name, and how records are read. `texts`: the expressions, or where they are."""
    paths = paths_of(arguments)
    reports = Reports()
    found = load_groups(paths, reports)
    groups = {name: members_of(group) for name, group in found.items()}
    named = named_devices(sources_of(arguments), paths, texts) or ({}, {})
    devices = numbered(*named, {name: group.place for name, group in found.items()}, reports)
    print_reports(reports)
    known = names_of_agent(paths)
    context = Context(known, groups, devices.meaning, devices.every)
    return context, View(*category_rows(known), Devices(device_rows(devices.devices)))


def _bits(arguments: argparse.Namespace) -> int:
    if not arguments.expressions or not arguments.flows:
        print("nfa eval: --bits needs --expressions FILE and --flows FILE", file=sys.stderr)
        return 2
    context, view = _context(arguments, ["@"])
    flows = []
    with open(arguments.flows, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                try:
                    flow = flow_of(json.loads(line))
                except ValueError:
                    flow = None
                if flow is not None and arguments.networks is not None:
                    arguments.networks.orient(flow, flow["flow"], 1)
                flows.append(flow)
    with open(arguments.expressions, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                text = json.loads(line)["expr"]
            except (ValueError, KeyError, TypeError):
                return fail(f'{arguments.expressions}:{number}: expected {{"expr": "..."}}')
            nodes, errors = understand(text, context)
            result = "E"
            if not errors:
                match = predicate(nodes, view)
                result = "".join("1" if flow is not None and match(flow) else "0" for flow in flows)
            print(json.dumps({"expr": text, "result": result}))
    return 0


def run(arguments: argparse.Namespace) -> int:
    try:
        if arguments.bits:
            return _bits(arguments)
        if arguments.expression is None:
            print("nfa eval: an expression is missing; try: nfa eval --help", file=sys.stderr)
            return 2
        return _filter(arguments)
    except BrokenPipeError:
        raise
    except OSError as failure:
        return fail(f"cannot read {failure.filename or arguments.file}: {failure.strerror}")


def _filter(arguments: argparse.Namespace) -> int:
    text = arguments.expression
    context, view = _context(arguments, [text])
    context.warn = lambda code, message, offset, hint: _tell(text, "warning", message, offset, hint)
    nodes, errors = understand(text, context)
    for error in errors:
        _tell(text, "error", error.message, error.offset, error.hint)
    if errors or not nodes:
        if not errors:
            print("nfa eval: the expression is empty", file=sys.stderr)
        return 2
    match = predicate(nodes, view)
    seen = matched = 0
    recording = Recording(arguments.file, arguments.networks)
    for record in recording.flows():
        seen += 1
        if match(record):
            matched += 1
            print(json.dumps(record, separators=(",", ":")) if arguments.json else title(record))
    print(f"{matched} of {seen} flow records match", file=sys.stderr)
    return 0 if matched and recording.usable() else 1


def _tell(text: str, severity: str, message: str, offset: int, hint: str) -> None:
    line, column = line_at(text, offset)
    words = f"{message}{'. ' + begun(hint) if hint else ''}"
    print(f"expression:{column}: {paint(severity + ':', severity, sys.stderr)} {shown(words)}", file=sys.stderr)
    print(excerpt(line, column), file=sys.stderr)
