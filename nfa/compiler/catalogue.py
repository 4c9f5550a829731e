"""The names a policy may use for applications, protocols, categories and risks, and the ids behind them.

In: the files that the running agent has (`netify-apps.conf`, `netify-categories.json`), searched in its state folders,
over a table of netifyd 4.4.7's names that is part of the package. Out: a `Catalogue` for checks, suggestions and the
commands `nfa apps|protocols|categories`.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from . import categories
from .base.files import FileError, read_bytes, read_text
from .base.paths import FOLDERS

_LIMIT = 16 << 20
_FOLDERS_OF_5 = ("plugins.d", "interfaces.d", "profiles.d")
"""What netifyd 5 has in its folder, and 4 has not."""


@dataclass
class Catalogue:
    """Names to ids; all names in lower case. `sources` says where they come from."""

    applications: dict[str, int] = field(default_factory=dict)
    protocols: dict[str, int] = field(default_factory=dict)
    application_categories: dict[str, int] = field(default_factory=dict)
    protocol_categories: dict[str, int] = field(default_factory=dict)
    risks: dict[str, int] = field(default_factory=dict)
    category_of_application: dict[int, int] = field(default_factory=dict)
    category_of_protocol: dict[int, int] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    """Files of categories that owners keep (`categories.d/NN-TAG.conf`), by tag; netifyd ignores those without a number."""
    sources: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Files of the agent that could not be used, and why."""
    agent: int = 0
    """The version of netifyd on this machine: 4, 5, or 0 where its folder does not tell."""
    complete_applications: bool = False
    """True when the list is the running agent's own, so that a name missing from it is worth a warning."""

    def application(self, name: str) -> int | None:
        """Return the id of an application by its whole tag or by what follows its first dot, without case."""
        lower = name.lower()
        found = self.applications.get(lower)
        return found if found is not None else self.applications.get("netify." + lower)


def category_rows(catalogue: Catalogue) -> tuple[bytes, bytes]:
    """Return the tables that a `View` of the daemon reads: of applications, of protocols; rows of be32 id, be16 category."""

    def packed(table: dict[int, int]) -> bytes:
        rows = [(number, category) for number, category in sorted(table.items()) if 0 <= number < 1 << 32]
        return b"".join(struct.pack(">IH", number, category) for number, category in rows if 0 <= category < 1 << 16)

    return packed(catalogue.category_of_application), packed(catalogue.category_of_protocol)


def rows(catalogue: Catalogue) -> dict[str, list[dict[str, object]]]:
    """Return what a policy may name, for those who choose from lists: apps, protocols and categories, each sorted by name.

    A row has `name` and `id`; one of apps and protocols its `category`, if it has one; one of categories `of`, which says
    whether it is one of applications or of protocols, or only a list of the owner's (`list`, without an id).
    """
    found: dict[str, list[dict[str, object]]] = {"apps": [], "protocols": [], "categories": []}
    for kind, table, tags, category_of in (
        ("apps", catalogue.applications, catalogue.application_categories, catalogue.category_of_application),
        ("protocols", catalogue.protocols, catalogue.protocol_categories, catalogue.category_of_protocol),
    ):
        tag_of = {number: tag for tag, number in tags.items()}
        of = "application" if kind == "apps" else "protocol"
        found["categories"] += [{"name": tag, "id": number, "of": of} for tag, number in sorted(tags.items())]
        for name, number in sorted(table.items()):
            category = tag_of.get(category_of.get(number, -1))
            found[kind].append({"name": name, "id": number, **({"category": category} if category else {})})
    lists = sorted(tag for tag in catalogue.lists if tag not in catalogue.application_categories)
    found["categories"] += [{"name": tag, "id": 0, "of": "list"} for tag in lists]
    return found


def _lower(table: dict[str, int]) -> dict[str, int]:
    return {name.lower(): number for name, number in table.items()}


def builtin() -> Catalogue:
    """Return the names of netifyd 4.4.7 that are part of the package."""
    with open(os.path.join(os.path.dirname(__file__), "data", "names.json"), encoding="utf-8") as file:
        data = json.load(file)
    return Catalogue(
        applications=_lower(data["applications"]),
        protocols=_lower(data["protocols"]),
        application_categories=data["application_categories"],
        protocol_categories=data["protocol_categories"],
        risks=_lower(data["risks"]),
        category_of_application={int(k): v for k, v in data["application_category_of"].items()},
        category_of_protocol={int(k): v for k, v in data["protocol_category_of"].items()},
        sources=[f"built in (netifyd {data['agent']})"],
    )


def _find(name: str, folders: Iterable[str], look: Callable[[str], str]) -> str | None:
    for folder in folders:
        path = look(os.path.join(folder, name))
        if os.path.isfile(path):
            return path
    return None


def _read_applications(path: str) -> dict[str, int]:
    """Read the lines `app:ID:tag` of a netify-apps.conf."""
    lines = read_bytes(path, _LIMIT).decode(errors="replace").split("\n")
    found = (re.match(r"app:(\d{1,10}):(\S{1,128})", line) for line in lines)
    return {match[2].lower(): int(match[1]) for match in found if match}


def load(folders: Iterable[str] = FOLDERS, look: Callable[[str], str] = str) -> Catalogue:
    """Return the agent's names where its files are found and readable, the built-in ones otherwise.

    `look` is told of each file before it is read, also of one that is not there.
    """
    folders = list(folders)
    catalogue = builtin()
    if path := _find("netify-apps.conf", folders, look):
        try:
            applications = _read_applications(path)
        except FileError as error:
            applications = {}
            catalogue.problems.append((path, str(error)))
        if applications:
            catalogue.applications = applications
            catalogue.complete_applications = True
            catalogue.sources.append(path)
    if path := _find("netify-categories.json", folders, look):
        _take_categories(catalogue, path)
    if path := _find("custom-categories.json", folders, look):
        own = _json(path)
        if isinstance(own, list):
            catalogue.application_categories.update(categories.custom(own))
            catalogue.sources.append(path)
        else:
            catalogue.problems.append((path, 'expected a list: [{"id": 10000, "tag": "NAME"}]'))
    for folder in reversed(folders):
        catalogue.lists.update(categories.lists(folder, look))
        if any(os.path.isdir(os.path.join(folder, name)) for name in _FOLDERS_OF_5):
            catalogue.agent = 5
    return catalogue


def _json(path: str) -> object:
    """Return the content of a JSON file; None if it cannot be read."""
    try:
        found: object = json.loads(read_text(path, _LIMIT))
    except (FileError, ValueError, RecursionError):
        return None
    return found


def _take_categories(catalogue: Catalogue, path: str) -> None:
    """Take what a netify-categories.json says instead of the built-in numbers, which may mean something else to the agent."""
    applications, protocols = categories.tables(_json(path))
    if applications is not None:
        catalogue.application_categories = applications.tags
        if applications.category_of is not None:
            catalogue.category_of_application = applications.category_of
    if protocols is not None:
        catalogue.protocol_categories = protocols.tags
        if protocols.category_of is not None:
            catalogue.category_of_protocol = protocols.category_of
    if applications is None and protocols is None:
        catalogue.problems.append((path, "this is no list of netifyd's categories"))
    else:
        catalogue.sources.append(path)
