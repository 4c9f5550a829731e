"""What a configuration file says, before anything is checked.

In: filled by a reader (jsonconfig.py for JSON, uciconfig.py for UCI). Out: `Document`, which build.py merges with others and
checks. Every value keeps its place; nothing is converted, nothing is left out, names may be anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from nfa.compiler.base.report import Place
from nfa.compiler.config.jsontext import Value
from nfa.compiler.config.model import Text

Properties = list[tuple[Text, Value]]

GLOBAL = "global"
"""The name of the exemptions that hold for all actions."""

# UCI's section types, and what JSON calls all sections of the type.
SINGULARS = {
    "action": "actions",
    "target": "targets",
    "target_default": "target_defaults",
    "target_global": "target_globals",
    "exemption": "exemptions",
    "device": "devices",
    "group": "groups",
    "notice": "notices",
    "budget": "budgets",
}


def is_slip(word: str, meant: Collection[str], others: Iterable[str] = ()) -> bool:
    """Whether a word is so like one of `meant` that hardly anything else can be meant; `others`: what else could be."""
    import difflib  # only a slip needs it

    near = difflib.get_close_matches(word[:64].casefold(), (*meant, *others), n=1, cutoff=0.8)
    return bool(near) and near[0] in meant


@dataclass(frozen=True)
class Section:
    """A named set of properties: an action, a target, or the defaults or globals of a target type.

    `broken`: where something else stands instead of properties.
    """

    name: Text
    properties: Properties
    broken: Place | None = None


@dataclass
class Document:
    """One configuration file.

    `exemptions` are lists of entries by name: 'global' is the one that holds for every action, any other is
    used by the actions that name it (UCI); those in `broken_exemptions` have had an error reported. `lost`: the place
    of what stands instead of all sections of a kind (`actions`, ...). `times_of_day` are objects that actions may name (UCI);
    `sinks` and `channels` are what targets of type sink name (UCI). `globals` are GLOBAL_OPTIONS of options.py where the format
    has a version property (`versioned`), else MAIN_OPTIONS.
    """

    file: str
    versioned: bool
    globals: Properties = field(default_factory=list)
    exemptions: list[tuple[Text, Value]] = field(default_factory=list)
    broken_exemptions: set[str] = field(default_factory=set)
    lost: dict[str, Place] = field(default_factory=dict)
    times_of_day: list[tuple[Text, Value]] = field(default_factory=list)
    actions: list[Section] = field(default_factory=list)
    targets: list[Section] = field(default_factory=list)
    target_defaults: list[Section] = field(default_factory=list)
    target_globals: list[Section] = field(default_factory=list)
    sinks: list[Section] = field(default_factory=list)
    channels: list[Section] = field(default_factory=list)
    devices: list[Section] = field(default_factory=list)
    groups: list[Section] = field(default_factory=list)
    notices: list[Section] = field(default_factory=list)
    budgets: list[Section] = field(default_factory=list)
