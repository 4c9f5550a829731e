"""Accounts of one budget: what each device had of it in the present period, and in the one before.

In: bytes as they are counted, each minute that ends, bonuses, and numbers of periods. Out: which devices have spent it. While
the clock is not trusted what is added is also kept apart: it belongs to the period that the clock shows once it is.
"""

MYPY = False
if MYPY:
    from typing import Any

    Row = tuple[int, int, int, int]

ACTIVE = 20_000
"""Bytes of a device in one minute from which on it is an active one, as in `counting`."""
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
        """Return it as plain data."""
        return {
            "form": self.form,
            "period": self.period,
            "accounts": {owner: (one.row(), tuple(one.fresh), one.told) for owner, one in self.accounts.items()},
            "before": self.before,
        }


def _row(values: "list[int]") -> "Row":
    return values[0], values[1], values[2], values[3]


def _with(account: Account, recent: int) -> Account:
    account.recent = recent
    return account


def book_of(data: "Any") -> Book:
    """Return the book that `data` made. Raises ValueError, TypeError or KeyError when it is none."""
    week, weekday, second = data["form"]
    made = Book((bool(week), int(weekday), int(second)), int(data["period"]))
    for owner, (row, fresh, told) in data["accounts"].items():
        made.accounts[str(owner)] = Account(_four(row), _four(fresh), int(told))
    period, rows = data["before"]
    made.before = int(period), {str(owner): _four(row) for owner, row in rows.items()}
    return made


def _four(row: "Any") -> "Row":
    one, two, three, four = row
    return int(one), int(two), int(three), int(four)
