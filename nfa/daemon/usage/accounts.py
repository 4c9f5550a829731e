"""Accounts of one budget: what each device had of it in the present period, and in the one before.

In: bytes as they are counted, each minute that ends, bonuses, and numbers of periods. Out: which devices have spent it. While
the clock is not trusted what is added is also kept apart: it belongs to the period that the clock shows once it is.
"""

import struct

MYPY = False
if MYPY:
    from collections.abc import Sequence
    from typing import Any

    Row = tuple[int, int, int, int]

ACTIVE = 20_000
"""Bytes of a device in one minute from which on it is an active one, as in `counting`."""
_MOST = (1 << 64) - 1
ALMOST, SPENT = 80, 100
"""Percent of which others are told."""


class Account:
    """What one device had. `minutes`, `size` (bytes), and what it was given in addition (`seconds`, `extra` bytes)."""

    __slots__ = ("extra", "fresh", "minutes", "recent", "seconds", "size", "spent", "told")

    def __init__(self, row: "Row" = (0, 0, 0, 0), fresh: "Row" = (0, 0, 0, 0), told: int = 0) -> None:
        self.minutes, self.size, self.seconds, self.extra = row
        self.fresh = list(fresh)
        """The part of the same that came since the clock is not trusted."""
        self.told = told
        """The percent that others were told of."""
        self.recent = 0
        """Bytes of the running minute."""
        self.spent = False

    def row(self) -> "Row":
        """Return all of it."""
        return self.minutes, self.size, self.seconds, self.extra

    def add(self, minutes: int, size: int, seconds: int, extra: int, apart: bool) -> None:
        """Add to it. `apart`: the clock is not trusted."""
        self.minutes += minutes
        self.size += size
        self.seconds += seconds
        self.extra += extra
        if apart:
            self.fresh = [one + other for one, other in zip(self.fresh, (minutes, size, seconds, extra))]

    def percent(self, seconds: int | None, size: int | None) -> int:
        """Return how much is used of seconds and bytes (None: any), with what was given in addition; SPENT and more: all."""
        found = 0
        if seconds is not None:
            found = _percent(self.minutes * 60, seconds + self.seconds)
        if size is not None:
            found = max(found, _percent(self.size, size + self.extra))
        return found


def _percent(used: int, amount: int) -> int:
    return used * 100 // amount if amount > 0 else SPENT


class Book:
    """All accounts of a budget. `form`: what its periods are like, see `Rules.form`."""

    def __init__(self, form: tuple[bool, int, int], period: int) -> None:
        self.form = form
        self.period = period
        self.accounts: dict[str, Account] = {}
        """By whose it is."""
        self.before: tuple[int, dict[str, Row]] = (-1, {})
        """The period before, and what it had: should it turn out that the clock was ahead."""

    def turn(self, period: int) -> None:
        """It is this period, by a clock that is trusted."""
        if period > self.period:
            self.before = self.period, {
                owner: (
                    account.minutes - account.fresh[0], account.size - account.fresh[1],
                    account.seconds - account.fresh[2], account.extra - account.fresh[3],
                )
                for owner, account in self.accounts.items()
            }  # fmt: skip
            self.accounts = {
                owner: _with(Account(_row(account.fresh), told=0), account.recent)
                for owner, account in self.accounts.items()
                if any(account.fresh) or account.recent
            }
        elif period < self.period:
            then, known = self.before
            for owner, row in (known if then == period else {}).items():
                account = self.accounts.setdefault(owner, Account())
                account.add(row[0], row[1], row[2], row[3], False)
            self.before = (-1, {})
        self.period = period
        for account in self.accounts.values():
            account.fresh = [0, 0, 0, 0]

    def data(self) -> "dict[str, Any]":
        """Return it as plain data: numbers are packed, as there may be a thousand accounts, and this is done each minute."""
        period, rows = self.before
        return {
            "form": self.form,
            "period": self.period,
            "owners": "\n".join(self.accounts),
            "rows": _packed([one.row() + _row(one.fresh) + (one.told,) for one in self.accounts.values()]),
            "before": (period, "\n".join(rows), _packed(list(rows.values()))),
        }


def _row(values: "Sequence[int]") -> "Row":
    return values[0], values[1], values[2], values[3]


def _with(account: Account, recent: int) -> Account:
    account.recent = recent
    return account


def book_of(data: "Any") -> Book:
    """Return the book that `data` made. Raises ValueError, TypeError, KeyError or struct.error when it is none."""
    week, weekday, second = data["form"]
    made = Book((bool(week), int(weekday), int(second)), int(data["period"]))
    for owner, row in _rows(data["owners"], data["rows"], 9):
        made.accounts[owner] = Account(_row(row), _row(row[4:]), row[8])
    period, owners, rows = data["before"]
    made.before = int(period), {owner: _row(row) for owner, row in _rows(owners, rows, 4)}
    return made


def _packed(rows: "list[tuple[int, ...]]") -> bytes:
    numbers = [min(number, _MOST) for row in rows for number in row]
    return struct.pack("<" + str(len(numbers)) + "Q", *numbers)


def _rows(owners: str, packed: bytes, width: int) -> "list[tuple[str, tuple[int, ...]]]":
    """Return whose each row is, and its numbers. Raises ValueError when these do not fit together."""
    names = owners.split("\n") if owners else []
    rows = list(struct.iter_unpack("<" + str(width) + "Q", packed))
    if len(names) != len(rows):
        raise ValueError("not as many rows as accounts")
    return list(zip(names, rows))
