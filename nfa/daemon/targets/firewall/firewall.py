"""The daemon's own table: its frame, the chains of combinations, and what they have counted.

In: the frame that the compiler made (table, base chains, look-up rules, maps, chains of effects), and combinations as flows
need them. Out: all of it in the kernel, put back at once when another program deletes a part; packets and bytes for status.
What is in the maps is the business of `sets`, as for every set.
"""

import errno

from ...base.portable import EBUSY, monotonic
from ...netlink import nftables, nftables_rules
from ...netlink.question import Questions
from ...netlink.rule_dumps import ask_rules
from ...netlink.socket import MAX_SEND, describe
from ..counters import Counters
from ..sets.errors import NO_PART, code_of
from ..trouble import Trouble
from .chains import FAMILY, TABLE, chain_messages, deletion, lead
from .combinations import END, MAP, Combination, Combinations, number_in, number_of
from .maps import MapSlot
from .target import Combined, FirewallTarget

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..sets.writer import Sets
    from ..types import Key, Say, Tell

    Data = dict[str, Any]
    Tally = tuple[dict[str, list[int]], dict[str, list[int]]]

NAME = "firewall"
"""What the maps' counters are called, and their trouble: they are no target's own."""
WHERE = "nftables table nfa"
"""What events call it."""
NEVER = 1e18
RETRY = 5
"""Seconds after which the kernel is asked again when it has refused the frame."""
AGAIN = 0.02
"""Seconds at least between two times that the frame is put back, when others delete it in a loop; ..."""
SHARE = MapSlot.share
"""... and as many times as long as that took: there are other things to do."""
PART = 128
"""Chains that are written again in one turn of the loop, when actions begin or end: some milliseconds."""
ROOM = 20
"""Many times as long as the last search for combinations that nobody uses took, at least, lie between two."""
QUIET = 300
"""Seconds in which the same is said once: others may change the table in a loop."""
NO_ROOM = "there are too many combinations of actions and targets"


class Firewall:
    """All of it. `sets` sends; `forbids` says of an address whether it must be no device's, `forbids_other` no server's."""

    def __init__(
        self,
        sets: "Sets",
        say: "Say",
        tell: "Tell",
        forbids: "Callable[[bytes], bool] | None" = None,
        forbids_other: "Callable[[bytes], bool] | None" = None,
    ) -> None:
        self.counters = Counters(NAME, "nftset")
        self.combinations = Combinations()
        self.state = Trouble()
        self.forbids = {"device": forbids, "route": forbids_other}
        """By scope."""
        self.data: Data | None = None
        """The frame; None: the policy has no firewall target."""
        self._sets = sets
        self._say, self._tell = say, tell
        self._maps: dict[str, dict[tuple[str, int], tuple[MapSlot, Key]]] = {}
        """By hook, then by "scope/way" and IP version."""
        self._questions = Questions()
        self._there = False
        """The frame is in the kernel, as far as is known."""
        self._swept = False
        """What an earlier life of the daemon left was deleted."""
        self._unwritten: dict[int, Combination] = {}
        """Combinations whose chains are to be made, or written again."""
        self._again_at = 0.0
        """When the frame may be put back, of the monotonic clock."""
        self._room_at = 0.0
        """When combinations that nobody uses may be looked for again."""
        self._said: dict[str, float] = {}
        """What is not said again before some moment of the monotonic clock."""
        self._counters: dict[str, Counters] = {}
        """Of each firewall target, as plans had it last."""

    # -- for plans ------------------------------------------------------------------------------------------------------

    def combine(self, pairs: "list[tuple[str, FirewallTarget]]") -> "list[Any]":
        """Return what a plan is to apply for these pairs: what each scope's do together, and the marks."""
        effects = self.combinations.effects
        found: list[Any] = []
        groups: dict[tuple[str, str], list[tuple[str, FirewallTarget]]] = {}
        for pair in pairs:
            self._counters[pair[1].counters.name] = pair[1].counters
            effect = effects.get(pair[1].counters.name)
            if effect is not None:
                groups.setdefault((effect["hook"], effect["scope"]), []).append(pair)
            if pair[1].marks is not None and pair[1].marks not in found:
                found.append(pair[1].marks)
        for (hook, scope), group in groups.items():
            maps = self._maps.get(hook, {})
            for way in ("up", "down") if scope == "device" else ("",):
                found.append(Combined(self, group, maps, scope, way, self.forbids.get(scope)))
        return found

    def find(self, pairs: "list[tuple[str, str]]", which: int) -> Combination | None:
        """Return the combination of some pairs of names; None when there are too many. Its chain comes before its elements."""
        found = self.combinations.find(pairs, which, self._make_room)
        if found is None:
            self._say_at_times("full", "error", NO_ROOM + ": some connections are not held")
        elif found.chains is None:
            self._unwritten[found.number] = found
        return found

    def union(self, ends: "list[bytes]") -> bytes:
        """Return the end of an element that flows of several combinations hold: as all of them want it."""
        found = self.combinations.union([number_of(end) for end in ends], self._make_room)
        if found is None:
            return ends[0]
        if found.chains is None:
            self._write([found])
        return found.suffix

    def count(self, end: bytes, added: int, refreshed: int, withdrawn: int) -> None:
        """An element that ends so is sent: count that for its targets."""
        found = self.combinations.by_number.get(number_of(end))
        for _, name in found.pairs if found is not None else ():
            counters = self._counters.get(name)
            if counters is not None:
                counters.added += added
                counters.refreshed += refreshed
                counters.withdrawn += withdrawn

    def _slots(self) -> list[MapSlot]:
        return [slot for maps in self._maps.values() for slot, _ in maps.values()]

    # -- a new policy ---------------------------------------------------------------------------------------------------

    def adopt(self, data: "Data | None", slots: "Iterable[tuple[MapSlot, Key]]") -> None:
        """Use the frame of a new policy, and these maps with the functions that make their elements."""
        old, self.data = self.data, data
        self.combinations.effects = data["effects"] if data is not None else {}
        self._maps = {}
        for slot, make in slots:
            hook, scope, way = slot.data["map"]
            self._maps.setdefault(hook, {})[(scope + "/" + way, slot.data["family"])] = slot, make
        if data is None:
            if old is not None:
                self._remove(old)
            return
        if old is not None and old["frame"] != data["frame"]:
            self.read()
        if old is None or old["frame"] != data["frame"] or not self._there:
            self._make(old, 0)

    def update(self, applies: "Callable[[str, str], bool]") -> None:
        """Actions or targets have begun or ended: packets of connections that are held meet that at once."""
        self.combinations.applies = applies
        if not self._swept and self._there:
            self._sweep()
        if self.data is None or not self._there:
            return
        known = self.combinations
        changed = [
            one
            for one in known.by_number.values()
            if one.chains != known.chains_now(one) or one.last not in (None, known.is_last(one))
        ]
        if changed:
            self.read()
            for one in changed:
                self._unwritten[one.number] = one

    @property
    def busy(self) -> bool:
        """Whether chains are yet to be written."""
        return bool(self._unwritten) and self._there

    def commit(self) -> None:
        """Write chains, before the elements that lead to them: all that are new, and some of the others."""
        if not self.busy:
            return
        known = self.combinations.by_number
        waiting = [one for one in self._unwritten.values() if known.get(one.number) is one]
        new = [one for one in waiting if one.chains is None]
        others = [one for one in waiting if one.chains is not None]
        self._unwritten = {one.number: one for one in others[PART:]}
        self._write(new + others[:PART])

    # -- the kernel -----------------------------------------------------------------------------------------------------

    def table_changed(self, family: int, table: str, name: str) -> None:
        """Another program has deleted something in a table; "": perhaps in this one. `name`: of a set, if it was there."""
        if table == "" or (family == FAMILY and table == TABLE and name in ("", MAP)):
            self._there = False

    @property
    def deadline(self) -> float:
        """When there is something to do, of the monotonic clock."""
        if self.data is None or self._there:
            return NEVER
        return max(self._again_at, float(self.state.retry_at - 1))

    def heal(self, now: int) -> None:
        """Put back what others deleted. Before the elements: they lead to chains."""
        due = self.deadline
        if monotonic() < due:
            return
        self._make(None, now)
        if self._there and now:
            self._say_at_times("healed", "notice", "table nfa was changed by another program; it is as it was")

    def _make(self, old: "Data | None", now: int) -> None:
        """Bring the frame, and all combinations, to the kernel. `old`: a frame that may have other chains."""
        assert self.data is not None
        began = monotonic()
        error = self._sets.transact(list(self.data["frame"]))
        if error in (errno.EEXIST, errno.EOPNOTSUPP, errno.EINVAL) and old is None:
            # What is there is another one's, or of another version of nfa: none of its parts is used by others.
            self._remove(self.data)
            error = self._sets.transact(list(self.data["frame"]))
        self._again_at = began + AGAIN
        if error:
            self._fail(error, now)
            return
        self._there = True
        if self.state.end():
            self._say("notice", "firewall: the table nfa is there")
            self._tell(NAME, WHERE, "")
        for one in self.combinations.by_number.values():
            one.chains = one.last = None
        self._unwritten = {}
        self._write(list(self.combinations.by_number.values()))
        if old is not None:
            gone = [name for name in old["chains"] if name not in self.data["chains"]]
            self._drop(gone)
        self._again_at = began + max(AGAIN, (1 + SHARE) * (monotonic() - began))

    def _fail(self, error: int, now: int) -> None:
        words = describe(error)
        if error == errno.ENOENT or error in NO_PART:
            words += " (is the kernel module installed? OpenWrt: opkg install kmod-nft-core)"
        self.state.wait(now + RETRY)
        if self.state.begin(code_of(error), words):
            self._say("error", "firewall: the table nfa cannot be made, so that no connection is blocked or shaped: " + words)
            self._tell(NAME, WHERE, words)
            self.state.told = True

    def _write(self, combinations: "list[Combination]") -> None:
        """Bring the chains of combinations to the kernel, as they are to be now."""
        if self.data is None or not self._there:
            return
        batch: list[bytes] = []
        written: list[Combination] = []
        size = 0
        waiting = list(combinations)
        while waiting or batch:
            if waiting:
                one = waiting.pop()
                one.begin_again()
                one.chains = self.combinations.chains_now(one)
                last = self.combinations.is_last(one)
                made = chain_messages(one, last)
                if one.last not in (None, last):
                    made = [lead(nftables.DEL, one.number)] + made
                one.last = last
                batch += made
                written.append(one)
                size += sum([len(message) for message in made])
            if not waiting or size > MAX_SEND // 2:
                error = self._sets.transact(batch)
                if error in (errno.EEXIST, EBUSY):
                    # Another program lets numbers lead elsewhere, or an earlier life of the daemon did.
                    for one in written:
                        self._sets.transact([lead(nftables.DEL, one.number)])
                    error = self._sets.transact(batch)
                if error:
                    self._there = False
                    return
                batch, written, size = [], [], 0

    def _drop(self, chains: "list[str]", leads: bool = False) -> None:
        """Delete chains that are no longer of use: all together, else one by one. One that something else leads to stays.

        `leads`: numbers lead to them still. What the kernel refuses takes it milliseconds (6.18): it waits for all packets.
        """
        for start in range(0, len(chains), PART):
            names = chains[start : start + PART]
            before = [lead(nftables.DEL, number_in(name)) for name in names] if leads else []
            parts = [deletion(name) for name in names]
            if self._sets.transact(before + [message for part in parts for message in part]):
                for part in [[one] for one in before] + parts:
                    self._sets.transact(part)

    def _make_room(self) -> None:
        """Delete the chains of combinations that are no longer in use."""
        began = monotonic()
        if began < self._room_at:
            return
        used: set[int] = set()
        for slot in self._slots():
            used.update(slot.used())
        self._drop([one.chain for one in self.combinations.forget(used)], True)
        self._room_at = monotonic() + ROOM * (monotonic() - began)

    def close(self) -> None:
        """The daemon ends: take the table out of the kernel, but for what others have put into it."""
        if self.data is not None:
            self._remove(self.data)
            self.data = None
        self._questions.close()

    def _sweep(self) -> None:
        """Delete the chains of combinations that a daemon left which was killed. The maps have been emptied by now."""
        self._swept = True
        own = {one.chain for one in self.combinations.by_number.values()}
        found = [nftables_rules.read_chain(one, FAMILY, TABLE) for one in self._ask(nftables_rules.ask_chains)]
        self._drop([name for name in found if number_in(name) and name not in own], True)

    def _remove(self, data: "Data") -> None:
        """Take a frame out of the kernel."""
        self._there = False
        # What is to be deleted must be there. First what leads to the chains of combinations, last what they lead to.
        if self._sets.transact(list(data["frame"]) + list(data["destroy"])):
            # It is of another version of nfa: what has these names goes.
            for one in data["destroy"]:
                self._sets.transact([one])
        self._drop([one.chain for one in self.combinations.by_number.values()])
        self._sets.transact(list(data["destroy_effects"]))
        for one in self.combinations.by_number.values():
            one.chains = one.last = None
        left = self._ask(nftables_rules.ask_table)
        if [nftables_rules.in_use(one) for one in left] == [0]:
            self._sets.transact([nftables_rules.delete_table(FAMILY, TABLE)])

    # -- what was counted -----------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Read what the chains have counted."""
        if self.data is None or not self._there:
            return
        found: dict[str, tuple[int, int]] = {}
        for payload in self._ask(ask_rules):
            counted = nftables_rules.read_counter(payload)
            if counted is not None:
                found[counted[0]] = counted[1:]
        for one in self.combinations.by_number.values():
            one.packets, one.bytes = found.get(one.chain, (one.packets, one.bytes))

    def _ask(self, question: "Callable[[int, int, str], bytes]") -> list[bytes]:
        """Return the kernel's answers to a question about the table; none where there is no such table."""
        try:
            return self._questions.ask(question(self._questions.number(), FAMILY, TABLE))
        except OSError:
            return []

    def tally(self) -> "Tally":
        """Return what targets, and actions, have in effect and had: connections (servers, devices) held, packets, bytes."""
        self.read()
        held: dict[bytes, int] = {}
        for slot in self._slots():
            for key in slot.live:
                held[key[-END:]] = held.get(key[-END:], 0) + 1
        targets: dict[str, list[int]] = {}
        actions: dict[str, list[int]] = {}
        for one in self.combinations.by_number.values():
            packets, size = one.counted()
            for table, names in ((targets, [pair[1] for pair in one.pairs]), (actions, [pair[0] for pair in one.pairs])):
                for name in set(names):
                    row = table.setdefault(name, [0, 0, 0])
                    row[0] += held.get(one.suffix, 0)
                    row[1] += packets
                    row[2] += size
        return targets, actions

    def held(self, counters: Counters) -> "list[Any]":
        """Return what a target holds in each map."""
        from .listing import Held  # hardly anybody asks

        mine = [one for one in self.combinations.by_number.values() if counters.name in [pair[1] for pair in one.pairs]]
        return [Held(slot, counters, mine, self._questions) for slot in self._slots()]

    def trouble(self) -> tuple[str, str]:
        """Return why packets are not decided as the policy says, in words and as a code; both "" when they are."""
        if self.state.words:
            return "the table nfa cannot be made: " + self.state.words, self.state.code
        return next(((slot.trouble, slot.trouble_code) for slot in self._slots() if slot.trouble), ("", ""))

    def _say_at_times(self, what: str, level: str, words: str) -> None:
        moment = monotonic()
        if moment >= self._said.get(what, 0.0):
            self._said[what] = moment + QUIET
            self._say(level, "firewall: " + words)
