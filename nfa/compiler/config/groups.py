"""Address groups, which expressions name as @group.

In: `address-groups.d/NN-NAME.conf` (an address, network or MAC address a line) and `address-groups.json`,
both in netifyd's folder of persistent state (version 5). Out: a `Group` for each name. Bad lines are reported
and skipped.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field

from nfa.compiler.base.files import FileError, list_folder, read_text
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.config.jsontext import MAX_SIZE, JsonError, Object, Value, parse
from nfa.compiler.config.model import Text

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FILE = re.compile(r"[0-9]+-(.+)\.conf")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(\1[0-9a-fA-F]{2}){4}")
_SKIPPED = "the entry is skipped"
_MEMBERS = ("name", "ips", "macs")


@dataclass(frozen=True)
class Group:
    """Addresses under one name; MAC addresses in lower case with colons. `place` is the first definition."""

    name: str
    networks: tuple[Network, ...]
    macs: tuple[str, ...]
    place: Place


@dataclass
class _Members:
    """A group while it is read; dicts keep the order and drop repetitions."""

    place: Place
    networks: dict[Network, None] = field(default_factory=dict)
    macs: dict[str, None] = field(default_factory=dict)


def load_groups(paths: Paths, reports: Reports) -> dict[str, Group]:
    """Every address group, by name. A name defined more than once has the members of all definitions."""
    found: dict[str, _Members] = {}
    _read_folder(os.path.join(paths.state_persistent, "address-groups.d"), found, paths, reports)
    _read_json(os.path.join(paths.state_persistent, "address-groups.json"), found, paths, reports)
    return {name: Group(name, tuple(members.networks), tuple(members.macs), members.place) for name, members in found.items()}


def _read_folder(folder: str, found: dict[str, _Members], paths: Paths, reports: Reports) -> None:
    try:
        names = list_folder(folder, paths.folders)
    except FileNotFoundError:
        return
    except FileError as error:
        _unreadable(error, reports)
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
        try:
            content = read_text(file, MAX_SIZE, paths.folders)
        except FileError as error:
            _unreadable(error, reports)
            continue
        reports.add_source(file, content)
        members = found.setdefault(match[1], _Members(Place(file, 1, 1)))
        for number, line in enumerate(content.split("\n"), 1):
            entry = line.partition("#")[0]
            column = len(entry) - len(entry.lstrip()) + 1
            if entry.strip():
                _add(Text(entry.strip(), Place(file, number, column)), members, reports)


def _read_json(file: str, found: dict[str, _Members], paths: Paths, reports: Reports) -> None:
    if not os.path.exists(file):
        return
    try:
        document = parse(read_text(file, MAX_SIZE, paths.folders), file, reports)
    except FileError as error:
        _unreadable(error, reports)
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
        members = found.setdefault(name.value.value, _Members(name.place))
        for entry in _list(values.get("ips"), reports) + _list(values.get("macs"), reports):
            if isinstance(entry.value, Text):
                _add(entry.value, members, reports)
            else:
                reports.error("bad-value", entry.place, "expected an address in double quotes", consequence=_SKIPPED)


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
    if _MAC.fullmatch(entry.value):
        members.macs[entry.value.lower().replace("-", ":")] = None
        return
    try:
        # A router's own address with its prefix length is the usual way to name a network.
        members.networks[ipaddress.ip_network(entry.value, strict=False)] = None
    except ValueError:
        reports.error(
            "bad-address",
            entry.place,
            f"{quote(entry.value)} is not an address",
            hint="expected an IPv4 or IPv6 address or network, or a MAC address",
            consequence=_SKIPPED,
        )


def _unreadable(error: FileError, reports: Reports) -> None:
    reports.error(
        error.code, error.place, str(error), hint=error.hint, consequence="the file is skipped", excerpt=error.excerpt
    )
