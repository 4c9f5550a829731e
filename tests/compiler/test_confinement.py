"""What who may write the configuration cannot have read or written: he has a login to a page, and is not root.

Each case was a way to read a file of root's, or to run a command as root.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from house import House

from nfa.cli import main
from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.sources import Sources
from nfa.compiler.config.uciconfig import PACKAGE
from nfa.image import cpython as image

SECRET = "root:$6$salt$hash:19000:0:99999:7:::"
LOG = "config target 't'\n\toption target_type 'log'\n"
ACTION = "config action 'a'\n\tlist target 't'\n\tlist criteria '{}'\n"
SINK = "config target 't'\n\toption target_type 'sink'\n\toption sink 's'\nconfig sink 's'\n"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that only root may read, in no folder that a configuration may name."""
    file = tmp_path / "root" / "shadow"
    file.parent.mkdir()
    file.write_text(SECRET + "\n" + "daemon:*:19000:0:99999:7:::\n")
    return file


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def loaded(folder: Path, uci: str) -> tuple[Compiled | None, Reports]:
    """Compile a package of UCI; netifyd's folder is beside it."""
    for name in ("config", "state"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "config" / PACKAGE).write_text(uci)
    return compile_policy(Sources(str(folder / "config"), True), Paths(str(folder / "state")), look=False)


NAMING = {
    "criteria": ACTION.format("{file}") + LOG,
    "a folder of criteria": ACTION.format("{folder}") + LOG,
    "criteria by way of netifyd's folder": ACTION.format("${{path_state_persistent}}/../root/shadow") + LOG,
    "exemptions": ACTION.format("*") + "\tlist exemptions '{file}'\n" + LOG,
    "global exemptions": "config exemption 'global'\n\tlist exemption '{file}'\n" + ACTION.format("*") + LOG,
    "named exemptions": "config exemption 'x'\n\tlist exemption '{file}'\n"
    + ACTION.format("*")
    + "\tlist exemptions 'x'\n"
    + LOG,
    "a JSON file": "config nfa 'main'\n\tlist json_config '{file}'\n",
    "a folder of JSON files": "config nfa 'main'\n\tlist json_config '{folder}'\n",
    "labels": "config target_global 'ctlabel'\n\toption connlabel_conf '{file}'\n"
    + ACTION.format("*")
    + "config target 't'\n\toption target_type 'ctlabel'\n\tlist labels 'x'\n",
    "a certificate": ACTION.format("*")
    + SINK
    + "\toption type 'http'\n\toption url 'https://h.example'\n\toption ca_file '{file}'\n",
}


@pytest.mark.parametrize("link", ["", "link"])
@pytest.mark.parametrize("kind", NAMING)
def test_a_file_elsewhere_is_not_read(tmp_path: Path, secret: Path, kind: str, link: str) -> None:
    """`list criteria '/etc/shadow'`, apply, and `ubus call nfa check` quoted it line by line."""
    named = secret
    if link:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "to").symlink_to(secret.parent)
        named = tmp_path / "state" / "to" / "shadow"
    compiled, reports = loaded(tmp_path, NAMING[kind].format(file=named, folder=named.parent))
    found = [report for report in reports.items if report.code == "path-not-allowed"]
    assert found, [report.text() for report in reports.items]
    through = link and "{f" in NAMING[kind]
    for part in ("which is not below",) if through else ("it is not below", "/etc/netifyd", "/etc/nfa/allowed_folders"):
        assert part in found[0].text()
    told = json.dumps([report.text() for report in reports.items])
    assert "hash" not in told and "daemon:" not in told
    assert "hash" not in repr(image_of(compiled)) if compiled else True


def test_a_sink_of_netifyd_elsewhere_is_not_read(tmp_path: Path, secret: Path) -> None:
    """The file of a sink that netifyd's loader names may be a link."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "netify-sink-http.json").symlink_to(secret)
    _, reports = loaded(tmp_path, ACTION.format("*") + LOG.replace("log", "sink") + "\toption sink 'sink-http'\n")
    assert [report.code for report in reports.errors] == ["path-not-allowed"]
    assert "hash" not in repr(reports.items)


@pytest.mark.parametrize("name", ["address-groups.json", "address-groups.d", "address-groups.d/10-x.conf"])
def test_address_groups_elsewhere_are_not_read(tmp_path: Path, secret: Path, name: str) -> None:
    link = tmp_path / "state" / name
    link.parent.mkdir(parents=True)
    (secret.parent / "10-y.conf").write_text(SECRET)
    link.symlink_to(secret.parent if name.endswith(".d") else secret)
    _, reports = loaded(tmp_path, ACTION.format("local_ip == @x;") + LOG)
    assert "path-not-allowed" in [report.code for report in reports.errors]
    assert "hash" not in repr(reports.items)


WRITING = {
    "log": ACTION.format("*") + LOG + "\toption path '{}'\n\toption prefix '99'\n",
    "defaults of log": ACTION.format("*") + LOG + "config target_default 'log'\n\toption path '{}'\n",
    "log of a sink": ACTION.format("*") + SINK + "\toption type 'log'\n\toption path '{}'\n",
    "socket": ACTION.format("*") + SINK + "\toption type 'socket'\n\toption listen 'unix://{}/x.sock'\n",
    "control": "config nfa 'main'\n\toption control '{}/control.sock'\n",
}


@pytest.mark.parametrize("kind", WRITING)
@pytest.mark.parametrize("folder", ["/etc/hotplug.d/iface", "/etc/init.d", "/usr/bin", "/tmp/../etc/crontabs"])
def test_nothing_is_written_elsewhere(tmp_path: Path, kind: str, folder: str) -> None:
    """OpenWrt runs what is in /etc/hotplug.d/iface as root, and the name of an application in a record is `$(...)`."""
    compiled, reports = loaded(tmp_path, WRITING[kind].format(folder))
    assert compiled is not None
    (found,) = [report for report in reports.errors if report.code == "path-not-allowed"]
    assert found.place and found.place.option and "to allow it, root adds the line 'write /" in found.hint
    assert folder not in repr(image_of(compiled)["targets"])
    assert compiled.policy.main["control"] == "/var/run/nfa/control.sock"


def test_root_may_keep_the_file_that_he_names_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`nfa check -c FILE` is root's own choice, and so are the lists that lie beside the file."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "games").write_text("app == 'steam';\n")
    policy = {
        "version": 1,
        "actions": {"a": {"criteria": str(tmp_path / "lists"), "targets": "t"}},
        "targets": {"t": {"target_type": "log"}},
    }
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    (tmp_path / "state").mkdir()
    arguments = ["-c", str(tmp_path / "policy.json"), "--no-uci", "--state-dir", str(tmp_path / "state")]
    assert main(["check", *arguments]) == 0, capsys.readouterr().out


def test_a_file_directly_in_etc_opens_nothing_beside_it() -> None:
    """`nfa run -c /etc/policy.json` would make /etc/shadow readable to the page that writes UCI."""
    assert "/etc" not in Paths().with_named(["/etc/policy.json", "/policy.json", "/root/x.json"]).folders
    assert Paths().with_named(["/opt/nfa/policy.json"]).named == ("/opt/nfa",)


# -- what is told over the bus -------------------------------------------------------------------------------------------

LISTS = {
    "list": f"{SECRET}\n",
    "netify-sink-mqtt.json": '{"channels": {"flow-actions": {"pass": "hash", "hash": 1, "host": "b"}}, "hash": "x"}',
    "address-groups.d/10-x.conf": f"{SECRET}\n",
    "address-groups.json": '{"address_groups": [{"name": "y", "hash": 1, "ips": ["hash"]}]}',
    "connlabel.conf": "hash\n200 hash\n",
}


def with_lists(folder: Path) -> dict[str, Any]:
    """Write files in which something is wrong; return a policy that names them."""
    for name, text in LISTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return {
        "version": 1,
        "actions": {
            "a": {"criteria": [str(folder / "list"), "local_ip == @x;"], "targets": ["t", "u"]},
            "b": {"criteria": "local_ip == @y;", "exemptions": [str(folder / "list")], "targets": ["t"]},
        },
        "targets": {
            "t": {"target_type": "sink", "sink": "sink-mqtt"},
            "u": {"target_type": "ctlabel", "labels": ["x"]},
        },
        "target_globals": {"ctlabel": {"connlabel_conf": str(folder / "connlabel.conf")}},
    }


def test_no_word_of_a_file_leaves_the_compiler(house: House, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Who may look at the page's status may not read root's files, nor who reads the log of the system."""
    house.file.write_text(json.dumps(with_lists(tmp_path)))
    for found in (house.result("reload"), house.result("check"), house.result("status")["policy"]):
        assert found["errors"] >= 4
        assert "hash" not in json.dumps(found) and not any(report["excerpt"] for report in found["reports"])
        inside = [
            report for report in found["reports"] if report["place"] and report["place"]["file"] == str(tmp_path / "list")
        ]
        assert inside and "nfa check" in inside[0]["hint"] and inside[0]["code"]
    told = capfd.readouterr()
    assert "nfa check" in told.err and "hash" not in told.err + told.out


def test_root_sees_the_line_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.json").write_text(json.dumps(with_lists(tmp_path)))
    assert main(["check", "-c", str(tmp_path / "policy.json"), "--no-uci", "--state-dir", str(tmp_path)]) == 1
    assert SECRET in capsys.readouterr().out


def test_what_was_asked_is_shown_where_it_is_wrong(house: House) -> None:
    """The page shows the place in the text that is being typed."""
    for question in ({"criteria": "ap == 1;"}, {"config": {"version": 1, "actions": {"a": {"priorty": 1}}}}):
        assert any(report["excerpt"] for report in house.result("check", **question)["reports"])


def test_a_json_file_that_is_none_is_not_quoted(tmp_path: Path) -> None:
    """A file of another program, in a folder that may be named: its words came back as what JSON did not expect."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "wireless").write_text("hash option key 'hash'\n")
    compiled, reports = loaded(tmp_path, f"config nfa 'main'\n\tlist json_config '{tmp_path}/state/wireless'\n")
    assert compiled is None and reports.errors
    assert "hash" not in json.dumps(reports.outside())
    assert "hash" not in repr(image.dump({"reports": reports.outside()}))
