"""One notice: what it tells, how often, and where.

In: sentences with what they are about. Out: for its channel a body in the form that is wanted, for the log a line, for ubus a
table. At most `limit` in an hour; how many were left out is told when the hour is over.
"""

from ..sinks.formats import to_json

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any, Protocol

    Data = dict[str, Any]

    class Channel(Protocol):
        """A channel of a sink (see `nfa.daemon.sinks.channel`)."""

        stream: bool
        tables: bool
        users: list[Any]
        trouble: str

        def put(self, event: Any, counters: Any) -> None: ...


HOUR = 3600.0


class Counters:
    """What became of what was sent through a channel (see `Channel`)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = "notice"
        self.added = self.errors = self.skipped = 0
        self.last_error = ""
        self.error_time = 0


class Notice:
    """`say(level, text)` writes to the log, `tell(name, data)` sends an event on ubus."""

    def __init__(self, name: str, say: "Callable[[str, str], Any]", tell: "Callable[[str, Data], Any]") -> None:
        self.name = name
        self._say = say
        self._tell = tell
        self.data: Data = {}
        """As the image has it (see `nfa.compiler.telling`)."""
        self.channel: Channel | None = None
        self.counters = Counters("notice '" + name + "'")
        self.sent = 0
        self.left_out = 0
        """In all; `_rest`: since the last sentence that told how many."""
        self._rest = 0
        self._times: list[float] = []
        """When the last ones were sent, monotonic seconds: those of the last hour, so at most `limit`."""

    def use(self, data: "Data", channel: "Channel | None") -> None:
        """The policy has the notice in this form."""
        self.data = data
        self.channel = channel
        if channel is not None:
            channel.users.append(self.counters)

    def wants(self, event: str, action: str, devices: "list[str] | None") -> bool:
        """Return whether it tells of an event. `devices`: names of those that it is of; None: of none."""
        if event not in self.data["events"] or (action and self.data["actions"] and action not in self.data["actions"]):
            return False
        wanted = self.data["devices"]
        return not wanted or devices is None or bool(set(devices).intersection(wanted))

    def room(self, moment: float) -> bool:
        """Return whether one more may be sent; if not, it is counted."""
        self._forget(moment)
        if len(self._times) < self.data["limit"]:
            self._times.append(moment)
            return True
        self.leave_out()
        return False

    def leave_out(self) -> None:
        """One more is not sent."""
        self.left_out += 1
        self._rest += 1

    def _forget(self, moment: float) -> None:
        while self._times and moment - self._times[0] >= HOUR:
            self._times.pop(0)

    def rest(self, moment: float) -> int:
        """Return how many were left out, once the hour is over in which they were; else 0."""
        self._forget(moment)
        if not self._rest or len(self._times) >= self.data["limit"]:
            return 0
        count, self._rest = self._rest, 0
        return count

    def send(
        self, event: str, title: "tuple[str, int, str]", text: str, facts: "Data", counters: "Counters | None" = None
    ) -> None:
        """Send a sentence. `title`: with ntfy's priority and tag; `facts`: what else programs are told; `counters`: other than
        its own."""
        self.sent += counters is None
        whole: Data = {"notice": self.name, "event": event, "title": title[0], "text": text}
        whole.update(facts)
        if "log" in self.data["to"]:
            self._say("notice", self.counters.name + ": " + text)
        if "ubus" in self.data["to"]:
            self._tell("notice", whole)
        channel = self.channel
        if channel is None:
            return
        if channel.tables:
            channel.put(whole, counters or self.counters)
        else:
            body = self._body(whole, title)
            channel.put(body + b"\n" if channel.stream else body, counters or self.counters)

    def _body(self, whole: "Data", title: "tuple[str, int, str]") -> bytes:
        """Return what the channel sends."""
        form = self.data["format"]
        if form == "text":
            return str(whole["text"]).encode("utf-8", "replace")
        if form == "ntfy":
            made: Data = {"topic": self.data["topic"], "message": whole["text"], "title": title[0]}
            made.update({"priority": title[1], "tags": [title[2]]})
            return to_json(made)
        if form == "telegram":
            # Without parse_mode nothing in the text is markup.
            silent = {"is_disabled": True}
            return to_json({"chat_id": self.data["chat"], "text": whole["text"], "link_preview_options": silent})
        if form == "home_assistant":
            made = {"event_type": whole["event"]}
            made.update(whole)
            return to_json(made)
        return to_json(whole)

    def status(self, wall: "Callable[[int], int | None]") -> "Data":
        """Return what `status` tells of it. `wall(second)`: a second of the loop's clock as epoch seconds."""
        counters = self.counters
        return {
            "to": list(self.data["to"]) + ([self.data["channel"]["sink"]] if self.channel is not None else []),
            "sent": self.sent,
            "left_out": self.left_out,
            "taken": counters.added,
            "lost": counters.skipped,
            "errors": counters.errors,
            "last_error": counters.last_error,
            "last_error_at": wall(counters.error_time),
            "trouble": self.channel.trouble if self.channel is not None else "",
        }
