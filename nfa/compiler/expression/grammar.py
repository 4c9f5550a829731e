"""The grammar of flow expressions, with pyparsing: text to a raw tree whose words are not yet understood.

In: the text of one or more statements, each ended by `;`. Out: a `Statement` for each, with the offsets of every word,
so that the checker can point at what it does not understand. Whatever a person types ends in a tree or in an
`ExpressionError` that says where, and what was expected there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Union

from ..base.parsing import pp
from .attributes import COMPACT

MAX_DEPTH = 50
MAX_LENGTH = 1 << 16


class ExpressionError(Exception):
    """A text that is no valid expression: what is wrong, where (offset and length in the text), what would be right."""

    def __init__(self, message: str, offset: int, length: int = 1, hint: str = "", code: str = "bad-expression") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.offset = offset
        self.length = max(length, 1)
        self.hint = hint


@dataclass(frozen=True)
class Word:
    """A piece of the text: kind `word`, `string` (quotes removed), `compact` or `attribute`."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Comparison:
    attribute: Word
    op: str
    value: Word | None
    start: int
    end: int


@dataclass(frozen=True)
class Group:
    """`kind` is `and`, `or` or `not`; `enclosed` when it stands in parentheses of its own."""

    kind: str
    items: tuple[Raw, ...]
    start: int
    end: int
    enclosed: bool = False

    @property
    def mixed(self) -> bool:
        """An unparenthesised `&&` before `||`: the engine of 4.4, without precedence, reads it differently."""
        return self.kind == "or" and any(
            isinstance(item, Group) and item.kind == "and" and not item.enclosed for item in self.items[:-1]
        )


@dataclass(frozen=True)
class Star:
    start: int
    end: int


Raw = Union[Comparison, Group, Star]


@dataclass
class Statement:
    """One statement: its text, its place in the whole text, and whether its `;` was there."""

    text: str
    start: int
    terminated: bool
    tree: Raw = field(init=False)


_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")


def _word(kind: str) -> Any:
    def action(_text: str, start: int, tokens: pp.ParseResults) -> Word:
        raw = tokens[0]
        return Word(kind, raw[1:-1] if kind == "string" else raw, start, start + len(raw))

    return action


def _group(kind: str) -> Any:
    def action(_text: str, _start: int, tokens: pp.ParseResults) -> Raw:
        items = tuple(token for token in tokens if not isinstance(token, str))
        if len(items) == 1:
            only: Raw = items[0]
            return only
        return Group(kind, items, items[0].start, items[-1].end)

    return action


@dataclass(frozen=True)
class _Operator:
    text: str


def _comparison(_text: str, _start: int, tokens: pp.ParseResults) -> Comparison:
    attribute = tokens[0]
    op, value = (tokens[1].text, tokens[2]) if len(tokens) == 3 else ("", None)
    return Comparison(attribute, op, value, attribute.start, (value or attribute).end)


def _negated(_text: str, start: int, tokens: pp.ParseResults) -> Raw:
    if len(tokens) == 1:
        only: Raw = tokens[0]
        return only
    return Group("not", (tokens[1],), start, tokens[1].end)


def _enclosed(_text: str, start: int, tokens: pp.ParseResults) -> Raw:
    inner: Raw = tokens[1]
    whole = replace(inner, start=start, end=tokens[2].end)
    return replace(whole, enclosed=True) if isinstance(whole, Group) else whole


def _build() -> pp.ParserElement:
    keyword = r"(?![aA][nN][dD]\b|[oO][rR]\b)"
    attribute = pp.Regex(keyword + r"[A-Za-z_][A-Za-z0-9_]*").set_parse_action(_word("attribute"))
    operator = pp.Regex(r"==|!=|>=|<=|>|<").set_parse_action(lambda t: _Operator(t[0]))
    string = pp.Regex(_QUOTED).set_parse_action(_word("string"))
    # A range of addresses may have blanks around its '-'.
    word = pp.Regex(r"[0-9A-Fa-f.:]+[ \t]+-[ \t]+[0-9A-Fa-f.:]+|[@A-Za-z0-9_.:/-]+").set_parse_action(_word("word"))
    value = string | word
    prefixes = "|".join(COMPACT)
    compact = pp.Regex(rf"(?:{prefixes}):(?:'[^'\n]*'|[^\s;,!&|()']+)").set_parse_action(
        lambda s, start, t: Comparison(Word("compact", t[0], start, start + len(t[0])), "", None, start, start + len(t[0]))
    )
    comparison = (attribute + pp.Optional(operator - value)).set_parse_action(_comparison)
    disjunction = pp.Forward()
    closing = pp.Literal(")").set_parse_action(_word("closing"))
    enclosed = (pp.Literal("(") - disjunction - closing).set_parse_action(_enclosed)
    atom = compact | enclosed | comparison
    term = (pp.Optional(pp.Literal("!")) + atom).set_parse_action(_negated)
    both = pp.Regex(r"&&|[aA][nN][dD]\b")
    either = pp.Regex(r"\|\||[oO][rR]\b")
    conjunction = (term + pp.ZeroOrMore(both - term)).set_parse_action(_group("and"))
    disjunction <<= (conjunction + pp.ZeroOrMore(either - conjunction)).set_parse_action(_group("or"))
    star = pp.Literal("*").set_parse_action(lambda s, start, t: Star(start, start + 1))
    end = pp.StringEnd()
    grammar: pp.ParserElement = (star | disjunction) + end
    return grammar.parse_with_tabs()


_GRAMMAR = _build()


def _split(text: str) -> Iterator[Statement]:
    """Cut a text at the `;` outside quotes."""
    start = position = 0
    while position < len(text):
        character = text[position]
        if character in "'\"" and (quoted := _QUOTED.match(text, position)):
            position = quoted.end()
            continue
        if character == ";":
            yield Statement(text[start:position], start, True)
            start = position + 1
        position += 1
    if text[start:].strip():
        yield Statement(text[start:], start, False)


def _depth(text: str) -> tuple[int, int]:
    """Return the deepest nesting of parentheses outside quotes, and where it is."""
    depth = deepest = where = 0
    for match in re.finditer(r"'[^'\n]*'|[()]", text):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth > deepest:
            deepest, where = depth, match.start()
    return deepest, where


_SLIPS = (
    # (what stands before, what comes, what to write)
    (r"\bnot$", r"", "negation is written '!': !app, app != 'x', !(...)"),
    (r"", r",", "join alternatives with '||', or write separate expressions: app == 'a'; app == 'b';"),
    (r"", r"\[|in\b", "join alternatives with '||': app == 'a' || app == 'b'"),
    (r"(\|\||\bor|&&|\band)$", r"'|\S+[:.]", "name the attribute in each comparison: app == 'a' || app == 'b'"),
    (r"<$", r">", "'is not' is written '!='"),
    (r"", "[\u2018\u2019\u201c\u201d]", "use straight single quotes: 'youtube'"),
    (r"\b(app|apps|application)$", r":", "the compact form is 'ai:', as in ai:youtube"),
    (r"\b(cat|category|categories)$", r":", "the compact form is 'ac:', as in ac:games"),
    (r"\b(ai|pi|ac|pc)$", r":", "the tag must follow the colon directly: ai:youtube"),
    (r"", r"[.~]?/", "name a file or folder by its absolute path, in an entry of its own"),
)


def _expected(before: str) -> str:
    """Return what may stand after a text that is right so far. (What pyparsing says of it differs between its versions.)"""
    if re.search(r"(==|!=|>=|<=|>|<)$", before):
        return "a value"
    if not before:
        return "an attribute, '!', '(' or '*'"
    if re.search(r"([(!]|&&|\|\||\band|\bor)$", before, re.IGNORECASE):
        return "an attribute, '!' or '('"
    depth = sum({"(": 1, ")": -1}.get(part, 0) for part in re.findall(r"'[^'\n]*'|[()]", before))
    return "')'" if depth > 0 else "'&&', '||' or ';'"


def _hint(before: str, rest: str) -> str:
    """Return what a person probably meant to write; "" when there is no telling."""
    for behind, ahead, hint in _SLIPS:
        if re.search(behind, before, re.IGNORECASE) and re.match(ahead, rest, re.IGNORECASE):
            return hint
    return ""


def _describe(text: str, failure: pp.ParseBaseException) -> ExpressionError:
    """Say in words what pyparsing met; `text` is the statement."""
    offset = failure.loc
    while offset < len(text) and text[offset].isspace():
        offset += 1
    rest = text[offset:]
    found = re.match(r"[A-Za-z0-9_.:@/]+|[^\w\s]+|.?", rest)
    met = found[0] if found and found[0] else ""
    shown = f"'{met}'" if met else "the end"
    hint = ""
    before = text[:offset].rstrip()
    expected = _expected(before)
    if rest.startswith("'") and not _QUOTED.match(rest):
        return ExpressionError("this quote is never closed", offset, 1, "put strings between two single quotes")
    if met.startswith("="):
        if before.endswith(("==", "!=", "<=", ">=")):
            hint = "the operator is '=='" if before.endswith("==") else ""
        else:
            met, hint = met[:1], "a comparison is written '=='"
    elif met[:1] in ("&", "|") and met[:2] not in ("&&", "||"):
        hint = f"did you mean '{met[0] * 2}'?"
    elif rest.startswith("'") and before.endswith("'"):
        hint = "a string cannot contain a single quote"
    else:
        hint = _hint(before, rest)
    return ExpressionError(f"expected {expected}, found {shown}", offset, len(met) or 1, hint)


def parse(text: str) -> tuple[list[Statement], list[ExpressionError]]:
    """Parse every statement of a text. Returns the good ones and the errors of the others, both in order.

    A blank text has no statements and no errors.
    """
    good: list[Statement] = []
    errors: list[ExpressionError] = []
    for statement in _split(text):
        lead = len(statement.text) - len(statement.text.lstrip())
        if not statement.text.strip():
            errors.append(ExpressionError("an empty expression before ';'", statement.start + lead))
            continue
        deepest, where = _depth(statement.text)
        if deepest > MAX_DEPTH or len(statement.text) > MAX_LENGTH:
            limit = f"{MAX_DEPTH} parentheses deep" if deepest > MAX_DEPTH else f"{MAX_LENGTH} characters long"
            message = f"an expression may be at most {limit}"
            errors.append(ExpressionError(message, statement.start + where, code="expression-too-large"))
            continue
        try:
            statement.tree = _GRAMMAR.parse_string(statement.text)[0]
        except pp.ParseBaseException as failure:
            error = _describe(statement.text, failure)
            error.offset += statement.start
            errors.append(error)
        else:
            good.append(statement)
    return good, errors
