"""What all channels of sinks have in common: who uses them, and how their troubles are told.

A channel takes events as bytes (`ubus`: as tables) from sink targets and brings them to its readers, without ever waiting
for one. What waits is bounded, and what does not fit is dropped and counted with the target that it came from.
"""

from ..base.dispatcher import NEVER, Timer

MYPY = False
if MYPY:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, Protocol

    from ..base.dispatcher import Dispatcher

    class Counters(Protocol):
        """What is counted of a target (see `targets.sets.slot`)."""

        name: str
        kind: str
        added: int
        errors: int
        skipped: int
        last_error: str
        error_time: int

    class Bus(Protocol):
        """The daemon's connection to ubus (see `bus.ubus`)."""

        state: str

        def event(self, name: str, data: dict[str, Any]) -> bool: ...

    class Hub(Protocol):
        """What channels have around them (see `hub`)."""

        dispatcher: Dispatcher
        ubus: Bus | None
        write: Callable[..., str]
        packing: ModuleType
        say: Callable[[str, str], object]
        tell: Callable[[str, str, str], object]
        moment: float
        second: int

        def watch(self, descriptor: int, owner: "Channel", event: int) -> None: ...
        def unwatch(self, descriptor: int) -> None: ...
        def resolve(self, channel: "Channel", host: str, done: Callable[[list[str], str], object]) -> None: ...


MAX_WAITING = 8 << 20
"""Bytes of events that wait in all channels together; then the channel in which most wait drops some."""
OVERHEAD = 100
"""Bytes of memory that an event takes besides its own."""
MAX_QUEUED = 2 << 20
"""Bytes that wait for a server that does not take them; then the oldest events are dropped."""
QUIET = 300.0
"""Seconds after a failure in which no other one is told: a server may fail every other second."""
REOPEN = 30.0
"""Seconds until it is opened again after a fault."""
_FAULT = "a fault in nfa"


def earliest(*moments: float) -> float:
    """Return the first of some deadlines; 0.0, which is none, when there is none."""
    found = [moment for moment in moments if moment]
    return min(found) if found else 0.0


class Channel:
    """A channel of the policy image: `data` has the names `sink` and `channel`, the `kind` of the sink, its `options`, and
    `format`, `compressor` and `header` of what comes through it."""

    stream = False
    """Events follow each other without an end of their own, so each has its line or its header."""
    alone = False
    """Each event is a message, compressed by itself where the channel is."""
    tables = False
    """Events are taken as tables, not as bytes."""

    def __init__(self, data: "dict[str, Any]", hub: "Hub") -> None:
        self.data = data
        self.options: dict[str, Any] = data["options"]
        self.hub = hub
        self.name = "sink '" + data["sink"] + "', channel '" + data["channel"] + "'"
        self.users: list[Counters] = []
        """The counters of the targets that send through it."""
        self._timer: Timer | None = None
        self.opened = False
        """`open` was called, and came to its end."""
        self.trouble = ""
        """Why it does not work now; "" while it does."""
        self._told = ""
        """The trouble that was told last; "" when it was told that it works."""
        self._quiet_until = 0.0
        self._untold = 0
        """Failures since then that were not told."""

    @property
    def deadline(self) -> float:
        """When `timeout` is called, monotonic seconds; 0.0: never."""
        return 0.0 if self._timer is None or self._timer.time == NEVER else self._timer.time

    @deadline.setter
    def deadline(self, moment: float) -> None:
        if moment:
            if self._timer is None:
                self._timer = self.hub.dispatcher.at(NEVER, self._on_deadline)
            if self._timer.time != moment:
                self._timer.move(moment)
        elif self._timer is not None:
            self.hub.dispatcher.cancel(self._timer)
            self._timer = None

    def _on_deadline(self) -> None:
        if not self.opened:
            self.open(self.hub.dispatcher.moment)
            self.opened = True
        else:
            self.timeout(self.hub.dispatcher.moment)

    # What a kind of sink says for itself:

    def open(self, moment: float) -> None:
        """Begin to work. `moment`: monotonic seconds."""

    def put(self, event: "Any", counters: "Counters") -> None:
        """Take one event of the target with these counters."""
        raise NotImplementedError

    def flush(self, moment: float) -> None:
        """The end of a turn of the loop."""

    def ready(self, descriptor: int, event: int, moment: float) -> None:
        """One of the descriptors that were given to `hub.watch` is ready, for what poll said."""

    def timeout(self, moment: float) -> None:
        """The deadline has come."""

    def hasten(self) -> None:
        """What waits for company goes out with the next `flush`."""

    def close(self, last: bool) -> None:
        """Leave; what can go out without waiting goes out. `last`: the daemon ends."""

    @property
    def heard(self) -> bool:
        """Whether events reach anybody: if not, they need not even be made."""
        return True

    def readers(self) -> int:
        """Return how many are connected."""
        return 0

    def waiting(self) -> int:
        """Return how many events wait."""
        return 0

    def held(self) -> int:
        """Return the bytes that events which wait take."""
        return 0

    def drop(self, size: int) -> int:
        """Drop events that wait: so many bytes, or a little more. They count as skipped. Returns how many bytes they took."""
        return 0

    # Troubles:

    def retry(self, moment: float) -> None:
        """It could not even be opened, by a fault of nfa: try again later."""
        self.deadline = moment + REOPEN
        self.failed(_FAULT, "trying again")

    def broken(self, descriptor: int) -> None:
        """What comes from this descriptor (-1: what goes out) leads to a fault, again and again."""
        self.failed(_FAULT, "trying again")

    def failed(self, why: str, consequence: str) -> None:
        """Note a failure with all targets, and tell of it: once until something works or fails in another way, and not
        more often than every QUIET seconds."""
        for counters in self.users:
            counters.errors += 1
            counters.last_error = why
            counters.error_time = self.hub.second
        changed = self.trouble != why
        self.trouble = why
        if self._told == why:
            return
        if self.hub.moment < self._quiet_until:
            self._untold += changed
            return
        before = "; " + str(self._untold) + " earlier failures were not reported" if self._untold else ""
        self._told = why
        self._quiet_until = self.hub.moment + QUIET
        self._untold = 0
        self.hub.say("error", self.name + ": " + why + "; " + consequence + before)
        for counters in self.users:
            self.hub.tell(counters.name, self.data["channel"], why)

    def works(self) -> None:
        """Something went well."""
        self.trouble = ""
        if self._told:
            self._told = ""
            self.hub.say("notice", self.name + ": works again")
            for counters in self.users:
                self.hub.tell(counters.name, self.data["channel"], "")
