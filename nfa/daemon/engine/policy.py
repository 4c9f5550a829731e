"""The active policy: the generated functions of its image, and what combinations of its actions lead to.

In: the data of a policy image, the targets, the wall clock. Out: `decide(record, flow)`, plans, and which of the
schedules hold. All that it remembers is its own: policies that exist side by side change nothing for each other.
"""

import struct

from ..base.portable import ROOM, ordered_dict
from . import index
from .hours import Zone, applies, next_edge, shown
from .plans import Plan, Verdict
from .rx import finder
from .view import MALFORMED, View

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Any

    from ..devices.configured import Devices

MAX_PLANS = 4 * ROOM
"""Combinations of matched actions that are remembered: strangers choose host names, and so may choose combinations."""
VERDICTS = 1024 * ROOM
"""Bytes that the verdicts of masks may take, at about 200 and a mask each."""
MAX_PLANNED = 100000
"""Actions of all remembered combinations: what a look at the counts has to add up."""

ALL = "all"
"""Pauses every action."""
MAX_TOLD = 8
"""Actions named when schedules begin or end."""
MAX_EDGES = 100
"""Schedules whose next edge a status tells: to find one takes some tenths of a millisecond."""


def namespace(view: View, constants: "Sequence[object]" = (), finders: "Sequence[Any]" = ()) -> "dict[str, Any]":
    """Return what generated code may name: the functions of a view, its constants C0, C1, ... and searches R0, R1, ..."""
    names = view.names()
    for function in (index.pick, index.inside, index.rest):
        names[function.__name__] = function
    names["pack"] = struct.pack
    for number, constant in enumerate(constants):
        names[f"C{number}"] = constant
    for number, one in enumerate(finders):
        names[f"R{number}"] = one.search
    return names


def _owners(rows: "list[tuple[int, ...]]") -> dict[int, list[int]]:
    """Return for each alternative the actions that have it, from the alternatives of each action."""
    found: dict[int, list[int]] = {}
    for action, numbers in enumerate(rows):
        for number in numbers:
            found.setdefault(number, []).append(action)
    return found


class Policy:
    """A policy: it decides about flow records, and knows what its actions lead to."""

    def __init__(self, data: "dict[str, Any]", code: object, targets: "dict[str, Any]", numbers: list[int]) -> None:
        """`targets`: name to an object with `apply(record, flow, now)`; `numbers`: the number of each slot of the image.

        `code`: a code object, or sources one after the other (MicroPython).
        """
        self.devices: Devices | None = None
        if data["devices"]:
            from ..devices import configured  # most policies have none

            self.devices = configured.Devices(data["devices"])
        self.leases: tuple[tuple[str, ...], list[tuple[bytes, str, bytes]]] = data["leases"]
        """Files in which DHCP servers note leases, and static ones: MAC address, host name, address."""
        self.view = View(data["categories"][0], data["categories"][1], self.devices)
        self._finders = [finder(pattern) for pattern in data["patterns"]]
        names = namespace(self.view, data["constants"], self._finders)
        alternatives = 1 + max([0] + [number for row in data["criteria"] + data["exemptions"] for number in row])
        names["remember"] = index.rememberer(alternatives)
        self._most_verdicts = max(MAX_PLANS // 16, min(MAX_PLANS, VERDICTS // (alternatives // 8 + 200)))
        for slot, number in enumerate(numbers):
            names[f"S_key{slot}"] = number
        self._memos: list[dict[object, int]] = [{} for _ in range(data["memos"])]
        for number, memo in enumerate(self._memos):
            names[f"M{number}"] = memo
        for number, (others, table) in enumerate(data["direct"]):
            names[f"T{number}"] = {value: others | index.bits(more) for value, more in table.items()}
        for part in code if isinstance(code, list) else (code,):
            exec(part, names)  # type: ignore[arg-type]  # source or byte-code, by the interpreter
        self._names = names
        self.windows: list[Any] = data["windows"]
        self.schedules: list[int] = data["schedules"]
        """For each action the number of its schedule, -1 for all hours."""
        self.open: list[bool] = [False for _ in self.windows]
        """Which schedules hold now."""
        self.hours: list[str] = data["hours"]
        """What the windows of each schedule are, for people; `zone_name`: the zone that they are in."""
        self.zone_name: str = data["zone_name"]
        self._zone = Zone(data["zone"])
        self.budgets: list[dict[str, Any]] = data["budgets"]
        """How much flows may have before actions act (`nfa.daemon.usage.amounts`); `budget_of`: of each action, -1 for none."""
        self.budget_of: list[int] = data["action_budgets"]
        self.reprocess: bool | None = data["reprocess"]
        """Whether a reload reaches live flows also with what begins; None: as far as their records are kept."""
        # Their slots are not in the image, or only as long as an action reaches them.
        others = [target for target in data["targets"] if target["type"] in ("sink", "firewall") and target["active"]]
        self.keeps = bool(self.windows or self.budgets or self.reprocess or numbers or others)
        """Flows may hold something, or an edge may concern them: their records are kept."""
        self.decides: bytes = data["decides"]
        """A digest of all that decides what flows reach."""
        self._paused: set[int] = set()
        """Actions that are paused, by number; `_paused_targets`: targets, by name."""
        self._paused_targets: set[str] = set()
        self.mask = names["mask"]
        """Called with a record and its flow: the alternatives that hold, as bits of a number; `verdicts`: what they lead to."""
        self.verdicts: dict[int, Verdict] = {}
        self._everywhere = index.bits(data["everywhere"])
        self.twice = 1 << alternatives
        """One more bit of a mask: another interface reports this flow, too. Only the actions in `_sided` match it."""
        self.spent_bits = [1 << alternatives + 1 + number for number in range(len(self.budgets))]
        """Further bits of a mask, one for each budget: what the flow's device had of it is spent."""
        self._sided = data["sided"]
        self.marks: bool = data["marks"]
        """It reads conntrack marks."""
        self.wanted: list[tuple[str, str, str]] = data["wanted"]
        """What actions ask of where flows come from: (action, "interface", "side" or "network", which)."""
        self._criteria = _owners(data["criteria"])
        self._exemptions = _owners(data["exemptions"])
        self._halts = data["halts"]
        self.key_functions = [names[f"key{slot}"] for slot in range(len(numbers))]
        self.actions: list[tuple[str, bool, str, tuple[str, ...], str]] = data["actions"]
        """Of each: name, whether it is enabled, why it is not applied ("" when it is), targets, the code of why."""
        self.targets = targets
        self.plans: dict[tuple[object, ...], Plan] = {}
        self._weight = 0
        self.kept_counts: dict[str, tuple[int, int]] = {}
        """Matches (count, last) of earlier policies, by the action's name."""

    def keep_hours(self, clock: int) -> list[int]:
        """Update which schedules hold (`clock`: epoch seconds). Returns the numbers of those that start or end now."""
        changed: list[int] = []
        if not self.windows:
            return changed
        weekday, second = self._zone.wall(clock)
        for number, (inclusive, exclusive) in enumerate(self.windows):
            holds = applies(inclusive, exclusive, weekday, second)
            if holds != self.open[number]:
                self.open[number] = holds
                changed.append(number)
        if changed:
            self.verdicts.clear()
        return changed

    def turn_words(self, schedules: list[int], clock: int) -> str:
        """Return what begins and ends with these schedules, "'bedtime' started, 'homework' ended (mon 21:00)"; "": nothing."""
        told = [
            "'" + str(action[0]) + ("' started" if self.open[self.schedules[number]] else "' ended")
            for number, action in enumerate(self.actions)
            if self.schedules[number] in schedules
        ]
        told += [
            "exempt time of budget '" + budget["name"] + ("' started" if self.open[budget["exempt"]] else "' ended")
            for budget in self.budgets
            if budget["exempt"] in schedules
        ]
        more = ", " + str(len(told) - MAX_TOLD) + " more" if len(told) > MAX_TOLD else ""
        return ", ".join(told[:MAX_TOLD]) + more + " (" + self.local_time(clock) + ")" if told else ""

    def turned(self, old: "Policy") -> list[int]:
        """Return the actions that are within their hours now and were not in an earlier policy's last look, or the reverse."""
        before = {action[0]: (old.in_hours(number), old.is_exempt(number)) for number, action in enumerate(old.actions)}
        now = [(self.in_hours(number), self.is_exempt(number)) for number in range(len(self.actions))]
        return [n for n, action in enumerate(self.actions) if before.get(action[0], (None, False)) != now[n]]

    def scheduled(self, schedules: list[int]) -> list[int]:
        """Return the actions that have one of these schedules, or a budget whose exempt time is one."""
        exempt = {number for number, budget in enumerate(self.budgets) if budget["exempt"] in schedules}
        return [n for n, schedule in enumerate(self.schedules) if schedule in schedules or self.budget_of[n] in exempt]

    def ended(self, actions: "Iterable[int]") -> set[str]:
        """Some actions have begun or ended to be applied. Return the targets that flows may have to leave because of that.

        They are those of an action that ended, and where an action began that halts, those of all after it.
        """
        found: set[str] = set()
        for number in actions:
            if not self._applies(number):
                found.update(self.actions[number][3])
            elif number in self._halts:
                for later in self.actions[number + 1 :]:
                    found.update(later[3])
        return found

    # -- pauses ---------------------------------------------------------------------------------------------------------

    def pause(self, names: "AbstractSet[str]") -> list[int]:
        """Pause the actions and targets of these names (ALL: every action), and no others. Returns the actions that this
        concerns: those that are paused now and were not, or the reverse, and those that reach such a target."""
        paused = {number for number, action in enumerate(self.actions) if ALL in names or action[0] in names}
        targets = {name for name in self.targets if name in names}
        changed = paused ^ self._paused
        turned = targets ^ self._paused_targets
        for number, action in enumerate(self.actions):
            if turned.intersection(action[3]):
                changed.add(number)
        self._paused, self._paused_targets = paused, targets
        self.fold()
        return sorted(changed)

    def paused_targets(self) -> set[str]:
        """Return the names of the targets that are paused."""
        return set(self._paused_targets)

    def _applies(self, number: int) -> bool:
        """Return whether an action is applied now: within its hours, not paused, and not in the exempt time of its budget."""
        return number not in self._paused and self.in_hours(number) is not False and not self.is_exempt(number)

    def is_exempt(self, number: int) -> bool:
        """Return whether it is the exempt time of an action's budget: nothing is counted then, and the action does nothing."""
        budget = self.budget_of[number]
        return budget >= 0 and self.budgets[budget]["exempt"] >= 0 and self.open[self.budgets[budget]["exempt"]]

    def begun(self, budgets: "AbstractSet[int]") -> set[str]:
        """These budgets (by number) were spent by some device. Return the targets that its flows may have to leave: where an
        action halts that acts now, those of all after it."""
        found: set[str] = set()
        for number, budget in enumerate(self.budget_of):
            if budget in budgets and number in self._halts:
                for later in self.actions[number + 1 :]:
                    found.update(later[3])
        return found

    def released(self, budgets: "AbstractSet[int]") -> set[str]:
        """There is something left of these budgets again. Return the targets that flows may have to leave."""
        return {name for number, action in enumerate(self.actions) if self.budget_of[number] in budgets for name in action[3]}

    def applying(self) -> "Callable[[str, str], bool]":
        """Return what tells whether the action of a name ("": whichever) reaches a target, as things are now."""
        reached = {
            action[0]: action[3] for number, action in enumerate(self.actions) if not action[2] and self._applies(number)
        }
        paused = self.paused_targets()
        return lambda name, target: target not in paused and (not name or target in reached.get(name, ()))

    def in_hours(self, number: int) -> bool | None:
        """Return whether an action is within its hours now; None for one that has none."""
        schedule = self.schedules[number]
        return None if schedule < 0 else self.open[schedule]

    def local_time(self, clock: int) -> str:
        """Return the wall clock time, "sat 12:41"; "" when no action has hours."""
        return shown(*self._zone.wall(clock)) if self.windows else ""

    def edges(self, clock: int) -> list[str]:
        """Return for each schedule when it begins or ends next, "sun 21:00"; "" when it does not, or there are too many."""
        found = []
        for inclusive, exclusive in self.windows[:MAX_EDGES]:
            edge = next_edge(inclusive, exclusive, self._zone, clock)
            found.append(shown(*self._zone.wall(edge)) if edge is not None else "")
        return found + ["" for _ in self.windows[MAX_EDGES:]]

    def judge(self, mask: int) -> Verdict:
        """Return (and remember) what alternatives that hold lead to, each a bit of `mask`."""
        if len(self.verdicts) >= self._most_verdicts:
            self.verdicts.clear()
        exempt = bool(mask & self._everywhere)
        actions: list[int] = []
        budgets: list[int] = []
        concerned = False
        if not exempt:
            exempt_from: set[int] = set()
            found: set[int] = set()
            for number in index.numbers_of(mask):
                exempt_from.update(self._exemptions.get(number, ()))
                found.update(self._criteria.get(number, ()))
            halted = False
            for action in sorted(found - exempt_from):
                if mask & self.twice and action not in self._sided:
                    continue
                budget = self.budget_of[action]
                concerned = concerned or self.schedules[action] >= 0 or budget >= 0 or self._is_paused(action)
                if not halted and self._applies(action):
                    if budget >= 0:
                        if budget not in budgets:
                            budgets.append(budget)
                        if not mask & self.spent_bits[budget]:
                            continue  # while there is some left, the action does nothing: it does not halt, either
                    actions.append(action)
                    halted = action in self._halts
        plan = counted = self._planned(tuple(actions), tuple(budgets))
        if not actions:
            plan = None
        verdict = self.verdicts[mask] = Verdict(exempt, plan, concerned, tuple(budgets), counted)
        return verdict

    def _planned(self, actions: tuple[int, ...], budgets: tuple[int, ...]) -> Plan | None:
        """Return the plan of matched actions, and of the budgets that such flows count for; None where there is neither."""
        if not actions and not budgets:
            return None
        names = tuple([self.budgets[number]["name"] for number in budgets])
        return self.plans.get(actions + names) or self.plan(actions, names)

    def _is_paused(self, number: int) -> bool:
        """Return whether an action, or a target of it, is paused: the end of the pause concerns its flows."""
        return number in self._paused or bool(self._paused_targets.intersection(self.actions[number][3]))

    def decide(self, record: "dict[str, Any]", flow: "dict[str, Any]") -> Verdict:
        """Return what a flow record leads to."""
        return self.judged(self.mask(record, flow))

    def judged(self, mask: int) -> Verdict:
        """Return what alternatives that hold lead to."""
        return self.verdicts.get(mask) or self.judge(mask)

    def device_names(self, flow: "dict[str, Any]", end: str) -> list[str]:
        """Return the names of the devices that an end ("local", "other") of a flow is; none for malformed addresses."""
        try:
            return self.view.device_names(self.view.device_of(flow[end + "_ip"], flow.get(end + "_mac")))
        except MALFORMED:
            return []

    def forget(self) -> None:
        """Empty all caches: what they hold is found again when a record needs it. The counts of matches are kept."""
        self.fold()
        self.view.forget()
        for one in self._finders:
            one.forget()
        for memo in self._memos:
            memo.clear()

    def plan(self, actions: tuple[int, ...], budgets: tuple[str, ...] = ()) -> Plan:
        """Return (and remember) what a set of matched actions leads to. `budgets`: what such flows count for."""
        names: dict[str, None] = ordered_dict()
        for number in actions:
            for name in self.actions[number][3]:
                names[name] = None
        if len(self.plans) >= MAX_PLANS or self._weight + len(actions) > MAX_PLANNED:
            self.fold()
        self._weight += len(actions)
        reached = tuple([name for name in names if name in self.targets and name not in self._paused_targets])
        matched = tuple([self.actions[number][0] for number in actions])
        # What firewall targets do, they do together.
        pairs = [(self.actions[n][0], self.targets[name]) for n in actions for name in self.actions[n][3] if name in reached]
        pairs = [pair for pair in pairs if hasattr(pair[1], "combine")]
        told: list[Any] = pairs[0][1].combine(pairs) if pairs else []
        for target in [self.targets[name] for name in reached]:
            if hasattr(target, "combine"):
                continue
            # A sink tells what matched.
            told.append(target.for_plan(matched, reached) if hasattr(target, "for_plan") else target)
            cutting = getattr(target, "cutting", None)
            if cutting is not None:
                told.append(cutting)
        plan = Plan(actions, matched, reached, told, budgets)
        self.plans[actions + budgets] = plan
        return plan

    def succeed(self, old: "Policy") -> None:
        """Take over the matches of an earlier policy, for the actions that are still there, by name; the old one ends.

        Its functions and the names they use hold each other, and would stay in memory for long.
        """
        old.forget()
        old._names.clear()
        names = {action[0] for action in self.actions}
        self.kept_counts = {name: counts for name, counts in old.kept_counts.items() if name in names}

    def fold(self) -> None:
        """Keep the counts of all plans, and begin a new table of them."""
        for (name, *_), (count, last) in zip(self.actions, self.action_counts()):
            before, then = self.kept_counts.get(name, (0, 0))
            self.kept_counts[name] = (before + count, max(last, then))
        self.plans = {}
        self._weight = 0
        self.verdicts.clear()

    def action_counts(self) -> list[tuple[int, int]]:
        """Return for each action how often it matched, and when it last did (second of the loop's clock, 0: never)."""
        counts = [[0, 0] for _ in self.actions]
        for plan in self.plans.values():
            for number in plan.actions:
                counts[number][0] += plan.count
                counts[number][1] = max(counts[number][1], plan.last)
        return [(count, last) for count, last in counts]
