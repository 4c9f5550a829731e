"""What tests of usage share: an engine that counts under a clock that the test sets, and a second, simple count of records.

In: records as decoded JSON. Out: `Lab`, whose `totals()` are what nfa counted, and `Reading`, which adds up the same records
without anything of nfa's: by dictionaries, flow by flow.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable
from typing import Any

import samples

from nfa.daemon.base.dispatcher import Dispatcher
from nfa.daemon.engine.engine import Engine
from nfa.daemon.usage.periods import unpack
from nfa.daemon.usage.usage import Usage

Record = dict[str, Any]
Totals = dict[tuple[str, str], list[int]]
"""(device, application) to down, up, connections."""


class NoPolicy:
    """Decides nothing: no action matches."""

    keeps = marks = False
    reprocess = None
    twice = 0
    plan = counted = None
    exempt = concerned = False
    budgets = ()

    def __init__(self) -> None:
        self.verdicts = {0: self}

    def mask(self, record: Record, flow: Record) -> int:
        return 0


class Lab:
    """An engine whose records are counted; `wall` and `moment` are what its clocks show."""

    def __init__(self, wall: float, file: str, zone: list[tuple[int, int]] | None = None) -> None:
        self.wall, self.moment = wall, 1000.0
        self.said: list[tuple[str, str]] = []
        self.zone = zone or [(0, 0)]
        self.file = file
        self.engine = Engine(lambda held, now: None, lambda held, now, withdraw: None)
        self.engine.policy = NoPolicy()  # type: ignore[assignment]  # as much as the engine asks
        self.begin()

    def begin(self) -> None:
        """Begin to count, with what the file has."""
        self.dispatcher = Dispatcher(None, lambda: self.moment)  # type: ignore[arg-type]  # nobody listens
        self.dispatcher.moment = self.moment
        say = lambda level, text: self.said.append((level, text))  # noqa: E731 (one line says it)
        self.usage = Usage(self.dispatcher, self.engine, lambda: None, say, "/nowhere", lambda: self.wall)
        self.usage.follow(self.zone, set(), self.file)

    def restart(self) -> None:
        """End in order, and begin again."""
        self.usage.close()
        self.begin()

    def take(self, *records: Record) -> None:
        self.engine.take([samples.payload(record) for record in records], int(self.moment))

    def forward(self, seconds: float, step: float = 60.0) -> None:
        """Let time pass."""
        end = self.moment + seconds
        while self.moment < end:
            passed = min(step, end - self.moment)
            self.moment += passed
            self.wall += passed
            self.run()

    def run(self) -> None:
        """Call what is due."""
        self.dispatcher.moment = self.moment
        for timer in list(self.dispatcher._timers):
            if timer.time <= self.moment:
                timer.time = float("inf")
                timer.callback()

    def totals(self, days: bool = True) -> Totals:
        """What was counted in all days, or in all hours."""
        found: Totals = {}
        made = self.usage.snapshot()
        for packed in (made.days if days else made.hours).values():
            for key, row in unpack(packed).items():
                if key >> 16 == 0xFFFF:
                    continue
                pair = self.usage.devices.name(key >> 16), self.usage.apps.name(key & 0xFFFF)
                total = found.setdefault(pair, [0, 0, 0])
                for column, value in enumerate((row[0], row[1], row[3])):
                    total[column] += value
        return {pair: total for pair, total in found.items() if any(total)}


class Reading:
    """Counts records as one would by hand."""

    def __init__(self) -> None:
        self.totals: Totals = collections.defaultdict(lambda: [0, 0, 0])
        self.flows: dict[str, tuple[str, str]] = {}
        self.early: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
        self.unknown = 0

    def take(self, records: Iterable[Record]) -> Reading:
        for record in records:
            flow = record.get("flow", {})
            digest = flow.get("digest")
            if record["type"] == "flow":
                name = flow["detected_application_name"]
                mac = flow["local_mac"]
                device = flow["local_ip"] if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00" else mac
                pair = device, name if name != "Unknown" else flow["detected_protocol_name"]
                before = self.flows.get(digest)
                if before is not None:
                    self.totals[before][2] -= 1
                self.totals[pair][2] += 1
                self.flows[digest] = pair
                up, down = self.early.pop(digest, (0, 0))
                self.totals[pair][0] += down
                self.totals[pair][1] += up
            elif record["type"] in ("flow_stats", "flow_purge"):
                up, down = flow["local_bytes"], flow["other_bytes"]
                if digest in self.flows:
                    self.totals[self.flows[digest]][0] += down
                    self.totals[self.flows[digest]][1] += up
                else:
                    self.early[digest][0] += up
                    self.early[digest][1] += down
                if record["type"] == "flow_purge":
                    self.flows.pop(digest, None)
                    self.unknown += sum(self.early.pop(digest, (0, 0)))
        return self

    def found(self) -> Totals:
        return {pair: total for pair, total in self.totals.items() if any(total)}


def decoded(payloads: Iterable[bytes]) -> list[Record]:
    return [json.loads(payload) for payload in payloads]
