"""netifyd's files about categories: their tags and numbers, what belongs to them, and the lists that owners keep.

In: `netify-categories.json` (of today, and of before 2023, without numbers), `custom-categories.json` and the lists
`categories.d/NN-TAG.conf` (version 5; `domains.d` in version 4). Out: tables for the catalogue, and what a list holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .base.addresses import AddressError, Network, networks_of

LIST_FOLDERS = ("categories.d", "domains.d")
MAX_ENTRIES = 20_000
"""Entries of the lists of one tag: more belong into netifyd, which matches them while it looks at packets."""

_FILE = re.compile(r"[0-9]+[-.](.+)\.(?:conf|txt)")


@dataclass
class Table:
    """Tags in lower case to numbers, and members (of applications, or of protocols) to the number of their category."""

    tags: dict[str, int]
    category_of: dict[int, int] | None
    """None where the file does not say it."""


def tables(data: object) -> tuple[Table | None, Table | None]:
    """Return what a netify-categories.json says of applications and of protocols; None for what it does not say.

    The older form has lists by tag and no numbers: netifyd then counts the tags from 1, in alphabetical order.
    """
    if not isinstance(data, dict):
        return None, None
    applications, protocols = (
        _table(data.get(f"{kind}_tag_index"), data.get(f"{kind}_index")) for kind in ("application", "protocol")
    )
    return applications, protocols


def _table(tags: object, index: object) -> Table | None:
    if tags is None and isinstance(index, dict):
        lists = [(tag, index[tag]) for tag in sorted(index) if isinstance(index[tag], list)]
        rows = [(number, tag, members) for number, (tag, members) in enumerate(lists, 1)]
        found = {tag.lower(): number for number, tag, _ in rows}
        # The first category that has a member counts, as in netifyd.
        category_of = {member: number for number, _, members in reversed(rows) for member in members if isinstance(member, int)}
        return Table(found, category_of) if found else None
    known = {tag.lower(): number for tag, number in tags.items() if isinstance(number, int)} if isinstance(tags, dict) else {}
    return Table(known, None if index is None else _members(index)) if known else None


def _members(rows: object) -> dict[int, int]:
    """Turn `[[category number, [members]], ...]` into member -> number; what has another form is left out."""
    table: dict[int, int] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, list) and len(row) == 2 and isinstance(row[0], int) and isinstance(row[1], list):
            table.update((member, row[0]) for member in row[1] if isinstance(member, int))
    return table


def custom(data: object) -> dict[str, int]:
    """Return the tags of a custom-categories.json: `[{"id": 10000, "tag": "self-harm", "label": "Self Harm"}, ...]`."""
    found = {}
    for row in data if isinstance(data, list) else []:
        tag, number = (row.get("tag"), row.get("id")) if isinstance(row, dict) else (None, None)
        if isinstance(tag, str) and isinstance(number, int) and not isinstance(number, bool):
            found[tag.lower()] = number
    return found


def lists(folder: str, look: Callable[[str], str] = str) -> dict[str, list[str]]:
    """Return the files of owners' lists in netifyd's folder, by tag. `look` is told of each folder and file."""
    found: dict[str, list[str]] = {}
    for name in LIST_FOLDERS:
        path = look(os.path.join(folder, name))
        try:
            names = sorted(os.listdir(path))
        except OSError:
            continue
        for match in filter(None, map(_FILE.fullmatch, names)):
            found.setdefault(match[1].lower(), []).append(look(os.path.join(path, match[0])))
    return found


@dataclass
class Entries:
    """What the lists of a tag hold: domains (with all that is under them), networks, patterns for whole names.

    `wrong` are lines that are nothing of these: (line number, text).
    """

    domains: list[str] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    wrong: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.domains) + len(self.networks) + len(self.patterns)


def entries(text: str) -> Entries:
    """Return what a list holds: lines `dom:NAME`, `net:NETWORK` and `rxp:PATTERN`; a line without a type is a domain."""
    found = Entries()
    for number, line in enumerate(text.split("\n"), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        kind, colon, value = entry.partition(":")
        if not colon:
            kind, value = "dom", entry
        value = value.strip()
        if kind == "dom" and value:
            found.domains.append(value.lower().strip("."))
        elif kind == "rxp" and value:
            found.patterns.append(value)
        else:
            try:
                networks = networks_of(value) if kind == "net" else ()
            except AddressError:
                networks = ()
            found.networks += networks
            if not networks:
                found.wrong.append((number, entry))
    return found
