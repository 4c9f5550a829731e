"""What the recipes of luci-app-nfa write: policies without a warning; and for another WAN, rules that nft and the daemon's sets
agree with.

Each is used twice, as a person does who wants it for two things; all of that works together. The rules for another WAN are
those of docs/recipes.md, whose packets tests/kernel/test_kernel_recipes.py follows.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from luci_app import HERE, needs_node
from recipe_pages import recipes as pages

from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.sources import Sources
from nfa.compiler.config.uciconfig import PACKAGE
from nfa.compiler.provision import nftset

pytestmark = needs_node

IN_A_NETWORK = ["unshare", "--user", "--map-root-user", "--net"]
RECIPES = ("bedtime", "offline", "slow", "calls", "downloads", "wan2", "weak_tls")
NAMES = [name + number for name in RECIPES for number in ("", "_2")]
WITH_RULES = ["wan2", "wan2_2"]
# In the place of OpenWrt's programs: what was set is kept in a file, one option a line.
UCI = """
uci() {
    [ "$1" = -q ] && shift
    case "$1" in
        get) value=$(grep "^$2=" STORE | tail -n 1); [ -n "$value" ] && echo "${value#*=}" ;;
        set) echo "$2" >>STORE ;;
    esac
}
service() { :; }
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


def rules_of(script: str) -> str:
    """The file of rules that the commands write."""
    found = re.search(r"\.rules <<'END'\n(.*?)\nEND\n", script, re.DOTALL)
    assert found
    return found[1] + "\n"


def test_the_daemon_takes_what_recipes_write_each_used_twice(tmp_path: Path) -> None:
    """The second use of a recipe would warn of the first: of its devices, its sets, its marks."""
    assert list(recipes()) == NAMES and not any(recipe["problems"] for recipe in recipes().values())
    policy = compiled(tmp_path, "\n\n".join(recipe["config"] for recipe in recipes().values()))
    assert [item.action.name for item in policy.actions if not item.reason] == NAMES
    rules = "".join(rules_of(recipes()[name]["script"]) for name in WITH_RULES)
    shape = r"set (\S+) \{ type ([^;]+); size (\d+); timeout (\d+)([md]); \}"
    made = {
        name: (kind, int(size), int(number) * {"m": 60, "d": 86400}[unit])
        for name, kind, size, number, unit in re.findall(shape, rules)
    }
    wanted = {
        slot["set"]: (nftset.key_of(slot["fields"], slot["family"]).text, slot["size"], slot["ttl"])
        for slot in policy.slots
        if slot["kind"] == "nftset" and "map" not in slot
    }
    # A file of rules makes its sets as the daemon does, so it does not matter which of the two comes first.
    assert made == wanted and len(made) == 4


def test_a_device_is_a_device_not_an_address() -> None:
    """By its MAC address alone it would play over IPv6 where netifyd sees the router's."""
    for name in ("bedtime", "bedtime_2", "weak_tls", "weak_tls_2"):
        config = recipes()[name]["config"]
        assert len(re.findall(r"^config device ", config, re.MULTILINE)) == (2 if name == "bedtime" else 0), "each is made once"
        assert "@bedtime_device_1" in config and "@bedtime_device_2" in config and not re.search(r"\bmac ==", config)


def test_the_rules_are_those_of_the_page() -> None:
    """What is tested on packets there would not be what a person gets here."""
    page = {name: body for recipe in pages("own-rules.md").values() for name, body in recipe.rules.items()}
    assert rules_of(recipes()["wan2"]["script"]) == page["nfa_wan2.rules"]


def test_packets_need_no_rule_but_for_another_wan() -> None:
    """A person who pastes nothing would have a policy that does nothing."""
    assert [name for name in NAMES if recipes()[name]["script"]] == WITH_RULES
    for name in NAMES:
        wanted = "nftset" if name.startswith("wan2") else "log" if name.startswith("weak_tls") else "firewall"
        assert f"option target_type '{wanted}'" in recipes()[name]["config"], name


def test_two_policies_for_a_second_wan_share_no_mark_and_no_chain(tmp_path: Path) -> None:
    """Both wrote table 102 and mark 0x200. An interface's routes are in one table, so for the same one it is the same."""
    scripts = [recipes()[name]["script"] for name in ("wan2", "wan2_2")]
    store = tmp_path / "network"
    store.touch()
    commands = "\n".join(script[script.index("uci -q get network") :] for script in scripts)
    subprocess.run(["sh", "-ec", UCI.replace("STORE", str(store)) + commands], check=True)
    options = dict(line.split("=", 1) for line in store.read_text().splitlines())
    assert options["network.wan2.ip4table"] == options["network.wan2_6.ip6table"] == "102"
    assert options["network.wan2_6.sourcefilter"] == "0"
    for name, mark in (("wan2", "0x4000"), ("wan2_2", "0x8000")):
        for section, kind in ((f"nfa_{name}", "rule"), (f"nfa_{name}_6", "rule6")):
            assert options[f"network.{section}"] == kind
            assert (options[f"network.{section}.mark"], options[f"network.{section}.lookup"]) == (f"{mark}/0xc000", "102")
    elsewhere = commands[commands.rindex("uci -q get network.wan2.ip4table") :].replace(".wan2.", ".wan3.")
    subprocess.run(["sh", "-ec", UCI.replace("STORE", str(store)) + elsewhere], check=True)
    assert "network.wan3.ip4table=103" in store.read_text().splitlines(), "another WAN has another table"


def test_nft_takes_the_rules_together_and_twice(tmp_path: Path) -> None:
    found = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None or subprocess.run([*IN_A_NETWORK, "true"], check=False).returncode:
        pytest.skip("needs nft and user namespaces")
    for name in WITH_RULES:
        (tmp_path / f"nfa_{name}.rules").write_text(rules_of(recipes()[name]["script"]), encoding="utf-8")
    written = re.search(r"nfa\.sh <<'END'\n(.*?)\nEND\n", recipes()["wan2"]["script"], re.DOTALL)
    assert written
    load = written[1].replace("/etc/nftables.d", str(tmp_path))
    script = f"PATH=/usr/sbin:/sbin:$PATH; set -e; {load}; {load}; nft list table inet nfa"
    done = subprocess.run([*IN_A_NETWORK, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    rules = [line for line in done.stdout.splitlines() if " @" in line or " ct mark" in line or "\tct mark" in line]
    assert len(rules) == 2 * 4, done.stdout


@pytest.mark.parametrize("name", WITH_RULES)
def test_the_commands_are_shell(name: str) -> None:
    done = subprocess.run(["sh", "-n"], input=recipes()[name]["script"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
