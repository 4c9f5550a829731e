"""Regular expressions that cannot stall the daemon.

In goes the PATTERN of a value 'rx:PATTERN', in the syntax of Python's `re`. It is searched, without case, in
at most 1,024 characters that strangers chose: a host name, a URL, a certificate's subject. Out comes a
`Plan`, plain data for `nfa.daemon.engine.rx`: the pattern itself for `re` where backtracking provably takes few
steps, else the tables of an automaton that reads each character once. What neither can do is refused with a
`RegexError`: back-references and look-around, and patterns that need too large an automaton.

The automaton is Glushkov's: one position (a bit) for each character or assertion of the pattern, and edges
"may come next" between them. Edges are kept as whole products of sets, so that a step of a set of positions
is a few operations on integers, however many are active. Which characters a literal or class matches is
asked of `re` itself, so case folding, flags and the Unicode meanings of \\w, \\d and \\s are its own. $ is
the end, or just before a newline at the end; \\B holds in an empty text, as it does from Python 3.14 on.
"""

import re
import sys
import warnings
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import or_
from re import _compiler, _parser  # type: ignore[attr-defined]  # absent from typeshed
from typing import Any

from nfa.daemon.engine.rx import LENGTH

# Steps of backtracking, about 10 ns each on a PC: the most that `re` may take, and from how many the user is warned.
BUDGET, NOTEWORTHY = 50_000, 10_000_000
POSITIONS = 4_000  # characters and assertions of a pattern, its counted repeats written out
WORK = 300  # operations on sets of positions, about 50 ns each on a PC, that one character of a text may take

_HUGE = 10**12
_NOTE = "matched by a linear-time automaton: backtracking could take very long on names that an attacker chooses"
_HOSTILE = "could take exponential time on names that an attacker chooses"
_LOOK = f"look-around is not supported: it {_HOSTILE}. Write "
_ATOMIC = "possessive repeats and atomic groups are not supported, nor needed for speed. Write "
_REFUSED = {  # what to say, and how it is spelled
    "GROUPREF": (f"back-references are not supported: they {_HOSTILE}. Spell it out", r"\\[1-9]|\(\?P="),
    "GROUPREF_EXISTS": (f"conditions are not supported: they {_HOSTILE}. Use a|b", r"\(\?\("),
    "ASSERT": (_LOOK + "the text itself, or combine two comparisons with &&", r"\(\?<?="),
    "ASSERT_NOT": (_LOOK + "a second comparison with != and combine them with &&", r"\(\?<?!"),
    "FAILURE": (_LOOK + "an expression that is never true instead", r"\(\?!\)"),
    "ATOMIC_GROUP": (_ATOMIC + "(?:...)", r"\(\?>"),
    "POSSESSIVE_REPEAT": (_ATOMIC + "the repeat without its final +", r"[*+?}]\+"),
}
_REPEATS = _GREEDY, _LAZY = _parser.MAX_REPEAT, _parser.MIN_REPEAT
# What a search may drop at both ends of a pattern, and how many dots it must keep.
_DOTS = ((".*", _GREEDY, 0), (".*?", _LAZY, 0), (".+", _GREEDY, 1), (".+?", _LAZY, 1))
_NAMED = (_parser.LITERAL, _parser.RANGE)
_MAX_NAMED_ONE_BY_ONE = 4096  # code points of a class that are asked for one by one; of a larger one, all of Unicode is
_MAX_BOUNDS = 100_000  # ranges of all classes of a pattern, which memory is for
_LEAF_FLAGS = re.IGNORECASE | re.ASCII | re.UNICODE | re.DOTALL
# One character of the pattern: operation and argument of the parse tree, flags.
_Leaf = tuple[Any, Any, int]
# Bits asked of what is before and after a place, and a truth table: its bit 2 * before + after.
_Assertion = tuple[int, int, int]
_EDGE, _NEWLINE, _WORD, _ASCII_WORD, _LAST_NEWLINE = 1, 2, 4, 8, 16
_BEGIN: _Assertion = (_EDGE, 0, 0b0100)
_WORDS = (_parser.CATEGORY, _parser.CATEGORY_WORD)
_BITS: dict[_Leaf, int] = {
    (_parser.LITERAL, ord("\n"), 0): _NEWLINE,
    (_parser.IN, (_WORDS,), int(re.UNICODE)): _WORD,
    (_parser.IN, (_WORDS,), int(re.ASCII)): _ASCII_WORD,
}
# Whether a part of the pattern matches the empty text, and the sets of positions it can begin and end with.
_Part = tuple[bool, int, int]
_EMPTY: _Part = (True, 0, 0)


class RegexError(Exception):
    """No regular expression, or an unsupported one; `offset` is the place in the pattern, None if unknown."""

    def __init__(self, message: str, offset: int | None = None, code: str = "bad-regex") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.offset = offset


@dataclass(frozen=True)
class Plan:
    """How to match a pattern: `kind` is "re" or "dfa"; `note` is for the user, "" when there is none."""

    kind: str
    note: str
    data: dict[str, Any] = field(repr=False)

    def as_data(self) -> dict[str, Any]:
        """What `nfa.daemon.engine.rx.finder` takes: strings, integers, lists and dicts only."""
        return self.data


def compile_pattern(pattern: str, *, budget: int = BUDGET) -> Plan:
    """The plan for a pattern; a negative `budget` always gives the automaton. Raises RegexError."""
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(pattern, re.IGNORECASE)
            return _plan(pattern, budget)
    except re.error as error:
        raise RegexError(f"not a valid regular expression: {error.msg}", error.pos) from None
    except (ValueError, OverflowError) as error:
        raise RegexError(f"not a valid regular expression: {error}") from None
    except RecursionError:
        raise RegexError("groups are nested too deeply", code="regex-too-large") from None


def _plan(pattern: str, budget: int) -> Plan:
    pattern, tree = _trim(pattern)
    automaton = _Automaton(pattern, tree)
    steps = _effort(tree)[1]  # with ^ `re` tries every start all the same, but fails there at once
    steps = LENGTH + steps if automaton.anchored() else (LENGTH + 1) * steps
    if steps <= budget:
        return Plan("re", "", {"kind": "re", "pattern": pattern, "program": _program(pattern)})
    return Plan("dfa", _NOTE if steps >= NOTEWORTHY else "", automaton.tables())


def _program(pattern: str) -> list[Any]:
    """Return what `_sre.compile` takes besides the text: flags, codes, groups. So the daemon needs nothing of `re`, which costs
    it a megabyte; as byte-code it fits this Python version only, and so does the image that it goes into."""
    tree = _parser.parse(pattern, re.IGNORECASE)
    codes = [int(code) for code in _compiler._code(tree, re.IGNORECASE)]
    return [int(re.IGNORECASE | tree.state.flags), codes, tree.state.groups - 1]


def _trim(pattern: str) -> tuple[str, Any]:
    """Drop .* at both ends, and the + of .+: X*Y is found where Y is, and so is YX*. The parse tree too.

    The text is changed, for `re`; that this did nothing else shows in the tree it then has.
    """
    tree = _parser.parse(pattern, re.IGNORECASE)
    dot = _parser.ANY, None
    for written, repeat, kept in _DOTS:
        for index in (0, -1):
            rest = pattern.removesuffix(written) if index else pattern.removeprefix(written)
            items = list(tree)
            end = repeat, (kept, _parser.MAXREPEAT, [dot])
            if rest != pattern and repr(items[index:][:1]) == repr([end]):
                items[index : index + 1 or None] = [dot] * kept
                text = rest + "." * kept if index else "." * kept + rest
                trimmed = _parser.parse(text, re.IGNORECASE)
                if repr(trimmed) == repr(items):
                    pattern, tree = text, trimmed
    return pattern, tree


def _effort(tree: Any) -> tuple[int, int]:
    """Upper bounds for backtracking at one place: the ways to match a tree, the steps to try them all."""
    ways, steps = 1, 0
    for operation, argument in tree:
        inner = 1, 1
        if operation is _parser.SUBPATTERN:
            inner = _effort(argument[3])
        elif operation is _parser.BRANCH:
            branches = [_effort(branch) for branch in argument[1]]
            inner = sum(branch[0] for branch in branches), sum(1 + branch[1] for branch in branches)
        elif operation in _REPEATS:
            inner = _repeated_effort(*argument)
        steps = min(_HUGE, steps + ways * inner[1])
        ways = min(_HUGE, ways * inner[0])
    return ways, steps


def _repeated_effort(low: int, high: int, body: Any) -> tuple[int, int]:
    width = body.getwidth()[0]
    body_ways, body_steps = _effort(body)
    reached, ways, steps = 1, 0, 0
    for count in range(min(high, LENGTH // width) + 1 if width else 0):
        ways += reached if count >= low else 0
        steps += reached * (body_steps + 1)
        reached *= body_ways
        if steps > _HUGE:
            break
    return (ways, steps) if width and steps <= _HUGE else (_HUGE, _HUGE)


class _Automaton:
    """Positions and edges of one pattern. Position 0 is the search's start, the last one the match."""

    def __init__(self, pattern: str, tree: Any) -> None:
        self.pattern = pattern
        self.size = 1
        self.leaves: dict[_Leaf, int] = defaultdict(int)  # the positions of each
        self.assertions: dict[_Assertion, int] = defaultdict(int)  # the positions of each
        self.edges: dict[int, int] = defaultdict(int)  # set of targets: set of sources
        body = self.build(tree, tree.state.flags)
        self.final = self.position()
        self.concatenate([(False, 1, 1), body, (False, self.final, self.final)])

    def position(self) -> int:
        if self.size > POSITIONS:
            raise RegexError(
                f"too large: over {POSITIONS:,} characters once counted repeats are expanded", code="regex-too-large"
            )
        self.size += 1
        return 1 << self.size - 1

    def concatenate(self, parts: list[_Part]) -> _Part:
        empty, first, last = _EMPTY
        for next_empty, next_first, next_last in parts:
            self.edges[next_first] |= last
            first |= next_first if empty else 0
            last = next_last | (last if next_empty else 0)
            empty = empty and next_empty
        return empty, first, last

    def build(self, tree: Any, flags: int) -> _Part:
        return self.concatenate([self.item(operation, argument, flags) for operation, argument in tree])

    def item(self, operation: Any, argument: Any, flags: int) -> _Part:
        if str(operation) in _REFUSED:
            message, spelling = _REFUSED[str(operation)]
            raise RegexError(message, _find(spelling, self.pattern), "regex-unsupported")
        if operation is _parser.SUBPATTERN:
            _, added, removed, body = argument
            return self.build(body, _compiler._combine_flags(flags, added, removed))
        if operation is _parser.BRANCH:
            empty, first, last = zip(*(self.build(branch, flags) for branch in argument[1]), strict=True)
            return any(empty), _union(first), _union(last)
        if operation in _REPEATS:
            return self.repeat(flags, *argument)
        bit = self.position()
        if operation is _parser.AT:
            self.assertions[_assertion(str(argument), flags)] |= bit
        else:
            argument = tuple(argument) if operation is _parser.IN else argument
            self.leaves[operation, argument, flags & int(_LEAF_FLAGS)] |= bit
        return False, bit, bit

    def repeat(self, flags: int, low: int, high: int, body: Any) -> _Part:
        endless = high == _parser.MAXREPEAT
        copies: list[_Part] = []
        for _ in range(max(low, 1) if endless else high):
            size = self.size
            copies.append(self.build(body, flags))
            if self.size == size:  # nothing in it, however often
                return _EMPTY
        if endless:
            empty, first, last = copies[-1]
            self.edges[first] |= last
            copies[-1] = (empty or not low, first, last)
        else:  # xx(x(x)?)? has far fewer edges than xxx?x?
            optional = _EMPTY
            for copy in reversed(copies[low:]):
                optional = (True, *self.concatenate([copy, optional])[1:])
            copies[low:] = [optional]
        return self.concatenate(copies)

    def follow(self, sources: int) -> int:
        return _union(after for after, before in self.edges.items() if before & sources)

    def anchored(self) -> bool:
        """Whether a match can only begin at the beginning of the text."""
        return not self.follow(1) & ~self.assertions.get(_BEGIN, 0)

    def encode_edges(self, largest: int) -> tuple[dict[int, int], list[list[int]]]:
        """Edges as shifts {distance: sources}, larger products than `largest` as [sources, targets]."""
        by_sources: dict[int, int] = defaultdict(int)
        for targets, sources in self.edges.items():
            by_sources[sources] |= targets
        shifts: dict[int, int] = defaultdict(int)
        products: list[list[int]] = []
        for sources, targets in by_sources.items():
            if sources.bit_count() * targets.bit_count() > largest:
                products.append([sources, targets])
                continue
            for distance, bit in ((to - at, 1 << at) for at in _members(sources) for to in _members(targets)):
                shifts[distance] |= bit
        return shifts, products

    def rounds(self) -> int:
        """How often edges may have to be followed for one character: once more an assertion in a row."""
        asserting = chained = _union(self.assertions.values())
        rounds = 1
        while chained and rounds <= asserting.bit_count():
            chained = self.follow(chained) & asserting
            rounds += 1
        return rounds

    def tables(self) -> dict[str, Any]:
        """The automaton as `nfa.daemon.engine.rx` reads it; sets of positions are integers.

        shifts, products: see encode_edges. assertions: [bits before, bits after, truth table, positions].
        bounds, classes: characters from bounds[i] on are of class classes[i]. accepts, contexts: of each
        class, then the end of the text, then a newline that ends it, the positions it matches and its bits.
        again: what is added to the positions after each character. final: the match.
        """
        shifts, products = min(map(self.encode_edges, (1, 16)), key=lambda edges: sum(map(len, edges)))
        if (len(shifts) + len(products)) * self.rounds() > WORK:
            raise RegexError("too large: too many repeats and alternatives. Split it into comparisons", code="regex-too-large")
        asked = _union(before | after for before, after, _ in self.assertions)
        bits = {leaf: bit for leaf, bit in _BITS.items() if bit & (asked | _NEWLINE)}
        changes: dict[int, set[_Leaf]] = defaultdict(set)  # leaves that begin or end to match at a code point
        bounds_left = _MAX_BOUNDS
        for leaf in self.leaves.keys() | bits:
            bounds_left -= len(_ranges(*leaf))
            if bounds_left < 0:
                raise RegexError("too large: its character classes have too many ranges", code="regex-too-large")
            for bound in (bound for low, high in _ranges(*leaf) for bound in (low, high + 1)):
                changes[bound] ^= {leaf}
        bounds = sorted({0} | {bound for bound in changes if changes[bound]})
        matching: frozenset[_Leaf] = frozenset()
        numbers: dict[frozenset[_Leaf], int] = {}
        classes = []
        for bound in bounds:
            matching ^= changes[bound]
            classes.append(numbers.setdefault(matching, len(numbers)))
        accepts = [_union(self.leaves.get(leaf, 0) for leaf in leaves) for leaves in numbers]
        contexts = [_union(bits.get(leaf, 0) for leaf in leaves) for leaves in numbers]
        newline = next(number for number, context in enumerate(contexts) if context & _NEWLINE)
        return {
            "kind": "dfa",
            "shifts": [[distance, sources] for distance, sources in shifts.items()],
            "products": products,
            "assertions": [[*assertion, positions] for assertion, positions in self.assertions.items()],
            "bounds": bounds,
            "classes": classes,
            "accepts": [*accepts, 0, accepts[newline]],
            "contexts": [*contexts, _EDGE, contexts[newline] | _LAST_NEWLINE],
            "again": 0 if self.anchored() else 1,
            "final": self.final,
        }


def _find(spelling: str, pattern: str) -> int | None:
    """Where a construct is first written: outside of classes and comments, and not escaped."""
    skipped = r"\\\D|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?#[^)]*\)"
    found = re.finditer(f"({spelling})|{skipped}", pattern, re.DOTALL)
    return next((match.start() for match in found if match.group(1)), None)


def _assertion(name: str, flags: int) -> _Assertion:
    word = _ASCII_WORD if flags & re.ASCII else _WORD
    lines = flags & re.MULTILINE
    return {
        "AT_BEGINNING": (_EDGE | _NEWLINE, 0, 0b0100) if lines else _BEGIN,
        "AT_BEGINNING_STRING": _BEGIN,
        "AT_END": (0, _EDGE | (_NEWLINE if lines else _LAST_NEWLINE), 0b0010),
        "AT_END_STRING": (0, _EDGE, 0b0010),
        "AT_BOUNDARY": (word, word, 0b0110),
        "AT_NON_BOUNDARY": (word, word, 0b1001),
    }[name]


def _union(sets: Any) -> int:
    return reduce(or_, sets, 0)


def _members(positions: int) -> Iterator[int]:
    while positions:
        yield (positions & -positions).bit_length() - 1
        positions &= positions - 1


@lru_cache(maxsize=64)
def _ranges(operation: Any, argument: Any, flags: int) -> list[tuple[int, int]]:
    """The code points, as inclusive ranges, that `re` matches with a literal or a class."""
    members = argument if operation is _parser.IN else ((operation, argument),)
    spans = [(code, code) if kind is _parser.LITERAL else code for kind, code in members if kind in _NAMED]
    state = _parser.State()
    leaf = _parser.SubPattern(state, [(operation, list(members) if operation is _parser.IN else argument)])
    few = sum(high - low + 1 for low, high in spans) <= _MAX_NAMED_ONE_BY_ONE
    if few and len(spans) == len(members):  # what is not named, or a case of it, cannot match: no need to ask
        named = {code for low, high in spans for code in range(low, high + 1)}
        text = "".join(map(chr, sorted(named | _cased())))
        return _merged(map(ord, _compiler.compile(leaf, flags).findall(text)))
    leaf = _parser.SubPattern(state, [(_parser.MAX_REPEAT, (1, _parser.MAXREPEAT, leaf))])
    return [(match.start(), match.end() - 1) for match in _compiler.compile(leaf, flags).finditer(_unicode())]


def _merged(codes: Iterator[int]) -> list[tuple[int, int]]:
    """Code points in order as ranges."""
    ranges: list[tuple[int, int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return ranges


@lru_cache(maxsize=1)
def _unicode() -> str:
    return array("I", range(0x110000)).tobytes().decode(f"utf-32-{sys.byteorder[0]}e", "surrogatepass")


@lru_cache(maxsize=1)
def _cased() -> frozenset[int]:
    """Code points that can be another one's case; there are none from U+20000 on."""
    characters = map(chr, range(0x20000))
    return frozenset(ord(each) for each in characters if each.lower() != each or each.upper() != each)
