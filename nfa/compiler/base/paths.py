"""Where netifyd keeps its state, and `${path_...}` in file names.

In: netifyd's own configuration, /etc/netifyd.conf. Out: `Paths`, which expands `${path_state_persistent}/x`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nfa.compiler.base.files import FileError, read_text
from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.image import cpython as image

CONF = "/etc/netifyd.conf"
MAX_CONF_SIZE = 1 << 20
JSON_NAME = "netify-proc-flow-actions.json"
FOLDERS = ("/etc/netifyd", "/etc/netify.d")
"""netifyd's folder in Netify's packages, and in OpenWrt's of version 4."""

OWN_FOLDERS = ("/etc/nfa", "/etc/config")
TOO_WIDE = ("/", "/boot", "/dev", "/etc", "/home", "/proc", "/root", "/sys", "/usr", "/var")
"""Folders that a file on the command line does not open to what a configuration names."""

_POLICY_FILES = (JSON_NAME, "address-groups.d", "address-groups.json")
_AGENT_FILES = ("netify-apps.conf", "netify-categories.json")

_SETTING = re.compile(r"\s*(path_state_persistent|path_state_volatile)\s*=\s*(.*?)\s*")
_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")


class PathError(ValueError):
    """A `${name}` that cannot be expanded; `offset` is where it stands in the text."""

    code = "unknown-variable"

    def __init__(self, message: str, offset: int, hint: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.hint = hint


@dataclass(frozen=True)
class Paths:
    """netifyd's folders: one that outlives a reboot, one that does not.

    `readable`: whether the files that a configuration names are read. They are not when it comes over the bus: who sends it
    is not trusted as root is, and what is in a file shows in findings. `unused`: another folder of netifyd that holds a
    policy or address groups, which nobody reads; "" for none. `looked_at`: files and folders that the policy is made from, or
    would be if they were there, each with its stamp (see `nfa.image.cpython`) of before it was read. `named`: folders that root
    named on the command line.
    """

    state_persistent: str = "/etc/netifyd"
    state_volatile: str = "/var/run/netifyd"
    readable: bool = True
    unused: str = ""
    looked_at: dict[str, image.Stamp] = field(default_factory=dict, compare=False, repr=False)

    def look(self, path: str) -> str:
        """The path itself, which is about to be read: the daemon watches it, also where there is nothing (yet)."""
        if path not in self.looked_at:
            self.looked_at[path] = image.stamp(path)
        return path

    named: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """Where files are read that a configuration names; root can allow more (see `nfa.daemon.base.allowed`)."""
        return tuple(dict.fromkeys((self.state_persistent, *FOLDERS, *OWN_FOLDERS, *self.named)))

    def with_named(self, files: Iterable[str]) -> Paths:
        """The same when root has named these files or folders: what is beside them is allowed as well."""
        found = {path if os.path.isdir(path) else os.path.dirname(path) for path in map(os.path.realpath, files)}
        return replace(self, named=tuple(sorted({*self.named, *found} - set(TOO_WIDE))))

    @classmethod
    def read(cls, conf: str = CONF, override: Mapping[str, str] | None = None, reports: Reports | None = None) -> Paths:
        """The folders that netifyd's configuration `conf` names, or netifyd's defaults.

        `override` (path_state_persistent, path_state_volatile) comes before both. A file that cannot be read
        or a path that is not absolute falls back to the default; `reports`, when given, gets a warning for
        the latter.
        """
        looked_at = {conf: image.stamp(conf)}
        default, other = _default_folder(looked_at)
        found = {"path_state_persistent": default, "path_state_volatile": cls.state_volatile}
        try:
            lines = read_text(conf, MAX_CONF_SIZE).split("\n")
        except FileError:
            lines = []
        for number, line in enumerate(lines, 1):
            if match := _SETTING.fullmatch(line):
                name, path = match[1], match[2].strip("\"'")
                if path.startswith("/"):
                    found[name] = path.rstrip("/")
                elif reports:
                    message = f"{quote(name)} is not an absolute path: {quote(path)}"
                    place = Place(conf, number, match.start(2) + 1)
                    reports.warning("bad-value", place, message, consequence=f"{found[name]} is used instead")
        found.update(override or {})
        persistent = found["path_state_persistent"]
        return cls(persistent, found["path_state_volatile"], unused=other if persistent == default else "", looked_at=looked_at)

    def expand(self, text: str) -> str:
        """`text` with every `${name}` replaced. Raises PathError for an unknown name or a missing '}'."""
        values = {
            "path_state_persistent": self.state_persistent,
            "path_state_volatile": self.state_volatile,
        }

        def replace(match: re.Match[str]) -> str:
            name, closed = match.groups()
            if not closed:
                raise PathError("'${' has no matching '}'", match.start(), "")
            if name not in values:
                hint = did_you_mean(name, values)
                raise PathError(f"unknown variable {quote('${' + name + '}')}", match.start(), hint)
            return values[name]

        return _VARIABLE.sub(replace, text)


def _default_folder(looked_at: dict[str, image.Stamp]) -> tuple[str, str]:
    """netifyd's folder when its configuration names none, and another one that holds a policy too ("" for none).

    What is in the folders decides: an empty /etc/netifyd must not hide what is in /etc/netify.d.
    """
    for path in (os.path.join(folder, name) for folder in FOLDERS for name in _POLICY_FILES):
        looked_at[path] = image.stamp(path)
    policies, agents = (
        [folder for folder in FOLDERS if any(os.path.lexists(os.path.join(folder, name)) for name in names)]
        for names in (_POLICY_FILES, _AGENT_FILES)
    )
    there = policies or agents or [folder for folder in FOLDERS if os.path.isdir(folder)] or FOLDERS
    return there[0], policies[1] if len(policies) > 1 else ""
