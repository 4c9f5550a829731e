"""Elements reach the kernel, whatever it refuses; the administrator is told once, and what to do."""

from __future__ import annotations

import errno
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from fake_kernel import Bench, Kernel, key, slot_data

from nfa.daemon.netlink import ipset, nftables, wire
from nfa.daemon.netlink.socket import describe
from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.sets.errors import advice
from nfa.daemon.targets.sets.keeper import QUIET, REPLACE_EVERY
from nfa.daemon.targets.sets.slot import RETRY_FULL, RETRY_OTHER, Slot, set_of
from nfa.daemon.targets.sets.states import (
    ACCEPTED,
    FILLED,
    GONE,
    MADE,
    MAKE,
    MISSING,
    NOTHING,
    REFUSED,
    RESTORE_OWED,
)

KINDS = pytest.mark.parametrize("kind", ["nftset", "ipset"])


LABELS = {"nftset": "nftables set t x.v4", "ipset": "ipset x.v4"}


@KINDS
@pytest.mark.parametrize("exact", [True, False])
def test_one_turn_is_one_batch(kind: str, exact: bool) -> None:
    """A burst of flows would cost a system call each."""
    bench = Bench(kind, exact=exact)
    bench.want(100, *range(200))
    assert len(bench.held) == 200
    before = bench.kernel.sends
    bench.want(101, *range(200))
    assert bench.kernel.sends == before
    assert (bench.slot.counters.added, bench.slot.counters.refreshed, bench.slot.counters.errors) == (200, 0, 0)
    bench.want(131, *range(200))
    assert bench.slot.counters.refreshed == 200
    assert not bench.said


def test_a_refresh_of_nftables_is_add_delete_add() -> None:
    """Adding what is there changes nothing (6.18); deleting what has just expired fails."""
    bench = Bench("nftset")
    bench.want(100, 1)
    bench.slot.carried_over = False
    bench.kernel.log.clear()
    bench.kernel.sets["x.v4"].clear()  # it expired
    bench.want(130, 1)
    assert [command for command, _, _ in bench.kernel.log] == ["add", "del", "add"]
    assert bench.held == [1]
    assert (bench.slot.counters.refreshed, bench.slot.counters.errors) == (1, 0)


def test_a_refresh_of_ipset_is_an_add() -> None:
    """An element deleted for a moment would let packets through."""
    bench = Bench("ipset")
    bench.want(100, 1)
    bench.kernel.log.clear()
    bench.want(130, 1)
    assert [command for command, _, _ in bench.kernel.log] == ["add"]


@KINDS
def test_what_an_earlier_life_left_is_refreshed(kind: str) -> None:
    """After a restart an element would end in the middle of its flow, for adding it again changes nothing."""
    bench = Bench(kind)
    assert bench.sets.provide(bench.slot, 1, True)
    bench.kernel.sets["x.v4"].append(bytes((10, 0, 0, 1)))
    bench.kernel.log.clear()
    bench.want(1, 1, 2)
    commands = [command for command, _, _ in bench.kernel.log]
    assert commands == (["add", "del", "add"] if kind == "nftset" else ["add"])
    assert bench.held == [1, 2]


@KINDS
@pytest.mark.parametrize("flush", [True, False])
def test_a_set_is_emptied_at_the_start_if_asked_for(kind: str, flush: bool) -> None:
    """flush_on_create would be ignored, or a reload would empty a set that is in use."""
    bench = Bench(kind, flush_on_create=flush)
    bench.kernel.sets["x.v4"].append(bytes((10, 0, 0, 9)))
    bench.sets.provide(bench.slot, 1, True)
    assert bench.held == ([] if flush else [9])
    assert bench.slot.carried_over is not flush
    bench.want(2, 1)
    bench.sets.provide(bench.slot, 3, False)
    assert 1 in bench.held


# -- refusals ----------------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("exact", [True, False])
def test_a_set_that_is_full_at_the_third_of_five_keeps_two(kind: str, exact: bool) -> None:
    """All flows of a turn would lose their elements because one was too many."""
    bench = Bench(kind, exact=exact)
    bench.kernel.limits["x.v4"] = 2
    bench.want(100, 1, 2, 3, 4, 5)
    assert bench.held == [1, 2]
    counters = bench.slot.counters
    assert (counters.added, counters.errors) == (2, 3)
    assert "is full" in counters.last_error
    assert counters.error_time == 100
    assert sorted(bench.slot.live) == [key(1), key(2)]
    ((level, text),) = bench.said
    assert level == "error"
    assert "target 'target'" in text
    assert "is full" in text
    assert "raise size" in text
    assert bench.slot.trouble_code == "set-full", "status says so as long as it lasts: the two that found room change nothing"


@KINDS
def test_a_full_set_is_tried_again_and_told_rarely(kind: str) -> None:
    """A full set would fill the log, or be given up for ever."""
    bench = Bench(kind)
    bench.kernel.limits["x.v4"] = 2
    bench.want(100, 1, 2, 3)
    bench.want(100, 3)
    sends = bench.kernel.sends
    bench.want(100, 4)  # within the pause nothing is sent
    assert bench.kernel.sends == sends
    bench.want(100 + RETRY_FULL, 5)
    assert bench.kernel.sends > sends
    assert len(bench.said) == 1
    bench.kernel.sets["x.v4"].clear()  # they expired
    bench.want(102 + RETRY_FULL, 6)
    assert bench.held == [6]
    assert not bench.slot.trouble
    bench.kernel.limits["x.v4"] = 1
    bench.want(110, 7)
    assert len(bench.said) == 1
    bench.kernel.limits["x.v4"] = 2
    bench.want(120, 7)
    bench.want(120 + QUIET, 8)
    assert len(bench.said) == 2, "after a while it is worth telling again"


@KINDS
@pytest.mark.parametrize("exact", [True, False])
def test_one_refused_element_does_not_take_others_with_it(kind: str, exact: bool) -> None:
    """An address outside a bitmap would keep all addresses of the turn out."""
    bench = Bench(kind, exact=exact)
    for number in (3, 7):
        bench.kernel.refused[bytes((10, 0, 0, number))] = errno.ERANGE
    bench.want(100, *range(1, 10))
    assert bench.held == [1, 2, 4, 5, 6, 8, 9]
    assert (bench.slot.counters.added, bench.slot.counters.errors) == (7, 2)
    assert not bench.slot.trouble
    assert key(3) not in bench.slot.live


def test_ipset_goes_on_after_the_refused_element() -> None:
    """Elements that the kernel has taken would be sent (and counted) twice."""
    bench = Bench("ipset")
    bench.kernel.refused[bytes((10, 0, 0, 3))] = errno.ERANGE
    bench.want(100, 1, 2, 3, 4, 5)
    assert [[one[-1] for one in keys] for _, _, keys in bench.kernel.log] == [[1, 2, 3, 4, 5], [4, 5]]


def test_an_unknown_place_is_found_by_halves() -> None:
    """Kernels that do not tell the element would cost one transaction for each."""
    bench = Bench("nftset", exact=False)
    bench.kernel.refused[bytes((10, 0, 0, 77))] = errno.ERANGE
    bench.want(100, *range(128))
    assert len(bench.held) == 127
    assert bench.kernel.sends < 20


def test_another_set_does_not_suffer() -> None:
    """A deleted set of one target would stop the other targets of the policy."""
    bench = Bench("nftset", there=False)
    bench.kernel.sets["y.v4"] = []
    other = Slot(1, slot_data("nftset", set_name="y", managed=False), Counters("other", "nftset"))
    bench.slot.take(slot_data("nftset", managed=False))
    for slot in (bench.slot, other):
        slot.state.happens(MADE, 0)
    bench.slot.want(key(1), 100)
    other.want(key(2, 1), 100)
    bench.sets.commit([bench.slot, other], 100)
    assert bench.kernel.sets["y.v4"] == [bytes((10, 0, 0, 2))]
    assert (bench.slot.trouble_code, other.trouble_code) == ("set-missing", "")
    assert (bench.slot.counters.errors, other.counters.errors) == (0, 0)


# -- sets that are not there -------------------------------------------------------------------------------------------


@KINDS
def test_what_arrives_while_a_set_is_away_is_put_back_with_it(kind: str) -> None:
    """An `fw4 reload` that flushes the ruleset would cost the flows of that moment their elements."""
    bench = Bench(kind)
    assert bench.sets.provide(bench.slot, 99, True)
    bench.want(100, 1, 2)
    del bench.kernel.sets["x.v4"]
    bench.want(101, 3)
    bench.want(101, 4)
    assert (bench.slot.state.value, bench.slot.state.due(101), bench.slot.present) == (MISSING, MAKE, 0)
    assert (bench.slot.trouble_code, bench.slot.trouble) == ("set-missing", "does not exist")
    assert not bench.slot.has(key(3)), "its connection would be cut, and go on unblocked"
    assert bench.sets.provide(bench.slot, 101, False)
    assert bench.slot.state.all_owed
    assert bench.sets.restore(bench.slot, list(bench.slot.live), 102) == (4, [])
    assert bench.held == [1, 2, 3, 4]
    assert bench.slot.counters.errors == 0


@KINDS
def test_what_is_withdrawn_from_a_set_that_is_gone_is_done(kind: str) -> None:
    """1,000 reclassified flows would count as errors, and the elements of another set be dropped with them."""
    bench = Bench(kind)
    other = Slot(1, slot_data(kind, set_name="y"), Counters("other", kind))
    bench.kernel.sets["y.v4"] = []
    for slot in (bench.slot, other):
        assert bench.sets.provide(slot, 99, True)
    for number in range(2000):
        bench.slot.hold(struct.pack(">HI", 0, 0x0A000000 + number), 100)
    bench.sets.commit([bench.slot, other], 100)
    del bench.kernel.sets["x.v4"]
    sends = bench.kernel.sends
    for number in range(1000):
        bench.slot.release(struct.pack(">HI", 0, 0x0A000000 + number), 101, True)
    for number in range(100):
        other.hold(key(number, 1), 101)
    bench.sets.commit([bench.slot, other], 101)
    assert len(bench.kernel.sets["y.v4"]) == 100
    assert (bench.slot.counters.errors, other.counters.errors) == (0, 0)
    assert bench.kernel.sends - sends < 8, "nothing is looked for by halves"
    assert bench.sets.provide(bench.slot, 101, False)
    bench.sets.restore(bench.slot, list(bench.slot.live), 101)
    bench.sets.commit([bench.slot, other], 101)
    assert len(bench.held) == 1000
    assert not bench.slot.dels and bench.slot.counters.errors == 0


@pytest.mark.parametrize("exact", [True, False])
def test_elements_that_are_gone_already_cost_two_rounds(exact: bool) -> None:
    """Somebody emptied the set: each withdrawal would be looked for in a transaction of its own."""
    bench = Bench("nftset", exact=exact)
    assert bench.sets.provide(bench.slot, 99, True)
    for number in range(500):
        bench.slot.hold(struct.pack(">HI", 0, 0x0A000000 + number), 100)
    bench.sets.commit([bench.slot], 100)
    bench.slot.hold(key(700), 100)
    bench.kernel.sets["x.v4"].clear()
    sends = bench.kernel.sends
    for number in range(500):
        bench.slot.release(struct.pack(">HI", 0, 0x0A000000 + number), 101, True)
    bench.sets.commit([bench.slot], 101)
    assert bench.kernel.sends - sends == 2
    assert (bench.slot.counters.withdrawn, bench.slot.counters.errors) == (500, 0)


@KINDS
def test_a_set_of_another_type_is_replaced_when_nothing_uses_it(kind: str) -> None:
    """After a changed type the target would do nothing until somebody deletes the set by hand."""
    bench = Bench(kind)
    bench.kernel.strange, bench.kernel.used = {"x.v4"}, {"x.v4"}
    bench.sets.misfits = {set_of(bench.slot.data)}
    assert not bench.sets.provide(bench.slot, 99, True)
    bench.want(100, 1)
    assert bench.held == [], "nothing is put into the wrong set"
    ((level, text),) = bench.said
    assert level == "error"
    assert "has another type and is in use (nfa check shows what uses it" in text
    bench.kernel.used.clear()
    assert bench.slot.state.due(100) == NOTHING and bench.slot.state.due(99 + RETRY_OTHER) == MAKE
    assert bench.sets.provide(bench.slot, 99 + RETRY_OTHER, False)
    bench.sets.restore(bench.slot, list(bench.slot.live), 99 + RETRY_OTHER)
    assert bench.held == [1]
    assert [level for level, _ in bench.said[1:]] == ["notice", "notice"]
    bench.sets.provide(bench.slot, 200, False)
    assert bench.held == [1], "once is enough"


@KINDS
def test_a_set_of_another_type_that_went_by_itself_is_made(kind: str) -> None:
    """The compiler looked a while ago: a set that is not there would be deleted in vain again and again."""
    bench = Bench(kind, there=False)
    bench.sets.misfits = {set_of(bench.slot.data)}
    assert bench.sets.provide(bench.slot, 99, True)
    assert bench.kernel.sets == {"x.v4": []} and not bench.sets.misfits


@KINDS
@pytest.mark.parametrize("used", [False, True])
def test_a_set_that_is_deleted_and_made_anew_with_another_type(kind: str, used: bool) -> None:
    """The compiler saw the right one: the daemon would fill, or wait for, the wrong one for ever."""
    bench = Bench(kind)
    assert bench.sets.provide(bench.slot, 99, True)
    bench.want(100, 1)
    bench.kernel.sets["x.v4"], bench.kernel.strange = [], {"x.v4"}
    bench.kernel.used = {"x.v4"} if used else set()
    bench.sets.happens(bench.slot, GONE)
    assert bench.sets.provide(bench.slot, 101, False)
    assert bench.kernel.strange == ({"x.v4"} if used else set()), "one that rules use may differ in its comment only"
    assert "replaced" in "".join(text for _, text in bench.said) or used


@KINDS
def test_a_deleted_set_takes_all_that_was_pending(kind: str) -> None:
    """A large turn goes in several messages: those after the one that found out would be lost."""
    bench = Bench(kind)
    assert bench.sets.provide(bench.slot, 99, True)
    bench.want(100, *range(10))
    del bench.kernel.sets["x.v4"]
    for number in range(3000):
        bench.slot.want(struct.pack(">HI", 0, 0x0A000000 + number), 140)
    bench.sets.commit([bench.slot], 140)
    assert bench.sets.provide(bench.slot, 140, False)
    bench.sets.restore(bench.slot, list(bench.slot.live), 140)
    assert len(bench.kernel.sets["x.v4"]) == len(bench.slot.live) == 3000
    assert bench.slot.counters.errors == 0


@KINDS
def test_a_send_is_never_larger_than_the_kernel_takes(kind: str) -> None:
    """A burst of flows would be refused as a whole, with "Message too long"."""
    bench = Bench(kind)
    bench.kernel.largest = 60_000
    bench.sets.provide(bench.slot, 99, True)
    for now in (100, 140):
        for number in range(9000):
            bench.slot.want(struct.pack(">HI", 0, 0x0A000000 + number), now)
        bench.sets.commit([bench.slot], now)
    assert len(bench.kernel.sets["x.v4"]) == 9000
    assert bench.slot.counters.errors == 0
    assert (bench.slot.counters.added, bench.slot.counters.refreshed) == (9000, 9000)


def test_what_the_kernel_did_not_answer_is_put_back() -> None:
    """Elements would be believed to be in a set that they never reached, or be lost until their flows come again."""
    bench = Bench("ipset")
    bench.sets.provide(bench.slot, 99, True)
    bench.kernel.silent = True
    bench.want(100, 1, 2)
    assert bench.slot.state.due(100) == RESTORE_OWED
    assert bench.slot.state.take_owed() == [key(1), key(2)]
    assert bench.slot.counters.errors == 0


@KINDS
def test_a_missing_set_of_somebody_else_is_told_once_and_tried_again(kind: str) -> None:
    """The log would repeat it with every flow, or the set would never be filled once it is there."""
    bench = Bench(kind, managed=False, there=False)
    bench.sets.provide(bench.slot, 99, True)
    for now in range(100, 140):
        bench.want(now, now)
    assert len(bench.said) == 1
    assert "does not exist" in bench.said[0][1]
    assert "managed" in bench.said[0][1]
    assert bench.kernel.sends <= 40 // RETRY_OTHER + 1
    bench.kernel.sets["x.v4"] = []
    bench.want(140 + RETRY_OTHER, 1)
    assert bench.held == [1]
    assert [level for level, _ in bench.said] == ["error", "notice"]


@KINDS
@pytest.mark.parametrize(
    ("error", "words"),
    [(errno.EPERM, "CAP_NET_ADMIN"), (errno.EOPNOTSUPP, "kmod-"), (errno.EBUSY, "in use"), (errno.ENOBUFS, "buffer")],
)
def test_a_kernel_that_takes_nothing_does_not_end_the_daemon(kind: str, error: int, words: str) -> None:
    """A daemon without rights would end with a traceback, or not say what it lacks."""
    bench = Bench(kind, there=False)
    bench.kernel.broken = error
    assert not bench.sets.provide(bench.slot, 99, True)
    bench.want(100, 1)
    bench.want(101, 1)
    assert len(bench.said) == 1
    assert words in bench.said[0][1].lower() or words in bench.said[0][1]
    bench.kernel.broken = 0
    assert bench.slot.state.due(100) == NOTHING and bench.slot.state.due(99 + RETRY_OTHER) == MAKE
    assert bench.sets.provide(bench.slot, 99 + RETRY_OTHER, False)
    bench.sets.restore(bench.slot, list(bench.slot.live), 99 + RETRY_OTHER)
    assert bench.held == [1]


@KINDS
def test_a_hopeless_error_is_not_tried_for_every_element(kind: str) -> None:
    """A set without timeouts would cost a system call for each element of each turn."""
    bench = Bench(kind, managed=False)
    for number in range(100):
        bench.kernel.refused[bytes((10, 0, 0, number))] = errno.EINVAL if kind == "nftset" else 4107
    bench.want(100, *range(100))
    assert bench.kernel.sends == 1
    assert bench.slot.counters.errors == 100
    assert bench.slot.state.due(100) == NOTHING and bench.slot.state.due(100 + RETRY_OTHER) == RESTORE_OWED


@KINDS
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOBUFS])
def test_what_could_not_be_taken_out_is_taken_out_later(kind: str, error: int) -> None:
    """A flow that turned out to be something else would stay blocked, for ever in a set without timeouts."""
    bench = Bench(kind, ttl=0)
    assert bench.sets.provide(bench.slot, 99, True)
    bench.want(100, 1, 2)
    bench.kernel.broken = error
    bench.slot.release(key(1), 101, True)
    bench.want(101, 3)
    bench.want(102)
    bench.kernel.broken = 0
    bench.want(103)
    bench.want(101 + RETRY_OTHER)
    assert bench.held == [2]
    assert bench.slot.counters.withdrawn == 1


def test_emptying_a_set_forgets_its_elements() -> None:
    """After flush_on_destroy a reload would believe that elements are still there."""
    bench = Bench("ipset")
    bench.want(100, 1)
    bench.slot.want(key(2), 100)
    assert bench.sets.flush(bench.slot) == 0
    assert not bench.slot.live
    assert bench.slot.take_pending() == ([], [], [])
    assert bench.held == []
    del bench.kernel.sets["x.v4"]
    assert bench.sets.flush(bench.slot) == 0, "a set that is not there is empty"


@KINDS
def test_emptying_a_set_counts_its_elements_and_tells_what_failed(kind: str) -> None:
    """`nfa flush` would say that it emptied a set which the kernel did not empty; or status count the elements wrong."""
    bench = Bench(kind)
    for now, numbers in ((100, (1, 2, 3)), (101, (4, 5))):
        bench.want(now, *numbers)
        assert bench.sets.flush(bench.slot) == 0
    assert bench.slot.counters.withdrawn == 5
    bench.want(102, 6)
    bench.kernel.broken = errno.EPERM
    assert bench.sets.flush(bench.slot) == errno.EPERM
    bench.kernel.broken = 0
    del bench.kernel.sets["x.v4"]
    bench.sets.flush(bench.slot)
    assert bench.slot.counters.withdrawn == 5, "nothing was in it"


@KINDS
def test_a_set_is_emptied_of_what_nobody_knows_and_gets_back_what_flows_want(kind: str) -> None:
    """Bedtime is over: what an earlier life of the daemon has blocked would stay blocked; or what flows of another target
    still block in the same set would go with it, and not come back."""
    bench = Bench(kind)
    assert bench.sets.provide(bench.slot, 1, True)
    other = Slot(1, bench.slot.data, Counters("other", kind))
    other.state.happens(MADE, 0)
    bench.slot.siblings = [other]
    bench.kernel.sets["x.v4"].append(bytes((10, 0, 0, 9)))
    bench.want(100, 1)
    other.want(key(2, 1), 100)
    bench.sets.commit([other], 100)
    bench.kernel.broken = errno.EPERM
    bench.sets.refill(bench.slot)
    assert bench.held == [1, 2, 9] and bench.slot.carried_over is True, "the kernel did not empty it"
    assert [slot.state.due(101) for slot in (bench.slot, other)] == [NOTHING, NOTHING]
    bench.kernel.broken = 0
    bench.sets.changed = False
    bench.sets.refill(bench.slot)
    assert bench.held == [] and bench.slot.carried_over is False
    assert [slot.state.due(101) for slot in (bench.slot, other)] == [RESTORE_OWED, RESTORE_OWED] and bench.sets.changed


@pytest.mark.parametrize(("event", "asked"), [(MADE, True), (GONE, True), (FILLED, False), (ACCEPTED, False)])
def test_how_a_set_of_somebody_else_looks_is_asked_for_when_it_may_be_another_one(event: int, asked: bool) -> None:
    """A set that is made anew with ranges would refuse each element; one that is full would be asked for with each flow."""
    bench = Bench("nftset")
    bench.slot.data["managed"] = bench.slot.state.managed = False
    bench.slot.encoder = encoder = object()
    bench.sets.happens(bench.slot, event)
    assert bench.slot.encoder is (None if asked else encoder)


@KINDS
def test_a_set_is_replaced_once_a_minute_at_the_most(kind: str) -> None:
    """The kernel may have another reason to refuse: each replacement lets everybody through for a moment."""
    bench = Bench(kind)
    assert bench.sets.provide(bench.slot, 99, True)
    assert bench.sets.misfits_now(bench.slot, 100) is True
    assert bench.sets.provide(bench.slot, 100, False)
    assert bench.said[0] == ("notice", f"target 'target': {LABELS[kind]} had another type and was replaced")
    assert bench.slot.state.replaced is True, "what is put back is not blamed on somebody"
    assert bench.sets.misfits_now(bench.slot, 99 + REPLACE_EVERY) is False
    assert bench.sets.misfits_now(bench.slot, 100 + REPLACE_EVERY) is True


@KINDS
@pytest.mark.parametrize("flush", [True, False])
def test_a_set_that_differs_in_what_does_not_matter_is_used(kind: str, flush: bool) -> None:
    """A set with another comment would be given up; or its elements of before stay, or go, against flush_on_create."""
    bench = Bench(kind, flush_on_create=flush)
    bench.kernel.strange, bench.kernel.used = {"x.v4"}, {"x.v4"}
    bench.kernel.sets["x.v4"].append(bytes((10, 0, 0, 9)))
    assert bench.sets.provide(bench.slot, 100, True)
    assert bench.held == ([] if flush else [9])
    assert not bench.said
    new = Bench(kind, flush_on_create=flush, there=False)
    new.kernel.strange, new.kernel.sets = {"x.v4"}, {"x.v4": [bytes((10, 0, 0, 9))]}
    assert new.sets.provide(new.slot, 100, True)
    assert new.kernel.strange == {"x.v4"}, "it is not replaced either"


def test_the_kernel_is_not_asked_to_make_what_is_not_ours() -> None:
    """A set of the administrator would be made, and its absence hidden."""
    bench = Bench("nftset", managed=False)
    assert bench.sets.provide(bench.slot, 100, True)
    assert bench.kernel.sends == 0


def test_a_set_whose_table_is_missing_is_tried_again_after_a_while() -> None:
    """It would be tried in each turn of the loop, and nobody be told."""
    bench = Bench("nftset", there=False)
    bench.kernel.stubborn = errno.ENOENT
    assert not bench.sets.provide(bench.slot, 100, True)
    assert (bench.slot.state.value, bench.slot.state.retry_at, len(bench.said)) == (REFUSED, 100 + RETRY_OTHER, 1)


@KINDS
def test_a_deleted_set_that_the_kernel_refuses_is_not_taken_for_made(kind: str) -> None:
    """Status would say that all is well, though there is no set."""
    bench = Bench(kind)
    assert bench.sets.provide(bench.slot, 99, True)
    del bench.kernel.sets["x.v4"]
    bench.sets.happens(bench.slot, GONE)
    bench.kernel.stubborn = errno.EOPNOTSUPP
    assert not bench.sets.provide(bench.slot, 100, False)
    assert bench.slot.trouble_code == "kernel-refused"


class Recorder:
    """A socket that writes down the messages of each send, and takes all."""

    def __init__(self) -> None:
        self.sent: list[list[tuple[int, int, int]]] = []
        self.reserved: list[int] = []

    def reserve(self, count: int) -> int:
        self.reserved.append(count)
        return 70

    def send(self, data: bytes) -> list[wire.Failure]:
        self.sent.append([(kind, flags, sequence) for kind, flags, sequence, _, _ in wire.messages(data)])
        return []


@KINDS
def test_a_set_is_made_through_the_socket_of_its_kind(kind: str) -> None:
    """The kernel would refuse, or its answer be taken for that of another message: the set would seem to be there."""
    bench = Bench(kind, flush_on_create=True)
    nft, ipsets = Recorder(), Recorder()
    bench.sets._nft, bench.sets._ipset = nft, ipsets  # type: ignore[assignment]
    assert bench.sets.provide(bench.slot, 100, True)
    used, other = (nft, ipsets) if kind == "nftset" else (ipsets, nft)
    assert (other.sent, other.reserved) == ([], [])
    count = len(bench.slot.data["create"]) + 1
    messages = [one for send in used.sent for one in send]
    if kind == "nftset":
        assert len(used.sent) == 1, "a transaction"
        assert (messages[0][0], messages[-1][0]) == (nftables.BEGIN, nftables.END)
        assert [sequence for _, _, sequence in messages] == list(range(70, 72 + count))
        assert not any(flags & wire.NLM_F_ACK for _, flags, _ in messages)
    else:
        assert [len(send) for send in used.sent] == [1] * count, "the second may need what the first made"
        assert [sequence for _, _, sequence in messages] == list(range(70, 70 + count))
        assert all(flags & wire.NLM_F_ACK for _, flags, _ in messages)
    assert used.reserved == [count + 2 if kind == "nftset" else count]


@KINDS
def test_what_is_told_of_a_full_set_and_when(kind: str) -> None:
    """Whoever reads the log or listens for events would not know which set of which target it is; or read it each second."""
    bench = Bench(kind)
    label = LABELS[kind]
    bench.kernel.limits["x.v4"] = 0
    bench.want(100, 1)
    hint = "new elements are refused until old ones expire; raise size, or shorten ttl"
    first = ("error", f"target 'target': {label}: is full ({hint})")
    assert (bench.said, bench.told) == ([first], [("target", label, "is full")])
    assert bench.slot.counters.last_error == f"{label}: is full"
    bench.sets.works(bench.slot)
    assert bench.told[1:] == [("target", label, "")] and len(bench.said) == 1, "it is full now and then"
    later = 99 + QUIET
    for now, times in ((later, 1), (later + QUIET, 2)):
        bench.sets.fail(bench.slot, errno.ENFILE, now)
        assert len(bench.said) == times
        bench.sets.works(bench.slot)


@KINDS
def test_what_is_told_of_a_set_that_cannot_be_made(kind: str) -> None:
    """The administrator would not know which set it is, nor when it works again."""
    bench = Bench(kind, there=False)
    label = LABELS[kind]
    bench.kernel.broken = errno.ENOBUFS
    assert not bench.sets.provide(bench.slot, 100, True)
    words = describe(errno.ENOBUFS)
    assert bench.said == [("error", f"target 'target': {label}: {words}")], "there is no advice for that"
    assert bench.told == [("target", label, words)]
    bench.kernel.broken = 0
    assert bench.sets.provide(bench.slot, 100 + RETRY_OTHER, False)
    assert bench.said[1:] == [("notice", f"target 'target': {label} can be used again")]
    assert bench.told[1:] == [("target", label, "")]


@KINDS
def test_why_a_set_of_another_type_is_not_replaced_is_told(kind: str) -> None:
    """A daemon without rights would say that rules use the set, and the administrator look for them."""
    bench = Bench(kind)
    bench.sets.misfits = {set_of(bench.slot.data)}
    bench.kernel.broken = errno.EPERM
    assert not bench.sets.provide(bench.slot, 99, True)
    assert bench.slot.trouble_code == "no-permission"


def test_answers_that_were_lost_are_counted_for_both_kinds() -> None:
    """Status would hide that the receive buffer is too small for ipset, or for nftables."""
    bench = Bench()
    bench.sets._nft, bench.sets._ipset = SimpleNamespace(lost=2), SimpleNamespace(lost=3)  # type: ignore[assignment]
    assert bench.sets.lost_answers() == 5


def test_the_fake_kernel_is_no_easier_than_the_real_one() -> None:
    """The tests above would prove nothing."""
    kernel = Kernel("x.v4")
    kernel.limits["x.v4"] = 0
    encoder = ipset.Elements("x.v4", 4, ("other_addr",), 7, -1, None)
    (answer,) = kernel.send(encoder.encode(ipset.ADD, 5, [key(1)]))
    assert (answer.error, ipset.failed_index(answer.echo)) == (ipset.IPSET_ERR_HASH_FULL, 0)
    (answer,) = kernel.send(ipset.Elements("y", 4, ("other_addr",), 7, -1, None).encode(ipset.ADD, 6, [key(1)]))
    assert (answer.sequence, answer.error) == (6, errno.ENOENT)


@KINDS
def test_a_full_set_is_full_after_a_reload_too(kind: str) -> None:
    """Status would say that all is well, while new elements are refused."""
    bench = Bench(kind)
    bench.kernel.limits["x.v4"] = 1
    bench.want(100, 1, 2)
    assert bench.sets.provide(bench.slot, 100, False)
    assert bench.slot.trouble_code == "set-full"


@pytest.mark.parametrize(
    ("kind", "changed", "error", "said", "not_said"),
    [
        ("nftset", {}, errno.ENOENT, "another program deletes it while the daemon creates it", "module"),
        ("ipset", {}, errno.ENOENT, "another program deletes it while the daemon creates it", "module"),
        ("nftset", {"managed": False}, errno.ENOENT, "create it, or set managed", "module"),
        ("nftset", {}, errno.EOPNOTSUPP, "kmod-nft-core", "deletes"),
        ("nftset", {"table_family": "bridge"}, errno.EOPNOTSUPP, "kmod-nft-bridge", "core"),
        ("nftset", {"table_family": "arp"}, errno.EAFNOSUPPORT, "kmod-nft-arp", "core"),
        ("nftset", {"table_family": "netdev"}, errno.EOPNOTSUPP, "kmod-nft-netdev", "core"),
        ("nftset", {}, errno.EINVAL, "does not take such a set", "module"),
        ("ipset", {}, errno.EINVAL, "kmod-ipt-ipset", "deletes"),
        ("ipset", {}, ipset.IPSET_ERR_FIND_TYPE, "kmod-ipt-ipset", "deletes"),
        ("nftset", {}, errno.ENOMEM, "short of memory", "module"),
        ("ipset", {}, errno.ENFILE, "raise size", "memory"),
        ("nftset", {}, errno.EPERM, "CAP_NET_ADMIN", "module"),
        ("nftset", {}, errno.EEXIST, "exists with other properties", "module"),
    ],
)
def test_each_refusal_is_told_as_what_it_is(kind: str, changed: dict[str, Any], error: int, said: str, not_said: str) -> None:
    """A race with another program was told as a kernel module that is missing, a second after the set was filled."""
    slot = Bench(kind, there=False, **changed).slot
    assert said in advice(error, slot) and not_said not in advice(error, slot)


@KINDS
def test_a_set_that_is_deleted_while_it_is_made_is_said_to_be_that(kind: str) -> None:
    """The administrator would install a module that is there."""
    bench = Bench(kind, there=False)
    bench.kernel.broken = errno.ENOENT
    assert not bench.sets.provide(bench.slot, 99, True)
    ((level, text),) = bench.said
    assert level == "error" and "does not exist (another program deletes it" in text and "kmod" not in text
    assert bench.slot.state.code == "set-missing"


@KINDS
def test_a_kernel_without_memory_is_not_called_a_full_set(kind: str) -> None:
    """Who raises `size` makes it worse."""
    bench = Bench(kind)
    bench.sets.fail(bench.slot, errno.ENOMEM, 1)
    assert "the kernel has no memory" in bench.said[0][1] and "raise size" not in bench.said[0][1]
    bench.want(10, 1)
    assert not bench.slot.state.words and [level for level, _ in bench.said] == ["error"], "as with a full one"
