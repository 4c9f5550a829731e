"""Slots of ctmark and ctlabel: bits, names of labels and where they come from, and what is said when they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nfa.compiler.base.report import Place, Reports
from nfa.compiler.catalogue import builtin
from nfa.compiler.config.model import Target
from nfa.compiler.config.origins import Origin
from nfa.compiler.provision import conntrack

FILE = """\
# bit  name
0\ttracked
3 streaming   # what the television does
10 a-netify-youtube
11 a-Netify.Netflix
12 p-http-s
13 a-google-meet-duo
"""


def made(folder: Path, kind: str, text: str = FILE, limit: int = 127, **options: Any) -> tuple[Any, Reports]:
    """The slot of one target (None: it has none), and what was found."""
    file = folder / "connlabel.conf"
    file.write_text(text)
    defaults = {"ctmark": {"mark": 1, "mask": 0xFFFFFFFF, "shift": 0},
                "ctlabel": {"labels": (), "auto_label": False, "log_errors": False}}  # fmt: skip
    cut = bool(options.pop("cut", False))
    target = Target("t", Place("nfa.json", 1, 1), kind, True, "*", defaults.get(kind, {}) | options, cut=cut)
    reports = Reports()
    slots = conntrack.provision([target], {"connlabel_conf": str(file), "max_bits": limit}, builtin(), reports)
    return (slots[0] if slots else None), reports


def messages(reports: Reports) -> list[str]:
    return [f"{report.severity}: {report.text()}" for report in reports.items]


def test_a_mark_is_shifted_and_kept_within_its_mask(tmp_path: Path) -> None:
    """Bits outside the mask would flip what others have there."""
    slot, reports = made(tmp_path, "ctmark", mark=2, shift=8, mask=0xFF00)
    assert (slot["mark"], slot["mask"], reports.items) == (0x200, 0xFF00, [])
    slot, reports = made(tmp_path, "ctmark", mark=2, shift=8, mask=0xFF)
    assert slot["mark"] == 0
    assert "bits 0x200 of the mark lie outside the mask 0xff" in messages(reports)[0]
    assert "0xff00" in messages(reports)[0]
    assert made(tmp_path, "ctmark", mask=0)[0] is None


def test_labels_are_found_by_bit_and_by_name(tmp_path: Path) -> None:
    slot, reports = made(tmp_path, "ctlabel", labels=("streaming", 5, "tracked"))
    assert slot["labels"] == 1 << 3 | 1 << 5 | 1
    assert slot["names"] == ((0, "tracked"), (3, "streaming"), (5, "5"))
    assert not reports.items


def test_an_unknown_label_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    """A slip would leave the connections without their class, and nobody told."""
    slot, reports = made(tmp_path, "ctlabel", labels=("streeming", 5))
    assert slot["labels"] == 1 << 5, "the rest works"
    assert "'streeming'" in messages(reports)[0] and "did you mean 'streaming'?" in messages(reports)[0].lower()
    slot, reports = made(tmp_path, "ctlabel", labels=("streeming",))
    assert slot is None and len(reports.errors) == 1


def test_without_a_file_names_are_unknown_and_bits_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = (str(tmp_path / "xtables" / "connlabel.conf"), str(tmp_path / "connlabel.conf"))
    monkeypatch.setattr(conntrack, "CONNLABEL_CONF", places)
    options: dict[str, object] = {"labels": ("x", 4), "auto_label": False, "log_errors": False}
    target = Target("t", Place("nfa.json", 1, 1), "ctlabel", True, "*", options)
    for expected in (1 << 4, 1 << 4 | 1 << 9):
        reports = Reports()
        (slot,) = conntrack.provision([target], {"connlabel_conf": None, "max_bits": 127}, builtin(), reports)
        assert slot["labels"] == expected
        assert len(reports.errors) == (expected == 1 << 4)
        if reports.errors:
            assert "neither of which exists" in reports.errors[0].text()
        Path(places[1]).write_text("9 x\n")  # where nft looks; the other place is that of iptables and conntrack


def test_two_files_that_disagree_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nft and conntrack read different files: a rule would look at another bit than the one that is set."""
    places = (str(tmp_path / "one"), str(tmp_path / "two"))
    monkeypatch.setattr(conntrack, "CONNLABEL_CONF", places)
    Path(places[0]).write_text("3 a\n4 b\n")
    Path(places[1]).write_text("3 a\n5 b\n6 c\n")
    reports = Reports()
    names = conntrack.Names({"connlabel_conf": None, "max_bits": 127}, reports)
    assert names.bits == {"a": 3, "b": 4, "c": 6}
    assert ["'b' is bit 5 here, but was bit 4 before" in text for text in messages(reports)] == [True]


def test_lines_that_are_no_labels_are_told_with_their_place(tmp_path: Path) -> None:
    slot, reports = made(tmp_path, "ctlabel", "1 ok\nnonsense\n200 high\n64 also\n", limit=64, labels=("ok",))
    assert slot["labels"] == 2
    assert [report.place.line for report in reports.items if report.place] == [2, 3, 4]
    assert not reports.errors


def test_automatic_labels_are_a_table_of_names(tmp_path: Path) -> None:
    """`a-` and `p-`, without regard to case, slashes and dots as hyphens."""
    slot, reports = made(tmp_path, "ctlabel", auto_label=True)
    assert slot["applications"] == {"netify-youtube": 10, "netify-netflix": 11, "google-meet-duo": 13}
    assert slot["protocols"] == {"http-s": 12}
    assert slot["auto"] and slot["labels"] == 0
    assert ["a-google-meet-duo" in text and text.startswith("info") for text in messages(reports)] == [True]
    slot, reports = made(tmp_path, "ctlabel", "3 streaming\n", auto_label=True)
    assert slot is None
    assert "no names that begin with a- or p-" in messages(reports)[0]


def test_only_targets_without_a_hold_of_their_own_remember_cuts(tmp_path: Path) -> None:
    assert made(tmp_path, "log", cut=True)[0]["kind"] == "cut"
    assert made(tmp_path, "log")[0] is None
    assert made(tmp_path, "nftset", cut=True)[0] is None


def test_a_label_over_max_bits_is_told_as_such_where_it_is_written(tmp_path: Path) -> None:
    """It was "not in the file", where it stands, and the place was that of the whole target."""
    slot, reports = made(tmp_path, "ctlabel", text="100 high\n", limit=64, labels=("high",))
    assert slot is None
    error = next(message for message in messages(reports) if message.startswith("error"))
    assert "the label 'high' cannot be used: its bit 100 must be less than max_bits, which is 64" in error
    options: dict[str, Any] = {"labels": ("x",), "auto_label": False, "log_errors": False}
    target = Target("t", Place("nfa.json", 1, 1), "ctlabel", True, "*", options)
    target.origins.values["labels"] = Origin(Place("nfa.json", 7, 9), ["x"])
    found = Reports()
    conntrack.provision([target], {"connlabel_conf": str(tmp_path / "connlabel.conf"), "max_bits": 64}, builtin(), found)
    assert found.errors[0].place == Place("nfa.json", 7, 9)


def test_names_of_labels_may_have_blanks(tmp_path: Path) -> None:
    """Netify's documentation allows blanks in names of labels; a file with one would lose that label."""
    slot, reports = made(tmp_path, "ctlabel", "1 nfa games\n2\ta b  c # best effort\n", labels=("nfa games", "a b  c"))
    assert slot["labels"] == 1 << 1 | 1 << 2
    assert slot["names"] == ((1, "nfa games"), (2, "a b  c"))
    assert not reports.items
