"""Where the values of a checked configuration were written, so that a person can be shown what overrides what.

In: filled while the sections are read and merged. Out: `Origins` of an action, a target, the global settings or those
of a target type. Nothing but `nfa check --show` depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nfa.compiler.base.report import Place


@dataclass(frozen=True)
class Origin:
    """Where the value of an option was written, and as what (plain data).

    `inherited`: among the defaults of the target's type. `over` are the values that would hold without this one, the
    next one first.
    """

    place: Place
    written: object
    inherited: bool = False
    over: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class Entry:
    """An entry of criteria or exemptions as it was written.

    `files` are those it was read from when it is a path; `through` is the name of the list of exemptions that it is in.
    """

    written: str
    place: Place
    files: tuple[str, ...] = ()
    through: str = ""


@dataclass
class Origins:
    """The origins of one section's values: by option key, nothing for a built-in one; criteria and exemptions entry by
    entry, by option key; and the places of other definitions of the name that this one replaces, the latest first."""

    values: dict[str, Origin] = field(default_factory=dict)
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    replaces: tuple[Place, ...] = ()
