"""What `status` says of a target that failed: whether that goes on."""

from types import SimpleNamespace as Thing
from typing import Any

import pytest

from nfa.daemon.bus.status import _target
from nfa.daemon.targets.counters import Counters


def told(kind: str, **bound: Any) -> tuple[str, bool]:
    """The trouble of a target whose last error was in second 5, and whether it is over."""
    counters = Counters("t", kind)
    counters.last_error, counters.error_time = "refused", 5
    held = Thing(**({"slots": [], "readers": lambda: 0, "waiting": lambda: 0} | bound))
    registry = Thing(counters=lambda name, kind: counters, targets={"t": held})
    found = _target({"name": "t", "type": kind, "enabled": True, "trouble": ""}, registry, 9)
    return found["trouble"], found["over"]


@pytest.mark.parametrize("trouble", ["refused", ""])
def test_a_sink_whose_server_is_gone_is_not_called_over(trouble: str) -> None:
    """The user reads "over", and no event arrives."""
    assert told("sink", channel=Thing(trouble=trouble)) == (trouble, not trouble)


@pytest.mark.parametrize("worked_at", [4, 5, 6])
def test_labels_are_over_only_after_one_that_was_set(worked_at: int) -> None:
    """The rule that makes room is gone, and the user reads "over"."""
    slot = Thing(trouble="", worked_at=worked_at, present=1, data={"set": "conntrack labels", "table": ""})
    assert told("ctlabel", slots=[slot]) == ("", worked_at > 5)
