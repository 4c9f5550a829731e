"""Matches regular expressions in a time that depends on a text's length only, whatever stranger chose it.

In goes the plain data of a plan of `nfa.compiler.expression.regex` (tuples may have become lists); out comes an
object whose `search` takes a str, of which the first 1,024 characters are searched, and returns a bool. Kind "re" is
left to the C module of `re`. Kind "dfa" is an automaton whose states are built when a text first needs them and kept, up to
a bound: a character then costs two look-ups, and after a new state at most 300 operations on integers.
"""

import struct

from ..base.portable import characters, code_of, searcher

MYPY = False
if MYPY:
    from typing import Any

LENGTH = 1024  # characters of a text that are searched; the rest is cut off
ROWS = 128  # states that an automaton keeps; when there are more it forgets them all and goes on
SYMBOLS = 256  # characters of which an automaton keeps the class
# Rows after which nothing can change any more.
_MATCHED: "list[Any]" = ["matched"]
_DEAD: "list[Any]" = ["dead"]


class Backtracking:
    """A pattern that is left to `re`: the compiler has found that its steps are bounded."""

    def __init__(self, data: "dict[str, Any]") -> None:
        find = searcher(data["pattern"], data["program"])

        def search(text: str) -> bool:
            return find(text[:LENGTH]) is not None

        self.search = search
        """Whether the pattern is found in the first 1,024 characters."""

    def forget(self) -> None:
        """Nothing is remembered."""


class Automaton:
    """A lazily built deterministic automaton.

    A state is the set of positions of the pattern (an integer) that the last character matched, with what
    assertions may ask of that character. Its row holds the next row for each class of characters, the end of
    the text and a newline that ends it (None: not built yet), then the state itself.
    """

    def __init__(self, data: "dict[str, Any]") -> None:
        # 4 bytes a bound: \w has 1,500 of them, and as Python's integers they would take ten times as much.
        self._bounds = b"".join([struct.pack("<I", bound) for bound in data["bounds"]])
        self._classes = data["classes"]
        self._shifts = data["shifts"]
        self._products = data["products"]
        self._assertions = data["assertions"]
        self._accepts = data["accepts"]
        self._contexts = data["contexts"]
        self._again = data["again"]
        self._final = data["final"]
        self._end = len(self._accepts) - 2
        self._behind = 0
        for before, _after, _table, _positions in self._assertions:
            self._behind |= before
        self._symbols: dict[object, int] = {}  # character: class
        self._rows: dict[tuple[int, int], list[Any]] = {}
        self._start = self._row(1, self._contexts[self._end])

    def search(self, text: str) -> bool:
        """Whether the pattern is found in the first 1,024 characters."""
        text = text[:LENGTH]
        newline = text[-1:] == "\n"
        if newline:
            text = text[:-1]
        symbols = self._symbols
        row = self._start
        for character in characters(text):
            try:
                symbol = symbols[character]
            except KeyError:
                symbol = self._symbol(character)
            row = row[symbol] or self._step(row, symbol)
            if row is _MATCHED:
                return True
            if row is _DEAD:
                return False
        if newline:
            row = row[-2] or self._step(row, self._end + 1)
        if row is not _MATCHED and row is not _DEAD:
            row = row[-3] or self._step(row, self._end)
        return row is _MATCHED

    def _symbol(self, character: "Any") -> int:
        """The class of a character: that of the last bound not above it."""
        code = code_of(character)
        low = 0
        high = len(self._classes)
        while high - low > 1:
            middle = (low + high) // 2
            if struct.unpack_from("<I", self._bounds, 4 * middle)[0] <= code:
                low = middle
            else:
                high = middle
        if len(self._symbols) >= SYMBOLS:
            self._symbols.clear()
        symbol: int = self._classes[low]
        self._symbols[character] = symbol
        return symbol

    def _step(self, row: "list[Any]", symbol: int) -> "list[Any]":
        """Build the row that follows a row."""
        state, before = row[-1]
        after = self._contexts[symbol]
        holding = 0
        for ask_before, ask_after, table, positions in self._assertions:
            if table >> (2 * bool(before & ask_before) + bool(after & ask_after)) & 1:
                holding |= positions
        reached = self._follow(state)
        passed = 0
        fresh = reached & holding
        while fresh:  # assertions that hold here lead on without a character
            passed |= fresh
            reached |= self._follow(fresh)
            fresh = reached & holding & ~passed
        following = _MATCHED
        if not reached & self._final:
            following = self._row(reached & self._accepts[symbol] | self._again, after & self._behind)
        row[symbol] = following
        return following

    def _follow(self, sources: int) -> int:
        """The positions that may come next after some."""
        targets = 0
        for distance, starts in self._shifts:
            moving = sources & starts
            if moving:
                targets |= moving << distance if distance >= 0 else moving >> -distance
        for starts, ends in self._products:
            if sources & starts:
                targets |= ends
        return targets

    def _row(self, positions: int, before: int) -> "list[Any]":
        """The row of a state, made if there is none."""
        if not positions:
            return _DEAD
        state = (positions, before)
        row = self._rows.get(state)
        if row is None:
            if len(self._rows) >= ROWS:
                self._forget_rows()
            row = self._rows[state] = [None] * len(self._accepts) + [state]
        return row

    def forget(self) -> None:
        """Empty all caches."""
        self._forget_rows()
        self._symbols.clear()

    def _forget_rows(self) -> None:
        """Drop all rows but the first; emptied, for rows refer to each other."""
        for row in self._rows.values():
            row[:-1] = [None] * (len(row) - 1)
        self._rows.clear()
        self._rows[self._start[-1]] = self._start


def finder(data: "dict[str, Any]") -> "Automaton | Backtracking":
    """Return what finds a pattern in texts, from the data of its plan (`nfa.compiler.expression.regex.Plan.as_data`)."""
    return Automaton(data) if data["kind"] == "dfa" else Backtracking(data)
