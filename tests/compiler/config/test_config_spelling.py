"""What `nfa check --show` writes for a value can be copied into a configuration and means the same there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports
from nfa.compiler.config import kinds
from nfa.compiler.config.convert import UINT32, Context, mark
from nfa.compiler.config.jsontext import Value, parse
from nfa.compiler.config.model import Text, Window
from nfa.compiler.config.options import ACTION_OPTIONS, COMMON_OPTIONS, GLOBAL_OPTIONS, TARGET_GLOBALS, TARGET_OPTIONS, Option
from nfa.compiler.config.spelling import NOTHING, built_in, plain, text
from nfa.compiler.config.timeofday import windows

PLACE = Place("config", 1, 1)
TABLES = {"globals": GLOBAL_OPTIONS, "actions": ACTION_OPTIONS, "targets": COMMON_OPTIONS, **TARGET_OPTIONS}
TABLES |= {f"all {kind}": options for kind, options in TARGET_GLOBALS.items()}
OPTIONS = [pytest.param(option, id=f"{kind}.{option.name}") for kind, options in TABLES.items() for option in options]


def read(option: Option, value: Value) -> object:
    """What a converter makes of a value, without a warning."""
    reports = Reports()
    found = option.convert(value, Context(Paths(), reports))
    assert not reports.items
    return found


def of_json(data: object) -> Value:
    return parse(json.dumps(data), "config", Reports())


@pytest.mark.parametrize("option", OPTIONS)
def test_a_built_in_default_reads_back_as_text_and_as_data(option: Option) -> None:
    """A user who copies the line to change a neighbour would change this one too."""
    words, data = built_in(option), plain(option, option.default)
    if words == NOTHING:
        assert option.default in (None, "", ())
        return
    assert read(option, Value(Text(words, PLACE), PLACE)) == option.default
    assert read(option, of_json(data)) == option.default


MARK = Option("mark", mark, None)
HANDLE = Option("skb_prio", kinds.tc_handle, None)
FAMILY = Option("set_family", kinds.families, None)
WINDOWS = Option("time_of_day", windows, ())


@given(st.integers(0, UINT32))
def test_marks_and_handles_read_back(number: int) -> None:
    """A mark read as decimal would be another mark."""
    for option in (MARK, HANDLE):
        assert read(option, Value(Text(text(plain(option, number)), PLACE), PLACE)) == number


@pytest.mark.parametrize("families", [(4,), (6,), (4, 6)])
def test_families_read_back(families: tuple[int, ...]) -> None:
    """The set of one family would be missing."""
    assert read(FAMILY, of_json(plain(FAMILY, families))) == families


@given(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 86399), st.integers(0, 86400), st.booleans())
def test_times_of_day_read_back(days: set[int], start: int, end: int, inclusive: bool) -> None:
    """The bedtime shown would not be the bedtime that holds."""
    window = Window(tuple(sorted(days)), start, end, "inclusive" if inclusive else "exclusive")
    if start != end:
        assert read(WINDOWS, of_json(plain(WINDOWS, [window]))) == [window]


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (True, "true"), ("yes", "yes"), (300, "300"), ("", "''"), (None, NOTHING), ([], NOTHING),
        (["a", 5], "a, 5"), ({"day": ["mon"], "time_start": "20:00"}, "day=mon time_start=20:00"),
    ],
)  # fmt: skip
def test_what_was_written_is_shown_as_it_was_written(written: object, line: str) -> None:
    """The user would look for a value that is nowhere in the file."""
    assert text(written) == line
