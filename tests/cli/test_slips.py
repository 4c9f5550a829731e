"""Slips of owners with `nfa usage` and `nfa budget`: each is answered by words that help, and nothing is done by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import samples
from house import CONFIG, House, youtube

from nfa.cli import ask, main

Capture = pytest.CaptureFixture[str]
TABLET, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    """A daemon that counted something of a tablet and of a device without a name."""
    action = CONFIG["actions"]["video"] | {"budget": "films"}
    more = {
        "actions": {"video": action},
        "budgets": {"films": {"bytes": "10MB"}},
        "devices": {"tablet": {"mac": TABLET, "title": "Tom's tablet"}},
    }
    house = House(tmp_path, CONFIG | more)

    def call(path: str, method: str, arguments: dict[str, object], timeout: float) -> dict[str, Any]:
        status, data = house.call(method, **arguments)
        if status:
            raise ValueError(data["error"])
        return data

    monkeypatch.setattr(ask, "call", call)
    for number, mac in enumerate((TABLET, OTHER)):
        flow = youtube(number, local_mac=mac, local_ip=f"192.168.1.{20 + number}")
        house.feed(flow, samples.stats(flow["flow"]["digest"], local=(1, 1), other=(999, 1)))
    return house


def used(house: House) -> int:
    return len(house.result("usage")["devices"])


@pytest.mark.parametrize(
    "words",
    [
        ["--forget", "--device", "tablet"], ["--device", "tablet", "--forget"], ["--forget", "--since", "1h"],
        ["--forget", "--app", "youtube"], ["--forget", "--by", "day"], ["--forget", "tablet", "--until", "yesterday"],
        ["--forget", ""], ["--forget="], ["--forget", " "],
    ],
)  # fmt: skip
def test_only_what_is_said_is_forgotten(house: House, capsys: Capture, words: list[str]) -> None:
    """`--forget --device tablet`, or a variable of a script that is empty, would forget a month of all devices."""
    assert main(["usage", *words]) == 2
    assert "nothing is forgotten" in capsys.readouterr().err
    assert used(house) == 2


def test_what_is_said_is_forgotten(house: House, capsys: Capture) -> None:
    """The guard above would be in the way of who means it."""
    assert main(["usage", "--forget", "tablet"]) == 0 and used(house) == 1
    assert main(["usage", "--forget"]) == 0 and used(house) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["usage", "--since", "lately"], ["usage", "--since", "1 hour"], ["usage", "--until", "yesterday"],
        ["budget", "films", "--add", "10MB"], ["budget", "--device", "tablet", "--add", "10MB"],
    ],
)  # fmt: skip
def test_no_nearest_name_is_told_where_there_is_none(house: House, capsys: Capture, words: list[str]) -> None:
    """Did you mean ''? is no help."""
    assert main(words) == 1
    assert "did you mean" not in capsys.readouterr().err


def test_the_nearest_name_is_found_in_capitals_too(house: House, capsys: Capture) -> None:
    """Who writes Films has to look for the difference."""
    assert main(["budget", "FILMS"]) == 1
    assert "did you mean 'films'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tablet", "Tom's tablet", "TOM'S TABLET", TABLET, TABLET.upper(), TABLET.replace(":", "-")])
def test_a_device_has_the_names_that_budgets_and_notices_call_it_by(house: House, capsys: Capture, name: str) -> None:
    """A notice says “Tom's tablet”, and `nfa usage` would not know it."""
    for command in ("usage", "budget"):
        assert main([command, "--device", name]) == 0
        shown = capsys.readouterr().out
        assert "tablet" in shown and OTHER not in shown


@pytest.mark.parametrize("word", ["7", "0", "30", "2026", "20261130"])
def test_a_number_without_a_unit_is_no_moment(house: House, capsys: Capture, word: str) -> None:
    """Seven days are meant: 7 would be a moment in 1970, and all that there is would be shown."""
    assert main(["usage", "--since", word]) == 1
    assert "expected today, yesterday, 12h, 7d" in capsys.readouterr().err
    assert main(["usage", "--since", "1700000000"]) == 0


def test_nothing_by_action_is_said(tmp_path: Path, house: House, capsys: Capture) -> None:
    """A heading without a row looks like a fault."""
    assert main(["usage", "--forget"]) == 0
    capsys.readouterr()
    assert main(["usage", "--by", "action"]) == 0
    assert "nothing was counted from" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--add", "10 MB"], ["--add", "10mb"], ["--add=10MB"]])
def test_a_bonus_may_be_written_as_in_the_configuration(house: House, capsys: Capture, words: list[str]) -> None:
    """`option bytes '10 MB'` is good, and --add '10 MB' would be refused."""
    assert main(["budget", "films", "--device", "tablet", *words]) == 0
    assert "with 10.0 MB more" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["-10m", "-1GB", "0MB", "30", "2000TB", "8d", ""])
def test_a_bonus_that_is_none_is_refused_with_the_form_and_the_limits(house: House, capsys: Capture, word: str) -> None:
    """Who wants to take ten minutes away learns that "one argument" is expected, which there is."""
    with pytest.raises(SystemExit) as ended:
        main(["budget", "films", "--device", "tablet", "--add", word])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"{word!r}: expected whole minutes such as 30m" in said and "above 0" in said and "at most 7d" in said


def test_a_moment_before_now_is_no_option(house: House, capsys: Capture) -> None:
    """--since -1h: "expected one argument"."""
    assert main(["usage", "--since", "-1h"]) == 1
    assert "'-1h'; expected today" in capsys.readouterr().err


def test_tables_fit_eighty_columns_whatever_names_there_are(house: House, capsys: Capture) -> None:
    """Each line would be broken in two: a MAC address beside netify's longer names is enough for it."""
    for number, name in enumerate(("netify." + "x" * 60, "netify.google-cloud-platform", "\x1b" * 40)):
        flow = youtube(number, local_mac=OTHER, local_ip="192.168.1.21", detected_application_name=name)
        house.feed(flow, samples.stats(flow["flow"]["digest"], local=(1, 1), other=(999_949_999, 1)))
    for words in (["usage"], ["usage", "--by", "action"], ["usage", "--by", "hour"], ["budget"]):
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= 80
    assert main(["usage"]) == 0
    shown = capsys.readouterr().out
    assert OTHER in shown, "a MAC address is whole: it is what the owner copies"
    assert "…" in shown
