"""Numbers for names that strangers choose: devices, applications, actions. Rows of counters have numbers, 2 bytes each.

In: a name, and the days on which rows had its number. Out: its number; OTHER when there is no room. A number that no row had
for KEEP days is free again.
"""

OTHER = 0
"""The number of all that has none of its own."""
KEEP = 33
"""Days; rows are kept for fewer."""


class Names:
    """`names`: by number, None where one is free."""

    def __init__(self, most: int) -> None:
        """`most`: names, OTHER not among them."""
        self.names: list[str | None] = [""]
        self.used: list[int] = [0]
        """The last day (local, since 1970) of rows with this number; 0: there is none. Negative: they were forgotten then."""
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []
        self._most = most
        self.left_out = 0
        """How often there was no room."""

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, name: str) -> int:
        """Return the number of a name, from now on if it had none; OTHER when there is no room."""
        found = self._numbers.get(name)
        if found is not None:
            return found
        if self._free:
            found = self._free.pop()
            self.names[found], self.used[found] = name, 0
        elif len(self.names) <= self._most:
            found = len(self.names)
            self.names.append(name)
            self.used.append(0)
        else:
            self.left_out += 1
            return OTHER
        self._numbers[name] = found
        return found

    def find(self, name: str) -> int | None:
        """Return the number of a name, None when it has none."""
        return self._numbers.get(name)

    def name(self, number: int) -> str:
        """Return a name, "" for OTHER and for a number that is free."""
        return (self.names[number] or "") if number < len(self.names) else ""

    def use(self, number: int, day: int) -> None:
        """A row of this day has the number."""
        if self.used[number] < day:
            self.used[number] = day

    def disown(self, number: int) -> None:
        """No row has this number any longer; flows may have it yet."""
        self.used[number] = -abs(self.used[number])

    def forget(self, day: int) -> None:
        """Free the numbers that no row has any longer, and whose flows have ended. `day`: today."""
        for number, name in enumerate(self.names):
            if number and name is not None and abs(self.used[number]) + KEEP < day:
                del self._numbers[name]
                self.names[number] = None
                self._free.append(number)

    def restore(self, names: "list[str]", day: int) -> None:
        """Take the names of a file, by number; "" for one that is free. They are in use until `day`."""
        for name in names[1 : self._most + 1]:
            number = len(self.names)
            self.names.append(name or None)
            self.used.append(day if name else 0)
            if name:
                self._numbers[name] = number
            else:
                self._free.append(number)
