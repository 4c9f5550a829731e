"""From the text of an expression to its typed trees: grammar and check together.

In: text, and the `Context` whose names it may use. Out: trees of `tree`, and the errors of what is not understood.
"""

from __future__ import annotations

from .check import check
from .context import Context
from .grammar import ExpressionError, parse
from .tree import Node


def understand(text: str, context: Context) -> tuple[list[Node], list[ExpressionError]]:
    """Parse and check every statement of a text; a match of any one is a match of the text.

    Returns the trees of the good statements and the errors of the others. A missing last `;` is worth a warning, except
    after `*` and the compact syntax, which need none.
    """
    statements, errors = parse(text)
    nodes: list[Node] = []
    for statement in statements:
        try:
            node = check(statement, context)
        except ExpressionError as error:
            errors.append(error)
            continue
        nodes.append(node)
        stripped = statement.text.strip()
        if not statement.terminated and stripped != "*" and not stripped.lstrip("!").startswith(("ai:", "pi:", "ac:", "pc:")):
            end = statement.start + len(statement.text.rstrip())
            context.warn("unended-expression", "the expression does not end with ';'", end, "it is read as if it did")
    errors.sort(key=lambda error: error.offset)
    return nodes, errors


__all__ = ["Context", "ExpressionError", "Node", "understand"]
