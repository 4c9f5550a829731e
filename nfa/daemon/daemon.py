"""The resident daemon: its life cycle, and what its loop (`nfa.daemon.loop`) has besides the stream and its effects.

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

from .. import __version__
from .base.files import write_whole
from .base.messages import say, set_level
from .bus import methods
from .bus.control import Control
from .bus.news import News
from .bus.ubus import OK, UNKNOWN_ERROR, Ubus, find_socket
from .engine.engine import Engine
from .loader import Loader
from .loop import Loop, mishap
from .netlink.filter import attach
from .processes.child import Children
from .processes.lookups import Lookups
from .stream.client import DEFAULT_SOURCE, Client
from .stream.records import decode_with
from .targets.registry import Registry
from .targets.sets.healing import Healing
from .targets.sets.writer import Sets

MAX_WORK = 32
"""Lists of elements that are made at the same time."""


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


class Daemon(Loop):
    """Everything that lives as long as the process.

    `settings`: files (JSON), uci (folder), uci_required, state, control; source where the command line gave it, else "";
    log_level at the start, and verbose when it is to stay so; ubus: the socket, "" to look for it, "none" for no ubus;
    orjson: the folder of packages that has it, "" for none.
    """

    def __init__(self, settings: dict) -> None:
        self.settings = settings
        self.decoder = use_fast_json(settings.get("orjson", ""))
        sets = Sets(say, self.tell_target)
        registry = Registry(sets, write_whole, say, self.tell_target, self.make_hub, make_tables=self.make_tables)
        engine = Engine(registry.refresh, registry.release)
        healing = Healing(registry, sets, say, attach)
        super().__init__(Client(DEFAULT_SOURCE), engine, registry, healing, Control(settings["control"], self.call))
        self.children = Children(self.poll)
        self.lookups = Lookups(self.poll)
        bus = settings.get("ubus", "")
        call = self.call
        path = bus or find_socket()
        # Where nobody asked for it and there is none, as on a workstation, nobody wants to hear of it.
        tell = say if bus or os.path.exists(path) else _good_news
        self.ubus = None if bus == "none" else Ubus(path, "nfa", methods.signatures(), call, tell)
        self.news = News(self.ubus)
        self.loader = Loader(self)
        self._work: list = []
        """Lists that are made in slices: (generator, reply)."""
        self._connected = False
        self._wake = -1
        """What signals write to."""
        self.log_level(settings.get("log_level", "") or "notice")

    # -- life cycle -------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run until a signal ends it. Returns the exit code."""
        problem = self.control.open(self.poll)
        if problem:
            say("error", problem)
            return 1
        self._wake, alarm = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        for number, handler in ((signal.SIGTERM, self.on_stop), (signal.SIGINT, self.on_stop), (signal.SIGHUP, self.on_hup)):
            signal.signal(number, handler)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, children would be reaped by the kernel
        self.poll.register(self._wake, select.POLLIN)
        say("notice", "version " + __version__ + " started")
        self.healing.open(self.poll, select.POLLIN)
        if self.ubus is not None:
            self.ubus.open(self.poll, time.monotonic())
        try:
            self.loop()
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

    # -- the turns of the loop --------------------------------------------------------------------------------------

    def begin(self) -> None:
        self.loader.begin()

    def ready(self, descriptor: int, event: int, moment: float) -> None:
        if descriptor == self._wake:
            os.read(descriptor, 4096)
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

    def turn(self, moment: float, now: int) -> None:
        if self.ubus is not None and self.ubus.deadline and moment >= self.ubus.deadline:
            self.ubus.timeout(moment)
        if self.registry.hub is not None:
            self.registry.hub.turn(moment)
        self.guard("an event", self.news.matches, self.engine, methods.match_of, now)
        if self._work:
            self.go_on()

    def tick(self, now: int, moment: float) -> None:
        super().tick(now, moment)
        self.children.watch(moment)
        self.lookups.watch(moment)
        self.loader.tick(moment)

    def busy(self) -> bool:
        return bool(self._work) or super().busy()

    def wait(self, moment: float) -> float:
        wait = super().wait(moment)
        for other in (self.ubus, self.registry.hub, self.registry.tables):
            if other is not None and other.deadline:
                wait = min(wait, other.deadline - moment)
        return wait

    def make_hub(self):
        """Return what has all channels of sinks. Only those who configure one have it in memory."""
        from .base import packing
        from .sinks.hub import Hub

        return Hub(self.poll, self.ubus, self.lookups.ask, write_whole, packing, say, self.tell_target)

    def make_tables(self):
        """Return what fills tables of PF. Only those who configure one have it in memory."""
        from .processes.program import Program
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

    def tell_connected(self) -> None:
        self._connected = True
        self.news.tell("source", {"state": "connected", "uri": self.client.uri})

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
        self.client.code = "source-unresolved"
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
