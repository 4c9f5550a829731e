"""What several commands share: options for the configuration, reports on a terminal, colours."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection
from typing import Any, TextIO

from ..compiler.base.paths import Paths
from ..compiler.base.report import Reports, printable
from ..compiler.config.sources import UCI_FOLDER, Sources

_COLOURS = {"error": "31", "warning": "33", "info": "36", "good": "32", "dim": "2", "bold": "1"}


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add -c, -u, --no-uci and --state-dir."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        action="append",
        dest="files",
        help="a JSON configuration, or a folder of them; may be given more than once, a later file wins "
        "(default: json_config of UCI, else netify-proc-flow-actions.json in netifyd's folder)",
    )
    uci = parser.add_mutually_exclusive_group()
    uci.add_argument(
        "-u",
        "--uci",
        metavar="DIR",
        help=f"the folder of UCI's netify-proc-flow-actions, which comes before JSON (default: {UCI_FOLDER}, if it is there)",
    )
    uci.add_argument("--no-uci", action="store_true", help="read JSON only")
    parser.add_argument(
        "--state-dir",
        metavar="DIR",
        help="netifyd's folder, ${path_state_persistent} in a configuration (default: as in /etc/netifyd.conf, "
        "else /etc/netifyd or /etc/netify.d, whichever is not empty)",
    )


def paths_of(arguments: argparse.Namespace) -> Paths:
    """Return netifyd's folders: from the option --state-dir, else where netifyd's configuration says."""
    override = {"path_state_persistent": os.path.abspath(arguments.state_dir)} if arguments.state_dir else None
    return Paths.read(override=override)


def sources_of(arguments: argparse.Namespace) -> Sources:
    """Return what the options say about where the configuration is."""
    named = arguments.uci is not None
    uci = None if arguments.no_uci else os.path.abspath(arguments.uci) if named else UCI_FOLDER
    return Sources(uci, named, tuple(arguments.files or ()))


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


_SHORTEST = 12
"""Characters that a name in a table has at least."""


def print_table(rows: list[list[str]], right: Collection[int] = (), cut: Collection[int] = ()) -> None:
    """Print rows in columns, those of the numbers `right` aligned to the right; the first row is the heading.

    `cut`: columns of names, of which the longest are cut until the table fits the terminal, or 80 columns.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    room = os.get_terminal_size(1).columns if cut and os.isatty(1) else 80
    while cut and sum(widths) + 2 * len(widths) > room:
        widest = max(cut, key=lambda column: widths[column])
        if widths[widest] <= _SHORTEST:
            break
        widths[widest] -= 1
    for column in cut:
        width = widths[column]
        for row in rows:
            row[column] = row[column] if len(row[column]) <= width else row[column][: width - 1] + "…"
    for number, row in enumerate(rows):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        print("  " + (paint(line, "dim") if number == 0 else line))


def ends(flow: dict[str, Any]) -> str:
    """Return the two ends of a flow for a person."""
    return f"{flow['local_ip']}:{flow.get('local_port', 0)} > {flow['other_ip']}:{flow.get('other_port', 0)}"


def title(record: dict[str, Any]) -> str:
    """Return a flow record on one line for a person: the two ends, and what is known of it."""
    flow = record["flow"]
    words = [
        ends(flow),
        flow.get("detected_protocol_name", ""),
        flow.get("detected_application_name", ""),
        flow.get("host_server_name", ""),
    ]
    return "  ".join(shown(word) for word in words if word and word != "Unknown")


def fail(message: str) -> int:
    """Say on standard error why a command did not work. Returns exit code 1."""
    print(f"nfa: {printable(message)}", file=sys.stderr)
    return 1


def wrong(message: str) -> int:
    """Say on standard error that a command was used wrongly. Returns exit code 2."""
    fail(message)
    return 2


def plural(number: int, noun: str) -> str:
    """Return a number of things in words: `1 error`, `2 errors`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def shown(text: object) -> str:
    """Return a string of a record as it may be printed: on one line, without control characters."""
    return printable(str(text))


def nearest(message: str, name: str) -> str:
    """Return a refusal of the daemon with the nearest name among those that it lists."""
    import difflib  # only a slip needs it

    known = {one.lower(): one for one in message.partition("; known: ")[2].split(", ") if one}
    close = difflib.get_close_matches(name.lower(), known, 1)
    return f"{message}; did you mean '{known[close[0]]}'?" if close else message
