"""What `status` says of a target that failed: whether that goes on."""

import errno
from types import SimpleNamespace as Thing
from typing import Any

import pytest

from nfa.daemon.bus.status import _target
from nfa.daemon.netlink import ipset
from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.sets.errors import code_of


def code(kind: str, **bound: Any) -> str:
    """The code of a target in trouble."""
    return str(_status(kind, **bound)["code"])


def told(kind: str, **bound: Any) -> tuple[str, bool]:
    """The trouble of a target whose last error was in second 5, and whether it is over."""
    found = _status(kind, **bound)
    return found["trouble"], found["over"]


def _status(kind: str, uncut: str | None = None, **bound: Any) -> dict[str, Any]:
    counters = Counters("t", kind)
    counters.last_error, counters.error_time = "refused", 5
    held = Thing(**({"slots": [], "readers": lambda: 0, "waiting": lambda: 0} | bound))
    connections = Thing(cuts=Thing(trouble=lambda name: uncut)) if uncut is not None else None
    registry = Thing(counters=lambda name, kind: counters, targets={"t": held}, connections=connections)
    return _target({"name": "t", "type": kind, "enabled": True, "trouble": ""}, registry, Thing(until=lambda name: None), 9)


@pytest.mark.parametrize("trouble", ["refused", ""])
def test_a_sink_whose_server_is_gone_is_not_called_over(trouble: str) -> None:
    """The user reads "over", and no event arrives."""
    assert told("sink", channel=Thing(trouble=trouble)) == (trouble, not trouble)


@pytest.mark.parametrize("worked_at", [4, 5, 6])
def test_labels_are_over_only_after_one_that_was_set(worked_at: int) -> None:
    """The rule that makes room is gone, and the user reads "over"."""
    slot = Thing(trouble="", trouble_code="", worked_at=worked_at, present=1, data={"set": "conntrack labels", "table": ""})
    assert told("ctlabel", slots=[slot]) == ("", worked_at > 5)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errno.ENFILE, "set-full"),
        (ipset.IPSET_ERR_HASH_FULL, "set-full"),
        (errno.ENOENT, "set-missing"),
        (errno.EPERM, "no-permission"),
        (errno.EACCES, "no-permission"),
        (4097, "kernel-refused"),
    ],
)
def test_each_trouble_of_a_set_has_its_code(error: int, expected: str) -> None:
    """The pages would have to read the words, and say nothing useful when these change."""
    assert code_of(error) == expected
    fine = Thing(trouble="", trouble_code="", present=1, data={"set": "s.v4", "table": "nfa"})
    slot = Thing(trouble="words", trouble_code=expected, present=1, data={"set": "s.v6", "table": "nfa"})
    found = _status("nftset", slots=[fine, slot])
    assert ([one["code"] for one in found["sets"]], found["code"]) == (["", expected], expected)


def test_a_sink_that_fails_and_a_target_without_use_have_their_codes() -> None:
    """A page could not tell a server that is gone from a target that is off."""
    assert code("sink", channel=Thing(trouble="refused")) == "sink-failed"
    assert code("sink", channel=Thing(trouble="")) == ""
    registry = Thing(counters=lambda name, kind: Counters(name, kind), targets={})
    for kind, enabled, trouble, expected in (
        ("nftset", False, "", "target-disabled"),
        ("nftset", True, "x", "target-unusable"),
        ("nftset", True, "", "target-unusable"),
        ("firewall", False, "", "target-disabled"),
        ("firewall", True, "x", "target-unusable"),
        ("firewall", True, "", "target-idle"),
    ):
        found = _target(
            {"name": "t", "type": kind, "enabled": enabled, "trouble": trouble}, registry, Thing(until=lambda name: None), 9
        )
        assert (found["active"], found["code"]) == (False, expected)


def test_connections_that_wait_to_be_cut_are_a_trouble_of_their_target() -> None:
    """The user sees a block in force, and the video goes on."""
    found = _status("nftset", uncut="connections cannot be cut: busy")
    assert (found["trouble"], found["code"], found["over"]) == ("connections cannot be cut: busy", "cut-refused", False)
    assert _status("ctmark", uncut="")["code"] == ""
