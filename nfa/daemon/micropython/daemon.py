"""The daemon under MicroPython: one policy, netifyd's stream, kernel sets, and `status` on the control socket.

    load the image -> connect to netifyd -> records in, effects out -> ... -> stop

A smaller `daemon.daemon`: the same engine, targets and healing, without a compiler, ubus, logs and sinks. The policy
is that of the image for as long as the process lives.
"""

import gc
import select
import time

from ... import __version__
from ..base.dispatcher import Dispatcher
from ..base.findings import log_line
from ..base.messages import LOG_LEVELS, Log
from ..base.micropython_text import set_lower
from ..base.portable import monotonic
from ..bus import status
from ..bus.control import Control
from ..engine.engine import Engine
from ..engine.policy import Policy
from ..loop import Loop
from ..netlink.filter import attach
from ..stream.client import Client
from ..targets.registry import Registry
from ..targets.sets.healing import Healing
from ..targets.sets.slot import Slot
from ..targets.sets.writer import Sets
from .listening import listen_unix, remove_unix
from .signals import open_signals

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Reply = Callable[[int, dict[str, Any] | None], object]

KEPT_BYTES = 32
"""Bytes of a record that is kept for an edge of a schedule, for each flow that may be remembered: they are not packed here."""
RECENT = 64 << 10
"""Bytes of the latest records that are kept if the policy has devices: an address may be learnt just after its first flow."""
COLLECT = 224 << 10
"""Bytes after which what is no longer used is collected: the heap then does not grow to all of its size."""
BIG = 4096
"""Bytes of a record that is not looked at if it only lists netifyd's names."""
BUDGET = 100 << 10
MAX_REQUEST = 4096
"""Bytes of an answer, and of a request."""
PER_FLOW, PER_ELEMENT = 370, 240
"""Bytes of what is free at the start for each flow, or element, that may be remembered: they take 60 % of it, when there are as
many of both. What is free besides is for the next records, and for tables that grow."""
METHOD_NOT_FOUND, UNKNOWN_ERROR = 3, 9


class _Facts:
    """What `status.report` asks a daemon's loader, news and pauses for."""

    def __init__(self, info: "dict[str, Any]") -> None:
        self.info = info

    def status(self) -> "dict[str, Any]":
        return {"state": "not there", "calls": 0, "events": 0}

    def listed(self) -> "list[dict[str, Any]]":
        return []  # nothing can be paused

    def until(self, name: str) -> int | None:
        return None


class MicroDaemon(Loop):
    """Everything that lives as long as the process."""

    def __init__(self, data: "dict[str, Any]", source: str, control: str, image: str, log: Log) -> None:
        """`data`: of the image, which is in the file `image`. Raises ValueError when the source is none."""
        dispatcher = Dispatcher(log)
        sets = Sets(log.say, self.tell)
        registry = Registry(sets, None, log.say, self.tell, insist=dispatcher.insist)
        engine = Engine(
            registry.refresh, registry.release, recent=1, kept_bytes=KEPT_BYTES, spare=RECENT if data["devices"] else 0
        )
        listener = Control(control, self.call, listen_unix, remove_unix, MAX_REQUEST)
        healing = Healing(registry, sets, log.say, attach)
        super().__init__(log, dispatcher, Client(source), engine, registry, healing, listener)
        self.decoder = "json of MicroPython"
        info = status.no_policy(data["files"])
        info["generation"], info["loaded_at"], info["image"] = 1, int(time.time()), image
        for name in ("errors", "warnings", "reports"):
            info[name] = data[name]
        self.loader = self.news = self.pauses = _Facts(info)
        self._signals = -1
        self._room_told = -60.0
        """When lack of memory was last reported, monotonic seconds."""
        self._wanted_flows = data["max_flows"]
        self._most_elements = 0
        if data["log_level"] in LOG_LEVELS:
            log.set_level(data["log_level"])
        set_lower(data["lower"], data["sigma"])

    # -- life cycle -------------------------------------------------------------------------------------------------

    def load(self, data: "dict[str, Any]") -> None:
        """Activate the image's policy."""
        for found in data["reports"]:
            self.log.say(*log_line(found))
        numbers = self.registry.number_slots(data)
        policy = Policy(data, data["code"], {}, numbers)
        self.registry.adopt(self.registry.prepare(data, numbers, policy.key_functions), self.now())
        policy.targets = self.registry.targets
        policy.keep_hours(int(time.time()))
        self.engine.policy = policy
        self.healing.watch()
        self.activated(policy)
        active = [action for action in policy.actions if not action[2]]
        self.log.say("notice", "policy loaded: " + str(len(active)) + " of " + str(len(policy.actions)) + " actions active")

    def run(self, data: "dict[str, Any]") -> int:
        """Run until a signal ends it. Returns the exit code."""
        problem = self.control.open(self.dispatcher)
        if problem:
            self.log.say("error", problem)
            return 1
        self._signals = open_signals()
        if self._signals >= 0:
            self.dispatcher.watch(self._signals, select.POLLIN, self._told_to_end)
        self.log.say("notice", "version " + __version__ + " started, MicroPython")
        self.healing.open(self.dispatcher)
        self.interfaces.open(self.dispatcher)
        self.load(data)
        data.clear()
        gc.collect()
        self.bound(gc.mem_free())  # type: ignore[attr-defined]  # MicroPython's gc
        gc.threshold(COLLECT)  # type: ignore[attr-defined]  # MicroPython's gc
        self.client.start(monotonic())
        self.follow_client()
        try:
            self.loop()
        finally:
            self.stop()
        return 0

    def stop(self) -> None:
        """End: what is pending goes out, flush_on_destroy is honoured."""
        guard = self.dispatcher.guard
        guard(self.end)
        guard(self.registry.finish, self.now())
        guard(self.healing.close)
        guard(self.registry.shut_down, self.now())
        guard(self.control.close)
        self.log.say("notice", "stopped")

    # -- the turns of the loop --------------------------------------------------------------------------------------

    def _told_to_end(self, descriptor: int, event: int, moment: float) -> None:
        self.running = False

    def take(self, payloads: list[bytes], now: int) -> None:
        """Work on records, but for long lists of names, which nobody asks for here."""
        for payload in payloads:
            if len(payload) > BIG and b'"type":"definitions"' in payload[-32:]:
                self.engine.records += 1
                self.engine.kinds["names"] += 1
                payloads = [one for one in payloads if one is not payload]
        super().take(payloads, now)

    def tick(self) -> None:
        """What has to happen each second."""
        super().tick()
        self.dispatcher.guard(self.evict_elements, self.turn_now())

    def free_memory(self) -> None:
        """Memory is short: empty the caches, and evict flows. Their elements stay until they expire."""
        super().free_memory()
        self.engine.flows.make_room(self.now())
        self.engine.kept.clear()
        gc.collect()
        if monotonic() >= self._room_told + 60.0:
            self._room_told = monotonic()
            self.log.say("warning", "out of memory: flows are evicted; allow more: micropython -X heapsize=8M")

    def bound(self, free: int) -> None:
        """Remember as many flows and elements as the memory has room for. `free`: its bytes."""
        self.engine.flows.most = min(self._wanted_flows, max(64, free // PER_FLOW))
        self._most_elements = max(64, free // PER_ELEMENT)

    def evict_elements(self, now: int) -> None:
        """Evict elements that no flow holds, if there are too many; the kernel keeps them until they expire."""
        slots = [slot for slot in self.registry.by_number.values() if isinstance(slot, Slot)]
        if sum([len(slot.live) for slot in slots]) <= self._most_elements:
            return
        for _ in range(4):
            self.engine.flows.make_room(now)
        for slot in slots:
            slot.evict_idle()
        gc.collect()

    # -- answers ----------------------------------------------------------------------------------------------------

    def call(self, method: str, arguments: "dict[str, Any]", reply: "Reply") -> None:
        """Answer one call of the control socket."""
        if method != "status":
            reply(METHOD_NOT_FOUND, {"error": "under MicroPython the only method is status, not " + method[:64]})
            return
        try:
            reply(0, status.report(self, BUDGET))
        except MemoryError:
            gc.collect()
            reply(UNKNOWN_ERROR, {"error": "not enough memory for the answer"})

    def tell(self, target: str, where: str, trouble: str) -> None:
        """A target's set cannot be used, or can be again: nobody listens for events here."""
