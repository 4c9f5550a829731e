"""From payloads to effects: decode, decide, apply. The path of every flow record, and the counters of what happened.

In: payloads of the stream, the loop's clock in whole seconds, and policies to put in force. Out: calls of the targets'
effects, and the table of live flows, by which later records of a flow (stats included) refresh what it holds.

A flow record goes through: global exemptions, then the actions in order of priority (enabled, interface, exemptions,
criteria, halt_on_match), in one generated function of the policy image. The set of actions that it returns is looked up
in a table of plans, so that what follows costs the same however many actions there are.
"""

import json
import struct
from collections import deque

from ..stream.records import BAD_KINDS, BadRecord, catalogue, digest_key, read
from . import rx, view
from .hours import Zone, applies

MAX_PLANS = 4096
"""Combinations of matched actions that are remembered: strangers choose host names, and so may choose combinations."""
MAX_RENAMED = 8
"""Earlier digests of a flow that are looked at."""
MAX_PLANNED = 20000
"""Actions of all remembered combinations: what a look at the counts has to add up."""
MAX_FLOWS = 65536
"""What `max_flows` is by default."""
MAX_DROPPED = 1024
"""Flows forgotten at once when there are too many: a millisecond or two."""
RECENT = 200
"""Decisions that are remembered for `matches`, each with its record: about 300 kB of usual ones."""
MAX_KEPT_RECORD = 4096
"""Bytes of a record that is remembered whole; of a longer one (strangers choose host names) only the fields of BRIEF are."""
MAX_BRIEF_TEXT = 256
BRIEF = (
    "interface", "internal", "digest", "ip_version", "ip_protocol", "local_ip", "local_mac", "local_port", "local_origin",
    "other_ip", "other_port", "detected_protocol_name", "detected_application_name", "host_server_name", "dns_host_name",
)  # fmt: skip
"""The fields of a record that `matches` shows: netifyd's names, the first two of the envelope."""
LIFETIME = 600
"""A flow that was not heard of for one to two of these (seconds) is forgotten; netifyd purges idle flows after 30 to 300."""


def namespace(constants: list, patterns: list) -> dict:
    """Return what generated code may name: the functions of `view`, its constants C0, C1, ... and matchers R0, R1, ..."""
    names = {name: getattr(view, name) for name in view.NAMES}
    names["pack"] = struct.pack
    for index, constant in enumerate(constants):
        names[f"C{index}"] = constant
    for index, pattern in enumerate(patterns):
        names[f"R{index}"] = rx.matcher(pattern)
    return names


def brief(record: dict) -> dict:
    """Return the fields of a flow record that a person needs to know the flow again, long texts cut."""
    flow = record["flow"]
    found: dict[str, object] = {}
    for name in BRIEF:
        value = record.get(name) if name in ("interface", "internal") else flow.get(name)
        if isinstance(value, str):
            found[name] = value[:MAX_BRIEF_TEXT]
        elif isinstance(value, int):
            found[name] = value
    return found


def _nothing(record: dict, flow: dict) -> bool:
    """No action has hours."""
    return False


def _same(payload: bytes) -> bytes:
    """Keep a payload as it is."""
    return payload


class Plan:
    """What a set of matched actions leads to: the targets, each once, and how often it was so."""

    def __init__(self, actions: tuple[int, ...], names: tuple[str, ...], reached: tuple[str, ...], targets: list) -> None:
        self.actions = actions
        self.names = names
        """The names of the actions; `reached`: of the targets."""
        self.reached = reached
        self.targets = targets
        self.count = 0
        self.last = 0


class Policy:
    """A policy in force: the decision, and what its actions lead to."""

    def __init__(self, data: dict, code: object, targets: dict, numbers: list[int]) -> None:
        """`targets`: name to an object with `apply(record, flow, now)`; `numbers`: the number of each slot of the image."""
        names = namespace(data["constants"], data["patterns"])
        names["W"] = [False for _ in data["windows"]]
        for index, number in enumerate(numbers):
            names[f"S_key{index}"] = number
        exec(code, names)  # type: ignore[arg-type]
        self._names = names
        view.set_categories(*data["categories"])
        self.windows: list = data["windows"]
        self.schedules: list[int] = data["schedules"]
        """For each action the number of its schedule, -1 for all hours."""
        self.open: list[bool] = names["W"]
        """Which schedules hold now."""
        self._zone = Zone(data["zone"])
        self.reprocess: bool = data["reprocess"]
        self.concerns = names.get("concerns", _nothing)
        self.decide = names["decide"]
        self.key_functions = [names[f"key{index}"] for index in range(len(numbers))]
        self.actions: list[tuple[str, bool, str, tuple[str, ...]]] = data["actions"]
        self.targets = targets
        self.plans: dict[tuple[int, ...], Plan] = {}
        self._weight = 0
        self.kept_counts: dict[str, tuple[int, int]] = {}
        """Matches (count, last) of earlier policies, by the action's name."""

    def keep_hours(self, clock: int) -> bool:
        """Look at the clock on the wall (`clock`: epoch seconds). Returns whether a window has begun or ended."""
        if not self.windows:
            return False
        weekday, second = self._zone.wall(clock)
        changed = False
        for number, (inclusive, exclusive) in enumerate(self.windows):
            holds = applies(inclusive, exclusive, weekday, second)
            if holds != self.open[number]:
                self.open[number] = holds
                changed = True
        return changed

    def in_hours(self, number: int) -> bool | None:
        """Return whether an action is within its hours now; None for one that has none."""
        schedule = self.schedules[number]
        return None if schedule < 0 else self.open[schedule]

    def plan(self, actions: tuple[int, ...]) -> Plan:
        """Return (and remember) what a set of matched actions leads to."""
        names: dict[str, None] = {}
        for number in actions:
            for name in self.actions[number][3]:
                names[name] = None
        self._weight += len(actions)
        if len(self.plans) >= MAX_PLANS or self._weight > MAX_PLANNED:
            self.fold()
            self._weight = len(actions)
        reached = tuple([name for name in names if name in self.targets])
        matched = tuple([self.actions[number][0] for number in actions])
        targets = [self.targets[name] for name in reached]
        # A sink tells what matched.
        told = [target.for_plan(matched, reached) if hasattr(target, "for_plan") else target for target in targets]
        plan = Plan(actions, matched, reached, told)
        self.plans[actions] = plan
        return plan

    def succeed(self, old) -> None:
        """Take over the matches of an earlier policy, for the actions that are still there, by name; the old one ends.

        Its functions and the names they use hold each other, and would stay in memory for long.
        """
        old.fold()
        old._names.clear()
        names = {action[0] for action in self.actions}
        self.kept_counts = {name: counts for name, counts in old.kept_counts.items() if name in names}

    def fold(self) -> None:
        """Keep the counts of all plans, and begin a new table of them."""
        for (name, *_), (count, last) in zip(self.actions, self.action_counts()):  # noqa: B905
            before, then = self.kept_counts.get(name, (0, 0))
            self.kept_counts[name] = (before + count, max(last, then))
        self.plans = {}

    def action_counts(self) -> list[tuple[int, int]]:
        """Return for each action how often it matched, and when it last did (second of the loop's clock, 0: never)."""
        counts = [[0, 0] for _ in self.actions]
        for plan in self.plans.values():
            for number in plan.actions:
                counts[number][0] += plan.count
                counts[number][1] = max(counts[number][1], plan.last)
        return [(count, last) for count, last in counts]


class Engine:
    """Everything that a payload can cause.

    `refresh(held, now)` lets later records of a flow keep its elements alive; `release(held, now, withdraw)` ends a flow's
    hold on them, and takes out what no other flow holds, if that is wanted.
    """

    def __init__(self, refresh, release, max_flows: int = MAX_FLOWS) -> None:
        self.policy: Policy | None = None
        self._refresh = refresh
        self._release = release
        self._pack = self._unpack = _same
        self.kept: dict[int, bytes] = {}
        """The last record of each live flow that may have to be matched again, packed; `_kept_older` as `_older`."""
        self._kept_older: dict[int, bytes] = {}
        self.max_flows = max_flows
        self.flows: dict[int, object] = {}
        """Live flows that hold elements: digest key to one packed element, or to a tuple of several."""
        self._older: dict[int, object] = {}
        """The table of the time before: a flow that is heard of moves out of it, the rest is forgotten with it."""
        self._swap_at = 0
        self.records = 0
        self.evaluated = 0
        self.matched = 0
        self.exempt = 0
        self.dropped_flows = 0
        self.kinds = {"flow": 0, "stats": 0, "purge": 0, "agent": 0, "names": 0, "other": 0}
        self.bad = dict.fromkeys(BAD_KINDS, 0)
        self.agent: dict = {}
        self.names = b"[{}, {}]"
        """The agent's own names, as JSON (a fifth of the memory that dictionaries take): applications, protocols, id to tag."""
        self.seen_at = None
        """When netifyd last saw a packet of the flow whose record came last, epoch milliseconds."""
        self.recent: deque = deque((), RECENT)  # noqa: RUF037 (MicroPython takes no keywords)
        """The last decisions, oldest first: (second of the loop's clock, names of actions, of targets, payload).

        In place of a long payload stands what `brief` made of it. No plan: it would keep the policy that it belongs to.
        """
        self.trace = None
        """Called with (record, plan) for each match, when somebody listens."""

    def take(self, payloads: list[bytes], now: int) -> None:
        """Work on payloads in order. Nothing that is in them raises."""
        policy = self.policy
        decide = policy.decide if policy else None
        kinds = self.kinds
        last = None
        for payload in payloads:
            self.records += 1
            try:
                kind, value = read(payload)
                kinds[kind] += 1
                if kind == "flow":
                    last = value["flow"]
                    if policy is None or decide is None:
                        continue
                    self.evaluated += 1
                    if policy.reprocess or policy.windows:
                        self._keep(policy, value, payload, now)
                    actions = decide(value, value["flow"])
                    if actions:
                        self._match(policy, value, actions, payload, now)
                    else:
                        if actions is None:
                            self.exempt += 1
                        if self.flows or self._older:
                            # It may have matched before: what it held then is taken back.
                            self._end(digest_key(last["digest"]), now, True)
                    if "digest_prev" in last:
                        self._renamed(last["digest_prev"], now)
                elif kind == "stats":
                    held = self.flows.get(value)
                    if held is None and value in self._older:
                        held = self.flows[value] = self._older.pop(value)
                    if value in self._kept_older:
                        self.kept[value] = self._kept_older.pop(value)
                    if held is not None:
                        self._refresh(held, now)
                elif kind == "purge":
                    self._end(value, now, False)
                    if self.kept or self._kept_older:
                        self._let_go(value)
                elif kind != "other":
                    self._agent(kind, value)
            except BadRecord as bad:
                self.bad[bad.kind] += 1
            except view.MALFORMED:
                self.bad["types"] += 1
        if last is not None:
            self.seen_at = last.get("last_seen_at")

    def _match(self, policy: Policy, record: dict, actions: tuple[int, ...], payload: bytes, now: int) -> None:
        plan = policy.plans.get(actions) or policy.plan(actions)
        self._hold(plan, record, plan.targets, now)
        self._count(plan, record, payload, now)

    def _count(self, plan: Plan, record: dict, payload: bytes, now: int) -> None:
        """Note a decision: for the counters, for those who ask and for those who listen."""
        plan.count += 1
        plan.last = now
        self.matched += 1
        kept = payload if len(payload) <= MAX_KEPT_RECORD else brief(record)
        self.recent.append((now, plan.names, plan.reached, kept))
        if self.trace is not None:
            self.trace(record, plan)

    def _hold(self, plan: Plan, record: dict, targets: list, now: int) -> bool:
        """Let a flow hold what its plan says, and nothing else. Returns whether that is something new."""
        flow = record["flow"]
        digest = digest_key(flow["digest"])
        before = self.flows.get(digest)
        if before is None and self._older:
            before = self._older.pop(digest, None)
        held = None
        for target in targets:
            try:
                key = target.apply(record, flow, now, before)
            except view.MALFORMED:
                target.counters.skipped += 1  # it lacks what this target needs; the others get theirs
                continue
            if key is not None:
                if held is None:
                    held = key
                elif isinstance(held, tuple):
                    held += (key,)
                else:
                    held = (held, key)
        if before is not None and before != held:
            self._take_back(before, held, now)
        if held is not None:
            if before is None and self.live() >= self.max_flows:
                self._drop_oldest(now)
            self.flows[digest] = held
        elif before is not None:
            self.flows.pop(digest, None)
        return held is not None and held != before

    # -- flows that are matched again -------------------------------------------------------------------------------

    def _keep(self, policy: Policy, record: dict, payload: bytes, now: int) -> None:
        """Remember the record of a flow that an edge of a schedule, or a reload, may concern."""
        digest = digest_key(record["flow"]["digest"])
        if self._kept_older:
            self._kept_older.pop(digest, None)
        if policy.reprocess or policy.concerns(record, record["flow"]):
            if digest not in self.kept and len(self.kept) + len(self._kept_older) >= self.max_flows:
                self._drop_oldest_kept()
            self.kept[digest] = self._pack(payload)
        else:
            self.kept.pop(digest, None)

    def _drop_oldest_kept(self) -> None:
        """Too many: those not heard of for longest are no longer matched again."""
        for digest in self._oldest(self._kept_older or self.kept):
            self._let_go(digest)

    def _oldest(self, table: dict) -> list[int]:
        """Return the flows of a table that have to go, a sixteenth of all that there may be, and count them as dropped."""
        count = max(1, min(MAX_DROPPED, self.max_flows >> 4))
        found = []
        for digest in table:
            found.append(digest)
            if len(found) >= count:
                break
        self.dropped_flows += len(found)
        return found

    def _let_go(self, digest: int) -> None:
        self.kept.pop(digest, None)
        self._kept_older.pop(digest, None)

    def match_again(self, now):
        """Match all kept flows again: a generator that gives back the loop after each flow. `now()`: the loop's clock.

        Against the policy that is in force when a flow's turn comes: it may change on the way, and an old one has ended.
        """
        for digest in list(self.kept) + list(self._kept_older):
            packed = self.kept.get(digest) or self._kept_older.get(digest)
            if packed is None:
                continue
            payload = self._unpack(packed)
            try:
                record = read(payload)[1]
                self._again(self.policy, digest, record, payload, now())
            except (BadRecord, *view.MALFORMED):
                self._let_go(digest)  # it matched no better when it came
            yield

    def _again(self, policy, digest: int, record: dict, payload: bytes, now: int) -> None:
        actions = policy.decide(record, record["flow"])
        if not actions:
            self._end(digest, now, True)
            return
        plan = policy.plans.get(actions) or policy.plan(actions)
        # A log has had its entry when the record came.
        lasting = [target.lasting for target in plan.targets]
        if self._hold(plan, record, [target for target in lasting if target is not None], now):
            self._count(plan, record, payload, now)

    def kept_count(self) -> int:
        """Return how many records are kept to be matched again."""
        return len(self.kept) + len(self._kept_older)

    def pack_with(self, pack, unpack) -> None:
        """Take functions that make payloads small, and payloads again, for the flows that are kept."""
        self._pack, self._unpack = pack, unpack

    def forget_kept(self) -> None:
        """The policy has no use for the records of flows that run."""
        self.kept = {}
        self._kept_older = {}

    def _take_back(self, before, held, now: int) -> None:
        """A flow holds less than before: the rest is withdrawn."""
        kept = held if isinstance(held, tuple) else (held,)
        for key in before if isinstance(before, tuple) else (before,):
            if key not in kept:
                self._release(key, now, True)

    def _end(self, digest: int, now: int, withdraw: bool) -> None:
        """This flow holds nothing (any longer): what it held is withdrawn, or ends with its time."""
        held = self.flows.pop(digest, None)
        if held is None and self._older:
            held = self._older.pop(digest, None)
        if held is not None:
            self._release(held, now, withdraw)

    def _renamed(self, before: list, now: int) -> None:
        """A flow goes on under another digest (netifyd 5, when it is reclassified): what the old one held is not its own."""
        for digest in before[:MAX_RENAMED]:
            key = digest_key(digest)
            self._end(key, now, True)
            self._let_go(key)

    def _drop_oldest(self, now: int) -> None:
        """Too many live flows: those not heard of for longest go. Their elements stay until they expire."""
        table = self._older or self.flows
        for digest in self._oldest(table):
            self._release(table.pop(digest), now, False)

    def tick(self, now: int, clock: int) -> bool:
        """Forget flows that were not heard of for long, keep the hours. To be called each second.

        `clock`: epoch seconds. Returns whether a window has begun or ended, so that kept flows must be matched again.
        """
        if now >= self._swap_at:
            for held in self._older.values():
                self._release(held, now, False)
            self._older, self._kept_older = self.flows, self.kept
            self.flows, self.kept = {}, {}
            self._swap_at = now + LIFETIME
        return self.policy is not None and self.policy.keep_hours(clock)

    def live(self) -> int:
        """Return the number of live flows that hold elements."""
        return len(self.flows) + len(self._older)

    def _agent(self, kind: str, record: dict) -> None:
        if kind == "names":
            self.names = json.dumps(catalogue(record)).encode()
            return
        for key in ("agent_version", "build_version", "json_version", "uptime", "flow_count"):
            value = record.get(key)
            if isinstance(value, int) or (isinstance(value, float) and value - value == 0):  # no NaN, no infinity: JSON
                self.agent[key] = value
            elif isinstance(value, str):
                self.agent[key] = value[:128]
