"""Watches the files that the policy was made from: when one has changed, the configuration is compiled again.

In: from an image, paths with the stamps of before they were read; folders among them, and files that would be read if they were
there. Out: `changed(path)`, once what changed has settled: an editor, or an update of signatures, writes for a while. A look
costs one stat a file, so the compiler bounds their number.
"""

import time

from ..image import cpython as image
from .base.dispatcher import Dispatcher

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable
    from typing import Any

EVERY = 0.9
"""Seconds between two looks."""
NANOSECONDS = 10**9


class Watched:
    """The files of the active policy."""

    def __init__(self, dispatcher: Dispatcher, changed: "Callable[[str], object]") -> None:
        self._changed = changed
        self._files: list[list[Any]] = []
        """[path, stamp when it was read, stamp at the last look]."""
        self.files: list[dict[str, object]] = []
        """For the status: `file`, and `time` of its last modification, epoch seconds; None: it is not there."""
        self._timer = dispatcher.at(time.monotonic() + EVERY, self.look)

    def use(self, files: "Iterable[tuple[str, image.Stamp]]") -> None:
        """Watch these, as they were when they were read."""
        self._files = [[path, stamp, stamp] for path, stamp in files]
        self.files = [{"file": path, "time": stamp and stamp[2] // NANOSECONDS} for path, stamp, _ in self._files]

    def forget(self) -> None:
        """Watch nothing: what changes before the compiler reads is in what it reads."""
        self._files = []

    def look(self) -> None:
        """Say when a file is not as it was read, and none has changed since the last look."""
        self._timer.move(time.monotonic() + EVERY)
        changed = ""
        settled = True
        for watched in self._files:
            path, read, last = watched
            watched[2] = stamp = image.stamp(path)
            settled = settled and stamp == last
            changed = changed or (path if stamp != read else "")
        if changed and settled:
            self._changed(changed)
