"""Counts what flows have, while an hour runs: bytes, connections and packets of each device, application and set of actions.

In: flow records once they are oriented and decided, the payloads of statistics and purges (which carry what came since the last
one: local_* from the local end), and each minute that ends. Out: rows of the hour, `take_rows`.

This runs for each record: a live flow is remembered by a number, its code, which is the key of a counter as well. Of a record
of statistics only two numbers are read. What can be found later, as minutes in which something was active, is.
"""

from ..engine.networks import SWAPPED, TWICE
from ..engine.view import MALFORMED
from ..stream.records import earlier_keys
from .counter import Bills, Counter, add_to, some_only
from .sets import Sets
from .statistics import numbers_of

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..engine.plans import Plan
    from .counter import Announce, Count
    from .sets import Kind

    Flow = dict[str, Any]
    Key = tuple[str, str, str, int, int, Plan | None]
    Rows = dict[int, list[int]]

ACTIVE = 20_000
"""Bytes of a device and an application in one minute from which on it is an active one. A ping each second has 12,000."""
MAX_LIVE = 5461
"""Live flows that are remembered in each of two ages: as many as a dict of 8,192 places has room for."""
MAX_WAITING = 1024
"""Flows whose statistics came before their record."""
MAX_COUNTERS = 1024
"""Counters of the running hour. Of more, the less used ones are summed up for each device."""
MAX_CODES = 512
"""Kinds of flow records (addresses, application, actions) of which the counter is remembered."""
AGE = 600
"""Seconds after one to two of which a flow is forgotten that was not heard from."""
_APP, _SET = 11, 10
"""Bits of a code, from the highest: device, application, set of actions, and whether the ends were exchanged."""
_OWNER = _SET + 1
"""What a code is shifted by to get device and application."""
NOT_COUNTED = -1
"""The code of a flow that another interface reports, too."""
ACTIONS = 0xFFFF
"""In place of a device's number: the row is of an action."""
_LOCAL, _OTHER = b'"local_bytes":', b'"other_bytes":'
_NO_LOCAL, _NO_OTHER = _LOCAL + b"0", _OTHER + b"0"


class Counting:
    """All counters of the running hour, and the live flows that they are of."""

    def __init__(
        self,
        device_of: "Callable[[Flow], int]",
        app_of: "Callable[[Flow], int]",
        owner_of: "Callable[[Flow, int], str]" = lambda flow, device: "",
        whole: bool = True,
    ) -> None:
        """`device_of`, `app_of`: return the number of a flow's device, of its application; `owner_of`: whose budgets a flow
        counts for, "" for its device's; `whole`: count all flows, not only those that count for budgets."""
        self._device_of = device_of
        self._app_of = app_of
        self._owner_of = owner_of
        self._whole = whole
        self._young: dict[int, int] = {}
        """Digest key to code; `_older`: of flows that were not heard from in this age."""
        self._older: dict[int, int] = {}
        self._waiting: dict[int, list[int]] = {}
        """Local and other bytes, and packets, of flows whose record has not come."""
        self._codes: dict[Key, Counter] = {}
        """What flow records have in common, to the counter of their flows; emptied whenever a counter goes."""
        self.sets = Sets()
        self.bills = Bills()
        self.counters: dict[int, Counter] = {}
        self._minutes: dict[int, int] = {}
        """Active minutes of device and application; `_actions`: rows of actions."""
        self._actions: dict[str, list[int]] = {}
        self._age_at = 0
        self._not_counted = Counter(NOT_COUNTED, False)
        self.announce: Announce
        self.count: Count
        every = self._functions()
        self.announce, self.count = every if whole else some_only(every, self._young, self._older)
        self.plain_announce = self.announce
        """`announce` itself, where somebody has put another function around it."""
        self.on_kind: Callable[[Flow, int, int, Plan | None], None] | None = None
        """Called with a flow, its device, application and plan whenever a combination is resolved: at least once for each."""
        self.unknown = [0, 0]
        """Bytes and packets of flows that netifyd never announced, or that were forgotten."""
        self.forgotten = 0
        """Live flows that were forgotten for lack of room."""

    # -- flow records, statistics and purges ------------------------------------------------------------------------

    def _functions(self) -> "tuple[Callable[..., None], Callable[[int, bytes, list[bytes], bool], None]]":
        """Return what is called for each record: closures, in which tables are at hand without a look at the object."""
        young, older, waiting, codes, counters = self._young, self._older, self._waiting, self._codes, self.counters
        counter_of: Callable[[int | None], Counter | None] = counters.get  # type: ignore[assignment]  # None is asked for

        def announce(digest: int, flow: "Flow", how: int, plan: "Plan | None") -> None:
            """A flow record came. `how`: what `orient` found; `plan`: what its actions lead to."""
            try:
                app, protocol = flow["detected_application_name"], flow["detected_protocol"]
                key = flow["local_ip"], flow["local_mac"], app, protocol, how, plan
                counter = codes.get(key)
                if counter is None:
                    counter = self._resolve(key, flow, how, plan)
            except MALFORMED:
                counter = self._resolve(None, flow, how, plan)
            code = counter.code
            before = young.get(digest)
            if before == code:
                return
            if before is not None or "digest_prev" in flow or digest in older or digest in waiting:
                self._enter(digest, counter, before, flow)
            else:
                young[digest] = code
                counter.connections += 1
                if len(young) > MAX_LIVE:
                    self._begin_age()

        def count(digest: int, payload: bytes, fields: list[bytes], ended: bool) -> None:
            """Statistics of a flow came, or its purge: what it had since the last ones. `fields`: as of `read_some`."""
            code = young.pop(digest, None) if ended else young.get(digest)
            counter = counter_of(code)
            if counter is not None and not counter.blocks and fields:
                local, other = fields[4], fields[6]
                if local == _NO_LOCAL and other == _NO_OTHER:
                    return
                try:
                    sent, got = int(local.removeprefix(_LOCAL)), int(other.removeprefix(_OTHER))
                    if sent >= 0 <= got and sent + got < 1 << 60:  # as `numbers_of` has it
                        counter.local += sent
                        counter.other += got
                        return
                except ValueError:
                    pass  # it is not written as netifyd 4.4 writes it
            self._count_rare(digest, code, payload, ended)

        return announce, count

    def _enter(self, digest: int, counter: "Counter", before: int | None, flow: "Flow") -> None:
        """A flow is new, was not heard from for a while, goes on under another digest, or is another one's now."""
        code = counter.code
        if before is None:
            before = self._older.pop(digest, None)
        for key in earlier_keys(flow) if "digest_prev" in flow else ():
            former = self._pop(key)
            before = former if before is None else before
        self._young[digest] = code
        if before != code:
            if before is not None and before >= 0:
                self._counter(before).connections -= 1
            if code >= 0:
                self._counter(code).connections += 1
        waited = self._waiting.pop(digest, None)
        if waited is not None and code >= 0:
            self._add(code, waited)
        if len(self._young) > MAX_LIVE:
            self._begin_age()

    def _resolve(self, key: "Key | None", flow: "Flow", how: int, plan: "Plan | None") -> "Counter":
        """Return the counter of a flow, and remember it by what such flows have in common (None: they lack something)."""
        if how & TWICE:
            return self._not_counted
        try:
            device = self._device_of(flow)
            number = self._number(plan, flow, device)
            code = ((device << _APP | self._app_of(flow)) << _SET | number) << 1 | bool(how & SWAPPED)
        except MALFORMED:
            return self._counter(self.sets.number(plan) << 1)
        counter = self._counter(code)
        if self.on_kind is not None:
            self.on_kind(flow, code >> _OWNER >> _APP, code >> _OWNER & (1 << _APP) - 1, plan)
        if key is not None:
            if len(self._codes) >= MAX_CODES:
                self._codes.clear()
            self._codes[key] = counter
        return counter

    def _number(self, plan: "Plan | None", flow: "Flow", device: int) -> int:
        """Return the number of a flow's set."""
        return self.sets.number(plan, self._owner_of(flow, device) if plan is not None and plan.budgets else "")

    def forget_codes(self) -> None:
        """What flow records have in common may lead to something else now."""
        self._codes.clear()

    def twice(self, digests: list[int]) -> None:
        """It turned out that another interface reports these flows, too."""
        for digest in digests:
            before = self._pop(digest)
            if before is not None and before >= 0:
                self._counter(before).connections -= 1
            self._young[digest] = NOT_COUNTED
            self._waiting.pop(digest, None)

    def renamed(self, before: int, present: int) -> None:
        """A flow goes on under another digest."""
        code = self._pop(before)
        if code is not None and present not in self._young and present not in self._older:
            self._young[present] = code

    def again(self, digest: int, flow: "Flow", how: int, plan: "Plan | None") -> None:
        """A live flow was evaluated again: what follows is of other actions. One that is not known was before a restart."""
        code = self._pop(digest)
        if not self._whole and (plan is None or not plan.budgets):
            return
        if code is None:
            code = self._resolve(None, flow, how, plan).code
        elif code >= 0:
            number = self._number(plan, flow, code >> _OWNER >> _APP)
            code = (code >> _OWNER << _SET | number) << 1 | code & 1
            if self.on_kind is not None and plan is not None:
                self.on_kind(flow, code >> _OWNER >> _APP, code >> _OWNER & (1 << _APP) - 1, plan)
        self._young[digest] = code
        waited = self._waiting.pop(digest, None)
        if waited is not None and code >= 0:
            self._add(code, waited)
        if len(self._young) > MAX_LIVE:
            self._begin_age()

    def _pop(self, digest: int) -> int | None:
        found = self._young.pop(digest, None)
        return self._older.pop(digest, None) if found is None else found

    def _count_rare(self, digest: int, code: int | None, payload: bytes, ended: bool) -> None:
        """The same for a flow that is not known, has no counter in this hour, or is blocked."""
        if code is None:
            code = self._older.pop(digest, None)
            if code is not None and not ended:
                self._young[digest] = code
        if code == NOT_COUNTED:
            return
        found = numbers_of(payload)
        if found is None:
            return
        if code is not None:
            self._add(code, found)
            return
        waited = self._waiting.pop(digest, None)
        if waited is not None:
            found = [one + other for one, other in zip(found, waited)]
        if ended:
            self._lose(found)
            return
        if len(self._waiting) >= MAX_WAITING:
            oldest = next(iter(self._waiting))
            self._lose(self._waiting.pop(oldest))
        self._waiting[digest] = found

    def _lose(self, found: list[int]) -> None:
        self.unknown[0] += found[0] + found[1]
        self.unknown[1] += found[2]

    def _add(self, code: int, found: list[int]) -> None:
        counter = self._counter(code)
        counter.local += found[0]
        counter.other += found[1]
        if counter.blocks:
            counter.packets += found[2]

    def _counter(self, code: int) -> Counter:
        """Return the counter of a code, in this hour."""
        found = self.counters.get(code)
        if found is None:
            if len(self.counters) >= MAX_COUNTERS:
                self._sum_up()
            kind = self._kind_of(code)
            found = self.counters[code] = Counter(code, kind[1])
            if kind[2]:
                self.bills.add(found, code >> _OWNER >> _APP, kind)
        return found

    def waiting(self) -> list[int]:
        """Return bytes and packets that are of no flow yet, and those that never will be."""
        found = list(self.unknown)
        for local, other, packets in self._waiting.values():
            found[0] += local + other
            found[1] += packets
        return found

    # -- time -------------------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Forget flows that were not heard from for long. `now`: the loop's clock, seconds."""
        if now >= self._age_at:
            self._begin_age()
            self._age_at = now + AGE

    def _begin_age(self) -> None:
        if len(self._young) > MAX_LIVE:
            self.forgotten += len(self._older)
        # In place: the functions that are called for each record know these tables.
        self._older.clear()
        self._older.update(self._young)
        self._young.clear()

    def end_minute(self) -> None:
        """A minute has ended: find what was active in it."""
        amounts: dict[int, int] = {}
        by_action: dict[str, int] = {}
        for code, counter in self.counters.items():
            amount = counter.local + counter.other - counter.seen
            if amount:
                counter.seen += amount
                owner = code >> _OWNER
                amounts[owner] = amounts.get(owner, 0) + amount
                for name in self._kind_of(code)[0]:
                    by_action[name] = by_action.get(name, 0) + amount
        for owner, amount in amounts.items():
            if amount >= ACTIVE:
                self._minutes[owner] = self._minutes.get(owner, 0) + 1
        for name, amount in by_action.items():
            if amount >= ACTIVE:
                self._action(name)[2] += 1

    def _kind_of(self, code: int) -> "Kind":
        return self.sets.kinds[code >> 1 & (1 << _SET) - 1]

    def _action(self, name: str) -> list[int]:
        found = self._actions.get(name)
        if found is None:
            found = self._actions[name] = [0, 0, 0, 0, 0]
        return found

    def _add_actions(self, code: int, counter: Counter, table: "dict[str, list[int]]") -> None:
        """Add what flows of a code had to the rows of their actions."""
        for name in self._kind_of(code)[0]:
            add_to(table.setdefault(name, [0, 0, 0, 0, 0]), code, counter)

    def _sum_up(self) -> None:
        """There are too many counters: add those of the less used ones to one for each device."""
        self.bills.settle()
        self._codes.clear()
        single = [code for code in self.counters if code & (1 << _APP + _OWNER) - 1]
        single.sort(key=lambda code: self.counters[code].local + self.counters[code].other, reverse=True)
        room = 3 * MAX_COUNTERS // 4 - (len(self.counters) - len(single))
        rest = single[max(MAX_COUNTERS // 4, room) :]
        for code in rest:
            counter = self.counters.pop(code)
            self._add_actions(code, counter, self._actions)
            together = code >> _OWNER >> _APP << _APP << _OWNER
            total = self.counters.get(together)
            if total is None:
                total = self.counters[together] = Counter(together, False)
            other, local = (counter.local, counter.other) if code & 1 else (counter.other, counter.local)
            total.local += local
            total.other += other
            total.connections += counter.connections
            total.packets += counter.packets
            total.seen += counter.seen
        self.bills.keep(self.counters)
        kept = {code >> _OWNER for code in self.counters}
        for owner in [owner for owner in self._minutes if owner not in kept]:
            device = owner >> _APP << _APP
            self._minutes[device] = self._minutes.get(device, 0) + self._minutes.pop(owner)

    def rows(self) -> "tuple[Rows, dict[str, list[int]]]":
        """Return what was counted in this hour: down, up, minutes, connections and blocked packets of each device and
        application (be16 each, as one number), and of each action."""
        found: Rows = {}
        actions = {name: list(row) for name, row in self._actions.items()}
        for code, counter in self.counters.items():
            if counter.local or counter.other or counter.connections:
                owner = code >> _OWNER
                key = owner >> _APP << 16 | owner & (1 << _APP) - 1
                add_to(found.setdefault(key, [0, 0, 0, 0, 0]), code, counter)
                self._add_actions(code, counter, actions)
        for owner, minutes in self._minutes.items():
            key = owner >> _APP << 16 | owner & (1 << _APP) - 1
            found.setdefault(key, [0, 0, 0, 0, 0])[2] += minutes
        return found, actions

    def clear(self) -> None:
        """A new hour begins; live flows stay."""
        self.bills.settle()
        self._codes.clear()
        self.counters.clear()
        self.bills.keep(self.counters)
        self._minutes.clear()
        self._actions.clear()

    def forget(self, devices: "set[int]") -> None:
        """Forget what was counted of some devices in this hour."""
        self.bills.settle()
        self._codes.clear()
        for code in [code for code in self.counters if code >> _OWNER >> _APP in devices]:
            del self.counters[code]
        self.bills.keep(self.counters)
        for owner in [owner for owner in self._minutes if owner >> _APP in devices]:
            del self._minutes[owner]
