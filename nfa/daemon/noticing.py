"""What notices (`nfa.daemon.notices`) need of the daemon: loaded only where a policy has a notice.

In: the daemon, and images. Out: where notices send, whose flows they tell of, what is wrong now; and who tells them.
"""

from .base.portable import monotonic
from .bus import origins, status
from .notices.notices import Notices
from .usage.usage import NAME

MYPY = False
if MYPY:
    from typing import Any, Protocol

    from .base.messages import Log
    from .bus.news import News
    from .counted import Counted
    from .devices.known import Known
    from .devices.learning import Learner
    from .sinks.hub import Hub
    from .usage.usage import Usage

    class Daemon(status.Reporting, Protocol):
        """The daemon, as far as notices need it."""

        settings: dict[str, Any]
        log: Log
        counted: Counted | None
        budgeting: status.Budgeted | None

        @property
        def news(self) -> News: ...
        def learner_now(self) -> Learner: ...


STARTING = 60.0
"""Seconds after the start in which netifyd need not be there."""


class Around:
    """The daemon as notices see it."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self.dispatcher = daemon.dispatcher
        self.engine = daemon.engine

    @property
    def used(self) -> "Usage | None":
        """Who counts."""
        counted = self._daemon.counted
        return counted.usage if counted is not None else None

    def say(self, level: str, text: str) -> None:
        """Write to the log."""
        self._daemon.log.say(level, text)

    def tell(self, event: str, data: "dict[str, Any]") -> bool:
        """Send an event on ubus."""
        return self._daemon.news.tell(event, data)

    def hub(self) -> "Hub | None":
        """Return what has the channels."""
        return self._daemon.registry.hub

    def known(self) -> "Known | None":
        """Return what is known of the addresses of the network."""
        return self._daemon.learner_now().known

    def troubles(self) -> "dict[str, str]":
        """Return the targets that do not work, and why."""
        return status.troubles(self._daemon)

    def source(self) -> str:
        """Return "lost" or "silent" when netifyd is; else ""."""
        if monotonic() - self._daemon.started < STARTING:
            return ""
        if self._daemon.client.state != "connected":
            return "lost"
        return "silent" if origins.silent(self._daemon) is not None else ""


def use(daemon: "Daemon", data: "dict[str, Any]") -> "status.Telling | None":
    """The policy of an image was activated: return who tells its notices, None where it has none."""
    daemon.learner_now()  # who learns names
    notices = daemon.notices or Notices(Around(daemon))
    kept = data["usage_file"] or daemon.settings["control"].rpartition("/")[0] + "/" + NAME
    active = notices.use(data, kept + ".notices")
    if daemon.budgeting is not None:
        daemon.budgeting.on_event = notices.budget if active else None
    return notices if active else None
