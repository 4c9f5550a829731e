"""Address groups, which expressions name as @group.

In: `address-groups.d/NN-NAME.conf` (an address, network, range or MAC address a line) and `address-groups.json`,
both in netifyd's folder of persistent state (version 5). Out: a `Group` for each name. Bad lines are reported
and skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from nfa.compiler.base.addresses import AddressError, Network, mac_of, networks_of
from nfa.compiler.base.files import FileError, list_folder, read_text
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.config.jsontext import MAX_SIZE, JsonError, Object, Value, parse
from nfa.compiler.config.model import Text

_FILE = re.compile(r"[0-9]+-(.+)\.conf")
_SKIPPED = "the entry is skipped"
STAYS = "its last good version stays in use"
"""The consequence of an error in a section, of a group too, that has a last good version."""
_MEMBERS = ("name", "description", "ips", "macs")


@dataclass(frozen=True)
class Group:
    """Addresses under one name; MAC addresses in lower case with colons. `place` is the first definition.

    `broken`: entries of it could not be read.
    """

    name: str
    networks: tuple[Network, ...]
    macs: tuple[str, ...]
    place: Place
    broken: bool = False


@dataclass
class _Members:
    """A group while it is read; dicts keep the order and drop repetitions. `skipped`: what a bad entry leads to."""

    place: Place
    skipped: str
    networks: dict[Network, None] = field(default_factory=dict)
    macs: dict[str, None] = field(default_factory=dict)
    broken: bool = False


Finder = Callable[[str, Place], _Members]


def load_groups(paths: Paths, reports: Reports, kept: Collection[str] = ()) -> dict[str, Group]:
    """Every address group, by name. A name defined more than once has the members of all definitions.

    `kept`: those of which there is a last good version, in case entries cannot be read.
    """
    found: dict[str, _Members] = {}

    def members(name: str, place: Place) -> _Members:
        return found.setdefault(name, _Members(place, STAYS if name in kept else _SKIPPED))

    _read_folder(os.path.join(paths.state_persistent, "address-groups.d"), members, paths, reports)
    _read_json(paths.look(os.path.join(paths.state_persistent, "address-groups.json")), members, paths, reports)
    return {
        name: Group(name, tuple(members.networks), tuple(members.macs), members.place, members.broken)
        for name, members in found.items()
    }


def _read_folder(folder: str, members_of: Finder, paths: Paths, reports: Reports) -> None:
    try:
        names = list_folder(paths.look(folder), paths.folders)
    except FileNotFoundError:
        return
    except FileError as error:
        _unreadable(error, reports, "the folder is skipped")
        return
    except OSError as error:
        reports.error("file-unreadable", Place(folder, 0, 0), f"cannot read the folder: {error.strerror}")
        return
    for name in names:
        if name.startswith("."):
            continue
        file = os.path.join(folder, name)
        match = _FILE.fullmatch(name)
        if not match:
            reports.warning(
                "bad-name",
                Place(file, 0, 0),
                "the file name of an address group must have the form NN-NAME.conf",
                consequence="the file is skipped",
            )
            continue
        members = members_of(match[1], Place(file, 1, 1))
        try:
            content = read_text(paths.look(file), MAX_SIZE, paths.folders)
        except FileError as error:
            _unreadable(error, reports, members.skipped)
            members.broken = True
            continue
        reports.add_source(file, content)
        for number, line in enumerate(content.split("\n"), 1):
            entry = line.partition("#")[0]
            column = len(entry) - len(entry.lstrip()) + 1
            if entry.strip():
                _add(Text(entry.strip(), Place(file, number, column)), members, reports)


def _read_json(file: str, members_of: Finder, paths: Paths, reports: Reports) -> None:
    if not os.path.exists(file):
        return
    try:
        document = parse(read_text(file, MAX_SIZE, paths.folders), file, reports)
    except FileError as error:
        _unreadable(error, reports, "the file is skipped")
        return
    except JsonError as error:
        reports.error(error.code, error.place, str(error), hint=error.hint, consequence="the file is skipped")
        return
    top = _object(document, ("address_groups",), reports)
    for group in _list(top.get("address_groups"), reports):
        values = _object(group, _MEMBERS, reports)
        name = values.get("name")
        if name is None or not isinstance(name.value, Text) or not name.value.value:
            place = name.place if name else group.place
            reports.error("missing-option", place, "an address group needs a name", consequence="the group is skipped")
            continue
        members = members_of(name.value.value, name.place)
        for kind in ("ips", "macs"):
            lists = values.get(kind)
            members.broken |= lists is not None and lists.value is not None and not isinstance(lists.value, list)
        for entry in _list(values.get("ips"), reports) + _list(values.get("macs"), reports):
            if isinstance(entry.value, Text):
                _add(entry.value, members, reports)
            else:
                members.broken = True
                reports.error("bad-value", entry.place, "expected an address in double quotes", consequence=members.skipped)


def _object(value: Value, known: tuple[str, ...], reports: Reports) -> dict[str, Value]:
    if not isinstance(value.value, Object):
        reports.error("bad-value", value.place, f"expected an object with {', '.join(known)}", consequence=_SKIPPED)
        return {}
    for name, _ in value.value.members:
        if name.value not in known:
            reports.warning(
                "unknown-option",
                name.place,
                f"unknown property {quote(name.value)}",
                hint=did_you_mean(name.value, known),
                consequence="the property is ignored",
            )
    return {name.value: member for name, member in value.value.members}


def _list(value: Value | None, reports: Reports) -> list[Value]:
    if value is None or value.value is None:
        return []
    if isinstance(value.value, list):
        return value.value
    reports.error("bad-value", value.place, "expected a list", consequence=_SKIPPED)
    return []


def _add(entry: Text, members: _Members, reports: Reports) -> None:
    """Add one address, network or MAC address to a group."""
    word = entry.value
    if len(word) > 2 and word[0] == word[-1] and word[0] in "'\"":
        word = word[1:-1].strip()
    mac = mac_of(word)
    if mac is not None:
        members.macs[mac.hex(":")] = None
        return
    message, hint = (
        f"{quote(entry.value)} is not an address",
        "expected an IPv4 or IPv6 address, network or range, or a MAC address",
    )
    try:
        found = networks_of(word)
    except AddressError as fault:
        found, message, hint = (), f"{quote(entry.value)}: {fault}", fault.hint
    members.networks.update(dict.fromkeys(found))
    if not found:
        members.broken = True
        reports.error("bad-address", entry.place, message, hint=hint, consequence=members.skipped)


def _unreadable(error: FileError, reports: Reports, consequence: str) -> None:
    reports.error(error.code, error.place, str(error), hint=error.hint, consequence=consequence, excerpt=error.excerpt)
