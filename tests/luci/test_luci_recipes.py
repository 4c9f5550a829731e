"""What the recipes of luci-app-nfa write is a policy without a warning, and rules that nft and the daemon's sets agree with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from luci_app import HERE, needs_node

from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import compile_policy
from nfa.compiler.config.sources import Sources
from nfa.compiler.config.uciconfig import PACKAGE

pytestmark = needs_node

IN_A_NETWORK = ["unshare", "--user", "--map-root-user", "--net"]


@cache
def recipes() -> dict[str, dict]:
    """Return the recipes by their names, as recipes.js prints them."""
    done = subprocess.run(["node", str(HERE / "recipes.js")], capture_output=True, text=True, check=True)
    return {recipe["name"]: recipe for recipe in json.loads(done.stdout)}


@pytest.mark.parametrize("name", ["bedtime", "calls", "wan2", "weak_tls"])
def test_the_daemon_takes_what_a_recipe_writes(name: str, tmp_path: Path) -> None:
    recipe = recipes()[name]
    assert recipe["problems"] == {}
    (tmp_path / PACKAGE).write_text(recipe["config"] + "\n", encoding="utf-8")
    paths = Paths(str(tmp_path), str(tmp_path))
    compiled, reports = compile_policy(Sources(uci=str(tmp_path)), paths, look=False)
    assert compiled is not None
    assert not [str(report) for report in reports.items if "time zone" not in report.message]
    assert [item.action.name for item in compiled.actions if not item.reason] == [name]
    for slot in compiled.slots:
        if slot["kind"] == "nftset":
            # The file of rules makes the set as the daemon does, so it does not matter which of the two comes first.
            shape = r"\s+type (.+)\s+size (\d+)\s+timeout (\d+)([md])"
            made = re.search(rf"set {re.escape(slot['set'])} \{{{shape}", recipe["script"])
            assert made, slot
            assert int(made[2]) == slot["size"]
            assert int(made[3]) * {"m": 60, "d": 86400}[made[4]] == slot["ttl"]


def rules_of(script: str) -> str:
    """The file of rules that the commands write."""
    found = re.search(r"<<'END'\n(.*?)\nEND\n", script, re.DOTALL)
    assert found
    return found[1] + "\n"


@pytest.mark.parametrize("name", ["bedtime", "calls", "wan2"])
def test_nft_takes_the_rules_also_twice(name: str, tmp_path: Path) -> None:
    found = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None or subprocess.run([*IN_A_NETWORK, "true"], check=False).returncode:
        pytest.skip("needs nft and user namespaces")
    file = tmp_path / "rules"
    file.write_text(rules_of(recipes()[name]["script"]), encoding="utf-8")
    script = f"PATH=/usr/sbin:/sbin:$PATH; nft -f {file} && nft -f {file} && nft list chain inet nfa {name}"
    done = subprocess.run([*IN_A_NETWORK, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = [line for line in done.stdout.splitlines() if " @" in line or "ct mark" in line]
    assert len(listed) == 2, done.stdout


@pytest.mark.parametrize("name", ["bedtime", "calls", "wan2"])
def test_the_commands_are_shell(name: str) -> None:
    done = subprocess.run(["sh", "-n"], input=recipes()[name]["script"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
