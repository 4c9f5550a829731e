"""Answers about budgets, for people: what each device has left of them, and until when.

In: names of budgets and of devices. Out: rows of plain data, one for each budget and device that used some of it, for each
configured device, and for what all devices have together.
"""

from ..engine.view import MALFORMED, address
from .accounts import SPENT, Account
from .budgeting import NOBODY, title
from .budgets import TOGETHER
from .usage import ROUTER

MYPY = False
if MYPY:
    from typing import Any

    from ..devices.configured import Devices
    from ..devices.known import Known
    from .amounts import Rules
    from .budgeting import Budgeting

    Data = dict[str, Any]

NO_ACCOUNT = Account()


class Owners:
    """What the devices that have accounts are called."""

    def __init__(self, budgeting: "Budgeting", devices: "Devices | None", known: "Known | None") -> None:
        self._budgeting = budgeting
        self._devices = devices
        self._known = known

    def called(self, owner: str) -> tuple[str, str]:
        """Return the name of a device, and its MAC address, "" where it has none or several."""
        if owner == TOGETHER:
            return "", ""
        mac = _mac(owner)
        names = self._known.names_of(mac) if self._known is not None and mac else ()
        return (names[0] if names else title(owner)), (owner if mac else "")

    def of(self, text: str) -> str:
        """Return the device that a text names: by its name, title or host name, MAC address or address; "": none."""
        wanted = text.strip().lower().removeprefix("@")
        if wanted in (ROUTER, NOBODY):
            return wanted
        devices, known = self._devices, self._known
        for number, name in enumerate(devices.names) if devices is not None else ():
            if wanted in (name.lower(), devices.titles[number].lower()):  # type: ignore[union-attr]  # there is one
                return "@" + name
        there = self.existing()
        by_key = self._budgeting.owner_by_key
        mac = _mac(wanted.replace("-", ":"))
        if mac:
            owner = by_key(mac.hex(":"))
            return owner if owner[0] == "@" or owner in there or (known is not None and known.has(mac)) else ""
        try:
            packed = address(wanted)
        except MALFORMED:
            packed = b""
        if packed:
            found = by_key(wanted)
            if found == wanted and known is not None and known.owner(packed):
                found = by_key(known.owner(packed).hex(":"))
            return found if found != wanted or found in there else ""
        if known is not None:
            for one in list(known.of):
                if wanted in map(str.lower, known.names_of(one)):
                    return by_key(one.hex(":"))
        return ""

    def existing(self) -> set[str]:
        """Return all devices that have accounts."""
        books = self._budgeting.budgets.books.values()
        return {owner for book in books for owner in book.accounts if owner != TOGETHER}

    def configured(self) -> list[str]:
        """Return the devices of the configuration."""
        return ["@" + name for name in self._devices.names] if self._devices is not None else []

    def known(self) -> list[str]:
        """Return the names of all that can be asked for."""
        return sorted({self.called(owner)[0] for owner in self.existing().union(self.configured())})


def _mac(text: str) -> bytes:
    """Return a MAC address, b"" for what is none."""
    if len(text) != 17 or text.count(":") != 5:
        return b""
    try:
        return bytes.fromhex(text.replace(":", ""))
    except MALFORMED:
        return b""


def rows(
    budgeting: "Budgeting", owners: Owners, numbers: "list[int]", device: str, exempt: "list[bool]", page: range
) -> "tuple[list[Data], int]":
    """Return a page of the rows of these budgets, of one device ("": all), and how many there are in all.

    `exempt`: which schedules hold now; `page`: only these are made, as there may be many thousands.
    """
    found: list[Data] = []
    total = 0
    configured = owners.configured()
    for number in numbers:
        rules = budgeting.budgets.rules[number]
        accounts = budgeting.budgets.books[rules.name].accounts
        if rules.shared:
            listed = [TOGETHER]
        elif device:
            listed = [device]
        else:
            listed = [owner for owner in accounts if owner != TOGETHER]
            others = [owner for owner in configured if owner not in accounts]
            if page.start < total + len(listed) and total < page.stop:
                listed.sort()
            listed += others
        for owner in listed[max(0, page.start - total) : max(0, page.stop - total)]:
            found.append(_row(budgeting, owners, rules, owner, rules.exempt >= 0 and exempt[rules.exempt]))
        total += len(listed)
    return found, total


def _row(budgeting: "Budgeting", owners: Owners, rules: "Rules", owner: str, exempt: bool) -> "Data":
    budgets = budgeting.budgets
    book = budgets.books[rules.name]
    account = book.accounts.get(owner, NO_ACCOUNT)
    seconds, size = rules.amount(book.period)
    name, mac = owners.called(owner)
    return {
        "budget": rules.name,
        "device": name,
        "mac": mac,
        "shared": rules.shared,
        "used_seconds": account.minutes * 60,
        "used_bytes": account.size,
        "amount_seconds": seconds,
        "amount_bytes": size,
        "bonus_seconds": account.seconds,
        "bonus_bytes": account.extra,
        "left_seconds": None if seconds is None else max(0, seconds + account.seconds - account.minutes * 60),
        "left_bytes": None if size is None else max(0, size + account.extra - account.size),
        "percent": min(SPENT, account.percent(seconds, size)),
        "spent": account.percent(seconds, size) >= SPENT,
        "exempt": exempt,
        "until": rules.begin(budgets.zone, book.period + 1),
        "words": rules.words,
    }
