"""Pauses: what is paused does nothing, and takes back what it has done; a pause survives a reload, and ends by itself.

In: names of actions and targets (or ALL) with a number of seconds, by `nfa pause` and ubus. Out: calls of `changed` whenever
the names that are paused are others than before.
"""

import time

from .base.dispatcher import NEVER
from .engine.policy import ALL

MYPY = False
if MYPY:
    from collections.abc import Callable

    from .base.dispatcher import Dispatcher

MAX_SECONDS = 7 * 86400
"""The longest pause: whoever wants something off for longer switches it off."""
MAX_PAUSES = 256


class Pauses:
    """What is paused now, by name."""

    def __init__(self, dispatcher: "Dispatcher", changed: "Callable[[str], object]") -> None:
        """`changed(words)`: something is paused, or no longer is; `words` for the log say what."""
        self._until: dict[str, tuple[float, int]] = {}
        """Name to when its pause ends: by the loop's clock, and in epoch seconds."""
        self._changed = changed
        self._timer = dispatcher.at(NEVER, self._end_some)

    def names(self) -> set[str]:
        """Return the names that are paused."""
        return set(self._until)

    def until(self, name: str) -> int | None:
        """Return when the pause of a name, or that of everything, ends, epoch seconds; None when it is not paused."""
        found = [self._until[one][1] for one in (name, ALL) if one in self._until]
        return max(found) if found else None

    def listed(self) -> "list[dict[str, object]]":
        """Return what is paused, for status: the first to end comes first."""
        return [{"name": name, "until": wall} for name, (_, wall) in sorted(self._until.items(), key=lambda item: item[1])]

    def pause(self, name: str, seconds: int) -> int:
        """Pause a name for some seconds from now on. Returns when that ends, epoch seconds. Raises ValueError."""
        if not 0 < seconds <= MAX_SECONDS:
            raise ValueError("a pause lasts from 1 second to " + str(MAX_SECONDS // 86400) + " days")
        if name not in self._until and len(self._until) >= MAX_PAUSES:
            raise ValueError("too much is paused already")
        wall = int(time.time()) + seconds
        self._until[name] = time.monotonic() + seconds, wall
        self._set_timer()
        self._changed(_quoted(name) + " paused for " + str(seconds) + " seconds")
        return wall

    def resume(self, name: str) -> list[str]:
        """End the pause of a name, or for ALL all of them. Returns the names that were paused."""
        ended = sorted(self._until) if name == ALL else [one for one in (name,) if one in self._until]
        self._end(ended)
        return ended

    def _end_some(self) -> None:
        """The time of a pause is over."""
        now = time.monotonic()
        self._end([name for name, (end, _) in self._until.items() if end <= now])

    def _end(self, names: list[str]) -> None:
        for name in names:
            del self._until[name]
        self._set_timer()
        if names:
            self._changed(", ".join(map(_quoted, names)) + " resumed")

    def _set_timer(self) -> None:
        self._timer.move(min([end for end, _ in self._until.values()]) if self._until else NEVER)


def _quoted(name: str) -> str:
    return "everything" if name == ALL else "'" + name + "'"
