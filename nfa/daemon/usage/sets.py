"""Numbers for what flows of one counter have in common besides device and application: the actions, and the budgets.

In: plans. Out: a number of 10 bits for each kind, and what it stands for.
"""

MYPY = False
if MYPY:
    from ..engine.plans import Plan

    Kind = tuple[tuple[str, ...], bool, tuple[str, ...], str]

MAX_SETS = 1000
"""Kinds of flows that have numbers: 10 bits of a code."""
SPARE = 200
"""Of these, so many are only for flows that count for budgets: strangers choose which actions match together."""


class Sets:
    """By number: the names of the actions, whether a target blocks, the names of the budgets, and whose flows they are, where
    that is another device than the MAC address says ("": it is not)."""

    def __init__(self) -> None:
        self.blocking: set[str] = set()
        """Names of the firewall targets that block."""
        self.kinds: list[Kind] = [((), False, (), ""), ((), True, (), "")]
        self._numbers: dict[Kind, int] = {kind: number for number, kind in enumerate(self.kinds)}
        self.left_out = 0
        """How often there was no room."""

    def number(self, plan: "Plan | None", owner: str = "") -> int:
        """Return the number of a plan's kind, from now on if it had none. `owner`: of flows that count for budgets."""
        if plan is None:
            return 0
        blocks = bool(self.blocking.intersection(plan.reached))
        wanted = plan.names, blocks, plan.budgets, owner
        found = self._numbers.get(wanted)
        if found is None:
            if len(self.kinds) >= (MAX_SETS if plan.budgets else MAX_SETS - SPARE):
                self.left_out += 1
                return int(blocks)
            found = self._numbers[wanted] = len(self.kinds)
            self.kinds.append(wanted)
        return found
