"""The resident daemon: its life cycle, and what its loop (`nfa.daemon.loop`) has besides the stream and its effects.

    start -> compile (child) -> load the image -> connect to netifyd -> records in, effects out -> ... -> stop

In: settings from `nfa run`, signals, the stream, calls over ubus and the control socket. Out: elements in kernel sets, log
files, answers and events, messages on standard error. One thread; nothing in the loop blocks, except writing
a log file at the end of its interval. Only this, `loader`, `processes`, `sinks` and `bus.ubus` use what MicroPython lacks
(signals, processes, file descriptors).
"""

import os
import select
import sys
import time

from .. import __version__
from . import signals
from .base import json, signal
from .base.dated import write_dated
from .base.dispatcher import Dispatcher
from .base.messages import Log
from .bus import methods
from .bus.calls import Refused
from .bus.control import Control
from .bus.news import News
from .bus.ubus import OK, UNKNOWN_ERROR, Ubus, find_socket
from .engine.engine import Engine
from .loader import Loader
from .loop import Loop
from .netlink.filter import attach
from .pauses import Pauses
from .processes.child import Children
from .processes.lookups import Lookups
from .stream.client import Client
from .stream.source import DEFAULT_SOURCE
from .targets.registry import Registry
from .targets.sets.healing import Healing
from .targets.sets.writer import Sets

MYPY = False
if MYPY:
    from collections.abc import Callable, Generator
    from typing import Any

    from .adopt import Adopter
    from .counted import Counted
    from .devices.known import Known
    from .engine.plans import Plan
    from .rerouting import Rerouter
    from .sinks.hub import Hub
    from .targets.pf import Tables

    Reply = Callable[[int, dict[str, Any] | None], object]
    Work = Generator[None, None, dict[str, Any]]


def pack(payload: bytes) -> bytes:
    """Return a record packed. zlib and its dictionary are loaded when there is something to pack."""
    from .base import packing

    return packing.pack(payload)


def unpack(packed: bytes) -> bytes:
    """Return the record of `pack`."""
    from .base import packing

    return packing.unpack(packed)


MAX_WORK = 32
"""Lists of elements that are prepared at the same time."""


def use_fast_json(folder: str, engine: Engine, log: Log) -> str:
    """Decode records with orjson from this folder of packages ("": there is none), unless NFA_JSON is `standard`.

    Returns what decodes them, for `status`.
    """
    if not folder or os.environ.get("NFA_JSON") == "standard":
        return "json"
    sys.path.append(folder)
    try:
        # It needs these, and ends the process where they are missing (3.11).
        import dataclasses  # noqa: F401 (orjson needs it)
        import datetime  # noqa: F401 (orjson needs it)
        import uuid  # noqa: F401 (orjson needs it)
        import zoneinfo  # noqa: F401 (orjson needs it)

        import orjson
    except ImportError as failure:
        log.say("warning", "orjson cannot be used: " + str(failure))
        return "json"
    finally:
        sys.path.remove(folder)
    engine.decode_with(orjson.loads)
    return "orjson " + str(orjson.__version__)


class Daemon(Loop):
    """Everything that lives as long as the process.

    `settings`: files (JSON), uci (folder), uci_required, state, control; source where the command line gave it, else "";
    log_level at the start, and verbose when it is to stay so; ubus: the socket, "" to look for it, "none" for no ubus;
    orjson: the folder of packages that has it, "" for none.
    """

    def __init__(self, settings: "dict[str, Any]") -> None:
        self.settings = settings
        log = Log()
        dispatcher = Dispatcher(log)
        sets = Sets(log.say, self.tell_target)
        registry = Registry(
            sets, write_dated, log.say, self.tell_target, self.make_hub, make_tables=self.make_tables, insist=dispatcher.insist
        )
        engine = Engine(registry.refresh, registry.release)
        engine.kept.pack_with(pack, unpack)
        registry.device_of = self.device_of
        self.decoder = use_fast_json(settings.get("orjson", ""), engine, log)
        healing = Healing(registry, sets, log.say, attach)
        control = Control(settings["control"], self.call)
        super().__init__(log, dispatcher, Client(DEFAULT_SOURCE), engine, registry, healing, control)
        self.pauses = Pauses(dispatcher, self.paused)
        self.children = Children(dispatcher)
        self.lookups = Lookups(dispatcher)
        bus = settings.get("ubus", "")
        path = bus or find_socket()
        # Where nobody asked for it and there is none, as on a workstation, nobody wants to hear of it.
        tell = log.say if bus or os.path.exists(path) else self._good_news
        self.ubus = None if bus == "none" else Ubus(path, "nfa", methods.signatures(), self.call, tell)
        self.news = News(self.ubus)
        self.loader = Loader(self)
        self._work: list[tuple[Work, Reply]] = []
        """Lists that are made in slices: (generator, reply)."""
        self._connected = False
        self._adoption: Adopter | None = None
        self.routes: Rerouter | None = None
        """The same as `rerouter`; `counted`: who has what `accounts` and `budgeting` are."""
        self.counted: Counted | None = None
        for step in (self.tell_matches, self.go_on, self.loader.begin):
            dispatcher.step(step)
        self.log_level(settings.get("log_level", "") or "notice")

    # -- life cycle -------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run until a signal ends it. Returns the exit code."""
        self._hear_signals()
        problem = self.control.open(self.dispatcher)
        if problem:
            self.log.say("error", problem)
            return 1
        self.log.say("notice", "version " + __version__ + " started")
        insist = self.dispatcher.insist
        insist(self.healing.open, self.dispatcher)
        insist(self.interfaces.open, self.dispatcher)
        if self.ubus is not None:
            insist(self.ubus.open, self.dispatcher)
        try:
            self.loop()
        finally:
            self.stop()
        return 0

    def _hear_signals(self) -> None:
        """Have signals end the daemon in order, or the configuration read again. They wake the loop by a pipe."""
        wake, alarm = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        for number, handler in ((signal.SIGTERM, self.on_stop), (signal.SIGINT, self.on_stop), (signal.SIGHUP, self.on_hup)):
            signal.signal(number, handler)
        signals.release()
        if signals.heard.stop:
            self.running = False
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited as ignored, children would be reaped by the kernel
        self.dispatcher.watch(wake, select.POLLIN, self._woken)

    def _woken(self, descriptor: int, event: int, moment: float) -> None:
        os.read(descriptor, 4096)

    def on_stop(self, number: int, frame: object) -> None:
        """SIGTERM or SIGINT."""
        self.running = False

    def on_hup(self, number: int, frame: object) -> None:
        """SIGHUP."""
        self.loader.wanted = True

    def stop(self) -> None:
        """End: nothing new comes in, what is pending goes out, flush_on_destroy is honoured. A fault in one part keeps none of
        the others from being done."""
        guard = self.dispatcher.guard
        if self._adoption is not None:
            guard(self._adoption.close)
        guard(self.end)
        if self.notices is not None:
            guard(self.notices.close)
        if self.counted is not None:
            guard(self.counted.close)
        guard(self._hand_over)
        guard(self.children.close)
        if self.routes is not None:
            guard(self.routes.close)
        guard(self.lookups.close)
        guard(self.registry.finish, self.now())
        guard(self.healing.close)
        guard(self.registry.shut_down, self.now())
        if self.ubus is not None:
            guard(self.ubus.close)
        guard(self.control.close)
        self.log.say("notice", "stopped")

    def _hand_over(self) -> None:
        """Leave the records of live flows to the next daemon."""
        from . import handover

        problem = handover.leave(os.path.dirname(self.settings["control"]), self.engine)
        if problem:
            self.log.say("warning", "the records of live flows cannot be left to the next start: " + problem)

    def take_over(self) -> None:
        """The first policy is active: apply it to the flows that the daemon before knew."""
        from . import handover

        count = handover.take(os.path.dirname(self.settings["control"]), self.engine)
        if count:
            self.log.say("notice", "going on with " + str(count) + " live flows that were known before the restart")
            self.begin_again(())

    # -- steps of each turn ---------------------------------------------------------------------------------------------

    def tell_matches(self) -> None:
        """Send events for the matches of this turn."""
        self.news.matches(self.engine, methods.match_of, self.turn_now())

    def go_on(self) -> bool:
        """Do one slice of the oldest list. Returns whether there are more."""
        if not self._work:
            return False
        generator, reply = self._work[0]
        try:
            next(generator)
        except StopIteration as end:
            self._work.pop(0)
            reply(OK, end.value)
        except Exception as failure:
            self._work.pop(0)
            reply(UNKNOWN_ERROR, {"error": self.dispatcher.fault("listing elements", failure)})
        return bool(self._work)

    # -- what only some policies need: others do not have it in memory ----------------------------------------------------

    def make_hub(self) -> "Hub":
        """Return what has all channels of sinks."""
        from .base import packing
        from .sinks.hub import Hub

        return Hub(self.dispatcher, self.ubus, self.lookups.ask, write_dated, packing, self.log.say, self.tell_target)

    def make_tables(self) -> "Tables":
        """Return what fills tables of PF."""
        from .processes.program import Program
        from .targets.pf import Tables

        return Tables(Program(self.dispatcher), self.log.say, self.tell_target)

    def use_routes(self, wans: "list[dict[str, Any]]") -> None:
        """See to the rules and routes of these WANs, as the active policy has them."""
        if self.routes is None and wans:
            from .rerouting import Rerouter

            self.rerouter = self.routes = Rerouter(self.dispatcher, self.log.say, self.loader.report)
        if self.routes is not None:
            self.routes.use(wans)

    def use_usage(self, data: "dict[str, Any]") -> None:
        """Count what devices use, if the policy of this image has that on, budgets, or notices; and tell those."""
        notices = data["notices"]
        if self.counted is None and (data["usage"] is not None or data["budgets"] or (notices and notices["counts"])):
            from .counted import Counted

            self.counted = Counted(self, self._known)
        if self.counted is not None:
            self.counted.use(data)
        if self.notices is not None or notices is not None:
            from . import noticing

            self.notices = noticing.use(self, data)

    def _known(self) -> "Known | None":
        """Return what is known of the addresses of the network, if somebody learns that."""
        return self.learner.known if self.learner is not None else None

    def device_of(self, flow: "dict[str, Any]") -> str:
        """Return the names of the devices at the local end of a flow, "" when none has one."""
        policy = self.engine.policy
        return ", ".join(policy.device_names(flow, "local")) if policy is not None else ""

    def paused(self, words: str) -> None:
        """Something was paused, or is no longer."""
        self.log.say("notice", words)
        policy = self.engine.policy
        if policy is None:
            return
        targets = policy.paused_targets()
        changed = policy.pause(self.pauses.names())
        if changed:
            self.begin_again(policy.ended(changed).union(policy.paused_targets() - targets))

    # -- the source -----------------------------------------------------------------------------------------------------

    def tell_connected(self) -> None:
        if self.loader.adopts and self.client.connects == 1:
            self.adopt(False, self._tell_adopted)
        self._connected = True
        self.news.tell("source", {"state": "connected", "uri": self.client.uri})

    def _tell_adopted(self, status: int, data: "dict[str, Any] | None") -> None:
        """Report what the option `adopt` did."""
        found = data or {}
        if status != OK:
            self.log.say("warning", "option adopt: " + str(found.get("error")))
            return
        told = str(found["tcp"]) + " TCP connections will be reset, " + str(found["deleted"]) + " conntrack entries deleted"
        self.log.say("notice", "option adopt: connections that began before nfa begin again: " + told)

    def tell_lost(self, why: str) -> None:
        """Tell those who listen that the source is lost, if it was there."""
        if self._connected:
            self._connected = False
            self.news.tell("source", {"state": "lost", "uri": self.client.uri, "error": why})

    def use_source(self, uri: str) -> None:
        """Read from this source from now on."""
        self.tell_lost("the source was changed")
        self.disconnect()
        self.client.change(uri)
        self.client.start(time.monotonic())
        self.follow_client()

    def no_source(self, uri: str) -> None:
        """The source's host has no address: nothing is connected until it has one."""
        self.disconnect()
        self.client.change(uri)
        self.client.last_error = "its host name cannot be resolved"
        self.client.code = "source-unresolved"
        self.follow_client()

    def log_level(self, name: str) -> None:
        """Follow the configured log level; with debug, each match is logged."""
        self.log.set_level(name)
        self.engine.trace = self.trace if name == "debug" else None

    def _good_news(self, level: str, text: str) -> None:
        """Say what is no warning."""
        if level == "notice":
            self.log.say(level, text)

    # -- answers ----------------------------------------------------------------------------------------------------

    def call(self, method: str, arguments: "dict[str, Any]", reply: "Reply") -> None:
        """Answer one call, of ubus or of the control socket."""
        try:
            methods.answer(self, method, arguments, reply)
        except Exception as failure:
            reply(UNKNOWN_ERROR, {"error": self.dispatcher.fault("the call " + method[:64], failure)})

    def work(self, generator: "Work", reply: "Reply") -> None:
        """Do something in slices, one in a turn of the loop; what the generator returns is the answer."""
        if len(self._work) >= MAX_WORK:
            raise Refused(UNKNOWN_ERROR, "too many searches at the same time; try again")
        self._work.append((generator, reply))

    def adopt(self, dry: bool, reply: "Reply") -> None:
        """Have the connections that began before nfa begin again; `dry`: only count them. Raises Refused."""
        if self._adoption is None:
            from .adopt import Adopter

            self._adoption = Adopter(self)
        self._adoption.begin(dry, reply)

    def tell_target(self, target: str, where: str, trouble: str) -> None:
        """A target's set cannot be used, or (trouble "") can be again."""
        data = {"target": target, "set": where, "state": "error" if trouble else "restored", "error": trouble}
        self.news.tell("target", data)

    def trace(self, record: "dict[str, Any]", plan: "Plan") -> None:
        """Log a match (log_level debug)."""
        flow = record["flow"]
        local, other = flow.get("local_port", 0), flow.get("other_port", 0)
        ends = f"{flow['local_ip']}:{local} > {flow['other_ip']}:{other}"
        what = flow.get("detected_application_name", "") + " " + flow.get("detected_protocol_name", "")
        self.log.say("match", ends + " " + what + ": " + ", ".join(plan.names))


def main() -> int:
    """Run with the settings that `nfa run` passes as JSON."""
    return Daemon(json.loads(sys.argv[1])).run()
