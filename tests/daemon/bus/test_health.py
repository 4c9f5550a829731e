"""What is well and what is not: one definition for monitoring, pages and people."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from house import House

from nfa.daemon.bus import health

NOW = 1_000_000
TARGET = {
    "enabled": True, "active": True, "reason": "", "code": "", "sets": [], "trouble": "", "over": False, "errors": 0,
    "last_error": "", "last_error_at": None,
}  # fmt: skip
WELL: dict[str, Any] = {
    "uptime": 500,
    "time": NOW,
    "source": {
        "connected": True, "code": "", "last_error": "", "records": 9, "kinds": {"flow": 5}, "bad": {"json": 0}, "lag": 1.0,
    },
    "policy": {"generation": 1, "failed_at": None, "errors": 0},
    "targets": {"t": TARGET},
    "flows": {"dropped": 0, "max": 65536},
    "loop": {"longest_ms": 5},
    "usage": {"trouble": "", "code": ""},
    "budgets": {"trouble": "", "code": "", "forgotten": 0},
    "notices": {"trouble": "", "code": "", "notices": {}},
    "faults": {"count": 0, "last": "", "last_at": None},
}  # fmt: skip
FULL = {"sets": [{"name": "v4", "trouble": "is full", "code": "set-full"}, {"name": "v6", "trouble": "", "code": ""}]}
KEPT = {"trouble": "No space left on device", "file": "/var/run/nfa/x"}
FAILED = {"errors": 3, "last_error": "x", "last_error_at": NOW - 10}

CASES: list[tuple[dict[str, Any], str, list[tuple[str, str]]]] = [
    ({}, "ok", []),
    ({"source": {"connected": False, "code": "source-missing"}}, "critical", [("source-missing", "source")]),
    ({"source": {"connected": False, "code": "source-refused"}}, "critical", [("source-refused", "source")]),
    ({"source": {"connected": False}, "uptime": 4}, "ok", []),
    ({"source": {"kinds": {}, "records": 0}}, "warning", [("source-silent", "source")]),
    ({"source": {"kinds": {"agent": 3}}}, "warning", [("source-silent", "source")]),
    ({"source": {"kinds": {}, "records": 0}, "uptime": 60}, "ok", []),
    ({"source": {"lag": 61}}, "warning", [("source-late", "source")]),
    ({"source": {"lag": None}}, "ok", []),
    ({"source": {"bad": {"json": 1, "resync_bytes": 9}}}, "ok", [("records-bad", "source")]),
    ({"source": {"bad": {"resync_bytes": 9}}}, "ok", []),
    ({"policy": {"generation": 0}}, "critical", [("no-policy", "policy")]),
    ({"policy": {"generation": 0}, "uptime": 3}, "warning", [("policy-starting", "policy")]),
    ({"policy": {"generation": 0, "failed_at": NOW}, "uptime": 3}, "critical", [("no-policy", "policy")]),
    ({"policy": {"failed_at": NOW, "errors": 1}}, "critical", [("policy-failed", "policy")]),
    ({"policy": {"errors": 1}}, "critical", [("policy-errors", "policy")]),
    ({"target": FULL}, "critical", [("set-full", "set")]),
    ({"target": {"trouble": "no reader", "code": "sink-failed"}}, "critical", [("sink-failed", "target")]),
    ({"target": {"active": False, "reason": "x", "code": "target-unusable"}}, "critical", [("target-unusable", "target")]),
    ({"target": {"active": False, "enabled": False, "reason": "off", "code": "target-disabled"}}, "ok", []),
    ({"target": {"active": False, "reason": "x", "code": "target-idle"}}, "ok", []),
    ({"target": FAILED}, "warning", [("target-failed", "target")]),
    ({"target": FAILED | {"over": True}}, "ok", []),
    ({"target": FAILED | {"last_error_at": NOW - 7200}}, "ok", []),
    ({"flows": {"dropped": 3}}, "ok", [("flows-evicted", "flows")]),
    ({"usage": KEPT | {"code": "usage-file-unwritable"}}, "warning", [("usage-file-unwritable", "usage")]),
    ({"budgets": KEPT | {"code": "budgets-file-damaged"}}, "warning", [("budgets-file-damaged", "budgets")]),
    ({"notices": KEPT | {"code": "notices-file-version"}}, "warning", [("notices-file-version", "notices")]),
    ({"budgets": {"forgotten": 2}}, "warning", [("budgets-full", "budgets")]),
    ({"loop": {"longest_ms": 501}}, "warning", [("loop-slow", "loop")]),
    ({"faults": {"count": 1, "last": "x", "last_at": NOW - 5}}, "warning", [("fault", "faults")]),
    ({"faults": {"count": 1, "last": "x", "last_at": NOW - 7200}}, "ok", [("fault", "faults")]),
]


def status(changes: dict[str, Any]) -> dict[str, Any]:
    """A status in which all is well but for some fields."""
    found = copy.deepcopy(WELL)
    for name, value in changes.items():
        if name == "target":
            found["targets"]["t"].update(value)
        elif isinstance(value, dict):
            found[name].update(value)
        else:
            found[name] = value
    return found


@pytest.mark.parametrize(("changes", "state", "problems"), CASES)
def test_what_keeps_the_policy_from_happening_is_critical(
    changes: dict[str, Any], state: str, problems: list[tuple[str, str]]
) -> None:
    """Monitoring would sleep through an outage, or wake somebody for what was over long ago."""
    found = health.report(status(changes))
    assert (found["state"], [(item["code"], item["of"]) for item in found["problems"]]) == (state, problems)
    for item in found["problems"]:
        assert item["text"] and (item["name"] == "t") == ("target" in changes)


def test_the_worst_comes_first_and_the_list_is_bounded() -> None:
    """The one line for monitoring names the first problem; an answer must fit into a message of ubus."""
    many = status({"source": {"lag": 99}})
    many["targets"] = {f"t{number}": TARGET | FULL for number in range(70)}
    found = health.report(many)
    assert (found["state"], len(found["problems"]), found["left_out"]) == ("critical", 50, 21)
    assert found["problems"][0]["code"] == "set-full" and found["problems"][0]["set"] == "v4"


def test_status_has_it(tmp_path: Path) -> None:
    """The fields it reads are those that status gives."""
    house = House(tmp_path)
    found = house.result("status")["health"]
    assert found["state"] == "ok" and found["left_out"] == 0
    house.daemon.started -= 10
    found = house.result("status")["health"]
    assert found["state"] == "critical" and found["problems"][0]["of"] == "source"
