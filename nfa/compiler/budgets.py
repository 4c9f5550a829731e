"""The budgets of a policy, for its image and for people.

In: a checked policy, and its schedules, which have the exempt time of budgets, too. Out: rows for the daemon
(`nfa.daemon.usage.amounts`), one for each budget that an action names that is applied, and words.
"""

from __future__ import annotations

from collections.abc import Sequence

from .config.amounts import day_text, duration_text, size_text, start_text
from .config.model import Budget
from .schedules import Schedules, in_words

Row = dict[str, object]


def amounts(budget: Budget) -> list[tuple[int | None, int | None]]:
    """Return seconds and bytes of each day of the week, None for any."""
    found: list[tuple[int | None, int | None]] = [(budget.time, budget.size)] * 7
    for other in budget.days:
        for day in other.days:
            found[day] = (None, None) if other.unlimited else (_or(other.time, budget.time), _or(other.size, budget.size))
    return found


def _or(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


def rows(names: Sequence[str], budgets: dict[str, Budget], schedules: Schedules) -> list[Row]:
    """Return the rows of the budgets of these names, which the daemon numbers in this order."""
    return [
        {
            "name": budget.name,
            "amounts": amounts(budget),
            "week": budget.period == "week",
            "start": (budget.start[0] or 0, budget.start[1]),
            "shared": budget.shared,
            "exempt": schedules.of_budgets.get(budget.name, -1),
            "words": words(budget, schedules),
        }
        for budget in (budgets[name] for name in names)
    ]


def words(budget: Budget, schedules: Schedules) -> str:
    """Return a budget as a person says it: "1h a day from 4:00 for each device, sat,sun 2h"."""
    base = " and ".join(
        ([duration_text(budget.time)] if budget.time is not None else [])
        + ([size_text(budget.size)] if budget.size is not None else [])
    )
    start = budget.start
    if budget.period == "week":
        start = start[0] or 0, start[1]
    since = f" from {start_text(start)}" if budget.period == "week" or start[1] else ""
    found = f"{base} a {budget.period}{since}, {'all devices together' if budget.shared else 'for each device'}"
    found += "".join(f"; {day_text(other)}" for other in budget.days)
    number = schedules.of_budgets.get(budget.name, -1)
    return found + (f"; not counted {in_words(*schedules.windows[number])}" if number >= 0 else "")
