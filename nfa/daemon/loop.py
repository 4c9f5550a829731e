"""What CPython's and MicroPython's daemon have in common: netifyd's stream, its effects, the clock, the seconds.

In: a client, an engine, and what carries out its effects. Out: records to the engine, effects to the kernel, messages about
netifyd's connection and the schedules. `base.dispatcher` calls all of it. A turn goes from left to right:

    netifyd's socket: read, match ->  each second: tick ->  steps: rest of the records, live flows to re-evaluate, ended flows,
                                                            commit to the kernel, heal; then what `daemon` adds
"""

import select
import time

from .base.dispatcher import NEVER, Dispatcher
from .base.findings import sentences
from .base.messages import Log
from .base.portable import monotonic
from .bus import origins
from .bus.control import Control
from .engine.engine import Engine
from .netlink.interfaces import Interfaces
from .stream.client import Client
from .targets.registry import Registry
from .targets.sets.healing import Healing

MYPY = False
if MYPY:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from .bus.status import Budgeted, Facts, Noticing, Telling
    from .devices.learning import Learner
    from .engine.policy import Policy
    from .targets.connections.entries import Entries
    from .targets.sets.usage import Usage

    Flow = dict[str, Any]

TURN_SECONDS = 0.015
"""How long a turn may be for the sake of records, live flows that are re-evaluated, or elements that are restored."""
PACKED = 32
"""Records that are packed in one turn: a third of a millisecond."""


class Loop:
    """Turns until `running` is false."""

    def __init__(
        self,
        log: Log,
        dispatcher: Dispatcher,
        client: Client,
        engine: Engine,
        registry: Registry,
        healing: Healing,
        control: Control,
    ) -> None:
        self.started = monotonic()
        self.log = log
        self.dispatcher, self.client = dispatcher, client
        self.engine = engine
        self.registry = registry
        self.healing = healing
        self.control = control
        self.learner: Learner | None = None
        """Who learns the addresses of devices; None as long as nobody needs it."""
        self.interfaces = Interfaces(engine.networks.learn, log.say)
        registry.networks = engine.networks
        self.rerouter: Noticing | None = None
        """Who sees to the routes of other WANs, counts what devices use, has budgets, tells people. None: nobody needs it."""
        self.accounts: Facts | None = None
        self.budgeting: Budgeted | None = None
        self.notices: Telling | None = None
        self.usage: Usage | None = None
        """Who looks whether rules use the sets; None as long as there is none that flows reach."""
        healing.on_rules = self._rules_changed
        self.entries: Entries | None = None
        engine.networks.original = self._inner_end
        engine.find_mark = self._mark
        engine.flows.number_of = registry.number_of
        self.running = True
        self._again: Iterator[Exception | None] | None = None
        """The live flows that are being re-evaluated; `_ended` and `_begins`: with these arguments of `begin_again`."""
        self._ended: set[int] = set()
        self._begins = False
        self._payloads: list[bytes] = []
        """Records that the last turn had no time for: of one read of the socket at the most."""
        self._read_at = 0.0
        """The turn in which the socket was read last; `_taken_at`: the same in epoch seconds."""
        self._taken_at = 0.0
        self._descriptor = -1
        """netifyd's socket, as it is watched; `_followed`: the client's state that is known."""
        self._followed: tuple[str, int, int, int] = ("waiting", 0, 0, 0)
        self._told = ""
        """Why there is no connection, as was said last; "" when it was said that there is one."""
        self._silent_told = 0
        """The connection of which it was reported that nothing comes, by its number."""
        self._longest = [0.0, 0.0]
        """The longest turn in this minute and in the one before, seconds."""
        dispatcher.on_memory_error = self.free_memory
        self._second = dispatcher.at(0.0, self.tick)
        self._reconnection = dispatcher.at(NEVER, self._client_timeout)
        self._edge = dispatcher.at(NEVER, self.watch_clock)
        self._healing_due = dispatcher.at(NEVER, self._wake)
        for step in (self.take_rest, self.match_again, self.release, self.commit, self.heal, self.pack):
            dispatcher.step(step)

    # -- conntrack ----------------------------------------------------------------------------------------------------

    def _asked(self) -> "Entries":
        """Return what asks conntrack about flows: only those who need that have it in memory."""
        if self.entries is None:
            from .targets.connections.entries import Entries

            self.entries = Entries()
        return self.entries

    def _inner_end(self, flow: "Flow") -> bytes | None:
        return self._asked().inner(flow)

    def _mark(self, flow: "Flow") -> int:
        return self._asked().mark(flow)

    # -- what others add --------------------------------------------------------------------------------------------

    def tell_connected(self) -> None:
        """Tell others than the log that netifyd is there."""

    def tell_lost(self, why: str) -> None:
        """Tell others than the log that netifyd is not there."""

    # -- the loop ---------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the loop's clock in whole seconds, never 0."""
        return int(monotonic()) + 1

    def loop(self) -> None:
        """Run turns until the daemon is to stop."""
        dispatcher = self.dispatcher
        while self.running:
            dispatcher.turn()
            self._longest[0] = max(self._longest[0], monotonic() - dispatcher.moment)

    def turn_now(self) -> int:
        """Return the loop's clock as of the beginning of this turn, in whole seconds."""
        return int(self.dispatcher.moment) + 1

    def soon(self) -> bool:
        """Return whether the turn of the loop has been long enough."""
        return monotonic() - self.dispatcher.moment > TURN_SECONDS

    def tick(self) -> None:
        """What has to happen each second."""
        moment = self.dispatcher.moment
        now = int(moment) + 1
        self._second.move(float(now))
        guard = self.dispatcher.guard
        guard(self.engine.tick, now)
        guard(self.registry.tick, now)
        guard(self.healing.tick, moment)
        guard(self._tell_silence)
        if now % 60 == 0:
            self._longest = [0.0, self._longest[0]]

    def _tell_silence(self) -> None:
        """Report once for each connection that netifyd sends nothing."""
        silence = origins.silent(self) if self._silent_told != self.client.connects else None
        if silence is not None:
            self._silent_told = self.client.connects
            self.log.say("warning", sentences(silence))

    def end(self) -> None:
        """Nothing new comes in any more."""
        self.disconnect()
        self.dispatcher.guard(self.interfaces.close)
        if self.entries is not None:
            self.dispatcher.guard(self.entries.close)
        self.dispatcher.end_steps()
        if self.learner is not None:
            self.learner.close()
        if self.usage is not None:
            self.dispatcher.guard(self.usage.close)
        for timer in (self._second, self._reconnection, self._edge, self._healing_due):
            self.dispatcher.cancel(timer)

    def free_memory(self) -> None:
        """Memory is short: empty the caches."""
        self.engine.free_memory()

    def disconnect(self) -> None:
        """Close the connection to the source."""
        if self._descriptor >= 0:
            self.dispatcher.unwatch(self._descriptor)
            self._descriptor = -1
        self._followed = "closed", 0, 0, 0
        self.client.close()

    # -- the steps of each turn: they return whether they have more to do -------------------------------------------

    def take_rest(self) -> bool:
        """Work on the records that the last turn had no time for."""
        if self._payloads and self._read_at != self.dispatcher.moment:
            self.take(self._payloads, self.turn_now())
        return bool(self._payloads)

    def match_again(self) -> bool:
        """Re-evaluate some of the live flows, as many as a turn has time for."""
        if self._again is None:
            return False
        for failure in self._again:
            if failure is not None:
                self.dispatcher.fault("re-evaluating a flow", failure)
            if self.soon():
                return True
        self._again = None
        self._ended, self._begins = set(), False
        return False

    def release(self) -> bool:
        """Release what ended flows hold."""
        if not self.engine.flows.busy:
            return False
        self.engine.flows.go_on(self.turn_now(), self.soon)
        return self.engine.flows.busy

    def commit(self) -> bool:
        """Commit the effects of this turn to the kernel."""
        self.registry.commit(self.turn_now())
        return self.registry.busy

    def pack(self) -> bool:
        """Pack records of live flows, when no others come meanwhile."""
        return self._read_at != self.dispatcher.moment and not self._payloads and self.engine.kept.pack_some(PACKED)

    def heal(self) -> bool:
        """Restore what others removed from sets."""
        healing = self.healing
        if healing.busy:
            healing.go_on(self.turn_now(), self.soon)
        if healing.deadline != self._healing_due.time:
            self._healing_due.move(healing.deadline)
        return healing.busy

    def _wake(self) -> None:
        """The steps of the turn that this begins do the work."""

    # -- hours ------------------------------------------------------------------------------------------------------

    def activated(self, policy: "Policy") -> None:
        """A policy was activated."""
        self._edge.move(self.dispatcher.moment if policy.windows else NEVER)
        if policy.devices is not None or self.learner is not None:
            self.learn(policy)
        if self.usage is None and [1 for slot in self.registry.by_number.values() if slot.data.get("rule")]:
            from .targets.sets.usage import Usage  # most policies of sinks and logs have no sets

            self.usage = Usage(self.dispatcher, self.registry, self.log.say)
        if self.usage is not None:
            self.usage.watch()

    def _rules_changed(self) -> None:
        """Rules of the firewall, or sets, have come or gone."""
        if self.usage is not None:
            self.usage.changed()

    def learn(self, policy: "Policy | None") -> "Learner":
        """Learn the addresses of the devices of a policy, and of others in the local network."""
        learner = self.learner
        if learner is None:
            from .devices.learning import Learner  # most policies have no devices

            learner = self.learner = Learner(self.dispatcher, self.log.say, self.forget_devices, self.devices_changed)
        files, hosts = policy.leases if policy is not None else ((), [])
        learner.follow(policy.devices if policy is not None else None, files, hosts)
        return learner

    def learner_now(self) -> "Learner":
        """Return who learns; from now on, if nobody did."""
        return self.learner or self.learn(self.engine.policy)

    def forget_devices(self) -> None:
        """An address belongs to another device now, perhaps."""
        if self.engine.policy is not None:
            self.engine.policy.view.forget_devices()

    def devices_changed(self) -> None:
        """Addresses belong to other devices now. A flow whose record is not kept may still be the same device's: it stays."""
        self.begin_again(())

    def watch_clock(self) -> None:
        """Check at each second of the wall clock whether schedules start or end."""
        policy = self.engine.policy
        if policy is None or not policy.windows:
            return
        clock = time.time()
        self._edge.move(monotonic() + 1.0 - clock % 1.0)
        schedules = policy.keep_hours(int(clock))
        if schedules:
            flows = str(len(self.engine.kept)) + " live flows"
            self.log.say("notice", "schedule: " + policy.turn_words(schedules, int(clock)) + "; re-evaluating " + flows)
            self.begin_again(policy.ended(policy.scheduled(schedules)))

    def begin_again(self, ended: "Iterable[str]", begins: bool = True) -> None:
        """Re-evaluate the live flows, some in each turn of the loop; from the beginning, if that is under way already.

        `ended`: targets that flows may have to leave; `begins`: flows also reach what they did not reach before.
        """
        self.registry.table.update(self.engine.policy)
        self._ended = self._ended.union(self.registry.numbers_of(ended))
        self._begins = self._begins or begins
        self._again = self._evaluate()

    def _evaluate(self) -> "Iterator[Exception | None]":
        yield from self.engine.match_again(self.now, self._ended, self._begins)
        while self._ended and self.release():
            yield None  # flows that are ending are re-evaluated no more, but what they hold has lost its cause, too
        yield from self.registry.withdraw_idle(self._ended, self.now)

    # -- netifyd ----------------------------------------------------------------------------------------------------

    def read(self, descriptor: int, event: int, moment: float) -> None:
        """netifyd's socket is ready: work on what has come."""
        if self._payloads:
            return  # what came before comes first
        self._read_at = moment
        self._taken_at = time.time()
        try:
            payloads = self.client.ready(moment)
        finally:
            self.follow_client()
        if payloads:
            self.engine.heard_at = moment
        self.take(payloads, int(moment) + 1)

    def take(self, payloads: list[bytes], now: int) -> None:
        """Work on records, as many as a turn of the loop has time for. One that comes to a fault is left out."""
        self._payloads = []
        while payloads:
            before = self.engine.records
            try:
                payloads = self.engine.take_some(payloads, now, self.soon)
                break
            except Exception as failure:
                self.dispatcher.fault("processing a record", failure)
                payloads = payloads[max(1, self.engine.records - before) :]
                if self.soon():
                    break
        self._payloads = payloads

    def _client_timeout(self) -> None:
        """Connect again, or give up an attempt."""
        try:
            self.client.timeout(self.dispatcher.moment)
        finally:
            self.follow_client()

    def _client_broken(self, descriptor: int) -> None:
        """The client cannot read its socket, again and again."""
        self.client.lose(self.dispatcher.moment, "a fault in nfa", "source-fault")
        self.follow_client()

    def follow_client(self) -> None:
        """Watch the socket that the client has now, for what it waits for; tell of changes. To be called after each of the
        client's calls that may change that: before its descriptor, if it was closed, is given to somebody else."""
        client = self.client
        self._reconnection.move(client.deadline or NEVER)
        state = client.state, client.connects, client.failures, client.fruitless
        if state == self._followed:
            return
        if client.state == "connected" and state[:2] != self._followed[:2]:
            self.engine.census.begin(self.turn_now())
        self._followed = state
        descriptor = client.socket.fileno() if client.socket else -1
        if self._descriptor not in (-1, descriptor):
            self.dispatcher.unwatch(self._descriptor)
        self._descriptor = descriptor
        if descriptor >= 0:
            event = select.POLLOUT if client.state == "connecting" else select.POLLIN
            self.dispatcher.watch(descriptor, event, self.read, self._client_broken)
        # One that is closed again and again before it brought anything is reported once, not four times a second.
        if client.state == "connected" and client.fruitless < 2 and (self._told or client.fruitless):
            self._told = ""
            self.log.say("notice", "connected to " + client.uri)
            self.tell_connected()
        elif client.state == "waiting" and self._told != client.last_error:
            self._told = client.last_error
            self.log.say("warning", "no connection to " + client.uri + ": " + client.last_error + "; trying again")
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
