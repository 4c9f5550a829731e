"""What a configuration file says, before anything is checked.

In: filled by a reader (jsonconfig.py for JSON). Out: `Document`, which build.py merges with others and
checks. Every value keeps its place; nothing is converted, nothing is left out, names may be anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nfa.config.jsontext import Value
from nfa.config.model import Text

Properties = list[tuple[Text, Value]]


@dataclass(frozen=True)
class Section:
    """A named set of properties: an action, a target, or the defaults or globals of a target type."""

    name: Text
    properties: Properties


@dataclass
class Document:
    """One configuration file.

    `exemptions` are lists of entries by name: 'global' is the one that holds for every action, any other is
    used by the actions that name it (UCI). `globals` are version, reprocess_flows and timezone. `versioned`
    says whether the format has a version property.
    """

    file: str
    versioned: bool
    globals: Properties = field(default_factory=list)
    exemptions: list[tuple[Text, Value]] = field(default_factory=list)
    actions: list[Section] = field(default_factory=list)
    targets: list[Section] = field(default_factory=list)
    target_defaults: list[Section] = field(default_factory=list)
    target_globals: list[Section] = field(default_factory=list)
