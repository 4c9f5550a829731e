"""What others take out of sets is put back, whatever the kernel says at first; and no more of it than was taken."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest
from fake_kernel import Bench, key

from nfa.daemon.netlink.monitor import ELEMENTS_GONE, SET_GONE, SET_MADE
from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.firewall.maps import MapSlot
from nfa.daemon.targets.owntable import OwnTable
from nfa.daemon.targets.sets.healing import ASK_AGAIN, BURST, CHECK_EVERY, CHUNK, LISTEN, MAX_NAMED, Healing
from nfa.daemon.targets.sets.slot import RETRY_FULL, RETRY_OTHER, Slot

KINDS = pytest.mark.parametrize("kind", ["nftset", "ipset"])


class Ward:
    """A bench whose set is filled and watched over. `moment` is the clock, whose second 0 the loop calls 1."""

    def __init__(self, kind: str = "nftset", count: int = 5, **options: Any) -> None:
        self.bench = Bench(kind, **options)
        self.slot, self.kernel, self.sets = self.bench.slot, self.bench.kernel, self.bench.sets
        self.moment = 100.0
        say = lambda *words: self.bench.said.append(words)  # noqa: E731
        self.registry = SimpleNamespace(by_number={0: self.slot}, table=OwnTable(self.sets, say, say))
        self.healing = Healing(self.registry, self.sets, say, None, lambda: self.moment)
        assert self.sets.provide(self.slot, self.now, True)
        self.bench.want(self.now, *range(count))
        self.kernel.log.clear()
        self.bench.said.clear()

    @property
    def now(self) -> int:
        return int(self.moment) + 1

    @property
    def there(self) -> list[bytes]:
        return self.kernel.sets["x.v4"]

    @property
    def written(self) -> int:
        """Elements that were sent."""
        return sum(len(keys) for command, _, keys in self.kernel.log if command == "add")

    def empty(self) -> None:
        """Somebody empties the set, and that becomes known."""
        self.there.clear()
        self.sets.lost(self.slot)

    def told(self, kind: int, *keys: bytes, lost: int = 0, more: bool = False) -> None:
        """nftables notifies of something."""
        what = (kind, self.slot.data["table_family"], "t", "x.v4")

        def read() -> dict[Any, list[bytes]]:
            monitor.lost += lost
            return {what: list(keys)} if kind else {}

        monitor = SimpleNamespace(lost=0, more=more, read=read)
        self.healing._monitor = monitor  # type: ignore[assignment]
        self.healing.ready()

    def withdraw(self, *numbers: int) -> None:
        """Somebody takes elements out of an nftables set."""
        keys = [key(number)[2:] for number in numbers]
        for one in keys:
            if one in self.there:
                self.there.remove(one)
        self.told(ELEMENTS_GONE, *keys)

    def go_on(self, after: float = 0.0) -> None:
        """Time passes; the loop does what it is to do, until there is nothing left for now."""
        self.moment += after
        for _ in range(1000):
            if not self.healing.busy:
                return
            self.healing.go_on(self.now, lambda: False)
        raise AssertionError("it is busy for ever")

    def said(self, *words: str) -> list[str]:
        return [text for _, text in self.bench.said if all(word in text for word in words)]


# -- nothing is given up -----------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("error", [errno.ENOBUFS, errno.EPERM, errno.EIO, errno.ENOMEM])
def test_a_send_that_fails_is_done_again(kind: str, error: int) -> None:
    """One short lack of memory, and the rest of the set would be gone; without a ttl, for ever."""
    ward = Ward(kind, 3 * CHUNK, ttl=0)
    ward.empty()
    ward.healing.go_on(ward.now, lambda: True)  # the first part
    assert len(ward.there) == CHUNK
    ward.kernel.broken = error
    ward.go_on()
    assert ward.slot.present == CHUNK, "status says what is there"
    assert ward.healing.deadline > ward.moment, "it would use all of a processor"
    ward.kernel.broken = 0
    ward.go_on(after=RETRY_OTHER)
    assert len(ward.there) == ward.slot.present == 3 * CHUNK
    assert (ward.slot.counters.restored, ward.slot.counters.errors) == (3 * CHUNK, 0)
    assert not ward.slot.trouble


@KINDS
def test_a_send_that_is_too_large_is_cut(kind: str) -> None:
    """As EMSGSIZE says, on machines with small buffers."""
    ward = Ward(kind, CHUNK, ttl=0)
    ward.empty()
    ward.kernel.largest = 16 << 10
    ward.go_on()
    ward.go_on(after=RETRY_OTHER)
    assert len(ward.there) == CHUNK
    assert not ward.bench.said or len(ward.bench.said) == 1


@KINDS
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("ttl", [0, 60])
def test_a_refused_element_is_left_out_and_the_rest_is_put_back(kind: str, exact: bool, ttl: int) -> None:
    """One address that others have put there as part of a range would keep out the 5,000 after it."""
    ward = Ward(kind, 2 * CHUNK, exact=exact, ttl=ttl)
    refused = [key(CHUNK + 7)[2:], key(CHUNK + 11)[2:]]
    ward.kernel.refused = dict.fromkeys(refused, errno.ERANGE)
    ward.empty()
    ward.go_on()
    assert len(ward.there) == 2 * CHUNK - 2 and not set(refused) & set(ward.there)
    assert (ward.slot.counters.restored, ward.slot.counters.errors) == (2 * CHUNK - 2, 2)
    assert len(ward.slot.live) == ward.slot.present == 2 * CHUNK - 2


@KINDS
def test_a_set_that_others_have_filled_is_tried_until_there_is_room(kind: str) -> None:
    """Whoever fills the set for a second would take the rest of our elements away for as long as they last."""
    ward = Ward(kind, 10, ttl=0)
    ward.empty()
    ward.kernel.limits["x.v4"] = 4
    ward.go_on()
    assert len(ward.there) == ward.slot.present == 4
    assert ward.slot.trouble == "is full"
    for _ in range(5):
        ward.go_on(after=RETRY_FULL)
    del ward.kernel.limits["x.v4"]
    ward.go_on(after=RETRY_FULL)
    assert len(ward.there) == ward.slot.present == 10
    assert ward.slot.counters.restored == 10
    assert not ward.slot.trouble
    assert len(ward.said("is full")) == 1


@KINDS
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EPERM, errno.ENOENT])
def test_a_set_that_cannot_be_made_is_made_later(kind: str, error: int) -> None:
    """A deleted set would be gone until a flow comes that is not in it."""
    ward = Ward(kind, ttl=0)
    del ward.kernel.sets["x.v4"]
    ward.sets.lost(ward.slot)
    ward.kernel.stubborn = error
    ward.go_on()
    sends = ward.kernel.sends
    ward.go_on()
    assert ward.kernel.sends == sends, "not in each turn of the loop"
    assert ward.slot.trouble and ward.slot.present == 0
    ward.kernel.stubborn = 0
    ward.go_on(after=RETRY_OTHER)
    assert len(ward.there) == ward.slot.present == 5


def test_an_answer_of_ipset_that_was_lost_is_asked_for_again() -> None:
    """The kernel may have taken the elements or not."""
    ward = Ward("ipset", ttl=0)
    ward.empty()
    ward.kernel.silent = True
    ward.go_on()
    ward.kernel.silent = False
    ward.go_on(after=1)
    assert len(ward.there) == len(ward.slot.live) == 5
    assert ward.slot.counters.errors == 0


def test_a_reload_ends_the_healing_of_slots_that_are_out_of_use() -> None:
    """A set that the new policy does not have would be filled."""
    ward = Ward(count=2 * CHUNK)
    ward.empty()
    ward.healing.go_on(ward.now, lambda: True)
    ward.registry.by_number = {}
    ward.go_on()
    assert len(ward.there) == CHUNK


@KINDS
def test_time_goes_on_while_a_large_set_is_put_back(kind: str) -> None:
    """Elements whose turn comes seconds later would stay longer than they have left."""
    ward = Ward(kind, 2 * CHUNK, ttl=60)
    ward.empty()
    ward.healing.go_on(ward.now, lambda: True)
    left: list[int] = []
    whole = ward.slot.left
    ward.slot.left = lambda keys, now: left.extend(whole(keys, now)) or whole(keys, now)  # type: ignore[func-returns-value,method-assign]
    ward.go_on(after=20)
    assert set(left) == {40}


# -- and no more than was taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [("other_addr",), ("local_mac", "ip_proto", "other_port"), ("other_port",)])
def test_only_the_elements_that_were_taken_out_are_put_back(kinds: tuple[str, ...]) -> None:
    """20 `nft delete element` in a second would write a set of 60,000 elements 20 times."""
    ward = Ward(count=0, type=kinds)
    size = {("other_addr",): 4, ("other_port",): 2}.get(kinds, 9)
    elements = [b"\0\0" + number.to_bytes(size, "big") for number in range(50)]
    for element in elements:
        ward.slot.want(element, ward.now)
    ward.sets.commit([ward.slot], ward.now)
    ward.kernel.log.clear()
    expand = ward.slot.expand
    assert expand is not None
    taken = expand(elements[7])
    ward.there.remove(taken)
    ward.told(ELEMENTS_GONE, taken, b"x" * len(taken))
    ward.go_on()
    assert taken in ward.there
    assert ward.written == ward.slot.counters.restored == 1
    assert len(ward.said("elements were deleted by another program: 1 element restored")) == 1


def test_elements_taken_out_one_by_one_are_back_at_once_each_time() -> None:
    """Only whole sets have to wait for their turn."""
    ward = Ward(count=100)
    for number in range(20):
        ward.withdraw(number)
        ward.go_on()
        assert len(ward.there) == 100
    assert ward.written == ward.slot.counters.restored == 20


def test_many_elements_are_put_back_by_writing_the_set_and_counted_once() -> None:
    """`nft flush set` tells of each element."""
    count = 2 * MAX_NAMED
    ward = Ward(count=count)
    ward.withdraw(*range(MAX_NAMED + 100))
    ward.go_on()
    assert len(ward.there) == count
    assert ward.written == count
    assert ward.slot.counters.restored == MAX_NAMED + 100
    assert len(ward.said("flushed or deleted by another program", f"{MAX_NAMED + 100} elements restored")) == 1


@pytest.mark.parametrize("pace", [Slot.pace, MapSlot.pace])
def test_a_whole_set_is_written_at_once_and_in_the_long_run_at_a_pace(pace: float) -> None:
    """`nft flush set` in a loop on 20,000 elements would take two thirds of a processor; a firewall that is reloaded twice
    within a second would let everything pass for the rest of it."""
    ward = Ward(count=1000)
    ward.slot.pace = pace
    begun = ward.moment
    for turn in range(80):
        ward.withdraw(*range(1000))
        before = ward.written
        ward.go_on()
        if turn < BURST:
            assert len(ward.there) == 1000, "at once"
        elif ward.written == before:
            assert ward.moment < ward.healing.deadline <= ward.moment + pace
        assert ward.written <= (BURST + (ward.moment - begun) / pace) * 1000
        ward.moment += pace * 5 / 32
    ward.go_on(after=1)
    assert ward.written == (BURST + 13) * 1000, "one each time, after those at once"
    assert len(ward.there) == 1000


def test_one_flush_of_a_large_set_is_written_once() -> None:
    """Its last notifications are read many turns after the first: the set would be written once more for them."""
    ward = Ward(count=2 * MAX_NAMED)
    keys = list(ward.there)
    ward.there.clear()
    ward.told(ELEMENTS_GONE, *keys[:MAX_NAMED], more=True)
    ward.told(ELEMENTS_GONE, *keys[MAX_NAMED : MAX_NAMED + 10], more=True)
    ward.healing.go_on(ward.now, lambda: False)
    assert ward.healing.deadline == ward.moment + LISTEN
    ward.told(ELEMENTS_GONE, *keys[MAX_NAMED + 10 :])
    ward.go_on()
    assert len(ward.there) == ward.slot.counters.restored == 2 * MAX_NAMED
    written = ward.written
    ward.go_on(after=2)
    assert ward.written == written <= 3 * MAX_NAMED


def test_whoever_never_stops_keeps_no_set_from_being_written() -> None:
    """A loop of `nft` would switch healing off."""
    ward = Ward(count=2 * MAX_NAMED)
    keys = list(ward.there)
    ward.there.clear()
    ward.told(ELEMENTS_GONE, *keys, more=True)
    ward.go_on()
    assert not ward.there
    ward.told(ELEMENTS_GONE, more=True)
    ward.go_on(after=LISTEN)
    assert len(ward.there) == 2 * MAX_NAMED


def test_missed_notifications_write_all_sets_and_blame_nobody() -> None:
    """What was missed may have been anything: also nothing that was ours."""
    ward = Ward()
    ward.told(0, lost=1)
    ward.go_on()
    assert ward.written == 5
    assert ward.slot.counters.restored == 0
    assert not ward.said("emptied")
    assert len(ward.said("too many changes by other programs", "5 elements written again")) == 1


def test_what_is_told_of_a_flush_that_was_too_fast_is_the_least_it_can_be() -> None:
    """A count that is too low would be taken for a part of the set."""
    ward = Ward(count=2 * MAX_NAMED)
    keys = list(ward.there)
    ward.there.clear()
    ward.told(ELEMENTS_GONE, *keys[: MAX_NAMED + 1], lost=1)
    ward.go_on()
    assert len(ward.there) == 2 * MAX_NAMED
    assert ward.said(f"at least {MAX_NAMED + 1} elements restored")


@KINDS
def test_what_flows_bring_back_themselves_is_counted_once(kind: str) -> None:
    """The flow that finds the set gone has its element in it with the others, once it is made again."""
    ward = Ward(kind, 5, ttl=60)
    del ward.kernel.sets["x.v4"]
    ward.moment += 40
    ward.bench.want(ward.now, 0, 77)  # one to refresh, one that is new
    ward.go_on()
    assert len(ward.there) == ward.slot.present == 6
    assert (ward.slot.counters.restored, ward.slot.counters.errors) == (6, 0)


def test_an_unmanaged_set_that_is_deleted_has_no_elements() -> None:
    """Status would say that elements are there while there is not even a set."""
    ward = Ward(managed=False)
    del ward.kernel.sets["x.v4"]
    ward.told(SET_GONE)
    ward.go_on()
    assert ward.slot.present == 0
    ward.kernel.sets["x.v4"] = []
    ward.told(SET_MADE)
    ward.go_on()
    assert len(ward.there) == ward.slot.present == 5


# -- ipsets are counted ------------------------------------------------------------------------------------------------


class Counted(Ward):
    """An ipset whose count is asked for."""

    def __init__(self, count: int, **options: Any) -> None:
        super().__init__("ipset", count, **options)
        self.asked = 0
        self.healing._size = self._size  # type: ignore[method-assign,assignment]

    def _size(self, slot: Slot) -> int:
        self.asked += 1
        return len(self.there) if "x.v4" in self.kernel.sets else -1


def test_an_ipset_that_was_emptied_is_looked_at_twice_and_filled() -> None:
    """ipset tells nobody."""
    ward = Counted(50)
    del ward.there[10:]
    ward.healing.tick(ward.moment)
    ward.go_on()
    assert len(ward.there) == 10
    assert ward.healing.deadline == ward.moment + ASK_AGAIN
    ward.go_on(after=ASK_AGAIN)
    assert len(ward.there) == 50
    assert (ward.asked, ward.slot.counters.restored) == (2, 40)
    assert len(ward.said("flushed or deleted by another program: 40 elements restored")) == 1


def test_an_ipset_that_lacked_elements_for_a_moment_only_is_left_alone() -> None:
    """`ipset swap` and a rule script that fills it again, or the daemon's own turn, look like a loss for a moment."""
    ward = Counted(50)
    whole = list(ward.there)
    ward.there.clear()
    ward.healing.tick(ward.moment)
    ward.there.extend(whole)
    ward.go_on(after=ASK_AGAIN)
    assert ward.written == 0 and not ward.bench.said


@pytest.mark.parametrize("ended", [100, 600, 5000])
def test_elements_that_end_are_no_loss_however_many(ended: int) -> None:
    """1,000 new elements a second, and seven times in 45 seconds all 30,000 would be written, for no loss at all."""
    ward = Counted(0, ttl=30)
    for number in range(ended):
        ward.slot.hold(key(number), ward.now)
    ward.moment += 20
    for number in range(ended, ended + 1000):
        ward.slot.hold(key(number), ward.now)
    for number in range(0, ended, 3):
        ward.slot.release(key(number), ward.now, False)  # their flows have ended
    ward.sets.commit([ward.slot], ward.now)
    ward.kernel.log.clear()
    ward.moment += 9.5
    del ward.there[:ended]  # the kernel has dropped them
    ward.healing.tick(ward.moment)
    ward.go_on(after=ASK_AGAIN)
    assert ward.written == 0
    del ward.there[:1]
    ward.healing.tick(ward.moment + 1)
    ward.go_on(after=CHECK_EVERY)
    ward.go_on(after=ASK_AGAIN)
    assert ward.written == ward.slot.counters.restored + 999 == 1000, "a real loss is seen all the same"


# -- another type at run time ------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("told", [True, False])
def test_a_set_made_anew_with_another_type_is_replaced(kind: str, told: bool) -> None:
    """A script of an older configuration would end the target until the next reload. Flows may find it before it is told."""
    ward = Ward(kind)
    ward.there.clear()
    ward.kernel.strange = {"x.v4"}
    if told:
        ward.sets.lost(ward.slot)
    else:
        ward.bench.want(ward.now, 77)
    ward.go_on()
    assert ward.kernel.strange == set()
    assert len(ward.there) == ward.slot.present == (5 if told else 6)
    assert ward.slot.counters.errors == 0
    assert len(ward.said("had another type and was replaced")) == 1
    assert not ward.said("kernel module")


@KINDS
def test_a_set_of_another_type_that_is_in_use_is_named_and_replaced_later(kind: str) -> None:
    """'Operation not supported (is the kernel module installed?)' would send the administrator the wrong way."""
    ward = Ward(kind)
    ward.there.clear()
    ward.kernel.strange, ward.kernel.used = {"x.v4"}, {"x.v4"}
    ward.sets.lost(ward.slot)
    ward.go_on()
    assert ward.slot.trouble == "has another type and is in use"
    assert ward.slot.present == 0, "status would say that elements are there"
    assert len(ward.said("nfa check shows what uses it")) == 1
    ward.go_on(after=RETRY_OTHER)
    ward.kernel.used = set()
    ward.go_on(after=RETRY_OTHER)
    assert len(ward.there) == ward.slot.present == 5
    assert not ward.slot.trouble


@KINDS
def test_a_set_is_not_replaced_over_and_over(kind: str) -> None:
    """The kernel may have another reason to take no element; each replacement empties the set."""
    ward = Ward(kind)
    ward.kernel.refused = {key(number)[2:]: errno.EINVAL for number in range(100)}
    ward.empty()
    for _ in range(50):
        ward.go_on(after=1)
    assert len(ward.said("was replaced")) == 1
    ward.kernel.refused = {}
    ward.go_on(after=RETRY_OTHER)
    assert len(ward.there) == 5


def test_a_set_that_an_unmanaged_target_names_is_not_replaced() -> None:
    """It is the administrator's."""
    ward = Ward()
    other = Slot(1, ward.slot.data | {"managed": False}, Counters("other", "nftset"))
    ward.slot.siblings = [other]
    ward.kernel.strange = {"x.v4"}
    ward.bench.want(ward.now, 77)
    assert ward.kernel.strange == {"x.v4"}
