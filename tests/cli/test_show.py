"""`nfa check --show`: every value of the merged policy, as it was written, with the place that it came from."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from nfa.cli import main
from nfa.cli.show import BUILT_IN, policy_data, print_policy
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports
from nfa.compiler.compile import understand_policy
from nfa.compiler.config.build import build
from nfa.compiler.config.document import Document
from nfa.compiler.config.jsonconfig import read
from nfa.compiler.config.jsontext import Value
from nfa.compiler.config.model import Text
from nfa.compiler.config.options import COMMON_OPTIONS, TARGET_OPTIONS

Capture = pytest.CaptureFixture[str]
HOSTILE = "evil\x1b[31m\u202eexample"
ACTION = {"criteria": "protocol == 'zoom';", "targets": ["t"]}
NFTSET = {"target_type": "nftset", "set_name": "x"}


def document(folder: Path, name: str, **members: Any) -> Document:
    """A JSON file as a document, one value a line."""
    file = folder / name
    file.write_text(json.dumps({"version": 1, **members}, indent=1))
    found = read(str(file), Reports())
    assert found
    return found


def shown(folder: Path, capsys: Capture, *documents: Document) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """The policy of documents, the one that comes first last: lines by their headings, without `folder`; and the data."""
    paths, reports = Paths(str(folder), str(folder)), Reports()
    compiled = understand_policy(build(list(documents), reports, paths), paths, reports, look=False)
    print_policy(compiled)
    parts: dict[str, list[str]] = {}
    heading = ""
    for line in capsys.readouterr().out.replace(f"{folder}/", "").splitlines():
        if line.startswith(" "):
            parts[heading].append(re.sub(" {2,}", "  ", line.strip()))
        else:
            heading = line
            parts[heading] = []
    return parts, json.loads(json.dumps(policy_data(compiled)).replace(f"{folder}/", ""))


def at(file: Document, text: str, value: object = "") -> str:
    """The place of a text (of a property, with this value) in a file, as it is shown: its first character in the quotes."""
    needle = f'{text}": {value}' if value else text
    before = Path(file.file).read_text().partition(f'"{needle}')[0] + '"'
    return f"{Path(file.file).name}:{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}"


def part(parts: dict[str, list[str]], start: str) -> list[str]:
    """The lines below the heading that begins with `start`."""
    return next(lines for heading, lines in parts.items() if heading.startswith(start))


def test_each_layer_is_shown_with_its_place_and_with_what_it_overrides(tmp_path: Path, capsys: Capture) -> None:
    """The user would change the value where it has no effect."""
    first = document(
        tmp_path, "first.json", actions={"a": ACTION}, targets={"t": NFTSET | {"ttl": 10}},
        target_defaults={"nftset": {"ttl": 20, "size": 21, "managed": True}},
    )  # fmt: skip
    later = document(tmp_path, "later.json", target_defaults={"nftset": {"ttl": 30, "size": 31}})
    parts, data = shown(tmp_path, capsys, first, later)
    lines = part(parts, "target t")
    over = [f"{ttl} ({at(file, 'ttl', ttl)}, default of nftset)" for file, ttl in ((later, 30), (first, 20))]
    assert f"ttl  10  {at(first, 'ttl', 10)}, over {', '.join(over)}" in lines
    size = f"size  31  {at(later, 'size')}, default of nftset, over 21 ({at(first, 'size')}, default of nftset)"
    assert size in lines
    assert f"managed  true  {at(first, 'managed')}, default of nftset" in lines
    assert "table_name  nfa  built-in" in lines
    values = data["targets"][0]["values"]
    assert [values[name]["origin"] for name in ("ttl", "size", "table_name")] == ["own", "default", BUILT_IN]
    place = values["ttl"]["place"]
    assert f"{place['file']}:{place['line']}:{place['column']}" == at(first, "ttl", 10)
    assert [(other["written"], other["origin"]) for other in values["ttl"]["over"]] == [(30, "default"), (20, "default")]


UCI = """
config nfa 'main'
	option log_level 'debug'

config target_default 'nftset'
	option ttl '30'
	option size '31'

config target 't'
	option target_type 'nftset'
	option set_name 'x'
	option ttl '10'

config time_of_day 'evening'
	list day 'mon'
	option time_start '20:00'
	option time_end '22:30'

config action 'a'
	option criteria '*'
	option target 't'
	list time_of_day 'evening'
"""


def test_uci_over_json_is_shown_by_the_names_of_uci(tmp_path: Path, capsys: Capture) -> None:
    """Who knows `uci show` would have to count the lines of a file."""
    (tmp_path / "netify-proc-flow-actions").write_text(UCI)
    defaults = {"nftset": {"ttl": 20, "size": 21, "managed": True}}
    policy = document(tmp_path, "p.json", targets={"t": NFTSET, "l": {"target_type": "log"}}, target_defaults=defaults).file
    assert main(["check", "-u", str(tmp_path), "--state-dir", str(tmp_path), "-c", policy, "--show"]) == 0
    lines = [re.sub(" {2,}", "  ", line.strip()) for line in capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines()]
    package = "netify-proc-flow-actions"
    file = Document(policy, versioned=True)
    json_ttl, json_size = (f"{value} ({at(file, name)}, default of nftset)" for name, value in (("ttl", 20), ("size", 21)))
    assert f"target t  nftset, on  replaces {at(file, 't', '{')}" in lines
    assert "max_flows  65536  built-in" in lines
    uci_ttl = f"30 ({package}.nftset.ttl (line 6), default of nftset)"
    assert f"ttl  10  {package}.t.ttl (line 12), over {uci_ttl}, {json_ttl}" in lines
    assert f"size  31  {package}.nftset.size (line 7), default of nftset, over {json_size}" in lines
    assert f"log_level  debug  {package}.main.log_level (line 3)" in lines
    hours = "day=mon time_start=20:00 time_end=22:30 policy=inclusive"
    assert f"time_of_day  evening: {hours}  {package}.a.time_of_day (line 22)" in lines
    assert "control  /var/run/nfa/control.sock  built-in" in lines


def test_a_definition_that_replaces_another_says_so(tmp_path: Path, capsys: Capture) -> None:
    """The user would edit the one that is not in force."""
    both: dict[str, Any] = {"actions": {"a": ACTION}, "targets": {"t": NFTSET}}
    a, b, c = (document(tmp_path, f"{name}.json", **both, reprocess_flows=name == "c") for name in "abc")
    parts, data = shown(tmp_path, capsys, a, b, c)
    assert f"action a   on, priority 100   replaces {at(b, 'a', '{')}, {at(a, 'a', '{')}" in parts
    assert f"target t   nftset, on   replaces {at(b, 't', '{')}, {at(a, 't', '{')}" in parts
    over = f"over false ({at(b, 'reprocess')}), false ({at(a, 'reprocess')})"
    assert f"reprocess_flows  true  {at(c, 'reprocess')}, {over}" in part(parts, "global settings")
    for kind in ("actions", "targets"):
        assert [place["file"] for place in data[kind][0]["replaces"]] == ["b.json", "a.json"]


def test_criteria_are_shown_one_by_one_with_the_files_they_are_read_from(tmp_path: Path, capsys: Capture) -> None:
    """The user could not tell which file of a folder an expression is in."""
    folder = tmp_path / "list.d"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text("ai:netify.steam\n")
    criteria = ["category == 'games';", "${path_state_persistent}/list.d"]
    file = document(tmp_path, "p.json", actions={"a": ACTION | {"criteria": criteria}}, targets={"t": NFTSET})
    parts, data = shown(tmp_path, capsys, file)
    lines = part(parts, "action a")
    found = lines.index(f"criteria  category == 'games';  {at(file, 'category')}")
    files = "list.d/0.txt, list.d/1.txt, list.d/2.txt and 2 more"
    assert lines[found + 1] == f"${{path_state_persistent}}/list.d  {at(file, '${')}, read from {files}"
    entries = data["actions"][0]["values"]["criteria"]
    assert [entry["written"] for entry in entries] == criteria
    assert entries[1]["files"] == [f"list.d/{number}.txt" for number in range(5)]


def test_exemptions_say_which_list_they_are_of(tmp_path: Path, capsys: Capture) -> None:
    """Who is spared, and by which list, is what a user wants to know when somebody is not."""
    action = ACTION | {"exemptions": ["tablets", "10.0.0.3"]}
    first = document(tmp_path, "a.json", exemptions="10.0.0.1", actions={"a": action}, targets={"t": NFTSET})
    later = document(tmp_path, "b.json", exemptions=["10.0.0.2"])
    place = Place("config", 9, 1, "package.tablets.exemption")
    later.exemptions.append((Text("tablets", place), Value(Text("192.168.1.7", place), place)))
    parts, data = shown(tmp_path, capsys, first, later)
    lines = part(parts, "global settings")
    assert lines[-2:] == [f"exemptions  10.0.0.1  {at(first, '10.0.0.1')}", f"10.0.0.2  {at(later, '10.0.0.2')}"]
    own = part(parts, "action a")
    found = own.index("exemptions  192.168.1.7  package.tablets.exemption (line 9), through exemption tablets")
    assert own[found + 1] == f"10.0.0.3  {at(first, '10.0.0.3')}"
    assert [entry["through"] for entry in data["actions"][0]["values"]["exemptions"]] == ["tablets", ""]


REQUIRED = {"ipset": {"set_name": "x"}, "nftset": {"set_name": "x"}, "ctmark": {"mark": "0x85"}, "pftable": {"table_name": "x"}}
REQUIRED |= {"sink": {"sink": "x"}, "ctlabel": {"auto_label": True}, "log": {}, "firewall": {"verdict": "drop"}}


@pytest.mark.parametrize("kind", TARGET_OPTIONS)
def test_every_option_of_a_target_is_shown(kind: str, tmp_path: Path, capsys: Capture) -> None:
    """A default that is not shown is a default that nobody knows of."""
    file = document(tmp_path, "p.json", actions={"a": ACTION}, targets={"t": {"target_type": kind} | REQUIRED[kind]})
    parts, data = shown(tmp_path, capsys, file)
    names = [option.name for option in COMMON_OPTIONS + TARGET_OPTIONS[kind]]
    lines = part(parts, "target t")
    assert [line.split("  ")[0] for line in lines] == names
    assert list(data["targets"][0]["values"]) == names
    written = {line.split("  ")[0] for line in lines if not line.endswith(BUILT_IN)}
    assert written == set(REQUIRED[kind])


def test_a_default_that_the_type_does_not_take_is_not_shown_as_in_force(tmp_path: Path, capsys: Capture) -> None:
    """A bitmap of IPv4 addresses has no IPv6 set, and a hash has no range, whatever the defaults say."""
    defaults = {"ipset": {"set_family": "*", "range": "10.0.0.0/24"}}
    bitmap = {"target_type": "ipset", "set_name": "b", "type": "bitmap:ip"}
    targets = {"t": {"target_type": "ipset", "set_name": "h"}, "b": bitmap}
    file = document(tmp_path, "p.json", actions={"a": ACTION}, targets=targets, target_defaults=defaults)
    parts, _ = shown(tmp_path, capsys, file)
    assert "range  -  built-in" in part(parts, "target t")
    assert f"set_family  *  {at(file, 'set_family')}, default of ipset" in part(parts, "target t")
    assert "set_family  ipv4  follows from the type" in part(parts, "target b")
    assert f"range  10.0.0.0/24  {at(file, 'range')}, default of ipset" in part(parts, "target b")


def test_what_is_off_says_why(tmp_path: Path, capsys: Capture) -> None:
    """The user would wait for flows that never match."""
    off = {"target_type": "log", "target_enabled": False}
    later, labels = {"target_type": "pftable", "table_name": "x"}, {"target_type": "ctlabel", "labels": [1]}
    targets = {"t": NFTSET, "off": off, "later": later, "c": labels}
    actions = {"a": ACTION | {"enabled": False, "priority": 7}, "b": ACTION}
    file = document(tmp_path, "p.json", actions=actions, targets=targets)
    parts, data = shown(tmp_path, capsys, file)
    assert list(parts) == [
        "global settings",
        "action a   off: the action is disabled, priority 7",
        "action b   on, priority 100",
        "target t   nftset, on",
        "target off   log, off: the target is disabled",
        "target later   pftable, off: there is no PF on this system",
        "target c   ctlabel, on",
        "all targets of type ctlabel",
        "all targets of type pftable",
    ]
    assert [action["reason"] for action in data["actions"]] == ["the action is disabled", ""]
    assert [action["active"] for action in data["actions"]] == [False, True]
    assert "max_bits  127  built-in" in parts["all targets of type ctlabel"]


def test_nothing_of_a_file_reaches_the_terminal_unescaped(tmp_path: Path, capsys: Capture) -> None:
    """A configuration from somewhere could move the cursor and hide a line."""
    folder = tmp_path / f"{HOSTILE}.d"
    folder.mkdir()
    (folder / f"{HOSTILE}.txt").write_text("ai:netify.steam\n")
    action = {"criteria": [f"detected_hostname == '{HOSTILE}';", str(folder)], "targets": ["t", HOSTILE]}
    targets = {"t": {"target_type": "sink", "sink": "s"}, "h": {"target_type": "ctlabel", "labels": ["\u202elabel"]}}
    config = tmp_path / "p.json"
    config.write_text(json.dumps({"version": 1, "actions": {"a": action}, "targets": targets, "exemptions": [HOSTILE]}))
    assert main(["check", "--no-uci", "--state-dir", str(tmp_path), "-c", str(config), "--show"]) == 1
    printed = capsys.readouterr().out
    assert "evil" in printed and "label" in printed
    assert all(line.isprintable() for line in printed.splitlines())


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    criteria = " || ".join(f"local_port == {number}" for number in range(20)) + ";"
    policy = {"version": 1, "actions": {"a": ACTION | {"criteria": criteria}}, "targets": {"t": {"target_type": "log"}}}
    file = tmp_path / "p.json"
    file.write_text(json.dumps(policy))
    return file


def test_json_has_the_policy_when_it_is_asked_for(config: Path, tmp_path: Path, capsys: Capture) -> None:
    """A program would have to read the table for people."""
    command = ["check", "--no-uci", "--state-dir", str(tmp_path), "--json", str(config)]
    assert main(command) == 0
    assert "policy" not in json.loads(capsys.readouterr().out)
    assert main([*command, "--show"]) == 0
    policy = json.loads(capsys.readouterr().out)["policy"]
    assert [target["name"] for target in policy["targets"]] == ["t"]
    config.write_text("{")
    assert main([*command, "--show"]) == 1
    assert json.loads(capsys.readouterr().out)["policy"] is None


def on_a_terminal(command: list[str], columns: int) -> str:
    """What a command prints on a terminal, without colours."""
    terminal, output = os.openpty()
    termios.tcsetwinsize(output, (24, columns))
    printed = b""
    with subprocess.Popen(command, stdout=output) as process:
        os.close(output)
        with contextlib.suppress(OSError):  # the end of a terminal
            while chunk := os.read(terminal, 65536):
                printed += chunk
    os.close(terminal)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode()).replace("\r\n", "\n")


def test_lines_stay_whole_in_a_pipe_and_fit_a_narrow_terminal(config: Path, tmp_path: Path) -> None:
    """grep would miss the place of a value; a terminal would break the columns."""
    command = [sys.executable, "-m", "nfa", "check", "--no-uci", "--state-dir", str(tmp_path), "-c", str(config), "--show"]
    place = f"{config}:1:{config.read_text().index('local_port') + 1}"
    whole = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    criteria = next(line for line in whole if line.startswith("  criteria"))
    assert "local_port == 19; " in criteria and criteria.endswith(place)
    assert len({line.index(BUILT_IN) for line in whole if line.endswith(BUILT_IN)}) == 1

    narrow = on_a_terminal(command, 60).splitlines()
    found = next(number for number, line in enumerate(narrow) if line.startswith("  criteria"))
    assert narrow[found].endswith("local_port == 19;") and narrow[found + 1].strip() == place
    assert all(len(line) <= 60 for line in narrow if "local_port" not in line and str(config) not in line)
