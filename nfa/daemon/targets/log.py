"""Target `log`: matching flows as entries of JSON files, one file for each interval in which something happened.

In: flow records, the time, and a function that writes a file whole. Out: files named PREFIX-YYYYMMDD-HHMMSS.json (local
time), with the body that Netify's plugin writes: {"entries": [...], "time_end", "time_start"}, epoch seconds.
"""

import json
import time

from .counters import Counters

MYPY = False
if MYPY:
    from .types import Data, Record, Say, Tell, Write

MAX_ENTRIES = 10000
"""Entries kept for one interval; more are counted as skipped, so that a flood costs bounded memory."""


class Log:
    """One log target. `write(folder, name, data, temporary name)` returns "" or what went wrong."""

    def __init__(self, options: "Data", counters: Counters, write: "Write | None", say: "Say", tell: "Tell") -> None:
        self.options = options
        self.counters = counters
        self._write = write
        self._say = say
        self._tell = tell
        self._entries: list[Data] = []
        self._start = 0
        self.due = 0
        """Second (of the loop's clock) at which the interval ends; 0 while nothing happened."""
        self._failing = False

    def __len__(self) -> int:
        return len(self._entries)

    def effect(self, flow: "Record", now: int, clock: float) -> None:
        """Note one matching flow. `now` is the loop's clock, `clock` the time of day (epoch seconds)."""
        if not self._entries:
            self._start = int(clock)
            self.due = now + self.options["interval"]
        elif len(self._entries) >= MAX_ENTRIES:
            self.counters.skipped += 1
            return
        number = flow.get("detected_application", 0)
        name = flow.get("detected_application_name", "Unknown")
        self._entries.append(
            {
                "app_id": str(number) + "." + name,
                "dst_addr": flow["other_ip"],
                "dst_port": flow.get("other_port", 0),
                "proto_id": str(flow["detected_protocol"]),
                "src_addr": flow["local_ip"],
            }
        )
        self.counters.added += 1

    def write_file(self, clock: float) -> None:
        """End the interval: write the file if there is something to write."""
        self.due = 0
        if not self._entries:
            return
        entries, self._entries = self._entries, []
        end = int(clock)
        body = json.dumps({"entries": entries, "time_end": end, "time_start": min(self._start, end)})
        stamp = "%04d%02d%02d-%02d%02d%02d" % time.localtime(end)[:6]  # noqa: UP031 (a tuple; MicroPython has no strftime)
        name = self.options["prefix"] + "-" + stamp + self.options["suffix"]
        # One temporary name for each target: what a killed daemon leaves is replaced by the next file.
        temporary = "." + self.options["prefix"] + self.options["suffix"] + ".tmp"
        assert self._write is not None  # a daemon that cannot write files has no log targets
        problem = self._write(self.options["path"], name, body.encode(), temporary)
        if problem:
            self.counters.errors += len(entries)
            self.counters.last_error = self.options["path"] + ": " + problem
            self.counters.error_time = end
        if problem and not self._failing:
            self._say("error", "target '" + self.counters.name + "': cannot write to " + self.options["path"] + ": " + problem)
        if bool(problem) != self._failing:
            self._failing = bool(problem)
            self._tell(self.counters.name, self.options["path"], problem)
