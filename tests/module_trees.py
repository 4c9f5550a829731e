"""Syntax trees of nfa's modules, as they are run: without what only mypy looks at."""

from __future__ import annotations

import ast
from pathlib import Path

NFA = Path(__file__).parents[1] / "nfa"


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


def imported(file: Path) -> set[str]:
    """The modules a file imports, in full: `nfa.daemon.stream.framing` for `from .framing import Framer`."""
    package = ["nfa", *file.relative_to(NFA).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(running(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} if node.module else {f"{module}.{alias.name}" for alias in node.names}
    return found
