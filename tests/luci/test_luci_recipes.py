"""What the recipes of luci-app-nfa write: policies without a warning, which need no rule and no command.

Each is used twice, as a person does who wants it for two things; all of that works together.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import fake_uci
import pytest
from luci_app import HERE, RESOURCES, needs_node

from nfa.cli import answer, main
from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.sources import Sources
from nfa.compiler.config.uciconfig import PACKAGE

pytestmark = needs_node

RECIPES = ("bedtime", "offline", "daily", "slow", "calls", "downloads", "wan2", "weak_tls")
NAMES = [name + number for name in RECIPES for number in ("", "_2")]
NETWORK = """\
config interface 'wan2'
	option device 'eth2'
	option proto 'dhcp'
"""


@cache
def recipes() -> dict[str, dict]:
    """Return what the recipes make by the names of their policies, as recipes.js prints it."""
    done = subprocess.run(["node", str(HERE / "recipes.js")], capture_output=True, text=True, check=True)
    return {recipe["name"]: recipe for recipe in json.loads(done.stdout)}


def compiled(folder: Path, config: str) -> Compiled:
    """The policy, in which nothing is wrong."""
    (folder / PACKAGE).write_text(config + "\n", encoding="utf-8")
    made, reports = compile_policy(Sources(uci=str(folder)), Paths(str(folder), str(folder)), look=False)
    assert made is not None
    serious = [report for report in reports.items if report.severity != "info"]
    assert not [report.text() for report in serious if "time zone" not in report.message]
    return made


def test_the_daemon_takes_what_recipes_write_each_used_twice(tmp_path: Path) -> None:
    """The second use of a recipe would warn of the first: of its devices, its targets, its marks."""
    assert list(recipes()) == NAMES and not any(recipe["problems"] for recipe in recipes().values())
    policy = compiled(tmp_path, "\n\n".join(recipe["config"] for recipe in recipes().values()))
    assert [item.action.name for item in policy.actions if not item.reason] == NAMES
    assert {wan.name for wan in policy.wans.values()} == {"wan2"}


def test_a_device_is_a_device_not_an_address() -> None:
    """By its MAC address alone it would play over IPv6 where netifyd sees the router's."""
    for name in ("bedtime", "bedtime_2", "weak_tls", "weak_tls_2"):
        config = recipes()[name]["config"]
        assert len(re.findall(r"^config device ", config, re.MULTILINE)) == (2 if name == "bedtime" else 0), "each is made once"
        assert "@bedtime_device_1" in config and "@bedtime_device_2" in config and not re.search(r"\bmac ==", config)


def test_packets_need_no_rule() -> None:
    """A person who pastes nothing would have a policy that does nothing."""
    for name in NAMES:
        wanted = "log" if name.startswith("weak_tls") else "firewall"
        assert f"option target_type '{wanted}'" in recipes()[name]["config"], name
    pages = {path.name: path.read_text(encoding="utf-8") for path in sorted(RESOURCES.rglob("*.js"))}
    shell = re.compile(
        r"nft -f|nft add|nftables\.d|uci (?:set|commit)|service \w+ re(?:load|start)|/etc/init\.d/(?!nfa)|\bSSH and paste"
    )
    assert not {name: shell.findall(text) for name, text in pages.items() if shell.search(text)}


def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, **given: str) -> dict:
    """What the daemon's child says of routes."""
    monkeypatch.setattr("sys.argv", ["nfa.cli.answer", "routes", "-u", str(folder)])
    question = io.BytesIO(json.dumps(given).encode() + b"\n")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=question))
    monkeypatch.setattr(answer, "_modest", lambda: None)
    capsys.readouterr()
    assert answer.main() == 0
    found: dict = json.loads(capsys.readouterr().out)
    return found


def test_the_network_gets_what_nfa_route_apply_would_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page would show another network than the command, or one that the policy does not need."""
    monkeypatch.setenv("PATH", fake_uci.install(tmp_path / "bin"))
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "network").write_text(NETWORK)
    (folder / PACKAGE).write_text("config nfa 'main'\n")
    told = asked(monkeypatch, capsys, folder, config=recipes()["wan2"]["targets"])
    assert told["ok"] and told["by_netifd"]
    assert told["networks"] == [{"name": "wan2", "protocol": "dhcp", "device": "eth2"}]
    assert asked(monkeypatch, capsys, folder)["changes"] == [], "what is asked about is not there yet"
    (folder / PACKAGE).write_text(recipes()["wan2"]["config"] + "\n")
    assert asked(monkeypatch, capsys, folder)["changes"] == told["changes"]
    assert main(["route", "show", "-u", str(folder)]) == 0
    shown = re.findall(r"^uci set network\.(\w+)(?:\.(\w+))?='(.*)'$", capsys.readouterr().out, re.MULTILINE)
    assert [(one["section"], one["option"], one["value"]) for one in told["changes"]] == shown
    assert {one["section"]: one["type"] for one in told["changes"]} == {
        "wan2": "interface",
        "nfa_wan2_near": "rule",
        "nfa_wan2": "rule",
        "nfa_wan2_near_6": "rule6",
        "nfa_wan2_6": "rule6",
    }
    assert main(["route", "apply", "-u", str(folder)]) == 0
    assert asked(monkeypatch, capsys, folder)["changes"] == [], "nothing is missing any more"
    (folder / PACKAGE).write_text("config nfa 'main'\n")
    gone = asked(monkeypatch, capsys, folder)["changes"]
    assert {one["value"] for one in gone} == {None}, "what nobody needs is taken out"
    assert {(one["section"], one["type"]) for one in gone} == {(one["section"], one["type"]) for one in told["changes"]}


def test_a_network_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person would apply a policy that does nothing."""
    (tmp_path / "network").write_text(NETWORK.replace("wan2", "wanb").replace("eth2", "eth9"))
    told = asked(monkeypatch, capsys, tmp_path, config=recipes()["wan2"]["targets"])
    assert [one["code"] for one in told["reports"]] == ["route-unknown"] and not told["ok"] and not told["changes"]
    (tmp_path / "network").write_text("config interface 'wan2\n")
    assert "cannot be read" in asked(monkeypatch, capsys, tmp_path)["refused"]
    (tmp_path / "network").unlink()
    told = asked(monkeypatch, capsys, tmp_path, config=recipes()["wan2"]["targets"])
    assert not told["by_netifd"] and not told["changes"], "elsewhere the daemon makes the routes"
