"""`nfa check --show`: the merged policy, and where each value of it came from.

In: a compiled policy, whose parts know their origins. Out: lines for people, or plain data for `--json`: the global
settings, the devices, the budgets, the actions in the order in which they are tried, the targets, and what holds for all
targets of a type.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field

from ..compiler.base.report import Place
from ..compiler.base.secrets import SECRET_OPTIONS
from ..compiler.compile import Compiled, CompiledAction
from ..compiler.config.channel_options import CHANNEL_OPTIONS
from ..compiler.config.features import target_is_active
from ..compiler.config.model import Device, DeviceGroup, Notice, Policy, Target
from ..compiler.config.options import (
    ACTION_OPTIONS,
    BUDGET_OPTIONS,
    COMMON_OPTIONS,
    DEVICE_OPTIONS,
    GLOBAL_OPTIONS,
    GROUP_OPTIONS,
    MAIN_OPTIONS,
    NOTICE_OPTIONS,
    TARGET_GLOBALS,
    TARGET_OPTIONS,
    Option,
)
from ..compiler.config.origins import Entry, Origin, Origins
from ..compiler.config.spelling import NOTHING, as_written, built_in, plain, text
from .common import paint, shown

BUILT_IN = "built-in"
HIDDEN = "(hidden)"
DERIVED = "follows from the type"
COLUMN = 40  # characters of the column of values; longer ones move what follows to the right
SHOWN_FILES = 3  # of those that one entry names


@dataclass(frozen=True)
class _Value:
    """One line of a part: the option, its value as a person writes it, where it was written; and the same as data."""

    option: str
    text: str
    source: str
    data: object


@dataclass
class _Part:
    """An action, a target, or settings: what stands in its heading, and its values. `reason` is why it is not active."""

    kind: str
    name: str
    state: str = ""
    reason: str = ""
    type: str = ""
    place: Place | None = None
    replaces: tuple[Place, ...] = ()
    values: list[_Value] = field(default_factory=list)

    def data(self) -> dict[str, object]:
        """The part for a program: the values by option; criteria and exemptions are lists, with an item for each entry."""
        values: dict[str, object] = {}
        for value in self.values:
            if isinstance(value.data, Entry):
                entries = values.setdefault(value.option, [])
                assert isinstance(entries, list)
                entries.append(asdict(value.data))
            else:
                values[value.option] = value.data
        head: dict[str, object] = {"name": self.name}
        if self.place:
            replaces = [asdict(place) for place in self.replaces]
            head |= {"active": not self.reason, "reason": self.reason, "place": asdict(self.place), "replaces": replaces}
        return head | ({"type": self.type} if self.type else {}) | {"values": values}


def policy_data(compiled: Compiled) -> dict[str, object]:
    """The merged policy for `--json`."""
    policy = compiled.policy
    return {
        "settings": _settings(policy).data(),
        "devices": [part.data() for part in _devices(policy)],
        "budgets": [part.data() for part in _budgets(policy)],
        "actions": [_action(item).data() for item in compiled.actions],
        "targets": [_target(target).data() for target in policy.targets.values()],
        "notices": [_notice(notice).data() for notice in policy.notices.values()],
        "channels": [part.data() for part in _channels(policy)],
        "target_globals": [part.data() for part in _types(policy)],
    }


def print_policy(compiled: Compiled) -> None:
    """Print the merged policy in columns."""
    policy = compiled.policy
    parts = [_settings(policy), *_devices(policy), *_budgets(policy)]
    parts += [*map(_action, compiled.actions), *map(_target, policy.targets.values())]
    parts += [*map(_notice, policy.notices.values()), *_channels(policy), *_types(policy)]
    names = max(len(value.option) for part in parts for value in part.values)
    texts = min(COLUMN, max(len(shown(value.text)) for part in parts for value in part.values))
    width = _terminal()
    for part in parts:
        _print_heading(part)
        before = ""
        for value in part.values:
            _print_value(value, value.option if value.option != before else "", names, texts, width)
            before = value.option


def _terminal() -> int:
    """The columns of the terminal that standard output is; 0 when it is none, so that lines stay whole."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0
    except (OSError, ValueError):
        return 0


def _print_heading(part: _Part) -> None:
    heading = paint(f"{part.kind} {shown(part.name)}".strip(), "bold")
    if part.state:
        heading += f"   {paint(shown(part.state), 'warning' if part.reason else 'good')}"
    if part.replaces:
        heading += f"   replaces {shown(', '.join(map(str, part.replaces)))}"
    print(heading)


def _print_value(value: _Value, option: str, names: int, texts: int, width: int) -> None:
    """Print an option (empty: the one above again), its value and its source; on two lines where a terminal is too narrow."""
    line, source = f"  {option:<{names}}  {shown(value.text):<{texts}}", shown(value.source)
    if width and len(line) + 2 + len(source) > width:
        line = f"{line.rstrip()}\n{' ' * (names + 6)}{source}"
    else:
        line = f"{line}  {source}"
    print(paint(line, "dim") if value.source == BUILT_IN else line)


# -- the parts ---------------------------------------------------------------------------------------------------------


def _settings(policy: Policy) -> _Part:
    part = _Part("global settings", "")
    # The section 'main' of UCI has options that JSON has not, and the other way round.
    for option in dict.fromkeys((*GLOBAL_OPTIONS, *MAIN_OPTIONS)):
        part.values.append(_value(option, policy.main.get(option.key, option.default), policy.origins))
    part.values += _entries("exemptions", policy.origins)
    return part


def _action(item: CompiledAction) -> _Part:
    action = item.action
    part = _Part("action", action.name, f"{_state(item.reason)}, priority {action.priority}", item.reason)
    part.place, part.replaces = action.place, action.origins.replaces
    for option in ACTION_OPTIONS:
        if option.key in action.origins.entries:
            part.values += _entries(option.name, action.origins)
        else:
            part.values.append(_value(option, getattr(action, option.key), action.origins))
    return part


def _devices(policy: Policy) -> list[_Part]:
    """The devices, then the groups of devices."""
    parts = []
    found: list[Device | DeviceGroup] = [*policy.devices.values(), *policy.device_groups.values()]
    for one in found:
        reason = "an error in it was reported" if one.broken else ""
        part = _Part("device" if isinstance(one, Device) else "group of devices", one.name, _state(reason), reason)
        part.place, part.replaces = one.place, one.origins.replaces
        for option in DEVICE_OPTIONS if isinstance(one, Device) else GROUP_OPTIONS:
            part.values.append(_value(option, getattr(one, option.key), one.origins))
        parts.append(part)
    return parts


def _budgets(policy: Policy) -> list[_Part]:
    parts = []
    for budget in policy.budgets.values():
        reason = "an error in it was reported" if budget.broken else ""
        part = _Part("budget", budget.name, _state(reason), reason)
        part.place, part.replaces = budget.place, budget.origins.replaces
        for option in BUDGET_OPTIONS:
            value = getattr(budget, option.key)
            part.values.append(_value(option, None if option.key == "start" and value == (None, 0) else value, budget.origins))
        parts.append(part)
    return parts


def _target(target: Target) -> _Part:
    reason = "" if target.enabled else "the target is disabled"
    if target.enabled and not target_is_active(target):
        reason = target.trouble
    part = _Part("target", target.name, f"{target.type}, {_state(reason)}", reason, target.type)
    part.place, part.replaces = target.place, target.origins.replaces
    given = {"target_enabled": target.enabled, "interface": target.interface, "cut": target.cut, **target.options}
    options = COMMON_OPTIONS + TARGET_OPTIONS[target.type]
    part.values = [_value(option, given[option.key], target.origins, target.type) for option in options]
    return part


def _notice(notice: Notice) -> _Part:
    reason = notice.trouble if notice.enabled else "the notice is disabled"
    part = _Part("notice", notice.name, _state(reason), reason)
    part.place, part.replaces = notice.place, notice.origins.replaces
    given = {"enabled": notice.enabled, **notice.options}
    part.values = [_value(option, given[option.key], notice.origins) for option in NOTICE_OPTIONS]
    return part


def _channels(policy: Policy) -> list[_Part]:
    """The channels that targets of type sink, and notices, send through, each once."""
    found = {}
    senders: list[Target | Notice] = [*policy.targets.values(), *policy.notices.values()]
    for target in senders:
        if (channel := target.channel) is not None and (channel.sink, channel.name) not in found:
            part = _Part("channel", f"{channel.name} of sink {channel.sink}", channel.kind, type=channel.kind)
            part.place = channel.place
            of_sink = f"sink {channel.sink}"
            for option in CHANNEL_OPTIONS[channel.kind]:
                part.values.append(_value(option, channel.options[option.key], channel.origins, of_sink))
            found[channel.sink, channel.name] = part
    return list(found.values())


def _state(reason: str) -> str:
    return f"off: {reason}" if reason else "on"


def _types(policy: Policy) -> list[_Part]:
    """What holds for a type as a whole, for those types that are in use or have been given something."""
    parts = []
    for kind, options in TARGET_GLOBALS.items():
        origins = policy.global_origins.get(kind, Origins())
        if origins.values or any(target.type == kind for target in policy.targets.values()):
            part = _Part("all targets of type", kind)
            part.values = [_value(option, policy.target_globals[kind][option.key], origins) for option in options]
            parts.append(part)
    return parts


# -- the values --------------------------------------------------------------------------------------------------------


def _value(option: Option, value: object, origins: Origins, kind: str = "") -> _Value:
    """The value of an option in a part; `kind` is the type of the target that the part is."""
    data = plain(option, value)
    origin = origins.values.get(option.key)
    if origin is None:
        standard = data == plain(option, option.default)
        words, source = (built_in(option), BUILT_IN) if standard else (text(data), DERIVED)
        return _Value(option.name, words, source, {"value": data, "text": words, "origin": source})
    source = _where(origin, kind)
    if option.name in SECRET_OPTIONS:
        return _Value(option.name, HIDDEN, source, {"value": HIDDEN, "text": HIDDEN, "origin": "own"})
    words = as_written(option, value, origin.written)
    if origin.over:
        source += ", over " + ", ".join(f"{text(other.written)} ({_where(other, kind)})" for other in origin.over)
    whole = {"value": data, "text": words, **_origin(origin), "over": [_origin(other) for other in origin.over]}
    return _Value(option.name, words, source, whole)


def _where(origin: Origin, kind: str) -> str:
    return f"{origin.place}, default of {kind}" if origin.inherited else str(origin.place)


def _origin(origin: Origin) -> dict[str, object]:
    """Where a value was written, for a program."""
    return {"written": origin.written, "origin": "default" if origin.inherited else "own", "place": asdict(origin.place)}


def _entries(option: str, origins: Origins) -> list[_Value]:
    """A line for each entry of criteria or exemptions."""
    values = []
    for entry in origins.entries.get(option, []):
        source = str(entry.place)
        if entry.through:
            source += f", through exemption {entry.through}"
        if entry.files:
            more = len(entry.files) - SHOWN_FILES
            source += f", read from {', '.join(entry.files[:SHOWN_FILES])}" + (f" and {more} more" if more > 0 else "")
        values.append(_Value(option, entry.written, source, entry))
    return values or [_Value(option, NOTHING, BUILT_IN, [])]
