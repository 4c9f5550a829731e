"""What the checks of an expression are given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from ..catalogue import Catalogue
from .tree import Devices, Members

Warn = Callable[[str, str, int, str], None]
"""Takes a code (docs/codes.md), a message, an offset in the text, and a hint."""


@dataclass
class Context:
    """What names mean: the catalogue, address groups and devices by name, and where warnings go.

    `devices` are groups of devices, too; None: one with an error, which has been reported.
    """

    catalogue: Catalogue
    groups: Mapping[str, Members] = field(default_factory=dict)
    devices: Mapping[str, Devices | None] = field(default_factory=dict)
    every_device: Devices | None = field(default_factory=lambda: Devices("*", frozenset()))
    """All of them; None when one has an error."""
    broken_groups: Collection[str] = ()
    """Those of `groups` of which entries could not be read."""
    strict: bool = False
    """The expression spares flows, so a group that lacks entries cannot be used in it."""
    warn: Warn = lambda code, message, offset, hint: None
    info: Warn = lambda code, message, offset, hint: None
