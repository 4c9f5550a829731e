"""All notices of a policy: what happens becomes events, an event a sentence, a sentence goes to the notices that want it.

In: combinations of device, application and actions whenever `usage.counting` resolves one (so nothing is done for each record),
a version of TLS that is too low, what targets and netifyd are like every POLL seconds, and what budgets tell. Out: sentences in
the language of the policy. The image has the sentences; what is filled in is cut and cleaned (`harmless`).

`weak_tls` cannot wait for a new combination, because a device may use an application with several versions. So, where a notice
wants it, a function around `announce` looks at one field of each record that has it.
"""

import time

from ..base.dispatcher import NEVER
from ..engine.view import MALFORMED
from ..usage.names import OTHER
from ..usage.store import Store
from .harmless import MAX_WORDS, clean
from .labels import Labels, is_told
from .memory import LEARN, LEARNT, NEW, NO_ROOM, NOTICES, Memory
from .notice import Notice
from .settled import Settled
from .testing import Test

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..base.dispatcher import Dispatcher
    from ..devices.known import Known
    from ..engine.engine import Engine
    from ..engine.plans import Plan
    from ..sinks.hub import Hub
    from ..usage.usage import Usage

    Data = dict[str, Any]
    Flow = dict[str, Any]
    Reply = Callable[[int, Data | None], object]

    class Around(Protocol):
        """What notices are of."""

        dispatcher: Dispatcher
        engine: Engine

        @property
        def used(self) -> Usage | None: ...
        def say(self, level: str, text: str) -> None: ...
        def tell(self, event: str, data: Data) -> bool: ...
        def hub(self) -> Hub | None: ...
        def known(self) -> Known | None: ...
        def troubles(self) -> dict[str, str]: ...
        def source(self) -> str: ...


POLL = 5.0
"""Seconds between two looks at targets and netifyd; and how long a new device has until its name is known."""
MAX_LATER = 64
"""New devices that wait for their names."""
SAVE_EVERY = 840.0
"""Seconds between two times that the file is written."""
_TLS = {0x0002: 0x0300, 0xFEFF: 0x0302, 0xFEFD: 0x0303, 0xFEFC: 0x0304}
"""Versions of SSL 2 and of DTLS, to those of TLS that are as good."""
_TLS_NAMES = {0x0002: "SSL 2", 0x0300: "SSL 3", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0xFEFF: "DTLS 1.0"}
_GOOD = ("0x0303", "0x0304")
"""What nearly all records have."""


class Notices:
    """Tells as long as it is not closed. `file`: where the memory is."""

    def __init__(self, around: "Around", clock: "Callable[[], float]" = time.time) -> None:
        """`clock()`: epoch seconds."""
        self._around = around
        self._clock = clock
        self.notices: dict[str, Notice] = {}
        self.memory = Memory()
        self._sentences: dict[str, tuple[str, ...]] = {}
        self._titles: dict[str, tuple[str, int, str]] = {}
        self.labels = Labels(around.engine, around.known)
        self._blocking: dict[str, tuple[str, ...]] = {}
        self._events: set[str] = set()
        self._lowest = 0
        """The lowest version of TLS that nobody wants to know of."""
        self._later: list[tuple[float, str, list[str]]] = []
        """New devices that wait for their names: since when, key, configured devices that they are."""
        self.unnamed = 0
        """Devices and applications that there was no room to remember, so that nobody is told of them."""
        dispatcher = around.dispatcher
        self._settled = Settled()
        self._learnt_at = dispatcher.moment + LEARN
        self._save_at = dispatcher.moment + SAVE_EVERY
        self._timer = dispatcher.at(NEVER, self._poll)
        self.store = Store(dispatcher, around.say, NOTICES)
        self._tests: list[Test] = []

    # -- life cycle -------------------------------------------------------------------------------------------------

    def use(self, data: "Data", file: str) -> bool:
        """The policy of an image was activated. `file`: where the memory is kept. Returns whether it has notices; else this is
        closed."""
        wanted = data["notices"]
        if wanted is None:
            self.close()
            return False
        self._sentences, self._titles, self.labels.quotes = wanted["sentences"], wanted["titles"], wanted["quotes"]
        self._blocking = wanted["blocking"]
        kept = self.notices
        self.notices = {}
        hub = self._around.hub()
        for one in wanted["notices"]:
            notice = kept.get(one["name"]) or Notice(one["name"], self._around.say, self._around.tell)
            notice.use(one, hub.prepare([one["channel"]])[0] if one["channel"] and hub is not None else None)
            self.notices[notice.name] = notice
        self._events = {event for notice in self.notices.values() for event in notice.data["events"]}
        levels = [notice.data["tls"] for notice in self.notices.values() if "weak_tls" in notice.data["events"]]
        self._lowest = max([0] + levels)
        self._remember(file)
        self._follow()
        if self._timer.time == NEVER:
            self._poll()
        return True

    def _remember(self, file: str) -> None:
        """Go on with what the file has, unless something is remembered already."""
        if file == self.store.path:
            return
        self.store.close()
        begun, self.store.path = bool(self.store.path), file
        self.memory.changed = self.memory.changed or begun
        if not begun and self._events.intersection(("new_device", "new_application", "blocked", "weak_tls")):
            content = self.store.read()
            if content is not None:
                self.memory.restore(content)

    def _follow(self) -> None:
        """Hear of what `usage` resolves."""
        used = self._around.used
        if used is None:
            return
        counting = used.counting
        if self._events.intersection(("new_device", "new_application", "blocked")):
            counting.on_kind = self._on_kind
        else:
            counting.on_kind = None
        counting.announce = counting.plain_announce
        if self._lowest:
            counting.announce = self._looking(counting.plain_announce)
        counting.forget_codes()

    def close(self) -> None:
        """Tell no more; what is remembered goes into the file."""
        used = self._around.used
        if used is not None:
            used.counting.on_kind = None
            used.counting.announce = used.counting.plain_announce
        for test in self._tests:
            test.end("the notice is gone")
        self._around.dispatcher.cancel(self._timer)
        self.store.close()
        if self.memory.changed and self.store.path:
            self.store.write_now(self.memory.content())

    # -- time -------------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """What has to happen every POLL seconds."""
        moment = self._around.dispatcher.moment
        self._timer.move(float(int(moment)) + POLL)
        if not self.memory.learnt and moment >= self._learnt_at:
            self.memory.learnt = self.memory.changed = True
        ready = [one for one in self._later if moment - one[0] >= POLL]
        self._later = self._later[len(ready) :]
        for _, key, devices in ready:
            facts = {"device": self.labels.label(key), "key": key}
            self._sentence_of("new_device", "new_device", {"device": self.labels.with_key(key)}, facts, devices)
        if "trouble" in self._events:
            for target, why in self._settled.changed(self._around.troubles()):
                facts = {"target": clean(target), "why": clean(why, MAX_WORDS)}
                filled = {"target": self.labels.name(target), "why": facts["why"]}
                self._sentence_of("trouble", "trouble" if why else "trouble_over", filled, facts, None)
        if "agent" in self._events:
            state = self._around.source()
            for _, now in self._settled.changed({"": state} if state else {}, ("",)):
                self._sentence_of("agent", "agent_" + (now or "back"), {}, {"state": now or "back"}, None)
        for notice in self.notices.values():
            count = notice.rest(moment)
            if count:
                text = self._text("left_out_one" if count == 1 else "left_out", {"count": str(count)})
                notice.send("left_out", self._titles["left_out"], text, {"count": count, "time": int(self._clock())})
        for test in list(self._tests):
            if test.over(moment):
                self._tests.remove(test)
        if self.memory.changed and moment >= self._save_at and self.store.path:
            self._save_at = moment + SAVE_EVERY
            self.memory.changed = False
            self.store.write(self.memory.content())

    # -- what happens -----------------------------------------------------------------------------------------------

    def _on_kind(self, flow: "Flow", device: int, app: int, plan: "Plan | None") -> None:
        """A combination was resolved (see `Counting.on_kind`). Raises nothing: the record has its effects all the same."""
        try:
            used = self._around.used
            if used is not None and device != OTHER:
                self._look(flow, used.devices.name(device), used.apps.name(app), plan)
            elif used is not None:
                self.unnamed += 1
        except MALFORMED:
            pass
        except Exception as failure:
            self._around.dispatcher.fault("telling what is new", failure)

    def _look(self, flow: "Flow", key: str, app: str, plan: "Plan | None") -> None:
        now = int(self._clock())
        seen = self.memory.device(key, now)
        if seen == NO_ROOM:
            self.unnamed += 1
        elif seen == NEW and "new_device" in self._events and is_told(key):
            if len(self._later) < MAX_LATER:
                self._later.append((self._around.dispatcher.moment, key, self.labels.devices_of(flow)))
            else:
                self._left_out("new_device")
        known = flow.get("detected_application_name") not in (None, "", "Unknown")
        if seen != NO_ROOM and known and "new_application" in self._events:
            found = self.memory.app(key, app, now)
            if found == NEW:
                self._of_flow("new_application", flow, key, app, {})
            elif found not in (NEW, LEARNT) and found == NO_ROOM:
                self.unnamed += 1
        if plan is not None and plan.names and "blocked" in self._events:
            for action in plan.names:
                blocks = not set(plan.reached).isdisjoint(self._blocking.get(action, ()))
                if blocks and self.memory.first("blocked\n" + key + "\n" + app + "\n" + action, now):
                    self._of_flow("blocked", flow, key, app, {"action": action})

    def _looking(
        self, announce: "Callable[[int, Flow, int, Plan | None], None]"
    ) -> "Callable[[int, Flow, int, Plan | None], None]":
        """Return `announce` with a look at the version of TLS."""

        def look(digest: int, flow: "Flow", how: int, plan: "Plan | None") -> None:
            announce(digest, flow, how, plan)
            if "ssl" in flow:
                try:
                    version = flow["ssl"]["version"]
                    if version not in _GOOD:
                        self._on_tls(flow, version)
                except MALFORMED:
                    pass

        return look

    def _on_tls(self, flow: "Flow", written: object) -> None:
        """A record has another version of TLS than the usual ones. `written`: as the record has it."""
        used, policy = self._around.used, self._around.engine.policy
        version = policy.view.number(written) if policy is not None else 0
        if not 0 < _TLS.get(version, version) < self._lowest or used is None or version not in _TLS_NAMES:
            return
        try:
            key, app = used.names_of(flow)
            if self.memory.first("tls\n" + key + "\n" + app, int(self._clock())):
                self._of_flow("weak_tls", flow, key, app, {"version": _TLS_NAMES[version]})
        except MALFORMED:
            pass
        except Exception as failure:
            self._around.dispatcher.fault("telling a version of TLS", failure)

    def budget(self, budget: str, device: str, percent: int) -> None:
        """A budget reached so many percent; from 100 on it is spent. `device`: its key or name, "" for all together."""
        which = ("budget_spent" if percent >= 100 else "budget_near") + ("" if device else "_all")
        label, names = "", []
        if device:
            label = self.labels.label(device)
            names = self.labels.configured(device) or [device]
        filled = {"device": self.labels.shown(device), "budget": self.labels.name(budget), "percent": str(percent)}
        facts = {"budget": clean(budget), "percent": percent}
        if device:
            facts["device"] = label
        self._sentence_of("budget", which, filled, facts, names if device else None)

    # -- sentences --------------------------------------------------------------------------------------------------

    def _of_flow(self, event: str, flow: "Flow", key: str, app: str, more: "dict[str, str]") -> None:
        """Something of a device and an application happened. `more`: what else the sentence has."""
        short = app.partition(".")[2] or app
        filled = {"device": self.labels.shown(key), "application": self.labels.name(short)}
        facts = {"device": self.labels.label(key), "key": clean(key), "application": clean(app)}
        for field, value in more.items():
            filled[field] = value if field == "version" else self.labels.name(value)
            facts[field] = clean(value)
        self._sentence_of(event, event, filled, facts, self.labels.devices_of(flow), more.get("action", ""))

    def _sentence_of(
        self, event: str, which: str, filled: "Data", facts: "Data", devices: "list[str] | None", action: str = ""
    ) -> None:
        """Tell an event to all notices that want it. `which`: its sentence; `filled`: what that has; `facts`: for programs."""
        text = ""
        moment = self._around.dispatcher.moment
        for notice in self.notices.values():
            if notice.wants(event, action, devices) and notice.room(moment):
                if not text:
                    text = self._text(which, filled)
                    facts = dict(facts)
                    facts["time"] = int(self._clock())
                notice.send(event, self._titles[event], text, facts)

    def _left_out(self, event: str) -> None:
        """An event is told to nobody: there are too many at once."""
        for notice in self.notices.values():
            if notice.wants(event, "", None):
                notice.leave_out()

    def _text(self, which: str, filled: "Data") -> str:
        """Return a sentence."""
        parts = self._sentences[which]
        return "".join([filled[part] if place & 1 else part for place, part in enumerate(parts)]).strip()

    # -- answers ----------------------------------------------------------------------------------------------------

    def test(self, which: str, reply: "Reply") -> bool:
        """Send a test of a notice, and reply whether its channel took it. Returns whether there is such a notice."""
        notice = self.notices.get(which)
        if notice is None:
            return False
        text = self._text("test", {"notice": self.labels.name(which)})
        test = Test(notice, text, self._around.dispatcher.moment, reply)
        notice.send("test", self._titles["test"], text, {"time": int(self._clock())}, test.counters)
        test.watch(self._around.dispatcher)
        self._tests = [one for one in self._tests if not one.done] + [test]
        return True

    def status(self, wall: "Callable[[int], int | None]") -> "Data":
        """Return what `status` tells. `wall`: as for `Notice.status`."""
        left = 0 if self.memory.learnt else max(0, int(self._learnt_at - self._around.dispatcher.moment))
        return {
            "on": True,
            "learning": left,
            "devices": len(self.memory.devices),
            "no_room": self.unnamed,
            "file": self.store.path,
            "saved": self.store.saved or None,
            "trouble": self.store.trouble,
            "code": self.store.code,
            "notices": {one: notice.status(wall) for one, notice in self.notices.items()},
        }
