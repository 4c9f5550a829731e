"""The one loop of the daemon: descriptors, timers, and what each turn ends with. Every callback is guarded here, and only here.

In: callbacks, and what they wait for. Out: their calls, one after the other; a count of those that raised.

    turn:  poll -> descriptors that are ready -> timers that are due -> the steps, in the order in which they were given

A callback that raises (a *fault*, always one of nfa) ends nothing. It is counted, and said at most once a minute with its
place; the turn goes on with the next callback. Out of memory, caches are emptied first. What becomes of the callback:

- A descriptor is tried again in the next turn. After BROKEN faults without a success in between it rests, for 1 s, then 2, 4
  and so on up to LONGEST_REST: poll reports it for as long as there is something to read, and the loop must not spin. Its
  owner, if it gave `broken`, is told then: it can close the descriptor and open another one, as after an error.
- A timer that its callback has not set again is due again after such a rest, from 1 s on: a reconnection is not forgotten.
- A step has its next call in the next turn, which comes within a second.
"""

import select
import time

from .messages import Log
from .portable import EINTR, monotonic, name_of, place

MYPY = False  # true for mypy: typing costs memory, and MicroPython has none
if MYPY:
    from collections.abc import Callable

NEVER = 1e18
"""A time that does not come, monotonic seconds."""
BROKEN = 3
"""Faults of one descriptor, without a success in between, after which it rests."""
LONGEST_REST = 60.0
LONGEST_WAIT = 60000
"""Milliseconds of a turn in which nothing happens."""
QUIET = 60.0
"""Seconds in which a fault is said once."""
MAX_SAID = 32
"""Faults that are said in that time."""
MAX_WORDS = 200
"""Characters of an exception's own words."""


def _rest(faults: int) -> float:
    """Return the seconds of the n-th rest, from 1 on: 1, 2, 4, ..."""
    return min(LONGEST_REST, float(1 << min(faults - 1, 6)))


class _Watched:
    """A descriptor in the loop."""

    __slots__ = ("broken", "callback", "descriptor", "events", "faults", "rests_until", "turn")

    def __init__(self, descriptor: int, turn: int) -> None:
        self.descriptor = descriptor
        self.turn = turn
        """The turn in which it was first watched: what poll told before is of another descriptor with this number."""
        self.events = 0
        self.callback: Callable[[int, int, float], object]
        self.broken: Callable[[int], object] | None = None
        self.faults = 0
        """Without a success in between."""
        self.rests_until = 0.0
        """Poll does not know it before that time; 0.0: poll does."""


class Timer:
    """A callback and the time at which it is due (see `Dispatcher.at`)."""

    __slots__ = ("_dispatcher", "callback", "faults", "time")

    def __init__(self, dispatcher: "Dispatcher", time: float, callback: "Callable[[], object]") -> None:
        self._dispatcher = dispatcher
        self.time = time
        """Monotonic seconds; NEVER: it is not set."""
        self.callback = callback
        self.faults = 0
        """Without a success in between."""

    def move(self, time: float) -> None:
        """Be due at another time, once."""
        self.time = time
        if time < self._dispatcher.due:
            self._dispatcher.due = time


class Dispatcher:
    """The loop. `log`: for faults. `clock`: the monotonic one, seconds."""

    def __init__(self, log: Log, clock: "Callable[[], float]" = monotonic) -> None:
        self._log = log
        self._clock = clock
        self._poll = select.poll()
        self._watched: dict[int, _Watched] = {}
        self._timers: list[Timer] = []
        self._steps: list[Callable[[], object]] = []
        self._turn = 0
        self._busy = False
        """A step has more to do."""
        self._awake = self.at(NEVER, self._end_rests)
        self.moment = clock()
        """When the present turn began, monotonic seconds: after its wait."""
        self.due = NEVER
        """No timer is due before that."""
        self.on_memory_error: Callable[[], object] | None = None
        """Called first when a callback is out of memory: to empty caches."""
        self.faults = 0
        self.last_fault = ""
        """The words of the last one, and `last_fault_at`: when it was, epoch seconds; 0: there was none."""
        self.last_fault_at = 0
        self._said: set[str] = set()
        self._quiet_until = 0.0

    # -- who takes part ---------------------------------------------------------------------------------------------

    def watch(
        self,
        descriptor: int,
        events: int,
        callback: "Callable[[int, int, float], object]",
        broken: "Callable[[int], object] | None" = None,
    ) -> None:
        """Call `callback(descriptor, events, moment)` when poll reports one of the events. `broken(descriptor)`: see above.

        Again for the same descriptor, it changes what is waited for, and who is called.
        """
        watched = self._watched.get(descriptor)
        if watched is None:
            watched = self._watched[descriptor] = _Watched(descriptor, self._turn)
            self._poll.register(descriptor, events)
        elif watched.events != events and not watched.rests_until:
            self._poll.modify(descriptor, events)
        watched.events = events
        watched.callback = callback
        watched.broken = broken

    def unwatch(self, descriptor: int) -> None:
        """The descriptor is about to be closed. One that is not watched is left alone."""
        watched = self._watched.pop(descriptor, None)
        if watched is not None and not watched.rests_until:
            self._poll.unregister(descriptor)

    def at(self, time: float, callback: "Callable[[], object]") -> Timer:
        """Call `callback()` once at that time (monotonic seconds; NEVER: when the timer is moved).

        The timer is the owner's for as long as it wants: `move(time)` sets it again.
        """
        timer = Timer(self, NEVER, callback)
        self._timers.append(timer)
        if time < NEVER:
            timer.move(time)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Have no more to do with a timer."""
        timer.time = NEVER
        if timer in self._timers:
            self._timers.remove(timer)

    def step(self, callback: "Callable[[], object]") -> None:
        """Call `callback()` at the end of each turn. It returns whether it has more to do: then the next turn does not wait."""
        self._steps.append(callback)

    def end_steps(self) -> None:
        """Have turns without any steps: the daemon ends."""
        self._steps = []

    # -- a turn -----------------------------------------------------------------------------------------------------

    def turn(self, longest: int = LONGEST_WAIT) -> int:
        """Wait for something, at most `longest` milliseconds, and work on it. Returns how many descriptors were ready, and
        timers due."""
        wait = 0 if self._busy else max(0, min(longest, int((self._next() - self._clock()) * 1000) + 1))
        events: list[tuple[int, int]] = []
        try:
            events = self._poll.poll(wait)
        except Exception as failure:
            if not (isinstance(failure, OSError) and failure.errno == EINTR):
                self.fault("poll", failure)
                time.sleep(0.1)  # it may fail each time
        moment = self.moment = self._clock()
        self._turn += 1
        for descriptor, event in events:
            watched = self._watched.get(descriptor)
            if watched is None or watched.turn == self._turn:
                continue
            try:
                watched.callback(descriptor, event, moment)
            except Exception as failure:
                self._descriptor_failed(watched, failure)
            else:
                watched.faults = 0
        count = len(events)
        if moment >= self.due:
            count += self._run_timers(moment)
        busy = False
        for step in self._steps:
            try:
                if step():
                    busy = True
            except Exception as failure:
                self.fault(name_of(step), failure)
        self._busy = busy
        return count

    def _next(self) -> float:
        """Return when the next timer is due."""
        due = NEVER
        for timer in self._timers:
            if timer.time < due:
                due = timer.time
        self.due = due
        return due

    def _run_timers(self, moment: float) -> int:
        count = 0
        for timer in list(self._timers):
            if timer.time > moment:
                continue
            count += 1
            timer.time = NEVER
            try:
                timer.callback()
            except Exception as failure:
                timer.faults += 1
                if timer.time == NEVER and timer in self._timers:
                    timer.move(moment + _rest(timer.faults))
                self.fault(name_of(timer.callback), failure)
            else:
                timer.faults = 0
        return count

    # -- faults -----------------------------------------------------------------------------------------------------

    def guard(self, callback: "Callable[..., object]", *arguments: object) -> bool:
        """Call a part of a larger callback, which goes on whatever comes of it. Returns whether nothing was raised."""
        try:
            callback(*arguments)
        except Exception as failure:
            self.fault(name_of(callback), failure)
            return False
        return True

    def insist(self, callback: "Callable[..., object]", *arguments: object) -> bool:
        """As `guard`, and try once more after a fault: memory, perhaps, is there now. For what may be done twice."""
        return self.guard(callback, *arguments) or self.guard(callback, *arguments)

    def fault(self, what: str, failure: Exception) -> str:
        """Count a fault, make room if memory is short, say it if it was not said lately. Returns the words. Raises nothing."""
        try:
            self.faults += 1
            if isinstance(failure, MemoryError):
                self._free_memory()
            where = place(failure)
            kind = type(failure).__name__
            words = what + " failed" + (" at " + where if where else "") + ": " + kind
            words += (": " + str(failure)[:MAX_WORDS] if str(failure) else "") + "; please report this fault in nfa"
            if isinstance(failure, MemoryError):
                words = what + " ran out of memory" + (" at " + where if where else "") + "; caches were emptied"
            self.last_fault = words
            self.last_fault_at = int(time.time())
            self._say(where + kind, words)
            return words
        except Exception:
            # There is no memory for the words either.
            self.last_fault = "a fault that could not be reported"
            return self.last_fault

    def _free_memory(self) -> None:
        if self.on_memory_error is not None:
            try:
                self.on_memory_error()
            except MemoryError:
                pass  # some of it may have been done
            except Exception as failure:
                self.fault(name_of(self.on_memory_error), failure)

    def _say(self, key: str, words: str) -> None:
        """Say it, once a minute."""
        moment = self._clock()
        if moment >= self._quiet_until:
            self._quiet_until = moment + QUIET
            self._said.clear()
        if key not in self._said and len(self._said) < MAX_SAID:
            self._said.add(key)
            self._log.say("error", words)

    def status(self) -> dict[str, object]:
        """Return what `status` tells of faults."""
        return {"count": self.faults, "last": self.last_fault, "last_at": self.last_fault_at or None}

    def _descriptor_failed(self, watched: _Watched, failure: Exception) -> None:
        self.fault(name_of(watched.callback), failure)
        watched.faults += 1
        if watched.faults < BROKEN or self._watched.get(watched.descriptor) is not watched:
            return
        if not watched.rests_until:
            self._poll.unregister(watched.descriptor)
        watched.rests_until = self.moment + _rest(watched.faults - BROKEN + 1)
        self._awake.move(min(self._awake.time, watched.rests_until))
        if watched.broken is not None:
            self.guard(watched.broken, watched.descriptor)

    def _end_rests(self) -> None:
        """Watch again the descriptors that have rested."""
        next_end = NEVER
        for watched in self._watched.values():
            if not watched.rests_until:
                continue
            if watched.rests_until <= self.moment:
                watched.rests_until = 0.0
                self._poll.register(watched.descriptor, watched.events)
            else:
                next_end = min(next_end, watched.rests_until)
        self._awake.move(next_end)
