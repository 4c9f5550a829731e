"""Target `log`: matching flows as entries of JSON files, one file for each interval in which flows began to match.

In: flow records, statistics of flows, the time, and a function that writes a file whole. Out: files named
PREFIX-YYYYMMDD-HHMMSS.json (local time), with the body that Netify's plugin writes: {"entries": [...], "time_end",
"time_start"}, epoch seconds. A flow has one entry: later records and statistics complete it, until its file is written.
"""

from ..base import json
from ..stream.records import digest_key, earlier_keys, total_bytes
from .counters import Counters

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from .types import Data, Record, Say, Tell, Write

MAX_ENTRIES = 10000
"""Entries kept for one interval; more are counted as skipped, so that a flood costs bounded memory."""
MAX_HOST = 253
"""Characters of a host name in an entry: strangers choose them, and a valid one has no more."""
FIELDS = (
    "app_id", "bytes", "device", "dst_addr", "dst_port", "host", "mac", "proto_id", "src_addr", "time",
)  # fmt: skip
"""What an entry has; the five of Netify's plugin are the same there."""
_BYTES = 1
_TIME = 9


class Log:
    """One log target. `write`: as `base.dated.write_dated`. `device_of(flow)` returns the name of the local device, or ""."""

    def __init__(
        self,
        options: "Data",
        counters: Counters,
        write: "Write | None",
        say: "Say",
        tell: "Tell",
        device_of: "Callable[[Record], str] | None" = None,
    ) -> None:
        self.options = options
        self.counters = counters
        self._write = write
        self._say = say
        self._tell = tell
        self._device_of = device_of
        self._entries: list[list[Any]] = []
        """The values of FIELDS, of each flow that began to match in this interval."""
        self._open: dict[int, list[Any]] = {}
        """Digest key to the entry, of those flows that live still."""
        self._start = 0
        self.due = 0
        """Second (of the loop's clock) at which the interval ends; 0 while nothing happened."""
        self._failing = False

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, flow: "Record", known: bool, now: int, clock: float) -> bool:
        """Note one matching flow, or what a later record says of it. `known`: it has had an entry, which may be written
        already. `now` is the loop's clock, `clock` the time of day (epoch seconds). Returns False where there is no room."""
        digest = digest_key(flow["digest"])
        before = self._open.get(digest) or self._renamed(flow)
        if before is not None:
            before[:] = self._entry(flow, before[_TIME], before[_BYTES])
            self._open[digest] = before
            return True
        if known:
            return True
        entry = self._entry(flow, int(clock), None)
        if not self._entries:
            self._start = int(clock)
            self.due = now + self.options["interval"]
        elif len(self._entries) >= MAX_ENTRIES:
            self.counters.skipped += 1
            return False
        self._entries.append(entry)
        self._open[digest] = entry
        self.counters.added += 1
        return True

    def count(self, digest: int, payload: bytes, ended: bool) -> None:
        """Statistics of a flow, or its purge: its entry, if it has one that is not written yet, gets the bytes."""
        entry = self._open.get(digest)
        if entry is not None:
            size = total_bytes(payload)
            if size is not None:
                entry[_BYTES] = size
            if ended:
                del self._open[digest]  # the digest may come back with another flow

    def _renamed(self, flow: "Record") -> "list[Any] | None":
        """Return the entry of a flow that had another digest before (netifyd 5, when it is reclassified), and forget it."""
        for earlier in earlier_keys(flow) if "digest_prev" in flow else ():
            entry = self._open.pop(earlier, None)
            if entry is not None:
                return entry
        return None

    def _entry(self, flow: "Record", clock: int, size: int | None) -> "list[Any]":
        """Return the values of FIELDS."""
        name = flow.get("detected_application_name", "Unknown")
        host = flow.get("host_server_name") or flow.get("dns_host_name") or ""
        mac = flow.get("local_mac")
        mac = mac[:17] if isinstance(mac, str) else ""
        return [
            str(flow.get("detected_application", 0)) + "." + name,
            size,
            (self._device_of(flow) if self._device_of is not None else "") or mac,
            flow["other_ip"],
            flow.get("other_port", 0),
            host[:MAX_HOST] if isinstance(host, str) else "",
            mac,
            str(flow["detected_protocol"]),
            flow["local_ip"],
            clock,
        ]

    def write_file(self, clock: float) -> None:
        """End the interval: write the file if there is something to write."""
        self.due = 0
        if not self._entries:
            return
        entries, self._entries, self._open = self._entries, [], {}
        end = int(clock)
        options = self.options
        body = self._body(entries, end)
        count = len(entries)
        while options["max_bytes"] and len(body) > options["max_bytes"] and count:
            # One file is no larger than all may be.
            count = min(count - 1, count * options["max_bytes"] // len(body))
            body = self._body(entries[:count], end)
        self.counters.skipped += len(entries) - count
        if not count:
            return
        assert self._write is not None  # a daemon that cannot write files has no log targets
        problem = self._write(
            options["path"], options["prefix"] + "-", options["suffix"], body.encode(), end,
            options["max_files"], options["max_bytes"],
        )  # fmt: skip
        if problem:
            self.counters.errors += count
            self.counters.last_error = options["path"] + ": " + problem
            self.counters.error_time = end
        if problem and not self._failing:
            self._say("error", "target '" + self.counters.name + "': cannot write to " + options["path"] + ": " + problem)
        if bool(problem) != self._failing:
            self._failing = bool(problem)
            self._tell(self.counters.name, options["path"], problem)

    def _body(self, entries: "list[list[Any]]", end: int) -> str:
        """Return a file's text: ASCII, so its length is its size in bytes."""
        named = [dict(zip(FIELDS, entry)) for entry in entries]
        return json.dumps({"entries": named, "time_end": end, "time_start": min(self._start, end)})
