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

from .base.files import FileError, read_bytes, read_text
from .base.paths import FOLDERS

_LIMIT = 16 << 20


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
    sources: list[str] = field(default_factory=list)
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
    whether it is one of applications or of protocols.
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


def _index(rows: object) -> dict[int, int]:
    """Turn `[[category id, [member ids]], ...]` into member id -> category id; what has another form is left out."""
    table: dict[int, int] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, list) and len(row) == 2 and isinstance(row[0], int) and isinstance(row[1], list):
            table.update((member, row[0]) for member in row[1] if isinstance(member, int))
    return table


def load(folders: Iterable[str] = FOLDERS, look: Callable[[str], str] = str) -> Catalogue:
    """Return the agent's names where its files are found and readable, the built-in ones otherwise.

    `look` is told of each file before it is read, also of one that is not there.
    """
    folders = list(folders)
    catalogue = builtin()
    if path := _find("netify-apps.conf", folders, look):
        try:
            applications = _read_applications(path)
        except FileError:
            applications = {}
        if applications:
            catalogue.applications = applications
            catalogue.complete_applications = True
            catalogue.sources.append(path)
    if path := _find("netify-categories.json", folders, look):
        try:
            data = json.loads(read_text(path, _LIMIT))
        except (FileError, ValueError, RecursionError):
            data = None
        if isinstance(data, dict):
            for key, table in (
                ("application_tag_index", catalogue.application_categories),
                ("protocol_tag_index", catalogue.protocol_categories),
            ):
                tags = data.get(key)
                if isinstance(tags, dict):
                    table.update({t.lower(): n for t, n in tags.items() if isinstance(n, int)})
            catalogue.category_of_application.update(_index(data.get("application_index")))
            catalogue.category_of_protocol.update(_index(data.get("protocol_index")))
            catalogue.sources.append(path)
    return catalogue
