"""Texts of several expressions, before they are parsed, and what the expressions say in general.

In: the text of an entry, which may be a whole file, or a tree. Out: the text with an end for each expression; whether a tree
only says what a flow is not.
"""

from __future__ import annotations

import re

from .tree import Node, Not, Test

_COMPACT_LINE = re.compile(r"!?(?:ai|pi|ac|pc):[^\s;]+")


def separate_lines(text: str) -> str:
    """Return a text of several lines (a file) with a `;` for the end of each line that is an expression of its own.

    Lists of compact expressions have none, and a file without any `;` holds one expression a line. No offset changes.
    """
    lines = text.split("\n")
    alone = ";" not in text
    ended = [line.strip() and (alone or _COMPACT_LINE.fullmatch(line.strip())) for line in lines]
    return "".join(line + (";" if end else "\n") for line, end in zip(lines, ended, strict=True))[:-1]


def negative(node: Node) -> bool:
    """Return whether an expression only says what a flow is not: nearly every flow matches it."""
    if isinstance(node, Not):
        return True
    return isinstance(node, Test) and node.op == "!="
