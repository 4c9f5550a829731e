"""nfa.daemon.engine.rx: no text that a stranger chose takes the daemon's time or memory."""

import random
import re
import time

import pytest
from waiting import patience

from nfa.compiler.expression.regex import WORK, compile_pattern
from nfa.daemon.engine import rx

CATASTROPHES = [
    ("(a+)+$", "a" * 1023 + "!"),
    ("^(a|a)*$", "a" * 1023 + "!"),
    ("^(a|aa)+$", "a" * 1023 + "!"),
    ("(.*a){12}", "a" * 11 + "b" * 1013),
    ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 1023 + "!"),
    ("a*a*a*a*a*b", "a" * 1024),
    ("(x+x+)+y", "x" * 1024),
]


def automaton(pattern):
    return rx.Automaton(compile_pattern(pattern, budget=-1).as_data())


@pytest.fixture
def steps(monkeypatch):
    """Counts the rows that are built, and the times that edges are followed for them."""
    counts = {"_step": 0, "_follow": 0}

    def counted(name, method):
        def wrapper(*arguments):
            counts[name] += 1
            return method(*arguments)

        monkeypatch.setattr(rx.Automaton, name, wrapper)

    counted("_step", rx.Automaton._step)
    counted("_follow", rx.Automaton._follow)
    return counts


@pytest.mark.parametrize(("pattern", "attack"), CATASTROPHES)
def test_attacks_on_backtracking_take_a_few_steps(pattern, attack, steps):
    """A host name of 1,024 characters would stop the daemon for years."""
    plan = compile_pattern(pattern)
    assert plan.kind == "dfa" and plan.note
    assert not rx.finder(plan.as_data()).search(attack)
    assert steps["_step"] < 60


def test_a_text_that_defeats_the_cache_still_takes_linear_time(steps):
    """2**500 states: a stranger could make every character need a new one."""
    search = automaton("(a|b)*a(a|b){500}$").search
    dice = random.Random(1)
    for _ in range(5):
        text = "".join(dice.choices("ab", k=1024))
        assert search(text) == (text[-501] == "a")
    assert steps["_follow"] <= 2 * steps["_step"] <= 2 * 5 * 1025


def test_the_worst_pattern_that_is_accepted_takes_a_bounded_time():
    """The bound on a pattern's size would be no bound on the time that a name takes."""
    machine = automaton("(a|b.)?(.|bc)*" * 140 + "z|a.{500}z")
    assert len(machine._shifts) + len(machine._products) > WORK // 3
    dice = random.Random(2)
    started = time.process_time()
    assert not machine.search("".join(dice.choices("abc", k=1024)))
    assert time.process_time() - started < patience(2)


def test_memory_is_bounded_and_forgetting_changes_no_answer(monkeypatch):
    """Strangers could fill the router's memory with states and characters, or spoil its answers."""
    monkeypatch.setattr(rx, "ROWS", 4)
    monkeypatch.setattr(rx, "SYMBOLS", 8)
    pattern = r"(^|\.)a.{6}b\b"
    machine = automaton(pattern)
    dice = random.Random(3)
    for _ in range(300):
        text = "".join(dice.choices("aab.é\n" + chr(dice.randrange(0x3000)), k=24))
        assert machine.search(text) == bool(re.search(pattern, text, re.I))
        assert len(machine._rows) <= 4 and len(machine._symbols) <= 8
        linked = {id(row) for row in machine._start[:-1] if row and row[0] not in ("matched", "dead")}
        assert linked <= {id(row) for row in machine._rows.values()}


@pytest.mark.parametrize("budget", [-1, 50_000])
def test_only_the_first_1024_characters_are_searched(budget):
    """A long text would be searched differently by the two kinds, or take longer than promised."""
    found = rx.finder(compile_pattern("b$", budget=budget).as_data()).search
    assert found("a" * 1023 + "b") and found("a" * 1023 + "bc")
    assert not found("a" * 1024 + "b")


def test_every_character_finds_its_class():
    """Characters at the edges of ranges, and those no text should have, would be taken for others."""
    search = automaton(r"^[\d\ud800-\udfffà-ö]$").search
    for code in [0, 47, 48, 57, 58, 0xE0, 0xF6, 0xF7, 0xC0, 0x660, 0xD7FF, 0xD800, 0xDFFF, 0xE000, 0x10FFFF]:
        assert search(chr(code)) == bool(re.search(r"^[\d\ud800-\udfffà-ö]$", chr(code), re.I)), hex(code)


def test_image_data_may_be_tuples():
    """An image that was marshalled keeps tuples, one that was written as JSON does not."""
    data = compile_pattern("(a+)+b$").as_data()
    nested = ("shifts", "products", "assertions")
    frozen = {key: tuple(map(tuple, value)) if key in nested else value for key, value in data.items()}
    assert rx.finder(frozen).search("xaab") and not rx.finder(frozen).search("xb")
