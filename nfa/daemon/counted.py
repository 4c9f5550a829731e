"""What is counted, as the active policy wants it: what devices use, budgets, both or nothing. Each is loaded only when it is.

In: images that were activated. Out: `accounts` and `budgeting` of the daemon, which answer.
"""

import os
import time

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from .base.dispatcher import Dispatcher
    from .base.messages import Log
    from .bus.status import Budgeted, Facts
    from .devices.known import Known
    from .engine.engine import Engine
    from .usage.budgeting import Budgeting
    from .usage.usage import Usage

    class Host(Protocol):
        """The daemon, as far as counting needs it."""

        settings: dict[str, Any]
        log: Log
        dispatcher: Dispatcher
        engine: Engine
        accounts: Facts | None
        budgeting: Budgeted | None

        def begin_again(self, ended: Iterable[str], begins: bool = True) -> None: ...


class Counted:
    """Who counts for a daemon."""

    def __init__(self, daemon: "Host", known: "Callable[[], Known | None]") -> None:
        """`known()`: what is known of the addresses of the network, if somebody learns it."""
        self._daemon = daemon
        self._known = known
        self._folder = os.path.dirname(daemon.settings["control"])
        self.usage: Usage | None = None
        self.budgeting: Budgeting | None = None

    def use(self, data: "dict[str, Any]") -> None:
        """The policy of an image was activated."""
        daemon = self._daemon
        keeps, limits, notices = data["usage"] is not None, bool(data["budgets"]), data["notices"]
        whole = keeps or (notices is not None and notices["counts"])
        changed = self.usage is not None and (self.usage.keeps != keeps or self.usage.whole != whole)
        if self.usage is not None and (changed or not (whole or limits)):
            self.usage.close()
            self.usage = None
        if limits and self.budgeting is None:
            from .usage.budgeting import Budgeting

            self.budgeting = Budgeting(daemon.dispatcher, daemon.engine, daemon.log.say, self._folder, daemon.begin_again)
        elif not limits and self.budgeting is not None:
            if self.usage is not None:
                self.usage.counting.bills.settle()
            self.budgeting.close()
            self.budgeting = None
        if self.budgeting is not None:
            self.budgeting.follow(data["budgets"], data["zone"], data["usage_file"], int(time.time()))
        if self.usage is None and (whole or limits):
            from .usage.usage import Usage

            usual = daemon.dispatcher, daemon.engine, self._known, daemon.log.say, self._folder, time.time
            self.usage = Usage(*usual, keeps, None, whole)
            if limits:
                daemon.begin_again(())  # live flows that nobody counted are counted from now on
        if self.usage is not None:
            self.usage.use(data, self.budgeting)
        daemon.accounts = self.usage if keeps else None
        daemon.budgeting = self.budgeting

    def close(self) -> None:
        """The daemon ends: what there is goes into the files."""
        if self.usage is not None:
            self.usage.close()
        if self.budgeting is not None:
            self.budgeting.close()
