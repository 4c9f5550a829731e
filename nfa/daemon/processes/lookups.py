"""Lookups of names for the daemon: one child at a time, in a line of their own, so that a name server that hangs holds up no
question and no reload.

In: hosts, and whom to tell. Out: `done(addresses, problem)`. Those who ask for the same host share one lookup, and a failure is
remembered for a while: all channels of a server that is not known ask again and again.
"""

import time

from ..base import json
from ..base.dispatcher import Dispatcher
from .child import Children, Job

MYPY = False
if MYPY:
    from collections.abc import Callable

    Done = Callable[[list[str], str], object]

LIMIT = 5
"""Seconds that one lookup may take."""
MAX_HOSTS = 32
"""Hosts that are looked up or wait for it, and failures that are remembered."""
MAX_ASKING = 64
"""Who may ask for one host at the same time."""
REMEMBERED = 30.0
"""Seconds for which a failure is remembered."""
_MAX_ANSWER = 1 << 16


class Lookups:
    """The lookups under way, and those that failed lately."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._children = Children(dispatcher, MAX_HOSTS)
        self._asking: dict[str, list[Done]] = {}
        """Host to those who are to be told."""
        self._failed: dict[str, tuple[float, str]] = {}
        """Host to (until when it is remembered, problem)."""

    def close(self) -> None:
        self._asking = {}
        self._children.close()

    def ask(self, host: str, done: "Done") -> None:
        """Look up a host. `done` may be called at once."""
        until, problem = self._failed.get(host, (0.0, ""))
        if time.monotonic() < until:
            done([], problem)
        elif len(self._asking.get(host, ())) >= MAX_ASKING or (host not in self._asking and len(self._asking) >= MAX_HOSTS):
            done([], "too many lookups at the same time")
        elif host in self._asking:
            self._asking[host].append(done)
        else:
            self._asking[host] = [done]

            def answered(output: bytes, problem: str) -> None:
                self._answered(host, output, problem)

            job = Job("the lookup of a name", "nfa.daemon.processes.resolve", [], host.encode(), LIMIT, _MAX_ANSWER, answered)
            self._children.add(job)

    def _answered(self, host: str, output: bytes, problem: str) -> None:
        try:
            found = {"problem": problem} if problem else json.loads(output)
        except ValueError:
            found = {"problem": "the answer was incomplete"}
        addresses, problem = (found, "") if isinstance(found, list) else ([], found["problem"])
        self._failed.pop(host, None)
        if problem:
            while len(self._failed) >= MAX_HOSTS:
                del self._failed[next(iter(self._failed))]
            self._failed[host] = time.monotonic() + REMEMBERED, problem
        for done in self._asking.pop(host, ()):
            self._dispatcher.guard(done, addresses, problem)
