"""Lookups of names: they hold up nothing else, are shared, and a failure is remembered."""

from __future__ import annotations

import json
import time

import pytest
from loops import Strict
from waiting import PATIENCE

from nfa.daemon.processes import lookups as module
from nfa.daemon.processes.child import Children, Job
from nfa.daemon.processes.lookups import Lookups


class Line:
    """Children that are no processes: the test says what they answer, and when."""

    def __init__(self, dispatcher: object, most: int) -> None:
        self.jobs: list[Job] = []
        self.most = most

    def add(self, job: Job) -> bool:
        self.jobs.append(job)
        return len(self.jobs) <= self.most

    def answer(self, found: object) -> None:
        self.jobs.pop(0).done(json.dumps(found).encode(), "")


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> tuple[Lookups, Line, list[object]]:
    made: list[Line] = []
    monkeypatch.setattr(module, "Children", lambda dispatcher, most: made.append(Line(dispatcher, most)) or made[0])
    return Lookups(Strict()), made[0], []


def test_those_who_ask_for_one_host_share_a_lookup(line: tuple[Lookups, Line, list[object]]) -> None:
    """Eight channels of one server would take forty seconds of a name server that hangs."""
    lookups, children, told = line
    for number in range(3):
        lookups.ask("a", lambda *found, number=number: told.append((number, *found)))  # type: ignore[misc]
    assert len(children.jobs) == 1
    children.answer(["192.0.2.1"])
    assert told == [(number, ["192.0.2.1"], "") for number in range(3)]
    lookups.ask("a", lambda *found: told.append(found))
    assert len(children.jobs) == 1  # what was found is asked for again: it may have moved


def test_a_failure_is_remembered_for_a_while(line: tuple[Lookups, Line, list[object]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt of each channel would take a child."""
    lookups, children, told = line
    lookups.ask("a", lambda *found: told.append(found))
    children.answer({"problem": "no such name"})
    lookups.ask("a", lambda *found: told.append(found))
    assert told == [([], "no such name")] * 2 and not children.jobs
    later = time.monotonic() + module.REMEMBERED
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    lookups.ask("a", lambda *found: told.append(found))
    children.answer(["192.0.2.1"])
    assert told[2] == (["192.0.2.1"], "")


def test_lookups_are_bounded(line: tuple[Lookups, Line, list[object]]) -> None:
    """A name server that hangs would cost memory for each attempt."""
    lookups, children, told = line
    for number in range(module.MAX_HOSTS + 1):
        for _ in range(module.MAX_ASKING + 1):
            lookups.ask(f"h{number}", lambda *found: told.append(found))
    assert len(children.jobs) == module.MAX_HOSTS
    assert told == [([], "too many lookups at the same time")] * (module.MAX_HOSTS + module.MAX_ASKING + 1)
    while children.jobs:
        children.answer({"problem": "x"})
    assert len(lookups._failed) == module.MAX_HOSTS and not lookups._asking


def test_a_lookup_and_a_question_run_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a name server hangs, nobody could ask why a flow was blocked."""
    monkeypatch.setattr(module, "LIMIT", 60)
    dispatcher = Strict()
    lookups, children, told = Lookups(dispatcher), Children(dispatcher), []
    hanging = Job("a lookup", "nfa.cli", ["eval", "*", "/dev/zero"], b"", 60, 1 << 16, lambda *found: told.append(found))
    lookups._children.add(hanging)
    for number in range(4):
        lookups.ask(f"h{number}.invalid", lambda *found: None)
    assert children.add(Job("q", "nfa.cli", ["--version"], b"", 60, 1 << 16, lambda *found: told.append(found)))
    deadline = time.monotonic() + PATIENCE
    while not told:
        assert time.monotonic() < deadline
        dispatcher.turn(100)
    assert told[0][0].startswith(b"nfa") and lookups._children.descriptor >= 0
    lookups.close()
    children.close()
