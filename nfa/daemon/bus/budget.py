"""Methods about budgets: what is left of them, and to give a device more for the present period.

In: names of a budget and a device. Out: rows, paged. What gives more is a method of its own, so that a login can be given the
right to look only.
"""

from .calls import Refused
from .ubus import INVALID_ARGUMENT, NOT_FOUND, UNKNOWN_ERROR

MYPY = False
if MYPY:
    from ..usage.budget_asking import Owners
    from ..usage.budgeting import Budgeting
    from .calls import Answering, Data, Reply

MAX_LIMIT = 1000
AT_ONCE = 200
"""Rows of one answer: they are made in one turn of the loop."""


def budget(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
    """What devices have left of budgets: of one or all, and of one device or all."""
    offset, limit = given.get("offset", 0), given.get("limit", MAX_LIMIT)
    if offset < 0 or limit < 0:
        raise Refused(INVALID_ARGUMENT, "'offset' and 'limit' must not be negative")
    if daemon.budgeting is None and not given.get("name"):
        return {"names": [], "budgets": [], "offset": offset, "total": 0, "more": False}
    budgeting, owners = _loaded(daemon)
    from ..usage import budget_asking  # hardly anybody asks

    numbers = list(range(len(budgeting.budgets.rules)))
    if given.get("name"):
        numbers = [_number(budgeting, given["name"])]
    device = _device(owners, given["device"]) if given.get("device") else ""
    policy = daemon.engine.policy
    page = range(offset, offset + min(limit, AT_ONCE))
    taken, total = budget_asking.rows(budgeting, owners, numbers, device, policy.open if policy is not None else [], page)
    names = [rules.name for rules in budgeting.budgets.rules]
    return {"names": names, "budgets": taken, "offset": offset, "total": total, "more": offset + len(taken) < total}


def add_budget(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
    """Give a device more of a budget, in the present period. Returns what it has then."""
    if not given.get("name"):
        raise Refused(INVALID_ARGUMENT, "'name' is required: the budget")
    budgeting, owners = _loaded(daemon)
    from ..usage import budget_asking, budgets

    number = _number(budgeting, given["name"])
    rules = budgeting.budgets.rules[number]
    seconds, size = given.get("seconds", 0), given.get("bytes", 0)
    if seconds < 0 or size < 0 or not (seconds or size):
        raise Refused(INVALID_ARGUMENT, "'seconds' or 'bytes' is required: how much more, above 0")
    allowed = rules.amount(budgeting.budgets.books[rules.name].period)
    for what, more, amount in (("time", seconds, allowed[0]), ("bytes", size, allowed[1])):
        if more and amount is None:
            raise Refused(INVALID_ARGUMENT, "budget " + repr(rules.name) + " has no limit of " + what + " in this period")
    if rules.shared:
        owner = budgets.TOGETHER
    elif not given.get("device"):
        raise Refused(INVALID_ARGUMENT, "'device' is required: budget " + repr(rules.name) + " is one for each device")
    else:
        owner = _device(owners, given["device"])
    try:
        budgeting.give(number, owner, seconds, size)
    except ValueError as problem:
        raise Refused(INVALID_ARGUMENT, str(problem)) from None
    policy = daemon.engine.policy
    there = policy.open if policy is not None else []
    return budget_asking.rows(budgeting, owners, [number], owner, there, range(1))[0][0]


def _loaded(daemon: "Answering") -> "tuple[Budgeting, Owners]":
    """Return who has the accounts, and what their devices are called. Raises Refused when no policy has budgets."""
    if daemon.budgeting is None:
        if daemon.engine.policy is None:
            raise Refused(UNKNOWN_ERROR, "no policy is active, so nothing is counted")
        raise Refused(UNKNOWN_ERROR, "no action that is applied has a budget")
    from ..usage.budget_asking import Owners

    learner = daemon.learner_now()
    found: Budgeting = daemon.budgeting  # type: ignore[assignment]  # there is no other
    return found, Owners(found, learner.devices, learner.known)


def _number(budgeting: "Budgeting", name: str) -> int:
    """Return the number of a budget. Raises Refused."""
    names = [rules.name for rules in budgeting.budgets.rules]
    if name not in names:
        raise Refused(NOT_FOUND, "no such budget: " + repr(name[:128]) + "; known: " + ", ".join(names[:20]))
    return names.index(name)


def _device(owners: "Owners", text: str) -> str:
    """Return the device that a text names. Raises Refused."""
    found = owners.of(text)
    if not found:
        known = ", ".join(owners.known()[:20]) or "none"
        raise Refused(NOT_FOUND, "no such device: " + repr(text[:128]) + "; known: " + known)
    return found
