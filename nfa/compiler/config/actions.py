"""The actions of a configuration: read, checked, and tied to their targets.

In: the sections of all files, merged, and the targets that can be used. Out: the `Action`s in the order in
which they are tried. A broken one is reported; if it has a name it is kept and marked `broken`, so that the rest of it
is checked and a status can name it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import cast

from nfa.compiler.base.report import did_you_mean, printable, quote
from nfa.compiler.config.budgets import find_budget
from nfa.compiler.config.convert import Context
from nfa.compiler.config.document import GLOBAL, Section
from nfa.compiler.config.entries import expand_entries
from nfa.compiler.config.model import Action, Budget, Target, Text, Window
from nfa.compiler.config.options import ACTION_OPTIONS
from nfa.compiler.config.origins import Entry, Origins
from nfa.compiler.config.properties import complete, convert, is_off
from nfa.compiler.config.targets import MAX_NAME, usable_name
from nfa.compiler.expression.attributes import BY_NAME

LEFT_OUT = "the action is left out"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_actions(
    sections: list[Section],
    targets: dict[str, Target],
    declared: Collection[str],
    exemptions: dict[str, list[Text] | None],
    budgets: dict[str, Budget],
    context: Context,
) -> list[Action]:
    """The actions, by priority and then in the order of the files.

    `declared` are the names of all targets, the broken ones too; `exemptions` the named lists of exemptions
    that an action may use by their names, None for one that has an error.
    """
    actions = [
        _action(section, order, targets, declared, exemptions, budgets, context) for order, section in enumerate(sections)
    ]
    return sorted(actions, key=lambda action: (action.priority, action.order))


def _action(
    section: Section,
    order: int,
    targets: dict[str, Target],
    declared: Collection[str],
    exemptions: dict[str, list[Text] | None],
    budgets: dict[str, Budget],
    context: Context,
) -> Action:
    name, reports = section.name, context.reports
    what = f"action {quote(name.value)}"
    off = is_off("enabled", section, ACTION_OPTIONS, context)
    left_out = context.keeping.consequence("action", name.value, LEFT_OUT, off)
    named = usable_name("an action", name, left_out, reports)
    own = convert(what, section.properties, ACTION_OPTIONS, context, left_out)
    if section.broken:
        reports.error("bad-value", section.broken, f"{what} is not an object", consequence=left_out)
        own.broken += [option.key for option in ACTION_OPTIONS]
    found = complete(what, name.place, ACTION_OPTIONS, [own], context, left_out)
    values: dict[str, object] = {option.key: option.default for option in ACTION_OPTIONS}
    values |= found.values if found else {key: setting.value for key, setting in own.values.items()}
    origins = Origins(found.origins if found else {})
    enabled = cast(bool, values["enabled"])
    first = len(reports.items)
    written = cast("list[Text]", values["criteria"] or [])
    criteria, origins.entries["criteria"] = expand_entries(written, context.paths, reports, left_out)
    if not criteria and "criteria" in own.values:
        place = own.values["criteria"].place
        reports.error("no-criteria", place, f"{what} has no criteria", consequence=left_out)
    exempt, origins.entries["exemptions"], readable = _exemptions(
        what, cast("list[Text]", values["exemptions"]), exemptions, context, left_out
    )
    whole = all(report.severity != "error" for report in reports.items[first:])
    if not enabled:
        # A sample action may name files that do not exist on routers where it is never enabled.
        reports.soften(first)
    if not values["targets"] and "targets" in own.values:
        place = own.values["targets"].place
        reports.error("no-target", place, f"{what} names no target", consequence=left_out)
    names = cast("list[Text]", values["targets"] or [])
    halts = cast(bool, values["halt_on_match"])
    reached, known = _targets(what, names, targets, declared, context, left_out, halts)
    budget = cast(str, values["budget"])
    counted = not budget or find_budget(what, Text(budget, own.values["budget"].place), budgets, context, left_out)
    action = Action(
        name=name.value if named else printable(name.value.strip())[:MAX_NAME] or "?",
        place=name.place,
        enabled=enabled,
        criteria=criteria,
        targets=reached,
        exemptions=exempt,
        interface=cast(str, values["interface"]),
        halt_on_match=halts,
        priority=cast(int, values["priority"]),
        order=order,
        time_of_day=list(cast("list[Window]", values["time_of_day"])),
        faulty=not known,
        unsure=tuple(own.broken),
        origins=origins,
        budget=budget,
    )
    # One whose targets are all left out may still halt.
    works = bool(reached or (known and names and halts))
    action.broken = not (named and whole and readable and criteria and works and counted) or bool(own.broken)
    if action.enabled and action.targets and not any(targets[target].enabled for target in action.targets):
        message = f"{what} is enabled, but none of its targets is"
        reports.warning("targets-disabled", name.place, message, consequence="the action does nothing")
    return action


def _targets(
    what: str,
    names: list[Text],
    targets: dict[str, Target],
    declared: Collection[str],
    context: Context,
    left_out: str,
    halts: bool,
) -> tuple[list[str], bool]:
    """The usable targets among `names`, each once; an error for every other. Also whether those are there, but left out."""
    usable = list(dict.fromkeys(name.value for name in names if name.value in targets))
    known = all(name.value in declared for name in names)
    keeps = "the action keeps its other targets" if usable else "the action only halts" if known and halts else left_out
    consequence = keeps if left_out == LEFT_OUT else left_out
    for name in names:
        if name.value in targets:
            continue
        if name.value in declared:
            message = f"{what} names the target {quote(name.value)}, which was left out"
            context.reports.error("target-unusable", name.place, message, consequence=keeps if known else consequence)
        else:
            message = f"{what} names the target {quote(name.value)}, which does not exist"
            hint = _split_hint(name, declared) or did_you_mean(name.value, declared)
            context.reports.error("unknown-target", name.place, message, hint=hint, consequence=consequence)
    return usable, known


def _split_hint(name: Text, declared: Collection[str]) -> str:
    """What to write instead of several names in one value; "" when it is something else."""
    parts = re.split(r"[\s,;]+", name.value.strip())
    if len(parts) < 2 or not all(part in declared for part in parts):
        return ""
    if not name.place.option:
        return "this is one string with several names: write a list of strings"
    commands = [f"uci delete {name.place.option}"] + [f"uci add_list {name.place.option}={quote(part)}" for part in parts]
    return f"this is one value with several names: write a list with {'; '.join(commands)}"


def _exemptions(
    what: str, entries: list[Text], named: dict[str, list[Text] | None], context: Context, left_out: str
) -> tuple[list[Text], list[Entry], bool]:
    """The exemptions of an action, with named lists and files replaced by what they hold, and whether all can be read.

    An action without one of its exemptions would act on flows that should be exempt.
    """
    before = len(context.reports.errors)
    texts: list[Text] = []
    origins: list[Entry] = []
    for entry in entries:
        name = entry.value.strip()
        if name == GLOBAL:
            message = f"{what}: the exemptions in {quote(GLOBAL)} already apply to all actions"
            context.reports.warning("exemption-redundant", entry.place, message, consequence="the name is ignored")
            continue
        if _NAME.fullmatch(name) and name not in named and name not in BY_NAME:
            message = f"{what}: there is no exemption named {quote(name)}"
            known = "expected an address, @GROUP, an expression or the name of a UCI section 'exemption'"
            hint = did_you_mean(name, named) or known
            context.reports.error("unknown-exemption", entry.place, message, hint=hint)
            continue
        through = name if name in named else ""
        listed = named.get(name, [entry])
        if listed is None:
            context.reports.error("exemption-unusable", entry.place, f"{what}: the exemption {quote(name)} has an error")
            continue
        found, written = expand_entries(listed, context.paths, context.reports, left_out)
        texts += found
        origins += [replace(origin, through=through) for origin in written]
    readable = len(context.reports.errors) == before
    if not readable:
        message = f"{what}: exemptions could not be read"
        consequence = f"{LEFT_OUT}, because it would act on exempt flows" if left_out == LEFT_OUT else left_out
        context.reports.error("exemption-unusable", entries[0].place, message, consequence=consequence)
    return texts, origins, readable
