"""What an action that cannot be used would have shielded stays shielded.

In: the actions of a policy in the order in which they are tried, some of them broken. Out: those that a broken one with
`halt_on_match` might have kept from a flow are held back, and so are all while the global exemptions have an error, or a file
that may have such parts cannot be used: a policy never acts on a flow that it should spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .base.report import Reports, quote
from .config.features import BROKEN, HELD_BACK, REASONS, TOO_LARGE
from .config.model import Action

MENDED = "it matches no flow until that is corrected"


class Item(Protocol):
    """An action, why it is not applied (a code of REASONS, or ""), and the name of the one that holds it back."""

    action: Action
    code: str
    shield: str


def hold_back(actions: Sequence[Item], everything: str, reports: Reports) -> None:
    """Take out of use what broken parts may have shielded from, and report each action.

    `everything`: why all of them are, a code of REASONS; "" where there is no such reason.
    """
    # One whose priority cannot be read may have been the first.
    shield = next((item for item in actions if _shields(item) and "priority" in item.action.unsure), None)
    for item in actions:
        if item.code:
            shield = shield or (item if _shields(item) else None)
        elif everything:
            item.code = everything
            _report(item, REASONS[everything].removeprefix("held back: "), reports)
        elif shield is not None:
            item.code, item.shield = HELD_BACK, shield.action.name
            why = f"{quote(shield.action.name)}, which has an error, comes before it and may halt"
            _report(item, why, reports)


def _shields(item: Item) -> bool:
    """Whether an action is out of use that might halt."""
    return item.code in (BROKEN, TOO_LARGE) and (item.action.halt_on_match or "halt_on_match" in item.action.unsure)


def _report(item: Item, why: str, reports: Reports) -> None:
    message = f"action {quote(item.action.name)} is held back: {why}"
    reports.warning(item.code, item.action.place, message, consequence=MENDED)
