"""Budgets: how much flows may have before the actions that name a budget act.

In: the sections of all files, merged. Out: `Budget`s by name. What is wrong with one is reported; without a last good version
it is kept and marked `broken`, so that no action acts that names it: not always, as without a budget.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import cast

from nfa.compiler.base.report import did_you_mean, quote
from nfa.compiler.config.convert import Context
from nfa.compiler.config.document import Section
from nfa.compiler.config.groups import STAYS
from nfa.compiler.config.model import Action, Budget, DayAmount, Text, Window
from nfa.compiler.config.options import BUDGET_OPTIONS
from nfa.compiler.config.origins import Origins
from nfa.compiler.config.properties import complete, convert

LEFT_OUT = "actions that name it are left out"
MAX_BUDGETS = 64
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def read_budgets(sections: list[Section], context: Context) -> dict[str, Budget]:
    """The budgets, by name."""
    found: dict[str, Budget] = {}
    reports = context.reports
    for number, section in enumerate(sections):
        name = section.name.value
        last = context.keeping.last.budgets.get(name)
        budget = _budget(section, context, STAYS if last else LEFT_OUT)
        if number == MAX_BUDGETS:
            message = f"there are more than {MAX_BUDGETS} budgets"
            reports.error("too-many-budgets", section.name.place, message, consequence=f"of this and later ones: {LEFT_OUT}")
        if number >= MAX_BUDGETS:
            budget.broken = True
        elif budget.broken and last:
            budget = replace(last, place=budget.place)
            context.keeping.kept["budget", name] = None
        if not budget.broken:
            context.keeping.good.budgets[name] = replace(budget, origins=Origins())
        found[name] = budget
    return found


def _budget(section: Section, context: Context, instead: str) -> Budget:
    """One budget. `instead`: what errors lead to."""
    name, reports = section.name, context.reports
    what = f"budget {quote(name.value)}"
    own = convert(what, section.properties, BUDGET_OPTIONS, context, instead)
    before = len(reports.errors)
    if section.broken:
        reports.error("bad-value", section.broken, f"{what} is not an object", consequence=instead)
    if not _NAME.fullmatch(name.value):
        hint = "expected 1 to 64 letters, digits, '_', '-' or '.'"
        reports.error("bad-name", name.place, f"{what}: the name cannot be used", hint=hint, consequence=instead)
    done = complete(what, name.place, BUDGET_OPTIONS, [own], context, instead)
    values = done.values if done else {option.key: option.default for option in BUDGET_OPTIONS}
    budget = Budget(
        name.value,
        name.place,
        cast("int | None", values["time"]),
        cast("int | None", values["size"]),
        cast(str, values["period"]),
        cast("tuple[int | None, int]", values["start"] or (None, 0)),
        cast("tuple[DayAmount, ...]", values["days"]),
        cast(bool, values["shared"]),
        tuple(cast("list[Window]", values["exempt_time"])),
        False,
        Origins(done.origins if done else {}),
    )
    if not (own.broken or section.broken):
        if budget.time is None and budget.size is None:
            hint = "write option time '1h', option bytes '2GB', or both; `list day` is for days with other amounts"
            message = f"{what} has neither 'time' nor 'bytes'"
            reports.error("missing-option", name.place, message, hint=hint, consequence=instead)
        if budget.period == "week" and budget.days:
            place = own.values["days"].place
            message = f"{what}: days with other amounts need the period 'day'"
            reports.error("bad-value", place, message, hint="remove 'day', or the period 'week'", consequence=instead)
        if budget.period == "day" and budget.start[0] is not None:
            place = own.values["start"].place
            message = f"{what}: a day begins at a time such as '4:00', not on a weekday"
            reports.error("bad-value", place, message, hint="write period 'week', or a time only", consequence=instead)
    budget.broken = len(reports.errors) > before or bool(own.broken)
    return budget


def find_budget(what: str, name: Text, budgets: dict[str, Budget], context: Context, left_out: str) -> bool:
    """Whether the budget that an action names can be used; else an error says so: without it the action would always act."""
    found = budgets.get(name.value)
    if found is None:
        message = f"{what} names the budget {quote(name.value)}, which does not exist"
        hint = did_you_mean(name.value, budgets) or f"write: config budget {quote(name.value)}"
        context.reports.error("unknown-budget", name.place, message, hint=hint, consequence=left_out)
    elif found.broken:
        message = f"{what} names the budget {quote(name.value)}, which has an error"
        context.reports.error("budget-unusable", name.place, message, consequence=left_out)
    return found is not None and not found.broken


def report_unused(budgets: Collection[Budget], actions: Collection[Action], context: Context) -> None:
    """Tell of budgets that no action names."""
    named = {action.budget for action in actions}
    for budget in budgets:
        if budget.name not in named:
            message = f"no action names the budget {quote(budget.name)}"
            hint = f"write in an action: option budget {quote(budget.name)}"
            context.reports.warning("budget-unused", budget.place, message, hint=hint, consequence="nothing is counted for it")
