"""The resident daemon: its life cycle, and the loop that everything happens in.

    start -> compile (child) -> load the image -> connect to netifyd -> records in, effects out -> ... -> stop

In: settings from `nfa run`, signals, the stream, calls over ubus and the control socket. Out: elements in kernel sets, log
files, answers and events, messages on standard error. One thread; nothing in the loop waits for anybody, but for the
write of a log file at the end of its interval. What MicroPython lacks (signals, processes, file descriptors) is used here,
in `child` and in `bus`, and nowhere below.
"""

import json
import os
import select
import signal
import sys
import time

from . import __version__
from .bus import methods
from .bus.control import Control
from .bus.news import News
from .bus.ubus import OK, UNKNOWN_ERROR, Ubus, find_socket
from .child import Children
from .engine.engine import Engine
from .files import write_whole
from .filters import attach
from .loader import Loader
from .lookups import Lookups
from .messages import say, set_level
from .stream.client import DEFAULT_SOURCE, Client
from .stream.records import decode_with
from .targets.healing import Healing
from .targets.kernel import Sets
from .targets.registry import Registry

AGAIN_SECONDS = 0.02
"""How long a turn of the loop may be for the sake of records, flows that are matched again, or elements that are put back."""
MAX_WORK = 32
"""Lists of elements that are made at the same time."""


def mishap(what: str, failure: Exception) -> str:
    """Say that there is a fault in the daemon itself, which the stream must not suffer from. Returns the words."""
    words = what + " failed: " + type(failure).__name__ + ": " + str(failure)[:200] + "; please report this fault of nfa"
    say("error", words)
    return words


def use_fast_json(folder: str) -> str:
    """Decode records with orjson from this folder of packages ("": there is none), unless NFA_JSON is `standard`.

    Returns what decodes them, for `status`.
    """
    decode_with(None)
    if not folder or os.environ.get("NFA_JSON") == "standard":
        return "json"
    sys.path.append(folder)
    try:
        # It needs these, and ends the process where they are missing (3.11).
        import dataclasses  # noqa: F401
        import datetime  # noqa: F401
        import uuid  # noqa: F401
        import zoneinfo  # noqa: F401

        import orjson
    except ImportError as failure:
        say("warning", "orjson cannot be used: " + str(failure))
        return "json"
    finally:
        sys.path.remove(folder)
    decode_with(orjson.loads)
    return "orjson " + str(orjson.__version__)


def _good_news(level: str, text: str) -> None:
    """Say what is no warning."""
    if level == "notice":
        say(level, text)


class Daemon:
    """Everything that lives as long as the process.

    `settings`: files (JSON), uci (folder), uci_required, state, control; source where the command line gave it, else "";
    log_level at the start, and verbose when it is to stay so; ubus: the socket, "" to look for it, "none" for no ubus;
    orjson: the folder of packages that has it, "" for none.
    """

    def __init__(self, settings: dict) -> None:
        self.settings = settings
        self.started = time.monotonic()
        self.decoder = use_fast_json(settings.get("orjson", ""))
        self.poll = select.poll()
        self.client = Client(DEFAULT_SOURCE)
        sets = Sets(say, self.tell_target)
        self.registry = Registry(sets, write_whole, say, self.tell_target, self.make_hub, make_tables=self.make_tables)
        self.engine = Engine(self.registry.refresh, self.registry.release)
        self.control = Control(settings["control"], self.call)
        self.children = Children(self.poll)
        self.lookups = Lookups(self.poll)
        bus = settings.get("ubus", "")
        call = self.call
        path = bus or find_socket()
        # Where nobody asked for it and there is none, as on a workstation, nobody wants to hear of it.
        tell = say if bus or os.path.exists(path) else _good_news
        self.ubus = None if bus == "none" else Ubus(path, "nfa", methods.signatures(), call, tell)
        self.news = News(self.ubus)
        self.healing = Healing(self.registry, self.registry.sets, say, attach)
        self.running = True
        self.loader = Loader(self)
        self._work: list = []
        """Lists that are made in slices: (generator, reply)."""
        self._edges_at = 0
        """The second of the clock on the wall that was last looked at."""
        self._again: object = None
        """The flows that are being matched again."""
        self._payloads: list[bytes] = []
        """What the last turn had no time for: of one read of the socket at the most."""
        self._polled = -1
        self._watched: tuple = ("waiting", 0, 0)
        self._told = ""
        self._connected = False
        self._taken_at = 0.0
        self._faults: set = set()
        """Faults of this minute, each told once."""
        self._longest = [0.0, 0.0]
        """The longest turn of the loop in this minute and in the one before, seconds."""
        self.log_level(settings.get("log_level", "") or "notice")

    # -- life cycle -------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run until a signal ends it. Returns the exit code."""
        problem = self.control.open(self.poll)
        if problem:
            say("error", problem)
            return 1
        wake, alarm = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        for number, handler in ((signal.SIGTERM, self.on_stop), (signal.SIGINT, self.on_stop), (signal.SIGHUP, self.on_hup)):
            signal.signal(number, handler)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, children would be reaped by the kernel
        self.poll.register(wake, select.POLLIN)
        say("notice", "version " + __version__ + " started")
        self.healing.open(self.poll, select.POLLIN)
        if self.ubus is not None:
            self.ubus.open(self.poll, time.monotonic())
        try:
            self.loop(wake)
        finally:
            self.stop()
        return 0

    def on_stop(self, number: int, frame: object) -> None:
        self.running = False

    def on_hup(self, number: int, frame: object) -> None:
        self.loader.wanted = True

    def stop(self) -> None:
        """End: nothing new comes in, what is pending goes out, flush_on_destroy is honoured."""
        self.client.close()
        self.children.close()
        self.lookups.close()
        self.registry.finish(self.now())
        self.healing.close()
        self.registry.shut_down(self.now())
        if self.ubus is not None:
            self.ubus.close()
        self.control.close()
        say("notice", "stopped")

    # -- the loop ---------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the loop's clock in whole seconds, never 0."""
        return int(time.monotonic()) + 1

    def loop(self, wake: int) -> None:
        tick = 0
        while self.running:
            self.loader.begin()
            events = self.poll.poll(self.patience())
            moment = time.monotonic()
            now = int(moment) + 1
            soon = lambda moment=moment: time.monotonic() - moment > AGAIN_SECONDS  # noqa: E731
            waited = bool(self._payloads)
            if waited:
                self._payloads = self.engine.take_some(self._payloads, now, soon)
            for descriptor, event in events:
                if descriptor == self._polled:
                    if waited:
                        continue  # what came before comes first
                    self._taken_at = time.time()
                    self._payloads = self.engine.take_some(self.client.ready(moment), now, soon)
                    self.watch_client()  # before its descriptor, if it was closed, is given to somebody else
                elif descriptor == wake:
                    os.read(wake, 4096)
                elif descriptor == self.healing.descriptor:
                    self.healing.ready()
                elif descriptor == self.children.descriptor:
                    self.children.ready()
                elif descriptor == self.lookups.descriptor:
                    self.lookups.ready()
                elif self.ubus is not None and descriptor == self.ubus.descriptor:
                    self.ubus.ready(event, moment)
                elif self.registry.tables is not None and descriptor == self.registry.tables.descriptor:
                    self.registry.tables.ready()
                elif self.registry.hub is None or not self.registry.hub.ready(descriptor, event, moment):
                    self.control.ready(descriptor, event)
            if self.client.deadline and moment >= self.client.deadline:
                self.client.timeout(moment)
            if self.ubus is not None and self.ubus.deadline and moment >= self.ubus.deadline:
                self.ubus.timeout(moment)
            self.watch_client()
            self.guard("an effect", self.registry.flush, now)
            self.watch_clock()
            if self.engine.busy or self.healing.busy:
                self.guard("the end of flows", self.engine.go_on, now, soon)
                self.guard("healing", self.healing.go_on, now, soon)
            if self.registry.hub is not None:
                self.registry.hub.turn(moment)
            self.guard("an event", self.news.matches, self.engine, methods.match_of, now)
            if self._work:
                self.go_on()
            if self._again is not None:
                self.match_again(moment)
            if now != tick:
                tick = now
                self.tick(now, moment)
            self._longest[0] = max(self._longest[0], time.monotonic() - moment)

    def tick(self, now: int, moment: float) -> None:
        """What has to happen each second."""
        self.engine.tick(now)
        self.guard("a target", self.registry.tick, now)
        self.children.watch(moment)
        self.lookups.watch(moment)
        self.guard("healing", self.healing.tick, moment)
        self.loader.tick(moment)
        self.control.tick()
        if now % 60 == 0:
            self._faults.clear()
            self._longest = [0.0, self._longest[0]]

    def guard(self, what: str, function, *arguments) -> None:
        """Let a part of the loop work. A fault in it must not end the daemon; it is said once a minute."""
        try:
            function(*arguments)
        except Exception as failure:
            words = type(failure).__name__ + ": " + str(failure)
            if words not in self._faults:
                self._faults.add(words)
                mishap(what, failure)

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

    def patience(self) -> int:
        """Return how long the loop may sleep, in milliseconds: to the next second, or to the next deadline."""
        registry = self.registry
        busy = self.engine.busy or self.healing.busy or registry.connections.busy
        if busy or self._payloads or self._work or self._again is not None:
            return 0
        moment = time.monotonic()
        wait = min(1.0 - moment % 1.0, self.healing.deadline - moment)
        if self.engine.policy is not None and self.engine.policy.windows:
            wait = min(wait, 1.0 - time.time() % 1.0)
        if self.client.deadline:
            wait = min(wait, self.client.deadline - moment)
        if self.ubus is not None and self.ubus.deadline:
            wait = min(wait, self.ubus.deadline - moment)
        if self.registry.hub is not None and self.registry.hub.deadline:
            wait = min(wait, self.registry.hub.deadline - moment)
        if self.registry.tables is not None and self.registry.tables.deadline:
            wait = min(wait, self.registry.tables.deadline - moment)
        return max(0, int(wait * 1000) + 1)

    def begin_again(self) -> None:
        """Match the flows that run again, some in each turn of the loop; from the beginning, if that goes on already."""
        self._again = self.engine.match_again(self.now)

    def match_again(self, moment: float) -> None:
        """Match some of the flows that run again, as many as a turn of the loop has time for."""
        for _ in self._again:  # type: ignore[attr-defined]
            if time.monotonic() - moment > AGAIN_SECONDS:
                return
        self._again = None
        self.registry.flush(self.now())

    def make_hub(self):
        """Return what has all channels of sinks. Only those who configure one have it in memory."""
        from . import packing
        from .sinks.hub import Hub

        return Hub(self.poll, self.ubus, self.lookups.ask, write_whole, packing, say, self.tell_target)

    def make_tables(self):
        """Return what fills tables of PF. Only those who configure one have it in memory."""
        from .program import Program
        from .targets.pf import Tables

        return Tables(Program(self.poll), say, self.tell_target)

    def go_on(self) -> None:
        """Do one slice of the oldest list."""
        generator, reply = self._work[0]
        try:
            next(generator)
        except StopIteration as end:
            self._work.pop(0)
            reply(OK, end.value)
        except Exception as failure:
            self._work.pop(0)
            reply(UNKNOWN_ERROR, {"error": mishap("a list", failure)})

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
            self._connected = True
            self.news.tell("source", {"state": "connected", "uri": client.uri})
        elif client.state == "waiting" and self._told != client.last_error:
            self._told = client.last_error
            say("warning", "no connection to " + client.uri + ": " + client.last_error + "; trying again")
            self.tell_lost(client.last_error)

    def tell_lost(self, why: str) -> None:
        """Tell those who listen that the source is lost, if it was there."""
        if self._connected:
            self._connected = False
            self.news.tell("source", {"state": "lost", "uri": self.client.uri, "error": why})

    def use_source(self, uri: str) -> None:
        """Read from this source from now on."""
        self.tell_lost("the source is another one now")
        self.client.close()
        self.client.change(uri)
        self.client.start(time.monotonic())
        self.watch_client()

    def no_source(self, uri: str) -> None:
        """The source's host has no address: nothing is connected until it has one."""
        self.client.close()
        self.client.change(uri)
        self.client.last_error = "the name of its host cannot be resolved"
        self.watch_client()

    def log_level(self, name: str) -> None:
        """Follow the configured log level; with debug, each match is told."""
        set_level(name)
        self.engine.trace = self.trace if name == "debug" else None  # type: ignore[assignment]

    # -- answers ----------------------------------------------------------------------------------------------------

    def call(self, method: str, arguments: dict, reply) -> None:
        """Answer one call, of ubus or of the control socket."""
        try:
            methods.answer(self, method, arguments, reply)
        except Exception as failure:
            reply(UNKNOWN_ERROR, {"error": mishap("the call " + method[:64], failure)})

    def work(self, generator, reply) -> None:
        """Do something in slices, one in a turn of the loop; what the generator returns is the answer."""
        if len(self._work) >= MAX_WORK:
            raise methods.Refused(UNKNOWN_ERROR, "too many searches at the same time; try again")
        self._work.append((generator, reply))

    @property
    def lag(self) -> float | None:
        """Seconds from the last packet of the flow whose record came last until the record was read; None before one."""
        seen = self.engine.seen_at
        return round(self._taken_at - seen / 1000, 3) if isinstance(seen, int) and 0 < seen < 1 << 53 else None

    def longest_turn(self) -> float:
        """Return the longest turn of the loop in the last one to two minutes, in milliseconds."""
        return round(max(self._longest) * 1000, 2)

    def tell_target(self, target: str, where: str, trouble: str) -> None:
        """A target's set cannot be used, or (trouble "") can be again."""
        data = {"target": target, "set": where, "state": "error" if trouble else "restored", "error": trouble}
        self.news.tell("target", data)

    def trace(self, record: dict, plan) -> None:
        """Tell of a match (log_level debug)."""
        flow = record["flow"]
        ends = "%s:%s > %s:%s" % (  # noqa: UP031
            flow["local_ip"],
            flow.get("local_port", 0),
            flow["other_ip"],
            flow.get("other_port", 0),
        )
        what = flow.get("detected_application_name", "") + " " + flow.get("detected_protocol_name", "")
        say("match", ends + " " + what + ": " + ", ".join(plan.names))


def main() -> int:
    """Run with the settings that `nfa run` passes as JSON."""
    return Daemon(json.loads(sys.argv[1])).run()
