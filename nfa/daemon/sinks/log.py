"""Sink `log`: events in files, one file for each interval in which there were any.

A file appears whole, named by the local time at the end of its interval, or, with `overwrite`, in the place of the one before.
"""

import time

from .channel import Channel
from .waiting import Waiting

MYPY = False
if MYPY:
    from typing import Any

    from .channel import Counters, Hub

MAX_PENDING = 4 << 20
"""Bytes of events kept for one file; more are dropped, so that a flood costs bounded memory."""


class Sink(Channel):
    """Files in a folder."""

    stream = True

    def __init__(self, data: "dict[str, Any]", hub: "Hub") -> None:
        super().__init__(data, hub)
        self._pending = Waiting(MAX_PENDING)

    def waiting(self) -> int:
        return len(self._pending)

    def held(self) -> int:
        return self._pending.held()

    def drop(self, size: int) -> int:
        return self._pending.drop(size)

    def put(self, event: bytes, counters: "Counters") -> None:
        if self._pending.size + len(event) > min(MAX_PENDING, self.options["max_bytes"] or MAX_PENDING):
            counters.skipped += 1
            return
        self._pending.add(event, counters)

    def flush(self, moment: float) -> None:
        if self._pending and not self.deadline:
            self.deadline = moment + self.options["interval"]

    def timeout(self, moment: float) -> None:
        """Write the file."""
        self.deadline = 0.0
        if not self._pending:
            return
        events = [self._pending.take() for _ in range(len(self._pending))]
        data = b"".join([event for event, _ in events])
        options = self.options
        suffix = ".msgpack" if self.data["format"] == "msgpack" else ".json"
        if self.data["compressor"] == "gz":
            data = self.hub.packing.gzip(data)
            suffix += ".gz"
        end = None if options["overwrite"] else time.time()
        bounds = options["max_files"], options["max_bytes"]
        problem = self.hub.write(options["path"], options["prefix"], suffix, data, end, *bounds)
        if problem:
            self.failed("cannot write to " + options["path"] + ": " + problem, "the events are lost")
        else:
            self.works()
        for _, counters in events:
            if problem:
                counters.skipped += 1
            else:
                counters.added += 1

    def hasten(self) -> None:
        self.timeout(0.0)

    def close(self, last: bool) -> None:
        self.timeout(0.0)
