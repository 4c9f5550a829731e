"""Carries out `adopt` in the running daemon: in slices, one call at a time, and takes its table away afterwards.

In: calls. Out: what `targets.connections.adopt` found and did. Loaded when first asked for.
"""

import errno
import time

from .base.dispatcher import NEVER
from .bus.calls import Refused
from .bus.ubus import UNKNOWN_ERROR
from .engine.view import MALFORMED, connection
from .netlink.socket import describe
from .stream.records import BadRecord, read
from .targets.connections import adopt

MYPY = False
if MYPY:
    from collections.abc import Callable, Generator
    from typing import Any, Protocol

    from .base.dispatcher import Dispatcher
    from .base.messages import Log
    from .engine.engine import Engine

    Reply = Callable[[int, dict[str, Any] | None], object]
    Work = Generator[None, None, dict[str, Any]]

    class Host(Protocol):
        """The daemon, as far as it is needed here."""

        dispatcher: Dispatcher
        engine: Engine
        log: Log

        def work(self, generator: Work, reply: Reply) -> None: ...


SLICE = 64
"""Kept records that are read in one turn of the loop."""


class Adopter:
    """One adoption at a time."""

    def __init__(self, daemon: "Host") -> None:
        self._daemon = daemon
        self._busy = False
        self._last: adopt.Adoption | None = None
        """That whose table is in the kernel."""
        self._over = daemon.dispatcher.at(NEVER, self._withdraw)

    def begin(self, dry: bool, reply: "Reply") -> None:
        """Begin. Raises Refused."""
        if self._busy:
            raise Refused(UNKNOWN_ERROR, "connections are being adopted already; try again")
        if not self._daemon.engine.networks.own:
            raise Refused(UNKNOWN_ERROR, "the router's own addresses are not known, so its own connections could not be spared")
        self._busy = True

        def done(status: int, data: "dict[str, Any] | None") -> None:
            self._busy = False
            if data is not None and "error" in data:
                status = UNKNOWN_ERROR
            reply(status, data)

        self._daemon.work(self._work(dry), done)

    def _work(self, dry: bool) -> "Work":
        known: set[bytes] = set()
        yield from self._known(known)
        adoption = adopt.Adoption(self._daemon.engine.networks.own, lambda *of: adopt.key_of(*of) in known)
        try:
            yield from adoption.search()
            if not dry:
                self._withdraw()
                self._last = adoption
                self._over.move(time.monotonic() + adopt.LASTING)
                yield from adoption.carry_out()
        except adopt.Refused as refusal:
            return {"error": str(refusal)}
        except OSError as failure:
            return {"error": "conntrack: " + describe(failure.errno or errno.EIO)}
        finally:
            if adoption is not self._last:
                adoption.close()
        return adopt.summary(adoption, dry)

    def _known(self, known: set[bytes]) -> "Generator[None, None, None]":
        """Collect the connections of the flows whose records are kept: policies are applied to them."""
        engine = self._daemon.engine
        for number, digest in enumerate(engine.kept.digests()):
            payload = engine.kept.get(digest)
            try:
                if payload is not None:
                    known.add(connection(read(payload)[1]["flow"]))
            except (BadRecord, *MALFORMED):
                pass
            if number % SLICE == SLICE - 1:
                yield

    def _withdraw(self) -> None:
        """Take the table of the last adoption away."""
        last, self._last = self._last, None
        self._over.move(NEVER)
        if last is None:
            return
        try:
            last.withdraw()
        except adopt.Refused as refusal:
            self._daemon.log.say("warning", "nft delete table inet nfa_adopt: " + str(refusal))
        last.close()

    def close(self) -> None:
        self._withdraw()
