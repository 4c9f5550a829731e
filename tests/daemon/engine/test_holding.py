"""What live flows hold: less when a cause ends, the same under another digest, and nothing that they have let go of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import samples
from policies import Desk, Noted, compiled, config_of

from nfa.daemon.engine.holding import Holding
from nfa.daemon.stream.records import digest_key

ONE, TWO, THREE = b"\0\0one", b"\0\1two", b"\0\2three"
RECORD = samples.flow()
FLOW = RECORD["flow"]


class Released:
    """A table of what flows hold, and what they let go of: (key, second, whether it is withdrawn)."""

    def __init__(self) -> None:
        self.released: list[tuple[Any, int, bool]] = []
        self.held = Holding(lambda held, now, withdraw: self.released.append((held, now, withdraw)))

    def let(self, digest: int, *keys: bytes) -> None:
        """Let a flow hold these."""
        self.held.hold(digest, RECORD, [Noted(key) for key in keys], 1)


@pytest.mark.parametrize("older", [False, True])
def test_a_flow_leaves_what_has_ended_and_nothing_else(older: bool) -> None:
    """A pause of one action would unblock what another one blocks, or leave a flow with what only the first one wanted."""
    table = Released()
    table.let(1, ONE)
    table.let(2, ONE, TWO, THREE)
    table.let(3, ONE, TWO)
    table.let(4, TWO)
    if older:
        table.held.begin_age()
    for digest in (1, 2, 3, 4, 5):
        table.held.leave(digest, {1}, 7)
    assert table.released == [(TWO, 7, True)] * 3
    assert [table.held.get(digest) for digest in (1, 2, 3, 4, 5)] == [ONE, (ONE, THREE), ONE, None, None]
    assert (list(table.held.young), list(table.held.older)) == (([], [1, 2, 3]) if older else ([1, 2, 3], [])), "no news of it"
    table.held.leave(2, {0, 2}, 8)
    assert table.released[3:] == [(ONE, 8, True), (THREE, 8, True)] and table.held.get(2) is None


class Asked(Noted):
    """A target that notes what its key is made of."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.asked: list[tuple[Any, Any]] = []

    def key_of(self, record: Any, flow: Any) -> bytes | None:
        self.asked.append((record, flow))
        return self.key


class Lacking(Noted):
    """A target that needs what no record has."""

    def key_of(self, record: Any, flow: Any) -> bytes | None:
        raise ValueError("no MAC address")


def test_a_flow_that_is_to_hold_less_holds_what_its_targets_say_still() -> None:
    """A reload with `reprocess_flows` off would unblock flows that are to stay blocked, if one target lacks what it needs."""
    table = Released()
    table.let(1, ONE)
    table.let(2, ONE, TWO, THREE)
    asked = Asked(ONE)
    for digest in (1, 2, 3):
        table.held.hold_less(digest, RECORD, [Lacking(), asked, Noted(THREE)], 5)
    assert [table.held.get(digest) for digest in (1, 2, 3)] == [ONE, (ONE, THREE), None]
    assert asked.asked == [(RECORD, FLOW)] * 3 and table.released == [(TWO, 5, True)]


def test_what_a_flow_holds_is_new_only_when_it_did_not_hold_it() -> None:
    """Each flow that loses one of two blocks at an edge would count as a match, and appear in `matches`."""
    table = Released()
    hold = lambda *keys: table.held.hold(1, RECORD, [Noted(key) for key in keys], 1)  # noqa: E731  # it is short
    assert [hold(ONE, TWO), hold(ONE, TWO), hold(ONE), hold(ONE, THREE), hold(THREE), hold()] == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]


def test_a_flow_that_has_a_hold_of_its_own_does_not_take_over_that_of_an_earlier_digest(tmp_path: Path) -> None:
    """netifyd 5: what it held last would be held by nobody and withdrawn by nobody, a block without an end."""
    desk = Desk(compiled(tmp_path, config_of({"a": ["*"]}))[0], {"log.x": ONE})
    web = samples.flow("HTTP/S", "netify.youtube")

    def called(digest: str, **more: Any) -> dict[str, Any]:
        return web | {"flow": web["flow"] | {"digest": digest * 40} | more}

    desk.take(called("a"), now=1)
    desk.targets["log.x"].key = TWO
    desk.take(called("b"), now=2)
    desk.targets["log.x"].key = THREE
    desk.take(called("b", digest_prev=["a" * 40]), now=3)
    assert desk.released == [(TWO, True), (ONE, True)] and desk.engine.flows.young == {digest_key("b" * 40): THREE}


@pytest.mark.parametrize("ages", [0, 1, 2])
def test_a_flow_of_any_age_goes_on_under_another_digest(ages: int) -> None:
    """A flow that netifyd 5 renames after ten quiet minutes would be unblocked, or hold its element for ever."""
    table = Released()
    table.let(1, ONE)
    for _ in range(ages):
        table.held.begin_age()
    table.held.rename(1, 2, 5)
    assert table.held.young == {2: ONE} and table.held.live() == 1 and not table.released
    table.held.rename(1, 3, 6)
    assert table.held.young == {2: ONE} and table.held.live() == 1, "it has been renamed already"
    table.let(4, TWO)
    table.held.rename(2, 4, 7)
    assert table.held.young == {4: TWO} and table.released == [(ONE, 7, True)], "it has got something since"


def test_a_flow_that_ends_while_others_leave_is_passed_over(tmp_path: Path) -> None:
    """A purge in the middle of a pause would be a fault, and the flows after it stay blocked."""
    desk = Desk(compiled(tmp_path, config_of({"a": ["*"]}))[0], {"log.x": ONE})
    flows = [samples.flow(local_port=port) for port in (1, 2, 3)]
    desk.take(*flows)
    going = desk.engine.match_again(lambda: 5, {0}, True)
    next(going)
    desk.take(samples.purge(flows[1]["flow"]["digest"]), now=5)
    assert list(going) == [None, None]
    assert desk.released == [(ONE, True), (ONE, False), (ONE, True)] and desk.released_at == [5, 5, 5]
