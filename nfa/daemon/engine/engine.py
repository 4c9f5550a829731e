"""From payloads to effects: decode, decide, apply. The path of every flow record, and the counters of what happened.

In: payloads of the stream, the loop's clock in whole seconds, and policies to activate. Out: calls of the targets'
effects, and the table of live flows, by which later records of a flow (stats included) refresh what it holds.

One generated function of the policy image tells which conditions of all exemptions and actions hold for a flow record, as the
bits of a number. That number is looked up in a table of verdicts (`policy`): whether the flow is exempt, which actions match in
order of priority, what they reach. So what follows costs the same however many actions there are.
"""

from ..base import json
from ..base.portable import SECRET_HASH, deque
from ..stream.records import (
    BAD_KINDS,
    BadRecord,
    agent_facts,
    catalogue,
    digest_key,
    parse,
    previous_keys,
    read,
    read_some,
)
from .brief import brief
from .census import Census
from .flows import MAX_FLOWS
from .holding import Holding
from .kept import SPARE, Kept
from .networks import TURNED, TWICE, Networks
from .plans import Plan, Verdict
from .policy import Policy
from .view import MALFORMED, NOTHING

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet
    from typing import Any, Protocol

    Decode = Callable[[bytes], object]
    Record = dict[str, Any]
    Held = bytes | tuple[bytes, ...]

    class Counts(Protocol):
        """Who counts what flows have (see `nfa.daemon.usage.counting`)."""

        announce: Callable[[int, Record, int, Plan | None], None]
        count: Callable[[int, bytes, list[bytes], bool], None]

        def twice(self, digests: list[int]) -> None: ...
        def renamed(self, before: int, present: int) -> None: ...
        def again(self, digest: int, flow: Record, how: int, plan: Plan | None) -> None: ...


RECENT = 200
"""Decisions that are remembered for `matches`, each with its record: about 300 kB of usual ones."""
MAX_KEPT_RECORD = 4096
"""Bytes of a record that is remembered whole; of a longer one (strangers choose host names) only the fields of BRIEF are."""
BATCH = 32 if SECRET_HASH else 4
"""Payloads that are decoded together (`read_some`). MicroPython has no room for as many records, and gains nothing by it."""
PART = 8
"""Those that are worked on between two looks at the clock."""
_PREVIOUS = b'"digest_prev"'
LIFETIME = 600
"""A flow that was not heard from for one to two of these (seconds) is forgotten; netifyd purges idle flows after 30 to 300."""


class Engine:
    """Everything that a payload can cause.

    `refresh(held, now)` lets later records of a flow keep its elements alive; `release(held, now, withdraw)` ends a flow's
    hold on them, and withdraws what no other flow holds, if that is wanted.
    """

    def __init__(
        self,
        refresh: "Callable[[Held, int], None]",
        release: "Callable[[Held, int, bool], None]",
        max_flows: int = MAX_FLOWS,
        recent: int = RECENT,
        kept_bytes: int = 0,
        spare: int = SPARE,
    ) -> None:
        """`recent`: decisions that are remembered; `kept_bytes`, `spare`: as for `Kept`."""
        self.policy: Policy | None = None
        self.networks = Networks(self._found_twice)
        self._refresh = refresh
        self._fast: Decode | None = None
        self.kept = Kept(kept_bytes, spare)
        """The last records of live flows, for when they have to be evaluated again."""
        self.flows = Holding(release, max_flows)
        self._age_at = self._now = 0
        """Seconds of the loop's clock: when flows age again, and when the last records came."""
        self.records = 0
        self.evaluated = 0
        self.matched = 0
        self.exempt = 0
        self.kinds = {"flow": 0, "stats": 0, "purge": 0, "agent": 0, "names": 0, "other": 0}
        self.bad = dict.fromkeys(BAD_KINDS, 0)
        self.agent: dict[str, Any] = {}
        self.names = b"[{}, {}]"
        """The agent's own names, as JSON (a fifth of the memory that dictionaries take): applications, protocols, id to tag."""
        self.seen_at: object = None
        """When netifyd last saw a packet of the flow whose record came last, epoch milliseconds."""
        self.heard_at = 0.0
        """When the last records came, by the loop's clock."""
        self.find_mark: Callable[[Record], int] | None = None
        """Returns the conntrack mark of a flow."""
        self.census, self._renames = Census(), False
        """`_renames`: it is netifyd 5, which changes digests."""
        self.recent: deque[tuple[int, tuple[str, ...], tuple[str, ...], bytes | dict[str, object]]] = deque((), recent)
        """The last decisions, oldest first: (second of the loop's clock, names of actions, of targets, payload).

        In place of a long payload stands what `brief` made of it. No plan: it would keep the policy that it belongs to.
        """
        self.count: Callable[[int, bytes, bool], None] | None = None
        """Called with (digest key, payload, whether the flow ended) for statistics and purges, where a policy has logs."""
        self.counting: Counts | None = None
        """Who counts what flows have, where a policy has usage on."""
        self.spent: Callable[[int, Record], bool] | None = None
        """Returns whether a flow's device has spent the budget of a number."""
        self.trace: Callable[[Record, Plan], None] | None = None
        """Called with (record, plan) for each match, when somebody listens."""

    def take_some(self, payloads: list[bytes], now: int, soon: "Callable[[], bool]") -> list[bytes]:
        """Work on payloads until `soon()` says that the turn of the loop has been long enough; returns those that are left.

        Thousands of regular expressions and names that nobody saw before may take milliseconds for each.
        """
        for start in range(0, len(payloads), BATCH):
            if start and soon():
                return payloads[start:]
            batch = payloads[start : start + BATCH]
            done = self.take(batch, now, soon)
            if done < len(batch):
                return payloads[start + done :]
        return []

    def take(self, payloads: list[bytes], now: int, soon: "Callable[[], bool] | None" = None) -> int:
        """Work on payloads in order, all or until `soon()`. Nothing that is in them raises. Returns on how many."""
        self._now = now
        policy = self.policy
        if policy is not None:
            mask, verdicts, marks, reprocess = policy.mask, policy.verdicts, policy.marks, policy.reprocess is True
        orient, census, flows = self.networks.orient, self.census, self.flows
        note, late = census.note if census.active else None, census.late
        kept = self.kept.put if policy is not None and policy.keeps else None
        count = self.count
        announce = self.counting.announce if self.counting is not None else None
        add = self.counting.count if self.counting is not None else None
        last = None
        done = reported = evaluated = lived = ended = 0
        due = PART
        try:
            for payload, (kind, value, more) in zip(payloads, read_some(payloads, self._fast)):
                if done == due:
                    if soon is not None and soon():
                        break
                    due += PART
                done += 1
                try:
                    if kind == "flow":
                        reported += 1
                        last = value["flow"]
                        digest = more
                        renamed = "digest_prev" in last
                        if renamed:
                            self._renames = True
                        if note is not None:
                            note(digest)
                        how = orient(value, last, now)
                        if policy is None:
                            continue
                        evaluated += 1
                        if marks:
                            self._look_mark_up(last)
                        found = mask(value, last)  # policy.decide, without its call
                        if how:
                            payload = json.dumps(value).encode() if how & TURNED else payload
                            found |= policy.twice if how & TWICE else 0
                        verdict = verdicts.get(found) or policy.judge(found)
                        if verdict.budgets:
                            verdict = self._budgeted(policy, found, verdict, last)
                        if kept is not None:
                            kept(digest, payload, verdict.concerned or reprocess, flows.most)
                        plan = verdict.plan
                        if announce is not None:
                            announce(digest, last, how, verdict.counted)
                        if plan is not None:
                            flows.hold(digest, value, plan.targets, now)
                            self._count(plan, value, payload, now)
                        else:
                            if verdict.exempt:
                                self.exempt += 1
                            if flows.knows(digest):
                                flows.end(digest, now, True)  # it matched before: what it held then is withdrawn
                        if renamed:
                            self._end_all(previous_keys(value, digest), now, True)
                    elif kind == "stats":
                        lived += 1
                        if self._renames and _PREVIOUS in payload:
                            self._goes_on(value, payload, now)
                        if add is not None:
                            add(value, payload, more, False)
                        if count is not None:
                            count(value, payload, False)
                        held = flows.renew(value)
                        known = self.kept.renew(value)
                        if held is not None:
                            self._refresh(held, now)
                        elif census.active and not known:
                            census.stats(value)
                            note = census.note
                    elif kind == "purge":
                        ended += 1
                        if count is not None:
                            count(value, payload, True)
                        if flows.knows(value):
                            flows.end(value, now, False)
                        self.kept.pop(value)
                        if late.young or late.older:
                            census.purge(value)
                        if self._renames and _PREVIOUS in payload:
                            earlier = previous_keys(parse(payload), 0)
                            self._end_all(earlier, now, False)
                            self._count_on(value, earlier)
                        if add is not None:
                            add(value, payload, more, True)
                    elif kind == "bad":
                        self.bad[value] += 1
                    else:
                        self.kinds[kind] += 1
                        if kind != "other":
                            self._agent(kind, value)
                except BadRecord as bad:
                    self.bad[bad.kind] += 1
                except MALFORMED:
                    self.bad["types"] += 1
        finally:
            if note is not None:
                census.bound()
            self.records += done
            for kind, number in (("flow", reported), ("stats", lived), ("purge", ended)):
                self.kinds[kind] += number
            self.evaluated += evaluated
        if last is not None:
            self.seen_at = last.get("last_seen_at")
        return done

    def _budgeted(self, policy: Policy, found: int, verdict: Verdict, flow: "Record") -> Verdict:
        """Return the verdict about a flow that counts for budgets, by which of them its device has spent."""
        if self.spent is not None:
            for number in verdict.budgets:
                if self.spent(number, flow):
                    found |= policy.spent_bits[number]
        return policy.judged(found)

    def _count(self, plan: Plan, record: "Record", payload: bytes, now: int) -> None:
        """Note a decision: for the counters, for those who ask and for those who listen."""
        plan.count += 1
        plan.last = now
        self.matched += 1
        kept = payload if len(payload) <= MAX_KEPT_RECORD else brief(record)
        self.recent.append((now, plan.names, plan.reached, kept))
        if self.trace is not None:
            self.trace(record, plan)

    # -- flows that are re-evaluated --------------------------------------------------------------------------------

    def match_again(self, now: "Callable[[], int]", ended: "AbstractSet[int]", begins: bool) -> "Iterator[Exception | None]":
        """Evaluate live flows again: a generator that gives back the loop after each flow. `now()`: the loop's clock.

        `ended`: numbers of slots and sinks that flows may have to leave. `begins`: flows also reach what they did not reach
        before. It yields None, or the fault that a flow came to.

        Each flow is evaluated against the policy that is active at its turn: it may change meanwhile, and an old one has ended.
        """
        if ended:
            # What cannot be decided again, since its record is not kept, must not last longer than what caused it.
            for digest in list(self.flows.young) + list(self.flows.older):
                if not self.kept.has(digest):
                    self.flows.leave(digest, ended, now())
                yield None
        for digest in self.kept.digests():
            if self.policy is None:
                return
            try:
                payload = self.kept.get(digest)
                if payload is None:
                    continue
                record = read(payload, self._fast)[1]
                self._again(self.policy, digest, record, payload, now(), begins)
            except (BadRecord,) + MALFORMED:
                self.kept.pop(digest)  # it matched no better when it came
            except Exception as failure:
                yield failure
            yield None

    def _again(self, policy: Policy, digest: int, record: "Record", payload: bytes, now: int, begins: bool) -> None:
        flow = record["flow"]
        if policy.marks:
            self._look_mark_up(flow)
        twice = self.networks.again(record, flow) & TWICE
        found = policy.mask(record, flow) | (policy.twice if twice else 0)
        verdict = policy.judged(found)
        if verdict.budgets:
            verdict = self._budgeted(policy, found, verdict, flow)
        plan = verdict.plan
        if self.counting is not None:
            self.counting.again(digest, flow, twice, verdict.counted)
        if plan is None:
            self.flows.end(digest, now, True)
            return
        targets = [target.lasting for target in plan.targets]
        if not begins:
            self.flows.hold_less(digest, record, targets, now)
        elif self.flows.hold(digest, record, targets, now):
            self._count(plan, record, payload, now)

    def decode_with(self, fast: "Decode | None") -> None:
        """Decode records with this function first (see `stream.records.parse`), for instance orjson's; None: with none."""
        self._fast = fast

    def free_memory(self) -> None:
        """Empty all caches, and forget the last decisions. What flows hold, and what is counted, stays."""
        while self.recent:
            self.recent.popleft()
        if self.policy is not None:
            self.policy.forget()

    def _look_mark_up(self, flow: "Record") -> None:
        """Put the connection's mark into a record that has none: netifyd often knows none, and never on a LAN."""
        if self.find_mark is not None and not (flow.get("ct_mark") or flow.get("conntrack", NOTHING).get("mark")):
            flow["ct_mark"] = self.find_mark(flow)

    def _found_twice(self, digests: list[str]) -> None:
        """These flows are reported by another interface, too: what they hold is not their own."""
        keys = [digest_key(digest) for digest in digests]
        self._end_all(keys, self._now, True)
        if self.counting is not None:
            self.counting.twice(keys)

    def _end_all(self, digests: list[int], now: int, withdraw: bool) -> None:
        """Flows hold nothing any longer: they ended, or go on under another digest (netifyd 5, when it reclassifies them)."""
        for digest in digests:
            self.flows.end(digest, now, withdraw)
            self.kept.pop(digest)

    def _goes_on(self, digest: int, payload: bytes, now: int) -> None:
        """Statistics name earlier digests of a flow: without a flow record since, it holds what it held under those."""
        earlier = previous_keys(parse(payload), digest)
        self._count_on(digest, earlier)
        for key in earlier:
            self.census.renamed(key, digest)
            self.kept.rename(key, digest, self.flows.most)
            self.flows.rename(key, digest, now)

    def _count_on(self, digest: int, earlier: list[int]) -> None:
        """What was counted under earlier digests of a flow goes on under this one."""
        if self.counting is not None:
            for key in earlier:
                self.counting.renamed(key, digest)

    def tick(self, now: int) -> None:
        """Forget flows that were not heard from for long. To be called each second."""
        if now >= self._age_at:
            self.flows.begin_age()
            self.kept.age()
            self.census.age()
            self._age_at = now + LIFETIME
        self.census.tick(now)

    def _agent(self, kind: str, record: "Record") -> None:
        if kind == "names":
            self.names = json.dumps(catalogue(record)).encode()
            return
        self.census.agent(self.agent.get("uptime"), record.get("uptime"))
        self.agent.update(agent_facts(record))
