"""Marks are one number for several programs: who writes all of it, or bits of somebody else, is told who that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Report, Reports
from nfa.compiler.config.sources import Sources, load

OTHERS = {
    "firewall": """\
config rule
	option name 'Mark-VoIP'
	option target 'MARK'
	option set_mark '0x100/0xf00'

config rule
	option name 'Off'
	option enabled '0'
	option set_xmark '0x40000000'

config redirect 'games'
	option mark '!0x80000000/0x80000000'
""",
    "mwan3": "config globals 'globals'\n\toption mmx_mask '0x7F0000'\nconfig interface 'wan'\n\toption enabled '1'\n",
    "pbr": "config pbr 'config'\n\toption enabled '1'\n\toption fw_mask '0f000000'\n",
    "sqm": "config queue 'eth1'\n\toption enabled '1'\n\toption script 'layer_cake_ct.qos'\n",
    "qosify": "config interface 'wan'\n\toption ingress_options 'triple-isolate fwmark 0x7000'\n",
}


def findings(folder: Path, targets: dict[str, str], packages: tuple[str, ...] = ()) -> list[Report]:
    """What is said of the marks of a policy, beside these packages."""
    text = "config action 'act'\n\toption enabled '1'\n\tlist criteria 'app == 1'\n"
    text += "".join(f"\tlist target '{name}'\n" for name in targets)
    for name, options in targets.items():
        text += f"\nconfig target '{name}'\n\toption target_type 'ctmark'\n"
        text += "".join(f"\toption {option.replace('=', ' ')}\n" for option in options.split())
    (folder / "netify-proc-flow-actions").write_text(text)
    for package in packages:
        (folder / package).write_text(OTHERS[package])
    reports = Reports()
    assert load(Sources(str(folder)), Paths(str(folder), str(folder)), reports) is not None
    assert not reports.errors, reports.errors
    return [report for report in reports.items if report.code in ("mark-without-mask", "mark-overlap")]


def test_a_mark_without_a_mask_names_who_else_uses_marks(tmp_path: Path) -> None:
    """0x100 of a rule became 0x2, and the connection left by the wrong WAN."""
    (found,) = findings(tmp_path, {"t": "mark=0x2"}, tuple(OTHERS))
    assert found.severity == "warning" and found.code == "mark-without-mask"
    assert found.place is not None and found.place.line == 8
    assert "target 't' writes all 32 bits of the mark" in found.message
    for name in (
        "the firewall's rule 'Mark-VoIP' (0xf00)", "the firewall's redirect 'games' (0x80000000)", "mwan3 (0x7f0000)",
        "pbr (0xf000000) and 2 more",
    ):  # fmt: skip
        assert name in found.message, found.message
    assert "Off" not in found.message
    assert found.hint == "write mark 0x20000000 and mask 0x70000000: these bits are free; rules must use them too"


@pytest.mark.parametrize(
    ("package", "named"),
    [
        ("firewall", "the firewall's rule 'Mark-VoIP' (0xf00)"),
        ("mwan3", "mwan3 (0x7f0000)"),
        ("pbr", "pbr (0xf000000)"),
        ("sqm", "SQM (0xff)"),
        ("qosify", "qosify (0x7000)"),
    ],
)
def test_each_program_is_found_in_its_package(tmp_path: Path, package: str, named: str) -> None:
    """Who is not named is overwritten all the same."""
    (found,) = findings(tmp_path, {"t": "mark=0x2"}, (package,))
    assert named in found.message
    taken = {"sqm": "write mark 0x200 and mask 0xf00: these bits are free; rules must use them too"}
    assert found.hint == taken.get(package, "write mask 0xf: these bits are free")


def test_alone_it_is_a_warning_too(tmp_path: Path) -> None:
    """Rules in /etc/nftables.d may use marks, and are not read."""
    (found,) = findings(tmp_path, {"t": "mark=0x20"})
    assert "none is known here, but rules in /etc/nftables.d are not read" in found.message
    assert found.hint == "write mask 0xf0: these bits are free"


def test_defaults_of_the_programs_count(tmp_path: Path) -> None:
    """Most configurations leave mwan3's and pbr's masks as they are."""
    (tmp_path / "mwan3").write_text("config interface 'wan'\n")
    (tmp_path / "pbr").write_text("config pbr 'config'\n")
    (found,) = findings(tmp_path, {"t": "mark=0x2"})
    assert "mwan3 (0x3f00), pbr (0xff0000)" in found.message
    (tmp_path / "mwan3").write_text("broken '")
    (tmp_path / "pbr").write_text("config pbr 'config'\n\toption enabled '0'\n")
    assert "none is known here" in findings(tmp_path, {"t": "mark=0x2"})[0].message


@pytest.mark.parametrize(
    ("mask", "named"),
    [("0xff0000", "mwan3 (0x7f0000)"), ("0x100000", "mwan3 (0x7f0000)"), ("0xf", ""), ("0xffffffff", "mwan3")],
)
def test_a_mask_that_another_program_uses_is_told(tmp_path: Path, mask: str, named: str) -> None:
    """Each of the two overwrites what the other has written."""
    found = findings(tmp_path, {"t": f"mark=0x1 mask={mask}"}, ("mwan3",))
    assert [report.code for report in found if "others" in report.message] == ["mark-overlap"] * bool(named)
    assert all(named in report.message and report.severity == "warning" for report in found)


def test_two_targets_with_bits_in_common(tmp_path: Path) -> None:
    """Zoom's mark would be read as Netflix's."""
    (found,) = findings(tmp_path, {"a": "mark=0x1 mask=0xf", "b": "mark=0x10 mask=0xff"})
    assert found.severity == "warning" and found.code == "mark-overlap"
    assert "the targets 'a' and 'b' write the same bits of the mark (0xf)" in found.message
    assert found.consequence == "a connection that reaches both has the bits of 'b'"
    assert not findings(tmp_path, {"a": "mark=0x1 mask=0xf", "b": "mark=0x10 mask=0xf0"})
    (found,) = findings(tmp_path, {"a": "mark=0x1 mask=0xf", "b": "mark=0x2 mask=0xf"})
    assert found.severity == "info", "values of one field, which is often meant"
    assert not findings(tmp_path, {"a": "mark=0x2 mask=0xf", "b": "mark=0x2 mask=0xf"})


def test_each_of_several_marks_without_masks_gets_bits_of_its_own(tmp_path: Path) -> None:
    """Two suggestions that collide would help nobody."""
    hints = [report.hint for report in findings(tmp_path, {"a": "mark=0x1", "b": "mark=0x2", "c": "mark=0x1 mask=0xf0"})]
    assert hints[0] == "write mask 0xf: these bits are free"
    assert hints[1] == "write mark 0x200 and mask 0xf00: these bits are free; rules must use them too"


def test_a_target_that_nobody_uses_says_nothing(tmp_path: Path) -> None:
    """A warning about what does nothing hides the others."""
    text = "config target 't'\n\toption target_type 'ctmark'\n\toption mark '0x2'\n"
    (tmp_path / "netify-proc-flow-actions").write_text(text)
    reports = Reports()
    load(Sources(str(tmp_path)), Paths(str(tmp_path), str(tmp_path)), reports)
    assert not [report for report in reports.items if report.code.startswith("mark-")]


def test_the_mark_of_an_ipsets_packets_is_a_mark_too(tmp_path: Path) -> None:
    """SET --map-mark writes it into packets: all of it, without skb_mask."""
    text = (
        "config action 'a'\n\toption enabled '1'\n\tlist criteria 'app == 1'\n\tlist target 't'\n"
        "config target 't'\n\toption target_type 'ipset'\n\toption set_name 'x'\n\toption skb_mark '0x85'\n"
    )
    for more, expected in (("", ["mark-without-mask"]), ("\toption skb_mask '0xff'\n", [])):
        (tmp_path / "netify-proc-flow-actions").write_text(text + more)
        reports = Reports()
        load(Sources(str(tmp_path)), Paths(str(tmp_path), str(tmp_path)), reports)
        found = [report for report in reports.items if report.code.startswith("mark-")]
        assert [report.code for report in found] == expected
        assert all(report.hint == "write skb_mask 0xff: these bits are free" for report in found)
