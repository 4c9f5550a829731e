"""`nfa compile --micropython`: the image is loaded whole or not at all; what MicroPython cannot do is told and left out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import compiled, config_of

from nfa.cli import main
from nfa.compiler import micropython as micro
from nfa.compiler.expression.regex import RegexError
from nfa.daemon.engine.rx import finder
from nfa.image import cpython as image_of_cpython
from nfa.image import micropython as image
from nfa.image import plain

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary() | st.frozensets(st.integers() | st.binary()),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.integers() | st.text("ab"), inner),
    max_leaves=20,
)  # fmt: skip
_DATA = {"order": sys.byteorder, "code": ["x = 1"], "big": 1 << 300, "negative": -(1 << 70), "set": {b"a"}, "é": None}
RAW = image.seal(micro.dump(_DATA))
SETS = {"nftset.a": {"target_type": "nftset", "set_name": "a"}}


def made(folder: Path, actions: dict[str, Any], **more: Any) -> tuple[dict[str, Any] | None, list[str]]:
    """Compile for MicroPython. Returns the image's data, and the findings."""
    policy, reports = compiled(folder, config_of(actions, **more))
    raw = micro.image_for(policy, "unix:///n.sock")
    return (image.load(raw) if raw else None), [report.text() for report in reports.items]


def fitting(name: str, criteria: str, **more: Any) -> dict[str, Any]:
    return {name: {"criteria": criteria, "targets": ["nftset.a"], **more}}


@given(PLAIN)
def test_plain_data_reads_back(value: object) -> None:
    """A policy would change on its way to the router."""
    assert plain.load(micro.dump(value)) == value


@given(st.binary(max_size=60))
def test_no_bytes_do_harm(raw: bytes) -> None:
    """A file that is no image would end in a traceback."""
    try:
        plain.load(raw)
    except plain.Damaged:
        pass


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_a_damaged_image_for_micropython_is_refused(place: int, change: int) -> None:
    """A damaged policy would be executed as root."""
    damaged = bytearray(RAW)
    damaged[place] ^= change
    with pytest.raises(image.ImageError):
        image.load(bytes(damaged))


def test_an_image_of_the_other_form_is_refused_in_words() -> None:
    """CPython's byte-code under MicroPython, or the other way round, would end in nonsense."""
    with pytest.raises(image.ImageError, match="compile it with --micropython"):
        image.load(image_of_cpython.dump({"code": b""}))
    with pytest.raises(image_of_cpython.ImageError):
        image_of_cpython.load(RAW)
    with pytest.raises(image.ImageError, match="damaged"):
        image.load(RAW[:-1])


def test_an_image_for_another_byte_order_is_refused_in_words() -> None:
    """Its messages to the kernel are ready: on a router that is big-endian they would make nothing, or something else."""
    with pytest.raises(image.ImageError, match="for pdp-endian machines, this one is"):
        image.load(image.seal(micro.dump({"order": "pdp"})))


def test_hours_in_the_zone_of_the_machine_that_compiles_are_told(tmp_path: Path) -> None:
    """A server that compiles in UTC would have the children's evening begin at another hour."""
    hours = {"time_of_day": {"time_start": "08:00", "time_end": "17:00"}}
    assert "this machine's time zone" in made(tmp_path, fitting("a", "app == 'netflix';", **hours), targets=SETS)[1][0]
    assert made(tmp_path, fitting("a", "app == 'netflix';", **hours), targets=SETS, timezone="UTC")[1] == []


def test_no_image_without_the_address_of_the_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The image would have netifyd's usual socket instead, and nobody would look for the reason there."""
    policy, output = tmp_path / "policy.json", tmp_path / "policy.img"
    policy.write_text(json.dumps(config_of(fitting("a", "app == 'netflix';"), targets=SETS)))
    options = ["-o", str(output), "-s", "tcp://no.such.host.invalid:7150"]
    assert main(["compile", "--no-uci", "-c", str(policy), "--micropython", *options]) == 1
    assert not output.exists()
    assert "No image is written" in capsys.readouterr().err


def test_regular_expressions_become_automata(tmp_path: Path) -> None:
    """MicroPython's `re` fails on {2,3} and \\b without a word: flows would be matched wrongly."""
    data, findings = made(tmp_path, fitting("a", r"detected_hostname == 'rx:\bads?[0-9]{2,3}\.';"), targets=SETS)
    assert data is not None
    assert not findings
    assert [pattern["kind"] for pattern in data["patterns"]] == ["dfa"]
    search = finder(data["patterns"][0]).search
    assert [search(name) for name in ("x.ads12.y", "ad123.z", "bads12.", "ads1.")] == [True, True, False, False]


def test_a_pattern_that_cannot_be_matched_is_told_and_its_action_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would match wrongly, or silently not at all."""

    def refuse(pattern: str, *, budget: int = 0) -> None:
        raise RegexError("too large: too many repeats and alternatives. Split it into comparisons")

    monkeypatch.setattr(micro, "compile_pattern", refuse)
    actions = fitting("a", "detected_hostname == 'rx:x{2,3}';") | fitting("b", "app == 'netflix';")
    actions |= fitting("c", "app == 'youtube';", exemptions=["detected_hostname == 'rx:y';"])
    data, findings = made(tmp_path, actions, targets=SETS)
    assert data is not None
    reasons = {name: reason for name, _, reason, _, _ in data["actions"]}
    assert not reasons.pop("b")
    assert set(reasons.values()) == {"MicroPython cannot match its regular expression"}
    assert data["patterns"] == []
    assert [place in text for place, text in zip(("'a'", "'c'"), findings, strict=True)] == [True, True]
    assert "policy.json:1:" in findings[0]
    assert "rx:x{2,3}" in findings[0]
    assert "too large" in findings[0]


def test_a_global_exemption_that_cannot_be_matched_leaves_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows that are to be spared would be blocked."""

    def refuse(pattern: str, *, budget: int = 0) -> None:
        raise RegexError("too large")

    monkeypatch.setattr(micro, "compile_pattern", refuse)
    data, findings = made(
        tmp_path, fitting("b", "app == 'netflix';"), targets=SETS, exemptions=["detected_hostname == 'rx:y';"]
    )
    assert data is None
    assert "no image is written" in findings[0].lower()


def test_targets_that_micropython_cannot_have_are_told(tmp_path: Path) -> None:
    """A user would wait for a log that never comes."""
    targets: dict[str, Any] = {"log.x": {"target_type": "log"}, **SETS}
    actions = fitting("a", "app == 'netflix';") | {"b": {"criteria": "app == 'youtube';", "targets": ["log.x"]}}
    data, findings = made(tmp_path, actions, targets=targets)
    assert data is not None
    assert "target 'log.x': MicroPython cannot write files" in findings[0]
    assert [code for *_, code in data["actions"]] == ["", "target-unusable"]


def test_the_command_writes_it(tmp_path: Path) -> None:
    """The documented command would not work."""
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(config_of(fitting("a", "app == 'netflix';"), targets=SETS)))
    output = tmp_path / "policy.img"
    options = ["-o", str(output), "-s", "tcp://127.0.0.1:7150"]
    assert main(["compile", "--no-uci", "-c", str(policy), "--micropython", *options]) == 0
    data = image.load(output.read_bytes())
    assert data["source"] == "tcp://127.0.0.1:7150"
    assert "def mask(r, f):" in "".join(data["code"])
    assert "names" not in data


def test_source_is_cut_between_statements(tmp_path: Path) -> None:
    """MicroPython's parser would need a multiple of a large source in memory."""
    data, _ = made(tmp_path, fitting("a", "app == 'netflix' && !(other_port == 5);"), targets=SETS)
    assert data is not None
    whole = "".join(data["code"])
    for piece in data["code"]:
        compile(piece, "piece", "exec")
    assert whole.startswith(("def ", "X"))


def test_routes_are_left_out_where_netifd_does_not_make_them(tmp_path: Path) -> None:
    """Servers are learnt and connections marked, and no rule sends them anywhere."""
    targets = {"line2": {"target_type": "firewall", "route": "wan2"}} | SETS
    data, told = made(tmp_path, {"a": {"criteria": "*", "targets": ["line2", "nftset.a"]}}, targets=targets)
    assert data is not None
    assert {target["name"]: target["active"] for target in data["targets"]} == {"line2": False, "nftset.a": True}
    assert any("nfa route" in text and "'line2'" in text for text in told)


def test_a_file_for_usage_is_said_to_be_of_no_use(tmp_path: Path) -> None:
    """Who asks for usage under MicroPython would wait for a file that never comes."""
    data, said = made(tmp_path, fitting("a", "*"), targets=SETS, usage_file="/tmp/usage")
    assert data is not None and data["usage"] is None
    assert any("MicroPython's daemon does not count" in text for text in said)
    assert not any("does not count" in text for text in made(tmp_path, fitting("a", "*"), targets=SETS)[1])
