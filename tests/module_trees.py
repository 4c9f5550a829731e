"""Syntax trees of nfa's modules, as they are run: without what only mypy looks at."""

from __future__ import annotations

import ast
from pathlib import Path


class _Running(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "MYPY":
            return None
        return self.generic_visit(node)


def running(file: Path) -> ast.Module:
    """The module's tree without the bodies of `if MYPY:`, which are false at run time."""
    tree = _Running().visit(ast.parse(file.read_text("utf-8")))
    assert isinstance(tree, ast.Module)
    return tree
