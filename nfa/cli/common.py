"""What several commands share: options for the configuration, reports on a terminal, colours."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TextIO

from ..config.paths import Paths
from ..config.report import Reports, printable

DEFAULT_CONTROL = "/var/run/nfa/control.sock"
DEFAULT_SOURCE = "unix:///var/run/netifyd/netifyd.sock"
_COLOURS = {"error": "31", "warning": "33", "info": "36", "good": "32", "dim": "2", "bold": "1"}


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add -c and --state-dir."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        action="append",
        dest="files",
        help="a JSON configuration; may be given more than once, a later file wins "
        "(default: netify-proc-flow-actions.json in netifyd's folder)",
    )
    parser.add_argument(
        "--state-dir",
        metavar="DIR",
        help="netifyd's folder, ${path_state_persistent} in a configuration (default: from /etc/netifyd.conf, "
        "else /etc/netifyd or /etc/netify.d)",
    )


def config_of(arguments: argparse.Namespace) -> tuple[list[str], Paths]:
    """Return the configuration files and netifyd's folders that the options name."""
    override = {"path_state_persistent": os.path.abspath(arguments.state_dir)} if arguments.state_dir else None
    paths = Paths.read(override=override)
    files = arguments.files or [os.path.join(paths.state_persistent, "netify-proc-flow-actions.json")]
    return files, paths


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Colour a text where a terminal reads it; NO_COLOR is respected."""
    stream = stream or sys.stdout
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def print_reports(reports: Reports, stream: TextIO | None = None) -> None:
    """Print every finding, with its severity in colour on a terminal."""
    stream = stream or sys.stderr
    for report in reports.items:
        text = report.text()
        word = f"{report.severity}:"
        print(text.replace(word, paint(word, report.severity, stream), 1), file=stream)


def fail(message: str) -> int:
    """Say on standard error why a command did not work. Returns exit code 1."""
    print(f"nfa: {printable(message)}", file=sys.stderr)
    return 1


def shown(text: object) -> str:
    """Return a string of a record as it may be printed: on one line, without control characters."""
    return printable(str(text))
