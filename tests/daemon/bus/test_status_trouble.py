"""What `status` says of a target that failed: whether that goes on."""

from types import SimpleNamespace as Thing
from typing import Any

import pytest

from nfa.daemon.bus.status import _target
from nfa.daemon.targets.connections.writer import NO_ROOM
from nfa.daemon.targets.sets.errors import IN_THE_WAY, IS_FULL, IS_MISSING
from nfa.daemon.targets.sets.slot import Counters


def code(kind: str, **bound: Any) -> str:
    """The code of a target in trouble."""
    return str(_status(kind, **bound)["code"])


def told(kind: str, **bound: Any) -> tuple[str, bool]:
    """The trouble of a target whose last error was in second 5, and whether it is over."""
    found = _status(kind, **bound)
    return found["trouble"], found["over"]


def _status(kind: str, **bound: Any) -> dict[str, Any]:
    counters = Counters("t", kind)
    counters.last_error, counters.error_time = "refused", 5
    held = Thing(**({"slots": [], "readers": lambda: 0, "waiting": lambda: 0} | bound))
    registry = Thing(counters=lambda name, kind: counters, targets={"t": held})
    return _target({"name": "t", "type": kind, "enabled": True, "trouble": ""}, registry, 9)


@pytest.mark.parametrize("trouble", ["refused", ""])
def test_a_sink_whose_server_is_gone_is_not_called_over(trouble: str) -> None:
    """The user reads "over", and no event arrives."""
    assert told("sink", channel=Thing(trouble=trouble)) == (trouble, not trouble)


@pytest.mark.parametrize("worked_at", [4, 5, 6])
def test_labels_are_over_only_after_one_that_was_set(worked_at: int) -> None:
    """The rule that makes room is gone, and the user reads "over"."""
    slot = Thing(trouble="", worked_at=worked_at, present=1, data={"set": "conntrack labels", "table": ""})
    assert told("ctlabel", slots=[slot]) == ("", worked_at > 5)


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ("", ""),
        (IS_FULL, "set-full"),
        (IS_MISSING, "set-missing"),
        (IN_THE_WAY, "set-other-type"),
        (NO_ROOM, "labels-no-room"),
        ("Operation not permitted", "no-permission"),
        ("Permission denied", "no-permission"),
        ("the kernel does not speak this ipset protocol", "kernel-refused"),
        ("pfctl: /dev/pf: No such file or directory", "kernel-refused"),
    ],
)
def test_each_trouble_of_a_set_has_its_code(trouble: str, expected: str) -> None:
    """The pages would have to read the words, and say nothing useful when these change."""
    fine = Thing(trouble="", present=1, data={"set": "s.v4", "table": "nfa"})
    slot = Thing(trouble=trouble, present=1, data={"set": "s.v6", "table": "nfa"})
    found = _status("nftset", slots=[fine, slot])
    assert ([one["code"] for one in found["sets"]], found["code"]) == (["", expected], expected)


def test_a_sink_that_fails_and_a_target_without_use_have_their_codes() -> None:
    """A page could not tell a server that is gone from a target that is off."""
    assert code("sink", channel=Thing(trouble="refused")) == "sink-failed"
    assert code("sink", channel=Thing(trouble="")) == ""
    registry = Thing(counters=lambda name, kind: Counters(name, kind), targets={})
    for enabled, trouble, expected in (
        (False, "", "target-disabled"),
        (True, "x", "target-unusable"),
        (True, "", "target-unusable"),
    ):
        found = _target({"name": "t", "type": "nftset", "enabled": enabled, "trouble": trouble}, registry, 9)
        assert (found["active"], found["code"]) == (False, expected)
