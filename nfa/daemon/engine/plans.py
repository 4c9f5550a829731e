"""What a decision leads to: plans, one for each set of actions that match together, and verdicts, one for each mask.

In: what `policy` finds. Out: plain objects, which `engine` carries out and `usage` counts by.
"""

MYPY = False
if MYPY:
    from typing import Any


class Plan:
    """What a set of matched actions leads to: the targets, each once, and how often it was so."""

    def __init__(
        self,
        actions: tuple[int, ...],
        names: tuple[str, ...],
        reached: tuple[str, ...],
        targets: "list[Any]",
        budgets: tuple[str, ...] = (),
    ) -> None:
        self.actions = actions
        self.names = names
        """The names of the actions; `reached`: of the targets."""
        self.reached = reached
        self.targets = targets
        self.budgets = budgets
        """The names of the budgets that such flows count for, whether they are spent or not."""
        self.count = 0
        self.last = 0


class Verdict:
    """What alternatives that hold together lead to, at the present hours."""

    __slots__ = ("budgets", "concerned", "counted", "exempt", "plan")

    def __init__(
        self, exempt: bool, plan: Plan | None, concerned: bool, budgets: tuple[int, ...] = (), counted: Plan | None = None
    ) -> None:
        self.exempt = exempt
        """The flow is exempt from all actions."""
        self.plan = plan
        """None: no action acts."""
        self.concerned = concerned
        """An action with hours matches, within them or not, one that is paused, or one that has a budget."""
        self.budgets = budgets
        """The numbers of the budgets that the flow counts for; `counted`: the plan to count it by, which has them, too."""
        self.counted = counted
