"""What luci-app-nfa asks of the router is what its ACL allows and what the daemon answers; its menu and texts are complete."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from luci_app import APP, RESOURCES, ROOT, SCRIPTS, VIEWS, asked, needs_node, pot, relative, table

import nfa
from nfa.daemon.bus.methods import METHODS

API = RESOURCES / "nfa/api.js"
NETWORK = "luci-app-nfa-network"
"""The rights that the network's configuration needs, for routes: by themselves, as who has them is nearly root."""
FOR_ALL = {("session", "access")}
"""What rpcd's own unauthenticated.json allows everybody."""
CHANGING = {("nfa", name) for name in ("reload", "flush", "adopt", "add_budget", "pause", "resume")}
UNSHOWN = {"forget_usage", "notice"}
"""No page forgets usage or shows notices yet; `nfa usage` and `nfa notice` do."""


def allowed(right: str, kind: str) -> set[tuple[str, str]]:
    """Return what the ACL gives to a right: (object, method) or (file, access)."""
    given = table("acl")["luci-app-nfa"][right].get(kind, {})
    return {(name, one) for name, many in given.items() for one in many}


@needs_node
def test_each_declared_call_is_allowed_and_each_allowed_one_declared() -> None:
    """A page would be refused what it needs, or a login be given what no page uses."""
    declared = {(call["object"], call["method"]) for call in asked()["declared"]}
    assert declared == allowed("read", "ubus") | allowed("write", "ubus") | FOR_ALL


@needs_node
def test_what_changes_something_needs_the_right_to_write() -> None:
    """Somebody who may only look could empty sets."""
    assert allowed("write", "ubus") == CHANGING
    assert not allowed("read", "ubus") & CHANGING


@needs_node
def test_the_calls_are_the_daemons_methods_with_their_arguments() -> None:
    """The daemon refuses an argument that it does not know; a method without a caller is a feature that no page shows."""
    declared = {call["method"]: call["params"] for call in asked()["declared"] if call["object"] == "nfa"}
    assert declared == {name: list(arguments) for name, (arguments, _) in METHODS.items() if name not in UNSHOWN}


@needs_node
def test_a_call_is_declared_once() -> None:
    """Two declarations of one method drift apart."""
    declared = [(call["object"], call["method"]) for call in asked()["declared"]]
    assert len(declared) == len(set(declared))


@needs_node
def test_the_commands_that_are_executed_are_those_of_the_acl() -> None:
    """rpcd compares whole command lines: one letter off, and a button does nothing."""
    files = allowed("read", "file") | allowed("write", "file")
    assert {access for _, access in files} == {"exec"}
    assert {command for command, _ in files} == set(asked()["executed"])


@needs_node
def test_the_service_is_changed_with_the_right_to_write_only() -> None:
    """Somebody who may only look could stop the daemon."""
    changing = {("/etc/init.d/nfa " + action, "exec") for action in asked()["actions"]}
    assert allowed("write", "file") == changing


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path != API], ids=relative)
def test_only_the_api_talks_to_the_router(path: Path) -> None:
    """A call in a view is one that the comparison with the ACL does not see."""
    required = re.findall(r"^'require (rpc|fs|request)(?: as \w+)?';$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert not required


def packages_of(text: str) -> set[str]:
    """Return the packages of UCI that a script names, also by a constant of its own or of api.js."""
    constants = dict(re.findall(r"^const (\w+) = ([\w.]+|'[^']*');$", text, re.MULTILINE))
    found = set()
    for given in re.findall(r"(?:\buci\.(?:load|[gs]et|unset|add|remove|move|sections)|new form\.\w*Map)\(\s*([^,)\s]+)", text):
        value = constants.get(given, given)
        found.add(asked()["config"] if value == "api.CONFIG" else value.removeprefix("'").removesuffix("'"))
    return found


@needs_node
def test_the_configuration_that_is_read_and_written_is_that_of_the_acl() -> None:
    """A form would stay empty, or Save & Apply be refused."""
    rights = table("acl")
    packages = {path.name: packages_of(path.read_text(encoding="utf-8")) for path in SCRIPTS}
    assert (
        packages.pop("routes.js") == {"network"} == set(rights[NETWORK]["read"]["uci"]) == set(rights[NETWORK]["write"]["uci"])
    )
    own = rights["luci-app-nfa"]
    assert set[str]().union(*packages.values()) == set(own["read"]["uci"]) == set(own["write"]["uci"])
    other = "const CONFIG = api.CONFIG;\nconst Y = 'network';\nuci.load(Y); uci.get('wireless', 'a'); new form.Map(what);"
    assert packages_of(other) == {"network", "wireless", "what"}


def test_the_network_needs_rights_of_its_own() -> None:
    """Who may block an application could change the router's addresses, its networks and its VPN."""
    assert set(table("acl")) == {"luci-app-nfa", NETWORK}
    assert all(set(rights) == {"uci"} for rights in (table("acl")[NETWORK]["read"], table("acl")[NETWORK]["write"]))


def test_each_entry_of_the_menu_leads_to_a_view() -> None:
    """A person would choose a page and get an error."""
    menu = table("menu")
    for place, entry in menu.items():
        assert entry["title"]
        action = entry["action"]
        if action["type"] == "view":
            assert (RESOURCES / "view" / (action["path"] + ".js")).exists(), place
        else:
            assert action["type"] == "alias" and action["path"] in menu
    assert menu["admin/services/nfa"]["depends"]["acl"] == ["luci-app-nfa"]


def test_each_view_is_in_the_menu() -> None:
    """A page that nobody can reach."""
    reached = {entry["action"]["path"] for entry in table("menu").values() if entry["action"]["type"] == "view"}
    assert {f"nfa/{path.stem}" for path in VIEWS if path.parent.name == "nfa"} <= reached


def test_links_within_the_pages_lead_to_pages() -> None:
    """A link to a page that was renamed would be an error."""
    menu = set(table("menu"))
    for path in SCRIPTS:
        for place in re.findall(r"L\.url\('(admin/services/nfa[\w/]*)'", path.read_text(encoding="utf-8")):
            assert place in menu, path


def test_a_table_has_no_key_twice() -> None:
    """The first of the two would be lost without a word."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    for path in (APP / "root").rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)


def test_texts_within_templates_are_found() -> None:
    """A text in a function, or in a template within another, would stay in English."""
    source = "const x = `a${list.map(one => { return _('in %s').format(`b${_('deep')}`); })}c` + _('after');\n"
    source += "const y = `no ${ /[}`]/.test(z) ? '}' : N_(n, 'one', 'more') } _('text')`; // _('comment')"
    assert [key[1] for key, _ in pot.texts_of(source)] == ["in %s", "deep", "after", "one"]


def test_the_template_of_texts_is_up_to_date() -> None:
    """A new text could not be translated. `make pot` makes it anew."""
    command = [sys.executable, str(ROOT / "packaging/pot.py"), str(APP), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "type: make pot"


def test_the_package_has_the_version_of_the_program() -> None:
    """The pages and the daemon are one release."""
    found = re.search(r"^PKG_VERSION:=(.+)$", (APP / "Makefile").read_text(), re.MULTILINE)
    assert found and found[1] == nfa.__version__
