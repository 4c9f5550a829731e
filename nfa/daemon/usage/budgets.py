"""Budgets: what each device had of them, which of them are spent, and the clock by which their periods change.

In: the budgets of the policy, bytes as `counting` finds them, minutes that end, the wall clock. Out: whether a flow's device
has spent a budget; calls of `changed` when some device has now, or no longer. Everything survives a reload, by the budget's
name, and a restart (`data`, `restore`).

A clock that jumps (a router without a battery, until NTP has told it) neither gives away nor takes a day: no period ends until
the clock has been steady for ten minutes. Then what was counted since the jump belongs to the period that the clock shows.
"""

import struct

from .accounts import ACTIVE, ALMOST, SPENT, Account, Book, book_of
from .amounts import Rules
from .periods import EARLIEST
from .store import Form

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..engine.hours import Zone

MAX_ACCOUNTS = 1024
"""Accounts of all budgets together. Of more, those that used the least of their budgets are forgotten."""
MAX_BOOKS = 128
"""Budgets that have accounts: also those that the policy no longer has, until their period ends."""
MAX_BONUS_SECONDS = 7 * 86400
"""Seconds, and `MAX_BONUS_BYTES`, that may be given in addition in one period."""
MAX_BONUS_BYTES = 10**15
JUMP = 60.0
"""Seconds that the wall clock moves by itself, at least, when it is said to jump."""
SETTLED = 600.0
"""Seconds after a jump from which on the clock is trusted."""
TOGETHER = "*"
"""Whose a shared budget is."""


class Budgets:
    """`zone`: that of the policy, in which days begin."""

    def __init__(self, zone: "Zone", changed: "Callable[[set[int], set[int]], object]") -> None:
        """`changed(begun, over)`: some device has spent the budgets of these numbers; some has something left of those."""
        self.zone = zone
        self._changed = changed
        self.rules: list[Rules] = []
        """By the number that the policy gives them; `_numbers`: by name."""
        self._numbers: dict[str, int] = {}
        self.books: dict[str, Book] = {}
        self.on_event: Callable[[str, str, int], object] | None = None
        """Called with (budget, whose, percent) when so much of a budget is used, ALMOST or SPENT: once in a period."""
        self.forgotten = 0
        """Accounts that were forgotten for lack of room, or for which there was none."""
        self._room, self._made_room = 0, False
        """Accounts that there is room for until the next look at the clock; whether some were forgotten since the last."""
        self.dirty = False
        """Something is to be stored; `serial`: how often it was."""
        self.serial = 0
        self._offset: float | None = None
        """The wall clock less the loop's; `_steady`: since when it has not jumped, by the loop's clock."""
        self._steady = self._moment = 0.0
        """And the last look at it."""
        self.trusted = False
        self._minute = -1
        self.minute_ended = False
        """The last look at the clock found that a minute had ended."""
        self._begun: set[int] = set()
        self._over: set[int] = set()

    def follow(self, rows: "list[dict[str, Any]]", zone: "Zone", now: int) -> None:
        """A policy was activated. `rows`: its budgets; `now`: epoch seconds."""
        self.zone = zone
        self.rules = [Rules(row) for row in rows]
        self._numbers = {rules.name: number for number, rules in enumerate(self.rules)}
        for rules in self.rules:
            book = self.books.get(rules.name)
            if book is None:
                while len(self.books) >= MAX_BOOKS:
                    del self.books[next(iter([name for name in self.books if name not in self._numbers]))]
                self.books[rules.name] = Book(rules.form(), rules.period(zone, now))
            elif book.form != rules.form():
                book.form, book.period, book.before = rules.form(), rules.period(zone, now), (-1, {})
            self._look(rules)

    # -- whether it is spent ----------------------------------------------------------------------------------------

    def spent(self, number: int, owner: str) -> bool:
        """Return whether a device (or TOGETHER) has spent a budget."""
        rules = self.rules[number]
        account = self.books[rules.name].accounts.get(owner)
        return account.spent if account is not None else self.without(rules)

    def without(self, rules: Rules) -> bool:
        """Return whether a budget allows nothing in this period: it is spent for devices that had nothing, too."""
        return 0 in rules.amount(self.books[rules.name].period)

    def spent_by(self) -> dict[int, int]:
        """Return for each budget by how many devices it is spent now, of those that used some of it."""
        return {
            number: len([1 for account in self.books[rules.name].accounts.values() if account.spent])
            for number, rules in enumerate(self.rules)
        }

    def _look(self, rules: Rules) -> None:
        """See for all accounts of a budget whether it is spent."""
        book = self.books[rules.name]
        seconds, size = rules.amount(book.period)
        for account in book.accounts.values():
            account.spent = account.percent(seconds, size) >= SPENT

    def _see(self, rules: Rules, owner: str, account: Account) -> None:
        """An account has changed: see whether the budget is spent."""
        seconds, size = rules.amount(self.books[rules.name].period)
        percent = account.percent(seconds, size)
        before, account.spent = account.spent, percent >= SPENT
        self.dirty = True
        if account.spent != before:
            (self._begun if account.spent else self._over).add(self._numbers[rules.name])
        reached = SPENT if percent >= SPENT else ALMOST if percent >= ALMOST else 0
        if reached > account.told and self.on_event is not None and seconds != 0 and size != 0:
            self.on_event(rules.name, owner, reached)
        account.told = reached

    def _tell(self) -> None:
        """Say what has changed."""
        if self._begun or self._over:
            begun, over, self._begun, self._over = self._begun, self._over, set(), set()
            self._changed(begun, over)

    # -- counting ---------------------------------------------------------------------------------------------------

    def add(self, name: str, owner: str, size: int) -> None:
        """Flows of a device had bytes that count for a budget."""
        number = self._numbers.get(name)
        if number is None:
            return
        rules = self.rules[number]
        owner = TOGETHER if rules.shared else owner
        account = self.books[name].accounts.get(owner)
        if account is None:
            if not self._has_room():
                self.forgotten += 1
                return
            account = self._account(rules, owner)
        account.add(0, size, 0, 0, not self.trusted)
        account.recent += size
        self._see(rules, owner, account)

    def _has_room(self) -> bool:
        """Return whether there is room for one more account. It is made once between two looks at the clock: it takes long."""
        if self._room <= 0 and not self._made_room:
            self._made_room = True
            if self._number_of_accounts() >= MAX_ACCOUNTS:
                self._make_room()
            self._room = MAX_ACCOUNTS - self._number_of_accounts()
        return self._room > 0

    def _number_of_accounts(self) -> int:
        return sum([len(book.accounts) for book in self.books.values()])

    def _account(self, rules: Rules, owner: str) -> Account:
        accounts = self.books[rules.name].accounts
        found = accounts.get(owner)
        if found is None:
            self._room -= 1
            found = accounts[owner] = Account()
            found.spent = self.without(rules)
            found.told = SPENT if found.spent else 0
        return found

    def _make_room(self) -> None:
        """Forget the accounts that used the least, some at once. One that was given something in addition comes last."""
        ranked = []
        for name, book in self.books.items():
            number = self._numbers.get(name)
            amount = self.rules[number].amount(book.period) if number is not None else (None, None)
            for owner, account in book.accounts.items():
                given = account.seconds > 0 or account.extra > 0
                ranked.append((number is not None, given, account.percent(amount[0], amount[1]), account.size, name, owner))
        ranked.sort()
        for *_, name, owner in ranked[: MAX_ACCOUNTS // 16]:
            del self.books[name].accounts[owner]
            self.forgotten += 1

    def end_minute(self) -> None:
        """A minute has ended: those who had enough in it had an active one."""
        for rules in self.rules:
            for owner, account in self.books[rules.name].accounts.items():
                if account.recent:
                    active = account.recent >= ACTIVE
                    account.recent = 0
                    if active:
                        account.add(1, 0, 0, 0, not self.trusted)
                        self._see(rules, owner, account)

    def give(self, number: int, owner: str, seconds: int, size: int) -> None:
        """Give a device (or TOGETHER) more, in this period. Raises ValueError when that is more than may be given."""
        rules = self.rules[number]
        if owner not in self.books[rules.name].accounts and self._number_of_accounts() >= MAX_ACCOUNTS:
            self._make_room()
        account = self._account(rules, owner)
        if account.seconds + seconds > MAX_BONUS_SECONDS or account.extra + size > MAX_BONUS_BYTES:
            raise ValueError("a bonus is at most " + str(MAX_BONUS_SECONDS // 86400) + " days and 1000 TB in all")
        account.add(0, 0, seconds, size, not self.trusted)
        self._see(rules, owner, account)
        self._tell()

    # -- the clock --------------------------------------------------------------------------------------------------

    def tick(self, moment: float, wall: float) -> None:
        """What has to happen each second, after bytes were added. `moment`: the loop's clock; `wall`: epoch seconds."""
        self._room, self._made_room = MAX_ACCOUNTS - self._number_of_accounts(), False
        before, self._offset = self._offset, wall - moment
        earlier, self._moment = self._moment, moment
        # The loop's clock starts over with each boot.
        if before is None or abs(self._offset - before) > JUMP or moment < earlier:
            self._steady, self.trusted = moment, False
            self.dirty = True
        minute = int(wall) // 60
        first = self._minute < 0
        ended = self.minute_ended = minute != self._minute and not first
        self._minute = minute
        if ended:
            self.end_minute()
        settled = not self.trusted and moment - self._steady >= SETTLED and wall >= EARLIEST
        if settled:
            self.trusted = self.dirty = True
        if self.trusted and (settled or ended or first):
            self._turn(int(wall), settled)
        self._tell()

    def _turn(self, now: int, settled: bool) -> None:
        """Periods may have ended. `settled`: the clock is trusted from now on, so that it may be an earlier one, too."""
        for name, book in list(self.books.items()):
            number = self._numbers.get(name)
            rules = self.rules[number] if number is not None else _of_form(book.form)
            period = rules.period(self.zone, now)
            # The clock is put back in autumn: a period that has begun goes on.
            if period < book.period and not settled:
                continue
            if number is None and period != book.period:
                del self.books[name]
                continue
            if period != book.period:
                self.dirty = True
                if number is not None:
                    # Whoever had spent it may have something left, and on a day without any amount nobody has.
                    self._over.add(number)
                    self._begun.add(number)
            book.turn(period)
            if number is not None:
                self._look(rules)
                self._arm(rules)

    def _arm(self, rules: Rules) -> None:
        """Others were told of accounts as they are."""
        book = self.books[rules.name]
        seconds, size = rules.amount(book.period)
        for account in book.accounts.values():
            percent = account.percent(seconds, size)
            account.told = min(account.told, SPENT if percent >= SPENT else ALMOST if percent >= ALMOST else 0)

    # -- over a restart ---------------------------------------------------------------------------------------------

    def data(self) -> "dict[str, Any]":
        """Return all of it as plain data."""
        return {
            "serial": self.serial,
            "offset": self._offset if self._offset is not None else 0.0,
            "steady": self._steady,
            "moment": self._moment,
            "trusted": self.trusted,
            "books": {name: book.data() for name, book in self.books.items()},
        }

    def restore(self, data: "dict[str, Any]") -> None:
        """Go on from there. In the same boot the clock is as trusted as it was."""
        self.books = {str(name): book_of(book) for name, book in data["books"].items()}
        self.serial = data["serial"]
        self._offset, self._steady, self._moment, self.trusted = data["offset"], data["steady"], data["moment"], data["trusted"]


def _of_form(form: tuple[bool, int, int]) -> Rules:
    """Return the rules of a budget that the policy no longer has, as far as its periods need them."""
    row = {"name": "", "amounts": [(None, None) for _ in range(7)], "week": form[0], "start": form[1:], "shared": False}
    row.update({"exempt": -1, "words": ""})
    return Rules(row)


def _is_sound(content: "dict[str, Any]") -> bool:
    """Return whether a file's content has its form."""
    try:
        books = content["books"]
        made = [book_of(book) for book in books.values()]
        return (
            type(content["serial"]) is int
            and type(content["offset"]) is float
            and type(content["steady"]) is float
            and type(content["moment"]) is float
            and type(content["trusted"]) is bool
            and len(made) <= MAX_BOOKS
            and sum([len(book.accounts) for book in made]) <= MAX_ACCOUNTS
        )
    except (KeyError, TypeError, ValueError, AttributeError, struct.error):
        return False


CODES = "budgets-file-unreadable", "budgets-file-unwritable", "budgets-file-damaged", "budgets-file-version"
FILE = Form("budgets", CODES, _is_sound)
"""The file of accounts."""
