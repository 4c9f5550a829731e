"""What a set's state allows, and what leads from one state to another: the table, read from the outside."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.daemon.targets.sets import states
from nfa.daemon.targets.sets.states import (
    ACCEPTED,
    EMPTIED,
    FILLED,
    FULL,
    GONE,
    IS_REFUSED,
    LOST,
    MADE,
    MAKE,
    MAKING,
    MISFIT,
    MISFITS,
    MISSING,
    NOT_OURS,
    NOTHING,
    OWE,
    REFUSE,
    REFUSED,
    RESTORE_OWED,
    RESTORED,
    SEND,
    THERE,
    WANTED,
    SetState,
)

EVENTS = (MADE, GONE, MISFITS, IS_REFUSED, EMPTIED, RESTORED, FILLED, ACCEPTED)
STATES = (WANTED, MAKING, MISSING, MISFIT, NOT_OURS, REFUSED, THERE, LOST, FULL)
WAYS: dict[int, list[int]] = {
    WANTED: [],
    MAKING: [-1],
    MISSING: [MADE, GONE],
    MISFIT: [MADE, MISFITS],
    NOT_OURS: [MADE, GONE],
    REFUSED: [MADE, IS_REFUSED],
    THERE: [MADE],
    LOST: [MADE, EMPTIED],
    FULL: [MADE, FILLED],
}
"""What leads a new set into each state; -1: it is being made."""


def state_in(value: int, wanted: int = 5) -> SetState:
    """A set in this state, of which flows want so many elements."""
    state = SetState(value != NOT_OURS)
    for event in WAYS[value]:
        if event == -1:
            state.making()
        elif event == EMPTIED:
            state.lost(wanted, wanted)
        else:
            state.happens(event, 0)
    assert state.value == value
    return state


def test_the_table_in_the_docstring_is_the_truth() -> None:
    """Who reads it would mend the wrong thing."""
    words = {SEND: "sent", OWE: "owed", REFUSE: "refused"}
    steps = {NOTHING: "-", MAKE: ("makes it", "replaces it"), RESTORE_OWED: ("looks for it", "tries again", "restores")}
    rows = re.findall(
        r"^    ([A-Z_]+)  +\S.*?  +(owed|sent|refused) +(owed|sent) +(kept|sent)  +(\S.*)$", str(states.__doc__), re.M
    )
    assert [row[0] for row in rows] == ["WANTED", "MAKING", "MISSING", "MISFIT", "NOT_OURS", "REFUSED", "THERE", "LOST", "FULL"]
    for name, add, refresh, withdrawal, healing in rows:
        state = state_in(getattr(states, name))
        state.retry_at = 100 if name in ("NOT_OURS", "REFUSED", "FULL") else 0
        assert words[state.treat(99)] == add, name
        assert (refresh, withdrawal) == (("owed", "kept") if add == "owed" else ("sent", "sent")), name
        if name == "FULL":
            state.lost(1, 5)
        assert healing.startswith(steps[state.due(100)]), name


@pytest.mark.parametrize(
    ("value", "after"),
    [
        # MADE, GONE, MISFITS, IS_REFUSED, EMPTIED, RESTORED, FILLED, ACCEPTED
        (WANTED, (LOST, MISSING, MISFIT, REFUSED, WANTED, WANTED, FULL, LOST)),
        (MAKING, (LOST, MISSING, MISFIT, REFUSED, MAKING, MAKING, REFUSED, LOST)),
        (MISSING, (LOST, MISSING, MISFIT, REFUSED, MISSING, MISSING, REFUSED, LOST)),
        (MISFIT, (LOST, MISSING, MISFIT, REFUSED, MISFIT, MISFIT, REFUSED, LOST)),
        (NOT_OURS, (LOST, NOT_OURS, MISFIT, REFUSED, NOT_OURS, NOT_OURS, FULL, LOST)),
        (REFUSED, (LOST, MISSING, MISFIT, REFUSED, REFUSED, REFUSED, FULL, LOST)),
        (THERE, (THERE, MISSING, MISFIT, REFUSED, THERE, THERE, FULL, THERE)),
        (LOST, (LOST, MISSING, MISFIT, REFUSED, LOST, LOST, FULL, LOST)),  # all of it is owed
        (FULL, (FULL, MISSING, MISFIT, REFUSED, FULL, THERE, FULL, THERE)),
    ],
)
def test_what_leads_where(value: int, after: tuple[int, ...]) -> None:
    """A set that is there would be made again in a loop, or one that is gone be written to for ever."""
    for event, expected in zip(EVENTS, after, strict=True):
        state = state_in(value)
        state.happens(event, 5)
        assert state.value == expected, (value, event)


@pytest.mark.parametrize("value", STATES)
def test_a_set_that_comes_back_owes_all_that_is_wanted(value: int) -> None:
    """What arrived while it was away would be missing until its flows come again."""
    state = state_in(value)
    before = state.usable
    state.happens(MADE, 7)
    if before:
        return
    assert (state.value, state.all_owed, state.usable) == (LOST, True, True)
    assert state.away == (0 if value == REFUSED else 7), "what the kernel only refused to change is there"
    state.take_all()
    assert state.value == LOST and state.due(10) == NOTHING
    state.restored()
    assert (state.value, state.away) == (THERE, 0)


def test_a_new_set_owes_nothing_and_holds_nothing() -> None:
    """Status would count elements as missing from a set that nobody has filled yet, and speak of one that was replaced."""
    state = SetState(True)
    assert (state.value, state.holds, state.all_owed, state.owed, state.away) == (WANTED, False, False, {}, 0)
    assert state.replaced is False and not state.usable


def test_a_single_element_is_put_back_too() -> None:
    """A firewall reload would let the only blocked device go."""
    state = state_in(MISSING)
    state.happens(MADE, 1)
    assert (state.value, state.all_owed, state.away, state.due(1)) == (LOST, True, 1, RESTORE_OWED)


def test_a_set_that_is_made_after_a_refusal_lacks_all_elements() -> None:
    """Status would say that they are there, though the kernel had refused to make the set that they were to be in."""
    state = state_in(MAKING)
    state.happens(IS_REFUSED, 7)
    state.happens(MADE, 7)
    assert (state.value, state.away) == (LOST, 7)


@pytest.mark.parametrize("event", [MADE, ACCEPTED, EMPTIED])
def test_a_set_is_not_whole_before_all_of_it_is_back(event: int) -> None:
    """Status would call a set whole of which thousands of elements are still on their way."""
    state = state_in(LOST)
    state.take_all()
    state.happens(event, 5)
    assert state.value == LOST
    state.restored()
    assert state.value == THERE


@pytest.mark.parametrize("value", STATES)
def test_a_set_that_comes_back_empty_handed_is_there(value: int) -> None:
    """Status would say that elements are being put back, though nobody wants one."""
    state = state_in(value, 0)
    state.happens(MADE, 0)
    assert state.value == (FULL if value == FULL else LOST if value == LOST else THERE)


def test_elements_that_are_lost_one_by_one() -> None:
    """Somebody's `nft delete element`: they are put back by name, and counted."""
    state = state_in(THERE)
    state.lost_some([b"a", b"b"])
    state.lost_some([b"b", b"c"])
    assert (state.value, state.away, list(state.owed)) == (LOST, 3, [b"a", b"b", b"c"])
    state.forget(b"a")
    state.forget(b"x")
    assert (state.away, list(state.owed)) == (2, [b"b", b"c"])
    assert state.take_owed() == [b"b", b"c"]
    state.paid(1)
    state.owe([b"c"])
    state.restored()
    assert (state.value, state.away) == (LOST, 1), "one could not be put back yet"
    assert state.take_owed() == [b"c"]
    state.paid(1)
    state.restored()
    assert (state.value, state.away) == (THERE, 0)


def test_what_is_lost_while_all_is_on_its_way_is_put_back_as_well() -> None:
    """Two firewall reloads in one second: the second would be forgotten."""
    state = state_in(LOST)
    state.take_all()
    state.lost_some([b"a"])
    state.restored()
    assert state.value == LOST and list(state.owed) == [b"a"]
    state.lost(2, 5)
    assert state.all_owed and not state.owed
    state.owe([b"b"])
    assert not state.owed, "all of it is owed"
    state.restored()
    assert (state.value, state.all_owed, state.due(1)) == (LOST, True, RESTORE_OWED), "what was lost on the way still is"


def test_a_full_set_that_lacks_elements() -> None:
    """It has room again for what is put back, not only for what is new."""
    state = state_in(FULL)
    state.retry_at = 10
    assert (state.treat(9), state.treat(10)) == (REFUSE, SEND)
    state.lost(2, 5)
    assert (state.value, state.due(9), state.due(10), state.waits) == (FULL, NOTHING, RESTORE_OWED, True)
    state.happens(ACCEPTED, 5)
    assert state.value == LOST


@pytest.mark.parametrize("value", [NOT_OURS, REFUSED])
def test_elements_tell_when_a_set_can_be_used_again(value: int) -> None:
    """Nobody else does: the daemon would wait for ever."""
    state = state_in(value)
    state.retry_at = 10
    assert (state.treat(9), state.treat(10)) == (OWE, SEND)
    assert (state.due(9), state.due(10)) == (NOTHING, RESTORE_OWED)
    assert not state.usable and state.waits


def test_a_set_that_could_not_be_made_is_made_later() -> None:
    """Elements would be sent to a set that never was."""
    state = state_in(MAKING)
    state.happens(IS_REFUSED, 3)
    state.wait(10)
    state.wait(5)
    assert (state.treat(10), state.due(9), state.due(10), state.holds) == (OWE, NOTHING, MAKE, False)


def test_a_deleted_set_is_made_at_once() -> None:
    """The pause after an earlier trouble would let everybody through for seconds."""
    state = state_in(FULL)
    state.wait(1000)
    state.happens(GONE, 5)
    assert state.due(0) == MAKE
    other = state_in(NOT_OURS)
    other.wait(1000)
    other.happens(GONE, 5)
    assert other.due(999) == NOTHING, "nobody makes what is not ours"


def test_an_interrupted_making_is_done_again() -> None:
    """A lack of memory in the wrong moment: the set would be waited for, for ever."""
    state = state_in(MISSING)
    state.making()
    assert state.value == MAKING and state.due(1) == MAKE
    there = state_in(THERE)
    there.making()
    assert there.value == THERE, "a set that is there stays in use while it is looked after"


def test_the_daemons_own_flush_owes_nothing() -> None:
    """`nfa flush` would do nothing."""
    for value in (THERE, LOST, FULL):
        state = state_in(value)
        state.lost_some([b"a"])
        state.emptied()
        assert (state.value, state.away, state.all_owed, state.owed) == (THERE, 0, False, {})
    gone = state_in(MISSING)
    gone.emptied()
    assert gone.value == MISSING and gone.due(1) == MAKE


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("happens"), st.sampled_from(EVENTS)),
        st.tuples(st.just("lose"), st.integers(0, 9)),
        st.tuples(st.just("lost_some"), st.integers(0, 3)),
        st.tuples(st.sampled_from(["making", "emptied", "take_all", "take_owed", "restored"]), st.none()),
    ),
    max_size=30,
)


@given(st.booleans(), STEPS)
def test_whatever_happens_the_state_is_one_that_goes_on(managed: bool, steps: list[tuple[str, int | None]]) -> None:
    """A set would be stuck: unusable, with nobody who makes it; or lacking elements that nobody puts back."""
    state = SetState(managed)
    for name, argument in steps:
        if name == "happens" and argument is not None:
            state.happens(argument, 5)
        elif name == "lose" and argument is not None:
            state.lost(argument, 5)
        elif name == "lost_some" and argument is not None:
            state.lost_some([bytes((number,)) for number in range(argument)])
        else:
            getattr(state, name)()
        assert state.managed or state.value != MISSING
        assert not managed or state.value != NOT_OURS
        if name == "take_all":
            state.restored()  # as healing does in the end
        assert state.usable or state.waits, "somebody sees to it"
        assert not (state.all_owed or state.owed) or state.waits
        assert state.value != THERE or not (state.all_owed or state.owed)
        assert (state.treat(0) == OWE) or state.usable or state.value in (NOT_OURS, REFUSED)
        assert state.away >= 0
