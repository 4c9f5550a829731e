"""The last good version of each section: what a section that has an error goes on with while the daemon lives.

In: what the compilation before this one gave for the daemon to keep, as bytes; what is read now. Out: for a section with an
error its last good version, and bytes for the next compilation. The daemon only keeps the bytes: it has no use for what is in
them. A section that is gone, or switched off, has no last good version: off is off.
"""

from __future__ import annotations

import ipaddress
import marshal
import re
import zlib
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from nfa.compiler.base.report import Place
from nfa.compiler.config.groups import STAYS, Group
from nfa.compiler.config.model import Action, Budget, Channel, DayAmount, Device, DeviceGroup, Notice, Target, Text, Window
from nfa.compiler.config.origins import Entry, Origin, Origins
from nfa.compiler.expression.tree import Network

MAX_SIZE = 1 << 20
"""Bytes that the daemon keeps; a policy that needs more has no last good version."""

_MAX_UNPACKED = 64 << 20
_FORMAT = 2
_NETWORK = "network"
_CLASSES = (
    Action, Budget, Channel, DayAmount, Device, DeviceGroup, Entry, Group, Network, Notice, Origin, Origins, Place, Target,
    Text, Window,
)  # fmt: skip
_GROUP = re.compile(r"@([^\s;&|()!=]+)")


@dataclass
class LastGood:
    """Sections without an error, by name; criteria and exemptions with their files read in.

    `options`: values of settings that have a built-in default, by what has them, the file, and the option's key.
    """

    actions: dict[str, Action] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    device_groups: dict[str, DeviceGroup] = field(default_factory=dict)
    notices: dict[str, Notice] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    exemptions: list[Text] = field(default_factory=list)
    options: dict[tuple[str, str, str], object] = field(default_factory=dict)

    def pack(self) -> bytes:
        """The bytes for the daemon; b"" when there are too many."""
        data = {one.name: _plain(getattr(self, one.name)) for one in fields(self)}
        packer = zlib.compressobj(6, zlib.DEFLATED, 12, 5)  # a small window: the usual one takes a quarter of a megabyte
        raw = packer.compress(marshal.dumps((_FORMAT, data))) + packer.flush()
        return raw if len(raw) <= MAX_SIZE else b""

    @classmethod
    def unpack(cls, raw: bytes, *more: type) -> LastGood:
        """What `pack` made; nothing where this release has another form. `more`: classes that options have values of."""
        classes = {made.__name__: made for made in _CLASSES + more}
        try:
            form, data = marshal.loads(zlib.decompressobj().decompress(raw, _MAX_UNPACKED))
            return cls(**{name: _object(value, classes) for name, value in data.items()}) if form == _FORMAT else cls()
        except (zlib.error, EOFError, ValueError, TypeError, KeyError):
            return cls()


@dataclass
class Keeping:
    """One compilation: what was good before it (`last`), what is good now (`good`), and what stays in its last good version
    (`kept`): pairs of a section's kind and name."""

    last: LastGood = field(default_factory=LastGood)
    good: LastGood = field(default_factory=LastGood)
    kept: dict[tuple[str, str], None] = field(default_factory=dict)

    def consequence(self, kind: str, name: str, without: str, off: bool = False) -> str:
        """What an error in a section leads to. `without`: when it has no last good version; `off`: it is switched off."""
        if off:
            return f"the {kind} is disabled anyway"
        return STAYS if name in (self.last.actions if kind == "action" else self.last.targets) else without

    def target(self, name: str, place: Place, off: bool) -> Target | None:
        """The last good version of a target that has an error, now at `place`; None when there is none."""
        found = self.last.targets.get(name)
        if found is None:
            return None
        if not off:
            self.kept["target", name] = None
        return replace(found, place=place, enabled=not off, trouble="")

    def action(self, action: Action, targets: dict[str, Target]) -> Action | None:
        """The last good version of an action that has an error, with those of its targets that are still there, or None."""
        found = self.last.actions.get(action.name)
        if found is None or not action.enabled:
            return None
        self.kept["action", action.name] = None
        reached = [name for name in found.targets if name in targets]
        return replace(found, place=action.place, order=action.order, targets=reached)

    def keep(self, action: Action) -> None:
        """An action is good, or stays in its last good version. Where its values were written is of no use later."""
        self.good.actions[action.name] = replace(action, origins=Origins())

    def keep_groups(self, found: dict[str, Group]) -> None:
        """Keep the groups that good expressions name, for the case that they have an error next time."""
        texts = [*self.good.exemptions, *(text for one in self.good.actions.values() for text in one.criteria + one.exemptions)]
        groups = self.last.groups | found
        for name in {name for text in texts for name in _GROUP.findall(text.value)}:
            if name in groups and not groups[name].broken:
                self.good.groups[name] = groups[name]


def _plain(value: object) -> object:
    """A value as what `marshal` takes: tuples (kind, content), anything else as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return _NETWORK, str(value)
    if isinstance(value, dict):
        return "dict", {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [_plain(item) for item in value]
    return value


def _object(data: Any, classes: dict[str, Any]) -> Any:
    """The way back. Raises ValueError, TypeError or KeyError for what `_plain` of this release does not make."""
    if not isinstance(data, tuple):
        return data
    kind, content = data
    if kind == "dict":
        return {key: _object(item, classes) for key, item in content.items()}
    if kind in ("list", "tuple"):
        items = [_object(item, classes) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == _NETWORK:
        return ipaddress.ip_network(content)
    return classes[kind](**{name: _object(item, classes) for name, item in content.items()})
