"""Texts in UCI's file format, and what they are to libuci: recorded from the real one (tests/openwrt holds them to it).

`READ` are files that load, `REFUSED` those that do not, with the line and column that we name; `texts()` draws others.
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

Sections = list[tuple[str, str, dict[str, str | tuple[str, ...]]]]
"""Type, name and options of each section; an option is a text, a list a tuple of texts."""

SAMPLE = Path(__file__).parent / "compiler" / "config" / "seeds" / "netify-proc-flow-actions"
"""The configuration that Netify's documentation shows, as a user saves it."""

S = "config t 's'\n"


def _s(**options: str | tuple[str, ...]) -> Sections:
    return [("t", "s", options)]


READ: dict[str, tuple[str, Sections]] = {
    "no quotes": ("config t s\n\toption a b\n", _s(a="b")),
    "single quotes": (S + "option a 'b c'\n", _s(a="b c")),
    "double quotes": (S + 'option a "b c"\n', _s(a="b c")),
    "one kind of quotes in the other": (S + 'option a "it\'s"\nlist b \'say "x"\'\n', _s(a="it's", b=('say "x"',))),
    "a value in parts": (S + "option a b'c d'\"e f\"g\n", _s(a="bc de fg")),
    "backslashes without quotes": (S + "option a b\\ c\\'d\\#e\\\\\n", _s(a="b c'd#e\\")),
    "backslashes in double quotes": (S + 'option a "b\\"c\\\\d\\n"\n', _s(a='b"c\\dn')),
    "a backslash in single quotes": (S + "option a 'b\\'\n", _s(a="b\\")),
    "a value of two lines in single quotes": (S + "option a 'b\n  c'\noption d e\n", _s(a="b\n  c", d="e")),
    "a value of two lines in double quotes": (S + 'option a "b\nc"\n', _s(a="b\nc")),
    "lines joined in double quotes": (S + 'option a "b\\\nc"\n', _s(a="bc")),
    "lines joined without quotes": (S + "option a b\\\nc\n", _s(a="bc")),
    "lines joined between arguments": (S + "option a \\\n'b'\n", _s(a="b")),
    "lines joined before a blank": (S + "option a \\\n  \n", _s()),
    "comment lines": ("# x\n" + S + "  # y 'z\noption a b\n", _s(a="b")),
    "a comment after a value": (S + "option a 'b' # c\n", _s(a="b")),
    "# in a word": (S + "option a b#c\n", _s(a="b")),
    "# before a name": ("config t #s\noption a b\n", [("t", "cfg01b619", {"a": "b"})]),
    "# in quotes": (S + "option a 'b#c'\n", _s(a="b#c")),
    "carriage returns": ("config t 's'\r\n\toption a b\r\n\tlist l 'c'\r\n", _s(a="b", l=("c",))),
    "a carriage return in a value": (S + "option a 'b\r\nc'\r\n", _s(a="b\r\nc")),
    "lines joined at a carriage return": (S + 'option a "b\\\r\nc"\r\n', _s(a="bc")),
    "blanks of all kinds": ("\v\fconfig\tt\v's'\n\foption a\fb\n", _s(a="b")),
    "no line feed at the end": (S + "option a 'b'", _s(a="b")),
    "nothing": ("", []),
    "comments only": ("# x\n\n", []),
    "commands of one letter": ("c t s\no a b\nl d e\np x\n", _s(a="b", d=("e",))),
    "a package line": ("package other-name\n" + S + "option a b\n", _s(a="b")),
    "a package line in a section": (S + "package x\noption a b\n", _s(a="b")),
    "sections without names": (
        "config t\noption a b\nconfig t\nconfig other\n",
        [("t", "cfg01b619", {"a": "b"}), ("t", "cfg02b619", {}), ("other", "cfg0303e7", {})],
    ),
    "an empty name": ("config t ''\noption a b\n", [("t", "cfg01b619", {"a": "b"})]),
    "the number of a section without a name": (
        "config t 'x'\nconfig t 'x'\nconfig t\n",
        [("t", "x", {}), ("t", "cfg02b619", {})],
    ),
    "a type of many characters": ("config a-b.c/d@e[0] 's'\n", [("a-b.c/d@e[0]", "s", {})]),
    "a type in quotes": ("config 't' \"s\"\n", _s()),
    "sections of one name": (
        "config t 's'\noption a 1\nlist l x\nconfig t 'r'\nconfig t 's'\noption a 2\nlist l x\nlist l y\noption b 3\n",
        [("t", "s", {"a": "2", "l": ("x", "x", "y"), "b": "3"}), ("t", "r", {})],
    ),
    "an option twice": (S + "option a 1\noption b 2\noption a 3\n", _s(a="3", b="2")),
    "an option, then a list": (S + "option a 1\nlist a 2\nlist a 3\n", _s(a=("1", "2", "3"))),
    "a list, then an option": (S + "list a 1\nlist a 2\noption b x\noption a 3\n", _s(a="3", b="x")),
    "a list, an option, a list": (S + "list a 1\noption a 2\nlist a 3\n", _s(a=("2", "3"))),
    "options without a value": (S + "option a\noption b \n", _s()),
    "options with an empty value": (S + "option a ''\noption b \"\"\n", _s()),
    "an empty value after another": (S + "option a 1\noption a ''\n", _s(a="1")),
    "a list with empty values": (S + "list a ''\nlist a\nlist a 'x'\n", _s(a=("", "", "x"))),
    "a list of one": (S + "list a '1'\n", _s(a=("1",))),
    "two commands on a line": (S + "option a 'b'; option c 'd'\n", _s(a="b", c="d")),
    "; after a plain word": (S + "option a b;option c d\noption e f\n", _s(a="b", e="f")),
    "; in quotes": (S + "option a 'b;c'\n", _s(a="b;c")),
    "two commands with an empty word between": (S + "option a b '' option c d\n", _s(a="b", c="d")),
    "a comment after ;": (S + "option a 'b'; # c\n", _s(a="b")),
    "umlauts": (S + "option a 'für'\n", _s(a="für")),
}

REFUSED: dict[str, tuple[str, int, int, str]] = {
    "an unknown command": (S + "opton a b\n", 2, 1, "'opton' is not a UCI command. Did you mean 'option'?"),
    "capital letters": ("Config t s\n", 1, 1, "'Config' is not a UCI command. Did you mean 'config'?"),
    "a command alone": (S + "option\n", 2, 1, "'option' is incomplete. Expected: option NAME 'VALUE'"),
    "no type": ("config \n", 1, 8, "the type of a section is missing. Expected: config TYPE 'NAME'"),
    "an empty type": ("config ''\n", 1, 8, "the type of a section is missing"),
    "no name of an option": (S + "option \n", 2, 8, "the name of an option is missing"),
    "no name of a package": ("package \n", 1, 9, "the name of a package is missing"),
    "an option before the sections": ("option a b\n", 1, 1, "'option' before the first section"),
    "a word too many": (S + "option a b c\n", 2, 12, "'c' was not expected here. Expected: option NAME 'VALUE', with quotes"),
    "a word too many for config": ("config t s x\n", 1, 12, "'x' was not expected here"),
    "a word after a joined line": (S + "option a \\\n b c\n", 3, 2, "'b' was not expected here"),
    "a word after ;": (S + "option a ; option b c\n", 2, 12, "'option' was not expected here"),
    "- in a name": ("config t 'a-b'\n", 1, 10, "'a-b' cannot be the name of a section. Use letters, digits and '_' only"),
    ". in a name": ("config t a.b\n", 1, 10, "'a.b' cannot be the name of a section"),
    "a blank in a name": ("config t 'a b'\n", 1, 10, "'a b' cannot be the name of a section"),
    "- in an option": (S + "option a-b c\n", 2, 8, "'a-b' cannot be the name of an option"),
    "an umlaut in a list": (S + "list für c\n", 2, 6, "'für' cannot be the name of a list"),
    "an umlaut in a type": ("config für\n", 1, 8, "'für' cannot be the type of a section"),
    "a blank in a type": ("config 'a b'\n", 1, 8, "'a b' cannot be the type of a section"),
    ". in a package": ("package a.b\n", 1, 9, "'a.b' cannot be the name of a package"),
    "one name, two types": (
        "config t 's'\nconfig u 's'\n",
        2,
        8,
        "section 's' is of type 'u' here, and of type 't' at pkg.s (line 1). Give one of the two another name",
    ),
    "one name, two types of one length": ("config tt 's'\nconfig uu 's'\n", 2, 8, "section 's' is of type 'uu' here"),
    "an open single quote": (S + "option a 'b\noption c d\n", 2, 10, "this ' is never closed"),
    "an open double quote": (S + 'option a "b\n', 2, 10, 'this " is never closed'),
    "an apostrophe": (S + "option a kid's\n", 2, 13, "this ' is never closed"),
    "a quote that is missing further up": (
        S + "option a 'b\noption c 'd'\noption e 'f'\n",
        4,
        12,
        "this ' is never closed. Is a quote missing on line 2?",
    ),
    "a quote that is missing before a blank": (
        S + "option a 'b\noption c 'd e'\n",
        3,
        14,
        "this ' is never closed. Is a quote missing on line 2?",
    ),
    "a byte order mark": ("\ufeff" + S, 1, 1, "the file begins with a byte order mark"),
    "; at the end of a line": (S + "option a 'b';\n", 2, 14, "nothing follows the ';'"),
    ";;": (S + "option a 'b';; option c 'd'\n", 2, 14, "';' is not a UCI command"),
}


def texts() -> st.SearchStrategy[str]:
    """Files of a few lines: most commands are whole, their arguments come in every kind of quotes, some are broken."""
    plain = st.sampled_from(["x", "1", "a,b", "=", "für", "\udcff"])
    single = st.sampled_from(["", "a b", "x\ny", "#", "a\\", "\r\n", ";", '"']).map(lambda inner: f"'{inner}'")
    double = st.sampled_from(["", "a b", "x\ny", '\\"', "a\\\nb", "\\\\", "\\\r\n", "'", "\\x"]).map(lambda inner: f'"{inner}"')
    escaped = st.sampled_from(["'", '"', " ", "\n", "\\", "#", ";", "\r\n", "x"]).map(lambda char: "\\" + char)
    value = st.lists(plain | plain | single | double | escaped | st.sampled_from(["#", "#x", ";", "'", '"']), max_size=3)
    blank = st.sampled_from([" ", " ", " ", "\t", "  ", " \\\n", ""])
    name = st.sampled_from(["a", "b", "n_1", "'a'", '"b"', "cfg01", "''", "a-b", "für"])
    kind = st.sampled_from(["t", "t", "t", "foo", "a-b@c[0]", "'t'", "a b", ""])
    command = st.one_of(
        st.tuples(st.sampled_from(["config", "c"]), blank, kind, blank, name | st.just("")),
        st.tuples(st.sampled_from(["option", "list", "option", "o", "l"]), blank, name, blank, value.map("".join)),
        st.tuples(st.sampled_from(["package x", "package x.y", "# 'x", "", "opton a b", "option"])),
    )
    start = st.sampled_from(["", "", "", "\t", " ", "\r", "\f", "\v"])
    tail = st.sampled_from(["", "", "", " ", "\t", ";", "'';", "'' ", " # c", "#", "; option a 'b'"])
    line = st.tuples(start, command.map("".join), tail).map("".join)
    first = st.sampled_from(["config t 's'\n", "config t\n", "", "config t s\nlist a 'x'\n"])
    lines = st.lists(line, max_size=6).flatmap(
        lambda found: st.sampled_from(["\n", "\n", "\r\n"]).map(lambda end: end.join([*found, ""]))
    )
    return st.tuples(first, lines, st.sampled_from(["", "", "option c 'd", "option c d", "c"])).map("".join)
