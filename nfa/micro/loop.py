"""What runs under MicroPython: one policy, netifyd's stream, kernel sets, and `status` on the control socket.

    load the image -> connect to netifyd -> records in, effects out -> ... -> stop

A small brother of `nfa.daemon`: the same engine, targets and healing, without a compiler, ubus, logs and sinks. The policy is
that of the image for as long as the process lives.
"""

import gc
import select
import time

from .. import __version__
from ..bus import status
from ..bus.control import Control
from ..engine.engine import Engine
from ..engine.policy import Policy
from ..filters import attach
from ..messages import LOG_LEVELS, say, set_level
from ..portable import monotonic
from ..stream.client import Client
from ..targets.healing import Healing
from ..targets.kernel import Sets
from ..targets.registry import Registry
from ..targets.slot import Slot
from .ending import open_signals
from .lacking import set_lower
from .listening import listen_unix, remove_unix

AGAIN_SECONDS = 0.02
KEPT_BYTES = 32
"""Bytes of a record that is kept for an edge of a schedule, for each flow that may be remembered: they are not packed here."""
COLLECT = 256 << 10
"""Bytes after which what is no longer used is collected: the heap then does not grow to all of its size."""
BIG = 4096
"""Bytes of a record that is not looked at if it only lists netifyd's names."""
BUDGET = 100 << 10
PER_FLOW, PER_ELEMENT = 370, 240
"""Bytes of what is free at the start for each flow, or element, that may be remembered: they take 60 % of it, when there are as
many of both. What is free besides is for the next records, and for tables that grow."""
METHOD_NOT_FOUND, UNKNOWN_ERROR = 3, 9


class _Facts:
    """What `status.report` asks a daemon's loader and news for."""

    def __init__(self, info: dict) -> None:
        self.info = info

    def status(self) -> dict:
        return {"state": "not there", "calls": 0, "events": 0}


class Matcher:
    """Everything that lives as long as the process."""

    def __init__(self, data: dict, source: str, control: str, image: str) -> None:
        """`data`: of the image, which is in the file `image`. Raises ValueError when the source is none."""
        self.started = monotonic()
        self.decoder = "json"
        self.poll = select.poll()
        self.client = Client(source)
        sets = Sets(say, self.tell)
        self.registry = Registry(sets, None, say, self.tell)
        self.engine = Engine(self.registry.refresh, self.registry.release, recent=1, kept_bytes=KEPT_BYTES)
        self.healing = Healing(self.registry, sets, say, self.attach)
        self.control = Control(control, self.call, listen_unix, remove_unix)
        self.running = True
        clock = int(time.time())
        info = {"generation": 1, "loaded_at": clock, "failed_at": None, "files": data["files"], "image": image}
        info["errors"], info["warnings"] = data["errors"], data["warnings"]
        info["reports"] = [text for _, text in data["reports"]]
        self.loader = self.news = _Facts(info)
        self.windows = bool(data["windows"])
        self._polled = -1
        self._watched: tuple = ("waiting", 0, 0)
        self._told = ""
        self._edges_at = 0
        self._again: object = None
        self._taken_at = self._moment = 0.0
        self._wanted_flows = data["max_flows"]
        self._most_elements = 0
        self._faults: set = set()
        self._longest = [0.0, 0.0]
        if data["log_level"] in LOG_LEVELS:
            set_level(data["log_level"])
        set_lower(data["lower"])

    # -- life cycle -------------------------------------------------------------------------------------------------

    def take(self, data: dict) -> None:
        """Put the image's policy in force."""
        numbers = self.registry.number_slots(data)
        policy = Policy(data, data["code"], {}, numbers)
        self.registry.replace(data, numbers, policy.key_functions, self.now())
        policy.targets = self.registry.targets
        policy.keep_hours(int(time.time()))
        self.engine.policy = policy
        self.healing.watch()
        active = [action for action in policy.actions if not action[2]]
        say("notice", "policy in force: " + str(len(active)) + " of " + str(len(policy.actions)) + " actions active")

    def run(self, data: dict) -> int:
        """Run until a signal ends it. Returns the exit code."""
        problem = self.control.open(self.poll)
        if problem:
            say("error", problem)
            return 1
        signals = open_signals()
        if signals >= 0:
            self.poll.register(signals, select.POLLIN)
        say("notice", "version " + __version__ + " started, MicroPython")
        self.healing.open(self.poll, select.POLLIN)
        self.take(data)
        data.clear()
        gc.collect()
        self.bound(gc.mem_free())  # type: ignore[attr-defined]
        gc.threshold(COLLECT)  # type: ignore[attr-defined]
        self.client.start(monotonic())
        self.watch_client()
        try:
            self.loop(signals)
        finally:
            self.stop()
        return 0

    def stop(self) -> None:
        """End: what is pending goes out, flush_on_destroy is honoured."""
        self.client.close()
        self.registry.finish(self.now())
        self.healing.close()
        self.registry.shut_down(self.now())
        self.control.close()
        say("notice", "stopped")

    # -- the loop ---------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the loop's clock in whole seconds, never 0."""
        return int(monotonic()) + 1

    def loop(self, signals: int) -> None:
        tick = 0
        while self.running:
            events = self.poll.poll(self.patience())
            moment = monotonic()
            now = int(moment) + 1
            for descriptor, event in events:
                if descriptor == self._polled:
                    self._taken_at = time.time()
                    self.guard("a record", self.read, moment, now)
                    self.watch_client()
                elif descriptor == signals:
                    self.running = False
                elif descriptor == self.healing.descriptor:
                    self.guard("healing", self.healing.ready)
                else:
                    self.control.ready(descriptor, event)
            if self.client.deadline and moment >= self.client.deadline:
                self.client.timeout(moment)
            self.watch_client()
            self.guard("an effect", self.registry.flush, now)
            self.watch_clock()
            if self.engine.busy or self.healing.busy:
                self._moment = moment
                self.guard("the end of flows", self.engine.go_on, now, self.soon)
                self.guard("healing", self.healing.go_on, now, self.soon)
            if self._again is not None:
                self.guard("hours", self.match_again, moment)
            if now != tick:
                tick = now
                self.engine.tick(now)
                self.guard("a target", self.registry.tick, now)
                self.guard("memory", self.make_room, now)
                self.guard("healing", self.healing.tick, moment)
                self.control.tick()
                if now % 60 == 0:
                    self._faults.clear()
                    self._longest = [0.0, self._longest[0]]
            self._longest[0] = max(self._longest[0], monotonic() - moment)

    def read(self, moment: float, now: int) -> None:
        """Work on the records that have come, but for long lists of names, which nobody asks for here."""
        payloads = self.client.ready(moment)
        for payload in payloads:
            if len(payload) > BIG and b'"type":"definitions"' in payload[-32:]:
                self.engine.records += 1
                self.engine.kinds["names"] += 1
                payloads = [one for one in payloads if one is not payload]
        self.engine.take(payloads, now)

    @staticmethod
    def attach(connection, port: int, tables: set) -> None:
        """Give a socket a filter that is short: the program is made of many small things."""
        attach(connection, port, tables, (20, 8))

    def bound(self, free: int) -> None:
        """Remember as many flows and elements as the memory has room for. `free`: its bytes."""
        self.engine.max_flows = min(self._wanted_flows, max(64, free // PER_FLOW))
        self._most_elements = max(64, free // PER_ELEMENT)

    def make_room(self, now: int) -> None:
        """Forget elements, if there are too many: those that no flow holds; the kernel keeps them until their time is over."""
        slots = [slot for slot in self.registry.by_number.values() if isinstance(slot, Slot)]
        if sum([len(slot.live) for slot in slots]) <= self._most_elements:
            return
        for _ in range(4):
            for dropped in self.engine.flows.drop_oldest(self.engine.max_flows):
                self.registry.release(dropped, now, False)
        for slot in slots:
            slot.forget([key for key, deadline in slot.live.items() if deadline < 0])
            slot.carried_over = True  # what comes again is in the kernel's set
        gc.collect()

    def soon(self) -> bool:
        """Return whether the turn of the loop has been long enough."""
        return monotonic() - self._moment > AGAIN_SECONDS

    def guard(self, what: str, function, *arguments) -> None:
        """Let a part of the loop work. A fault in it, or too little memory, must not end all; it is said once a minute."""
        try:
            function(*arguments)
        except MemoryError:
            # Flows are what can be forgotten: their elements stay until they expire.
            for dropped in self.engine.flows.drop_oldest(self.engine.max_flows):
                self.registry.release(dropped, self.now(), False)
            self.engine.kept.clear()
            gc.collect()
            self._say_once("warning", "the memory is full: flows are forgotten; give it more: micropython -X heapsize=8M")
        except Exception as failure:
            words = what + " failed: " + type(failure).__name__ + ": " + str(failure)[:200]
            self._say_once("error", words + "; please report this fault of nfa")

    def _say_once(self, level: str, words: str) -> None:
        if words not in self._faults:
            self._faults.add(words)
            say(level, words)

    def watch_clock(self) -> None:
        """See whether a window of time has begun or ended, as soon as the clock on the wall says so."""
        if self.windows:
            clock = int(time.time())
            if clock != self._edges_at:
                self._edges_at = clock
                if self.engine.policy is not None and self.engine.policy.keep_hours(clock):
                    say("notice", "a window of time has begun or ended: flows that run are matched again")
                    self._again = self.engine.match_again(self.now)

    def match_again(self, moment: float) -> None:
        """Match some of the flows that run again, as many as a turn of the loop has time for."""
        for _ in self._again:  # type: ignore[attr-defined]
            if monotonic() - moment > AGAIN_SECONDS:
                return
        self._again = None
        self.registry.flush(self.now())

    def patience(self) -> int:
        """Return how long the loop may sleep, in milliseconds: to the next second, or to the next deadline."""
        if self._again is not None or self.engine.busy or self.healing.busy or self.registry.connections.busy:
            return 0
        moment = monotonic()
        wait = min(1.0 - moment % 1.0, self.healing.deadline - moment)
        if self.windows:
            wait = min(wait, 1.0 - time.time() % 1.0)
        if self.client.deadline:
            wait = min(wait, self.client.deadline - moment)
        return max(0, int(wait * 1000) + 1)

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
        elif client.state == "waiting" and self._told != client.last_error:
            self._told = client.last_error
            say("warning", "no connection to " + client.uri + ": " + client.last_error + "; trying again")

    # -- answers ----------------------------------------------------------------------------------------------------

    def call(self, method: str, arguments: dict, reply) -> None:
        """Answer one call of the control socket."""
        if method != "status":
            reply(METHOD_NOT_FOUND, {"error": "under MicroPython there is only status, not " + method[:64]})
            return
        try:
            reply(0, status.report(self, BUDGET))
        except MemoryError:
            gc.collect()
            reply(UNKNOWN_ERROR, {"error": "too little memory for the answer"})

    @property
    def lag(self):
        """Seconds from the last packet of the flow whose record came last until the record was read; None before one."""
        seen = self.engine.seen_at
        return round(self._taken_at - seen / 1000, 3) if isinstance(seen, int) and 0 < seen < 1 << 53 else None

    def longest_turn(self) -> float:
        """Return the longest turn of the loop in the last one to two minutes, in milliseconds."""
        return round(max(self._longest[0], self._longest[1]) * 1000, 2)

    def tell(self, target: str, where: str, trouble: str) -> None:
        """A target's set cannot be used, or can be again: nobody listens for events here."""
