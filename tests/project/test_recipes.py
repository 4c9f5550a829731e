"""The recipes of docs/recipes.md and docs/own-rules.md as they are printed, one by one and all of a page in one configuration.

Their packets: tests/kernel/test_kernel_recipes.py, tests/kernel/test_kernel_own_rules.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from policies import json_only
from recipe_pages import PACKAGE, Recipe, merged, recipes

from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.sources import Sources
from nfa.compiler.provision import nftset

PAGES = {page: recipes(page) for page in ("recipes.md", "own-rules.md")}
RECIPES = {title: recipe for page in PAGES.values() for title, recipe in page.items()}
OTHERS = {"mwan3": 0x3F00, "pbr": 0xFF0000}
"""The bits of marks that other programs use by default: net/mwan3 mmx_mask, net/pbr fw_mask. SQM reads what is written here."""
TITLES = pytest.mark.parametrize("title", RECIPES)


def beside(title: str) -> Iterable[Recipe]:
    """All recipes of its page."""
    return next(page for page in PAGES.values() if title in page).values()


def compiled(folder: Path, chosen: Iterable[Recipe], form: str = "uci") -> Compiled:
    """The policy that these recipes make together, without a finding."""
    chosen = list(chosen)
    state = folder / "state"
    for recipe in chosen:
        for name, body in recipe.lists.items():
            (state / name).parent.mkdir(parents=True, exist_ok=True)
            (state / name).write_text(body, encoding="utf-8")
    if form == "uci":
        (folder / PACKAGE).write_text("\n".join(recipe.uci for recipe in chosen), encoding="utf-8")
        sources = Sources(str(folder), True)
    else:
        file = folder / "policy.json"
        file.write_text(json.dumps(merged(chosen), indent=2), encoding="utf-8")
        sources = json_only(file)
    made, reports = compile_policy(sources, Paths(str(state)), look=False)
    found = [report.text() for report in reports.items if report.severity != "info"]
    assert made is not None and not found, "\n".join(found)
    return made


def targets(policy: Compiled) -> dict[str, Any]:
    """The options of each target."""
    return {target.name: (target.type, target.cut, target.options) for target in policy.policy.targets.values()}


def actions(policy: Compiled) -> list[Any]:
    """What each action is about, in order: criteria, exemptions, hours, and what decides between actions."""
    found = [item.action for item in policy.actions]
    return [
        ([t.value for t in a.criteria], [t.value for t in a.exemptions], a.priority, a.halt_on_match, a.time_of_day)
        for a in found
    ]


@TITLES
@pytest.mark.parametrize("form", ["uci", "json"])
def test_a_recipe_means_the_same_alone_and_with_all_others(title: str, form: str, tmp_path: Path) -> None:
    """One recipe's defaults held for all: what was learnt of Netflix, and the owner's own set, were flushed at each start."""
    alone, together = (tmp_path / name for name in ("alone", "together"))
    alone.mkdir()
    together.mkdir()
    mine = targets(compiled(alone, [RECIPES[title]], form))
    all_of_them = targets(compiled(together, beside(title), form))
    assert mine
    assert {name: all_of_them[name] for name in mine} == mine


@TITLES
def test_a_recipe_shares_no_options_and_says_the_same_in_both_formats(title: str, tmp_path: Path) -> None:
    """Who appends it to what he has would change his own targets."""
    recipe = RECIPES[title]
    assert "target_default" not in recipe.text and "target_globals" not in recipe.text
    folders = [tmp_path / form for form in ("uci", "json")]
    for folder in folders:
        folder.mkdir()
    uci, other = (compiled(folder, [recipe], folder.name) for folder in folders)
    assert list(targets(uci).values()) == list(targets(other).values())
    assert actions(uci) == actions(other)


@TITLES
def test_a_file_of_rules_makes_its_sets_as_the_daemon_does(title: str, tmp_path: Path) -> None:
    """At boot the rules come before the daemon: without sets the file is refused, and with others the target does nothing."""
    recipe = RECIPES[title]
    rules = "\n".join(recipe.rules.values())
    made = {}
    for table, body in re.findall(r"^table inet (\w+) \{\n(.*?)^\}", rules, re.MULTILINE | re.DOTALL):
        for name, kind, size, number, unit in re.findall(
            r"set (\S+) \{ type ([^;]+); size (\d+); timeout (\d+)([mhd]); \}", body
        ):
            made[(table, name)] = (kind, int(size), int(number) * {"m": 60, "h": 3600, "d": 86400}[unit])
    wanted = {
        (slot["table"], slot["set"]): (nftset.key_of(slot["fields"], slot["family"]).text, slot["size"], slot["ttl"])
        for slot in compiled(tmp_path, [recipe]).slots
        if slot["kind"] == "nftset" and "map" not in slot
    }
    assert made == wanted
    assert {name for _, name in made} == set(re.findall(r"@([\w.]+)", rules)), "each set in a rule, and each rule with its set"
    assert {name[-2:] for _, name in made} <= {"v4", "v6"} and len({name[-2:] for _, name in made}) in (0, 2), "both families"


def test_recipes_need_no_rules() -> None:
    """ "Block" meant: copy a policy, then write rules, or nothing is blocked."""
    assert [title for title, recipe in PAGES["recipes.md"].items() if recipe.rules] == []
    assert all(recipe.rules for recipe in PAGES["own-rules.md"].values())


def test_recipes_share_no_chain_no_file_and_no_set() -> None:
    """Loading the rules of one recipe would empty the chain of another."""
    chains = [
        name
        for recipe in RECIPES.values()
        for name in re.findall(r"flush chain (inet \w+ \w+)", "".join(recipe.rules.values()))
    ]
    files = [name for recipe in RECIPES.values() for name in recipe.rules]
    assert len(chains) == len(set(chains)) >= 5 and len(files) == len(set(files)) >= 4
    for recipe in RECIPES.values():
        for body in recipe.rules.values():
            assert set(re.findall(r"^  chain (\w+) \{", body, re.MULTILINE)) == set(
                re.findall(r"flush chain inet \w+ (\w+)", body)
            )


def test_every_mark_is_written_and_read_with_a_mask_that_is_the_recipes_own(tmp_path: Path) -> None:
    """One recipe's mark erased another one's: every second packet of such a connection was lost. mwan3 and pbr lost theirs."""
    made = {}
    for page, chosen in PAGES.items():
        (tmp_path / page).mkdir()
        slots = compiled(tmp_path / page, chosen.values()).slots
        made[page] = sorted({(slot["mark"], slot["mask"]) for slot in slots if slot["kind"] == "ctmark"})
    assert made["recipes.md"] == [(0x88, 0xBF), (0xAE, 0xBF), (0x1000000, 0xFF000000)]
    assert made["own-rules.md"] == [(0xB9000000, 0xFF000000)]
    rules = "\n".join(body for recipe in RECIPES.values() for body in recipe.rules.values())
    assert not re.findall(r"mark set (?!(?:ct|meta) mark and )", rules), "a mark is written whole"
    assert not re.findall(r"(?:ct|meta) mark (?!and |set )", rules), "a mark is compared whole"
    kept = {int(mask, 16) for mask in re.findall(r"mark set (?:ct|meta) mark and (0x[0-9a-f]+) or", rules)}
    read = {int(mask, 16) for mask in re.findall(r"ct mark and (0x[0-9a-f]+) ==", rules)}
    assert kept == {0xFFFFFFFF & ~0xC000} and read == {0xFF000000, 0xC000}
    for name, others in OTHERS.items():
        assert not others & (0xC000 | 0xFF000000 | 0xBF), name
    network = "\n".join(recipe.network for recipe in RECIPES.values())
    assert set(re.findall(r"option mark '(.*)'", network)) == {"0x4000/0xc000"}


def test_routes_are_part_of_the_networks_configuration() -> None:
    """What `ip route add` and `ip rule add` make is gone at the next reboot, and the route when the interface goes down."""
    text = "".join(recipe.text for recipe in RECIPES.values())
    assert "ip route add" not in text and "ip rule add" not in text and "nft add" not in text
