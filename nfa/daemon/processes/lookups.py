"""Lookups of names for the daemon: one child at a time, in a line of their own, so that a name server that hangs holds up no
question and no reload.

In: hosts, and whom to tell. Out: `done(addresses, problem)`. Those who ask for the same host share one lookup, and a failure is
remembered for a while: all channels of a server that is not known ask again and again.
"""

import json
import time

from .child import Children, Job

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
    """`poll`: the loop's."""

    def __init__(self, poll) -> None:
        self._children = Children(poll, MAX_HOSTS)
        self._asking: dict[str, list] = {}
        """Host to those who are to be told."""
        self._failed: dict[str, tuple] = {}
        """Host to (until when it is remembered, problem)."""

    @property
    def descriptor(self) -> int:
        """Where an answer comes from, -1 when none is under way."""
        return self._children.descriptor

    def ready(self) -> None:
        """The descriptor is ready."""
        self._children.ready()

    def watch(self, moment: float) -> None:
        """Give up a lookup that does not end. To be called now and then."""
        self._children.watch(moment)

    def close(self) -> None:
        self._asking = {}
        self._children.close()

    def ask(self, host: str, done) -> None:
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
            answered = lambda output, problem: self._answered(host, output, problem)  # noqa: E731
            job = Job("the lookup of a name", "nfa.daemon.processes.resolve", [], host.encode(), LIMIT, _MAX_ANSWER, answered)
            self._children.add(job)

    def _answered(self, host: str, output: bytes, problem: str) -> None:
        try:
            found = {"problem": problem} if problem else json.loads(output)
        except ValueError:
            found = {"problem": "the answer was not complete"}
        addresses, problem = (found, "") if isinstance(found, list) else ([], found["problem"])
        self._failed.pop(host, None)
        if problem:
            while len(self._failed) >= MAX_HOSTS:
                del self._failed[next(iter(self._failed))]
            self._failed[host] = time.monotonic() + REMEMBERED, problem
        for done in self._asking.pop(host, ()):
            done(addresses, problem)
