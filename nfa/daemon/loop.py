"""The loop that everything happens in, as CPython and MicroPython have it in common (see `nfa.daemon.base.portable`).

In: a client, an engine, and what carries out its effects. Out: records to the engine, effects to the kernel, messages about
netifyd's connection, the clock on the wall, and faults. `daemon` and `micropython.daemon` add what only they have.
"""

import select
import time

from .base.messages import say
from .base.portable import monotonic
from .bus.control import Control
from .engine.engine import Engine
from .stream.client import Client
from .targets.registry import Registry
from .targets.sets.healing import Healing

AGAIN_SECONDS = 0.02
"""How long a turn of the loop may be for the sake of records, flows that are matched again, or elements that are put back."""


def mishap(what: str, failure: Exception) -> str:
    """Say that there is a fault in the daemon itself, which the stream must not suffer from. Returns the words."""
    words = what + " failed: " + type(failure).__name__ + ": " + str(failure)[:200] + "; please report this fault of nfa"
    say("error", words)
    return words


class Loop:
    """Turns until `running` is false."""

    def __init__(self, client: Client, engine: Engine, registry: Registry, healing: Healing, control: Control) -> None:
        self.started = monotonic()
        self.poll = select.poll()
        self.client = client
        self.engine = engine
        self.registry = registry
        self.healing = healing
        self.control = control
        self.running = True
        self._moment = 0.0
        """When the present turn began."""
        self._edges_at = 0
        """The second of the clock on the wall that was last looked at."""
        self._again: object = None
        """The flows that are being matched again."""
        self._payloads: list[bytes] = []
        """What the last turn had no time for: of one read of the socket at the most."""
        self._polled = -1
        self._watched: tuple = ("waiting", 0, 0)
        self._told = ""
        self._taken_at = 0.0
        self._faults: set = set()
        """Faults of this minute, each told once."""
        self._longest = [0.0, 0.0]
        """The longest turn of the loop in this minute and in the one before, seconds."""

    # -- what others add --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """What comes before the wait of each turn."""

    def ready(self, descriptor: int, event: int, moment: float) -> None:
        """A descriptor that is not netifyd's is ready."""
        raise NotImplementedError

    def turn(self, moment: float, now: int) -> None:
        """What else happens in each turn, after the effects of its records."""

    def tell_connected(self) -> None:
        """Tell others than the log that netifyd is there."""

    def tell_lost(self, why: str) -> None:
        """Tell others than the log that netifyd is not there."""

    # -- the loop ---------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the loop's clock in whole seconds, never 0."""
        return int(monotonic()) + 1

    def loop(self) -> None:
        tick = 0
        while self.running:
            self.begin()
            events = self.poll.poll(self.patience())
            moment = self._moment = monotonic()
            now = int(moment) + 1
            waited = bool(self._payloads)
            if waited:
                self.take(self._payloads, now)
            for descriptor, event in events:
                if descriptor == self._polled:
                    if waited:
                        continue  # what came before comes first
                    self.read(moment, now)
                    self.watch_client()  # before its descriptor, if it was closed, is given to somebody else
                else:
                    self.ready(descriptor, event, moment)
            if self.client.deadline and moment >= self.client.deadline:
                self.client.timeout(moment)
            self.watch_client()
            self.guard("an effect", self.registry.flush, now)
            self.watch_clock()
            if self.engine.busy or self.healing.busy:
                self.guard("the end of flows", self.engine.go_on, now, self.soon)
                self.guard("healing", self.healing.go_on, now, self.soon)
            if self._again is not None:
                self.guard("hours", self.match_again)
            self.turn(moment, now)
            if now != tick:
                tick = now
                self.tick(now, moment)
            self._longest[0] = max(self._longest[0], monotonic() - moment)

    def read(self, moment: float, now: int) -> None:
        """Work on what netifyd has sent."""
        self._taken_at = time.time()
        self.take(self.client.ready(moment), now)

    def take(self, payloads: list[bytes], now: int) -> None:
        """Work on records, as many as a turn of the loop has time for."""
        self._payloads = []  # what comes to a fault does not come again
        self._payloads = self.engine.take_some(payloads, now, self.soon)

    def soon(self) -> bool:
        """Return whether the turn of the loop has been long enough."""
        return monotonic() - self._moment > AGAIN_SECONDS

    def tick(self, now: int, moment: float) -> None:
        """What has to happen each second."""
        self.engine.tick(now)
        self.guard("a target", self.registry.tick, now)
        self.guard("healing", self.healing.tick, moment)
        self.control.tick()
        if now % 60 == 0:
            self._faults.clear()
            self._longest = [0.0, self._longest[0]]

    def guard(self, what: str, function, *arguments) -> None:
        """Let a part of the loop work. A fault in it must not end the daemon."""
        try:
            function(*arguments)
        except Exception as failure:
            self.fault(what, failure)

    def fault(self, what: str, failure: Exception) -> None:
        """Say, once a minute, that there is a fault in a part of the loop."""
        words = type(failure).__name__ + ": " + str(failure)
        if words not in self._faults:
            self._faults.add(words)
            mishap(what, failure)

    def busy(self) -> bool:
        """Return whether there is work left for the next turn."""
        engine = self.engine.busy or self._payloads or self._again is not None
        return bool(engine or self.healing.busy or self.registry.connections.busy)

    def wait(self, moment: float) -> float:
        """Return the seconds to the next second, or to the next deadline."""
        wait = min(1.0 - moment % 1.0, self.healing.deadline - moment)
        if self.engine.policy is not None and self.engine.policy.windows:
            wait = min(wait, 1.0 - time.time() % 1.0)
        if self.client.deadline:
            wait = min(wait, self.client.deadline - moment)
        return wait

    def patience(self) -> int:
        """Return how long the loop may sleep, in milliseconds."""
        return 0 if self.busy() else max(0, int(self.wait(monotonic()) * 1000) + 1)

    # -- hours ------------------------------------------------------------------------------------------------------

    def watch_clock(self) -> None:
        """See whether actions begin or end now, as soon as the clock on the wall says so."""
        policy = self.engine.policy
        if policy is None or not policy.windows:
            return
        clock = int(time.time())
        if clock == self._edges_at:
            return
        self._edges_at = clock
        schedules = policy.keep_hours(clock)
        if schedules:
            running = str(len(self.engine.kept)) + " running flows are matched again"
            say("notice", "by the clock: " + policy.turn_words(schedules, clock) + "; " + running)
            self.begin_again()

    def begin_again(self) -> None:
        """Match the flows that run again, some in each turn of the loop; from the beginning, if that goes on already."""
        self._again = self.engine.match_again(self.now)

    def match_again(self) -> None:
        """Match some of the flows that run again, as many as a turn of the loop has time for."""
        for _ in self._again:  # type: ignore[attr-defined]
            if self.soon():
                return
        self._again = None
        self.registry.flush(self.now())

    # -- netifyd ----------------------------------------------------------------------------------------------------

    def watch_client(self) -> None:
        """Poll the socket that the client has now, for what it waits for, and tell of changes."""
        client = self.client
        state = client.state, client.connects, client.failures
        if state == self._watched:
            return
        self._watched = state
        descriptor = client.socket.fileno() if client.socket else -1
        if self._polled not in (-1, descriptor):
            self.poll.unregister(self._polled)
        if descriptor >= 0:
            self.poll.register(descriptor, select.POLLOUT if client.state == "connecting" else select.POLLIN)
        self._polled = descriptor
        if client.state == "connected":
            self._told = ""
            say("notice", "connected to " + client.uri)
            self.tell_connected()
        elif client.state == "waiting" and self._told != client.last_error:
            self._told = client.last_error
            say("warning", "no connection to " + client.uri + ": " + client.last_error + "; trying again")
            self.tell_lost(client.last_error)

    # -- for status -------------------------------------------------------------------------------------------------

    @property
    def lag(self) -> float | None:
        """Seconds from the last packet of the flow whose record came last until the record was read; None before one."""
        seen = self.engine.seen_at
        return round(self._taken_at - seen / 1000, 3) if isinstance(seen, int) and 0 < seen < 1 << 53 else None

    def longest_turn(self) -> float:
        """Return the longest turn of the loop in the last one to two minutes, in milliseconds."""
        return round(max(self._longest[0], self._longest[1]) * 1000, 2)
