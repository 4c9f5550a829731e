"""What commands share that read a recording: its flow records, and which networks were the router's.

The compiler must not take this along: it needs what the daemon decides with.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from ..compiler.base.report import printable
from ..daemon.engine.networks import Networks
from ..daemon.stream.records import FLOW_TYPES, BadRecord, classify
from .common import fail
from .recording import records


def flow_of(record: object) -> dict[str, Any] | None:
    """Return a record when it is a flow that can be read, else None."""
    try:
        kind, value = classify(record)
    except BadRecord:
        return None
    return value if kind == "flow" else None


def add_networks_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which networks of a recording were the router's."""
    parser.add_argument(
        "--networks", type=_networks, metavar="CIDR,...",
        help="the networks on the router's side when this was recorded: a flow's local end is the one in them, as the "
        "daemon has it; default: as netifyd recorded it",
    )  # fmt: skip


def _networks(text: str) -> Networks:
    made = Networks()
    try:
        made.name(part for part in text.split(",") if part.strip())
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
    if not made.known:
        raise argparse.ArgumentTypeError("expected networks with commas between them, such as 192.168.1.0/24,fd00:1::/64")
    return made


class Recording:
    """The flow records of a recording that a command reads; reports progress and damage to the user."""

    def __init__(self, file: str, networks: Networks | None = None) -> None:
        """`networks`: by which the flows are oriented; None: they stay as netifyd recorded them."""
        self.file = file
        self._networks = networks
        self.count = 0
        self.damage: list[str] = []
        self.unusable = 0

    def flows(self) -> Iterator[dict[str, Any]]:
        """Yield every flow record. Says on a terminal that it waits for input, and how far it is."""
        if self.file == "-" and sys.stdin.isatty():
            print("reading flow records from the terminal; name a FILE, or pipe one in (Ctrl-D ends)", file=sys.stderr)
        begun = told = time.monotonic()
        quiet = not sys.stderr.isatty() or sys.stdout.isatty()
        for record in records(self.file, self.damage.append):
            self.count += 1
            flow = flow_of(record)
            if flow is not None:
                if self._networks is not None:
                    self._networks.orient(flow, flow["flow"], 1)
                yield flow
            elif str(record.get("type")) in FLOW_TYPES:
                self.unusable += 1
            if not quiet and time.monotonic() - told > 0.5:
                told = time.monotonic()
                print(f"\r{self.count} records, {self.count / (told - begun):.0f} a second ", end="", file=sys.stderr)
        if not quiet:
            print("\r", end="", file=sys.stderr)

    def usable(self) -> bool:
        """Tell of damage; return False when there was no record at all."""
        for text in self.damage[:3]:
            print(f"{self.file}: {printable(text)}", file=sys.stderr)
        if len(self.damage) > 3:
            print(f"{self.file}: {len(self.damage) - 3} more places could not be read", file=sys.stderr)
        if self.unusable:
            print(f"{self.file}: {self.unusable} flow records lack required fields", file=sys.stderr)
        if not self.count:
            fail(f"{self.file} contains no records; expected netifyd's length headers, or one JSON object a line")
        return self.count > 0
