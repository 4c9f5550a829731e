"""The configuration that the package brings, and what becomes of one that was there before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from recipe_pages import first_policy

from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.sources import Sources

ROOT = Path(__file__).resolve().parents[2]
NAME = "netify-proc-flow-actions"
SHIPPED = (ROOT / "files/etc/config" / NAME).read_text()
DEFAULTS = ROOT / "files/etc/uci-defaults/60-nfa"

needs_ash = pytest.mark.skipif(not shutil.which("busybox"), reason="there is no busybox")


def compiled(folder: Path, text: str) -> Compiled:
    """Compile a configuration in which nothing may be wrong."""
    (folder / NAME).write_text(text)
    made, reports = compile_policy(Sources(str(folder), True), Paths(str(folder), str(folder)), look=False)
    found = [report.text() for report in reports.items if report.severity != "info"]
    assert made is not None and not found, "\n".join(found)
    return made


def test_as_shipped_nothing_happens(tmp_path: Path) -> None:
    """An installation that changes what the router does, or makes sets that nobody uses, would be a surprise."""
    made = compiled(tmp_path, SHIPPED)
    assert made.policy.actions and not any(action.enabled for action in made.policy.actions)
    assert not made.slots
    assert re.search(r"^config nfa 'main'\n\toption enabled '0'$", SHIPPED, re.MULTILINE)


@pytest.mark.parametrize("page", [f"files/etc/config/{NAME}", "docs/openwrt.md", "README.md"])
def test_five_lines_of_uci_block_youtube_on_a_tablet(page: str, tmp_path: Path) -> None:
    """It is what a newcomer types first; what else is in the file stays out of the kernel."""
    text = (ROOT / page).read_text()
    made = compiled(tmp_path, first_policy(text))
    assert [action.name for action in made.policy.actions if action.enabled] == ["no_youtube"]
    assert not [slot for slot in made.slots if "map" not in slot] and made.firewall
    assert list(made.firewall["effects"]) == ["stop"] and made.firewall["effects"]["stop"]["block"]


def test_the_first_policy_of_the_documentation_works(tmp_path: Path) -> None:
    """With the real `uci`, which makes an option of what was a list."""
    uci = shutil.which("uci", path=f"{os.environ.get('NFA_PEERS', '/nonexistent')}/bin:{os.environ.get('PATH', '')}")
    if not uci:
        pytest.skip("needs uci in $PATH or $NFA_PEERS/bin")
    text = (ROOT / "docs/openwrt.md").read_text()
    lines = re.search(r"## The first policy\n.*?```sh\n(.*?)^service nfa start\n```", text, re.DOTALL | re.MULTILINE)
    assert lines and lines[1].count("\n") == 5
    (tmp_path / NAME).write_text(SHIPPED)
    there = f"uci() {{ '{uci}' -c '{tmp_path}' -t '{tmp_path}/changes' \"$@\"; }}\n"
    subprocess.run(["sh", "-e", "-c", there + lines[1]], check=True)
    made = compiled(tmp_path, (tmp_path / NAME).read_text())
    assert [action.name for action in made.policy.actions if action.enabled] == ["no_youtube"]


def test_the_documentation_says_what_everything_in_it_is_for(tmp_path: Path) -> None:
    text = (ROOT / "docs/openwrt.md").read_text()
    policy = compiled(tmp_path, SHIPPED).policy
    for name in {*policy.targets, *(action.name for action in policy.actions)}:
        assert f"`{name}`" in text, f"the page does not say what {name} is for"


def test_everything_in_it_works_when_it_is_enabled(tmp_path: Path) -> None:
    made = compiled(tmp_path, SHIPPED.replace("enabled '0'", "enabled '1'"))
    assert all(not item.reason for item in made.actions)
    assert {target.type for target in made.policy.targets.values()} == {"firewall", "log"}


def test_the_options_that_are_commented_out_are_right(tmp_path: Path) -> None:
    """Whoever takes the # away would get an error message for his trouble."""
    text = re.sub(r"^(\t?)#(?=\t?(option|list|config) )", r"\1", SHIPPED, flags=re.MULTILINE)
    assert "\n\toption timezone" in text and "\nconfig time_of_day 'bedtime'" in text
    compiled(tmp_path, text.replace("${path_state_persistent}/netify-proc-flow-actions.json", "none"))


# -- what was there before -----------------------------------------------------------------------------------------------


def with_defaults(folder: Path, text: str | None) -> str | None:
    """Run the uci-defaults script over a configuration, twice; return what is there then."""
    config = folder / NAME
    if text is not None:
        config.write_text(text)
    script = DEFAULTS.read_text().replace("/etc/config/", f"{folder}/")
    for _ in range(2):
        # functions.sh sources it in a subshell, and deletes it when it succeeds.
        subprocess.run(["busybox", "ash", "-c", script], check=True)
    return config.read_text() if config.exists() else None


@needs_ash
def test_a_configuration_of_netifys_plugin_gets_the_section_that_switches_nfa_and_keeps_every_byte(tmp_path: Path) -> None:
    before = "config action 'a'\n\tlist criteria '*'\n\tlist target 'x'\n# mine\nconfig target 'x'\n\toption target_type 'log'"
    after = with_defaults(tmp_path, before)
    assert after == before + "\nconfig nfa 'main'\n\toption enabled '1'\n"
    assert compiled(tmp_path, after).policy.targets.keys() == {"x"}


@needs_ash
@pytest.mark.parametrize("head", ["config nfa 'main'", 'config "nfa" "main"', "\tconfig\tnfa main", "config nfa"])
def test_a_configuration_of_nfa_is_left_alone(tmp_path: Path, head: str) -> None:
    text = f"config nfactory 'x'\n{head}\n\toption enabled '0'\n"
    assert with_defaults(tmp_path, text) == text


@needs_ash
def test_a_similar_name_is_not_the_section(tmp_path: Path) -> None:
    after = with_defaults(tmp_path, "config nfactory 'main2'\n#config nfa 'main'\n")
    assert after is not None and after.count("config nfa 'main'") == 2


@needs_ash
def test_no_configuration_is_made_where_there_is_none(tmp_path: Path) -> None:
    assert with_defaults(tmp_path, None) is None
    assert with_defaults(tmp_path, SHIPPED) == SHIPPED
