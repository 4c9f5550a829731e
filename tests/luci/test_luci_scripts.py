"""The scripts of luci-app-nfa: their syntax, LuCI's rules and our own, and how their modules behave under node."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from luci_app import APP, ESLINT, HERE, RESOURCES, SCRIPTS, needs_eslint, needs_node, pot, relative

# LuCI's loader makes a function of a file: `return` at its top is right there.
WRAPPED = "(function(_, N_, L, E) {%s\n})"


@needs_node
@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_a_script_is_javascript(path: Path) -> None:
    """A page with a slip in its syntax would stay empty."""
    script = WRAPPED % path.read_text(encoding="utf-8")
    done = subprocess.run(["node", "--check", "-"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_a_script_is_plain_ascii(path: Path) -> None:
    """LuCI minifies scripts with a program that knows no other letters."""
    assert path.read_text(encoding="utf-8").isascii()


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_a_regular_expression_stands_where_the_minifier_sees_it(path: Path) -> None:
    """LuCI's jsmin takes what follows a word or `=>` for a division: a quote in it would break the whole script."""
    before = ""
    for kind, text, line in pot.tokens(path.read_text(encoding="utf-8")):
        assert kind != "regex" or before in "(,=:[!&|?{};+-*/~", f"{path.name}:{line}: put {text} into parentheses"
        before = text


def offered(module: str) -> set[str]:
    """Return the names that a module gives to others."""
    text = (RESOURCES / f"{module.replace('.', '/')}.js").read_text(encoding="utf-8")
    (given,) = re.findall(r"^return baseclass\.extend\(\{(.*)\}\);$", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^\t(\w+)[:(]" if "\n" in given else r"(\w+):", given, re.MULTILINE))


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_what_a_script_asks_of_a_module_is_there(path: Path) -> None:
    """A dialog would not open, with nothing to see but in the browser's console."""
    text = path.read_text(encoding="utf-8")
    for module, name in re.findall(r"^'require (nfa\.\w+) as (\w+)';$", text, re.MULTILINE):
        used = set(re.findall(rf"(?<![\w.]){name}\.(\w+)", text))
        assert used and used <= offered(module), module


@needs_eslint
def test_the_scripts_keep_the_rules() -> None:
    """An undefined name breaks a page; a text outside of a list lets a device's name run as a script."""
    command = [str(ESLINT), "-c", str(HERE / "eslint.config.mjs"), "--max-warnings", "0", "htdocs"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=APP, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


UNSAFE = {
    "a text as children": "E('p', {}, name);",
    "a constant as children": "E('p', {}, 'x');",
    "a translated text as children": "E('p', {}, _('x'));",
    "a formatted text as children": "E('p', {}, _('%s').format(name));",
    "a text in the place of attributes": "E('p', _('x'));",
    "a template in the place of attributes": "E('p', `x${name}`);",
    "a choice of texts as children": "E('p', {}, name ? 'x' : 'y');",
    "markup as an element": "E('<p>x</p>');",
    "made-up markup as an element": "E(`<p>${name}</p>`);",
    "innerHTML": "node.innerHTML = name;",
    "insertAdjacentHTML": "node.insertAdjacentHTML('beforeend', name);",
    "rawhtml": "name.rawhtml = true;",
    "rawhtml of an object": "name({ rawhtml: true });",
    "a text as content": "dom.content(node, name);",
    "a text appended": "dom.append(node, _('x'));",
    "a dialog's title": "ui.showModal(_('x'), [ 'y' ]);",
    "a dialog's text": "ui.showModal(null, name);",
    "a notification's text": "ui.addNotification(null, _('x'), 'error');",
    "a parser": "new DOMParser();",
    "a text that is put together": "name(_('Hello ') + node);",
    "a text that is no literal": "name(_(node));",
    "a call of its own": "rpc.declare({});",
    "a file of its own": "fs.exec('/bin/sh');",
    "a name that is not there": "nobody();",
}

SAFE = {
    "a list": "E('p', {}, [ name ]);",
    "a list without attributes": "E('p', [ name ]);",
    "an empty element": "E('p');",
    "a list made of another": "E('p', {}, name.map(one => E('b', {}, [ one ])));",
    "a choice of lists": "E('p', {}, name ? [ name ] : []);",
    "a list as content": "dom.content(node, [ name ]);",
    "a dialog": "ui.showModal([ _('x') ], [ E('p', {}, [ name ]) ]);",
    "a notification": "ui.addNotification(null, [ E('p', {}, [ name ]) ], 'error');",
}

SCRIPT = """\
'use strict';
'require dom';
'require fs';
'require rpc';
'require ui';
const name = L.name, node = L.node;
%s
return [ dom, fs, rpc, ui, name, node ];
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What eslint finds in each of these, as if they were views: in all of them at once, because it takes a second to start."""
    folder = tmp_path_factory.mktemp("views")
    scripts = folder / "htdocs/luci-static"
    scripts.mkdir(parents=True)
    names = [*UNSAFE, *SAFE]
    for number, line in enumerate((UNSAFE | SAFE).values()):
        (scripts / f"{number}.js").write_text(SCRIPT % line)
    command = [str(ESLINT), "-c", str(HERE / "eslint.config.mjs"), "--format", "json", "htdocs"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.stdout, done.stderr
    return {names[int(Path(file["filePath"]).stem)]: file["messages"] for file in json.loads(done.stdout)}


@needs_eslint
@pytest.mark.parametrize("name", UNSAFE)
def test_the_rules_find_what_is_unsafe(name: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """Nobody would notice a rule that has stopped to work."""
    assert [(message["line"], message["severity"]) for message in found[name]] == [(7, 2)], found[name]


@needs_eslint
@pytest.mark.parametrize("name", SAFE)
def test_the_rules_let_pass_what_is_safe(name: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """A rule that complains of what is right would be switched off."""
    assert found[name] == []


@needs_node
@pytest.mark.parametrize("path", sorted(HERE.glob("*.test.js")), ids=lambda path: path.name)
def test_a_module_does_what_its_tests_say(path: Path) -> None:
    """The pages would show wrong words and numbers."""
    done = subprocess.run(["node", "--test", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
