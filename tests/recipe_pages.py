"""What docs/recipes.md and docs/own-rules.md print, to be used as it is printed: policies, rules, files, network's sections.

In: a page. Out: its recipes by their titles. A test that takes them from here cannot differ from what a person copies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "netify-proc-flow-actions"


def _named(text: str, folder: str) -> dict[str, str]:
    """The files of a folder whose names stand above their blocks."""
    return dict(re.findall(rf"^`{folder}/([\w./-]+)`:\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@dataclass(frozen=True)
class Recipe:
    """One section of the page."""

    title: str
    text: str

    def blocks(self, language: str) -> list[str]:
        return re.findall(rf"^```{language}\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)

    @property
    def uci(self) -> str:
        (body,) = self.blocks("uci")
        return body

    @property
    def json(self) -> dict[str, Any]:
        (body,) = self.blocks("json")
        found: dict[str, Any] = json.loads(body)
        return found

    @property
    def rules(self) -> dict[str, str]:
        """Name to contents of what is in /etc/nftables.d."""
        return _named(self.text, "/etc/nftables.d")

    @property
    def lists(self) -> dict[str, str]:
        """Name to contents of what is in netifyd's folder."""
        return _named(self.text, "/etc/netifyd")

    @property
    def network(self) -> str:
        """What to add to /etc/config/network; "" for most recipes."""
        return next((body for body in self.blocks("text") if body.startswith("config interface")), "")


def _text(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def recipes(page: str = "recipes.md") -> dict[str, Recipe]:
    """All recipes of a page, in its order: its sections that have a policy."""
    found = {}
    for part in re.split(r"^## ", _text(page), flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        if "```uci\nconfig " in text and "```json\n" in text:
            found[title] = Recipe(title, text)
    return found


def script() -> str:
    """`/etc/nftables.d/nfa.sh`, which loads the rules."""
    found = re.search(r"`/etc/nftables\.d/nfa\.sh`:\n\n```sh\n(.*?)^```$", _text("own-rules.md"), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def first_policy(text: str) -> str:
    """The configuration that ships after the lines of `uci set` with which a text begins, as `uci` writes it."""
    made = (ROOT / "files" / "etc" / "config" / PACKAGE).read_text(encoding="utf-8")
    steps = re.findall(rf"^#? *uci set {PACKAGE}\.(\w+)\.(\w+)='(.*)'$", text, re.MULTILINE)
    steps = steps[steps.index(("main", "enabled", "1")) :]
    assert len(steps) == 4
    for section, option, value in steps:
        made = uci_set(made, section, option, value)
    return made


def uci_set(text: str, section: str, option: str, value: str) -> str:
    """What `uci set` makes of a configuration that has the option."""
    before = rf"(?m)(^config \w+ '{section}'\n(?:\t.*\n)*?\t)(?:option|list) {option} '.*'"
    made, done = re.subn(before, rf"\1option {option} '{value}'", text)
    assert done == 1, (section, option)
    return made


def merged(chosen: Iterable[Recipe]) -> dict[str, Any]:
    """One JSON file of what several recipes print."""
    found: dict[str, Any] = {}
    for recipe in chosen:
        for name, value in recipe.json.items():
            if isinstance(value, dict):
                found.setdefault(name, {}).update(value)
            elif isinstance(value, list):
                found[name] = list(dict.fromkeys([*found.get(name, []), *value]))
            else:
                found[name] = value
    return found
