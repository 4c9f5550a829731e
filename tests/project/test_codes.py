"""docs/codes.md lists the codes that findings have: all that the source gives, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESOURCES = ROOT / "feeds" / "luci-app-nfa" / "htdocs" / "luci-static" / "resources" / "nfa"
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)+")
CARRIERS = {
    **dict.fromkeys(("error", "warning", "info", "warn", "_warn", "_refuse"), 0),
    "finding": 1,
    "lose": 2,
    "FileError": 3,
    "UciError": 3,
    "RegexError": 2,
    "ExpressionError": 4,
}
"""Functions that take a code, and which of their arguments it is; others take it as `code`."""
HOLDERS = re.compile(r"\b(code|trouble_code|_CODES)\b")
"""Names that codes are assigned to."""


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / "nfa").rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def documented() -> list[str]:
    return re.findall(r"^\| `([a-z0-9-]+)` \|", (ROOT / "docs" / "codes.md").read_text(encoding="utf-8"), re.MULTILINE)


def given(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the text of every code that is an argument, is assigned, or is what a function `code_of` returns."""
    for node in ast.walk(tree):
        found: list[ast.AST] = []
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found += [word.value for word in node.keywords if word.arg == "code"]
            found += node.args[CARRIERS[name] :][:1] if name in CARRIERS else []
        elif isinstance(node, ast.Assign) and any(HOLDERS.search(ast.unparse(target)) for target in node.targets):
            found.append(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name == "code_of":
            found.append(node)
        for part in (part for value in found for part in ast.walk(value)):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and CODE.fullmatch(part.value):
                yield part.lineno, part.value


def test_every_code_that_is_given_is_documented() -> None:
    """Who decides by codes would meet one that nobody has told them of, or that is misspelt in one of two places."""
    known = set(documented())
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {code}" for path, tree in trees() for line, code in given(tree) if code not in known
    ]
    assert not wrong, "\n".join(wrong)


def test_every_documented_code_is_given_somewhere() -> None:
    """A page would go on waiting for a code that nothing sends any more."""
    constants = {
        node.value
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert [code for code in documented() if code not in constants] == []


def test_every_report_has_a_code_that_can_be_read_in_the_source() -> None:
    """A message in the place of the code would go to programs as the kind of finding."""
    wrong = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            if node.func.attr not in ("error", "warning", "info") or not ast.unparse(node.func.value).endswith("reports"):
                continue
            code = ast.unparse(node.args[0])
            if not CODE.fullmatch(code.strip("'")) and code.split(".")[-1] != "code":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {code}")
    assert not wrong, "\n".join(wrong)


def test_each_code_is_documented_once_with_a_sentence() -> None:
    """Two rows of one code would say two things."""
    assert len(documented()) == len(set(documented())) > 60
    text = (ROOT / "docs" / "codes.md").read_text(encoding="utf-8")
    for sentence in re.findall(r"^\| `[a-z0-9-]+` \| (.*) \|$", text, re.MULTILINE):
        assert re.fullmatch(r"(netifyd|`|[A-Z]).*\w.*[^.]\.", sentence), sentence


def test_the_pages_decide_by_codes_that_exist() -> None:
    """A page that waits for a misspelt code would never say what to do."""
    known = set(documented())
    script = (RESOURCES / "health.js").read_text(encoding="utf-8")
    tables = re.findall(r"^const (?:SOURCE_ADVICE|SET_TROUBLES|UNUSED) = \{\n(.*?)^\};", script, re.MULTILINE | re.DOTALL)
    assert len(tables) == 3
    asked = {code for body in tables for code in re.findall(r"^\t'([^']+)': ", body, re.MULTILINE)}
    for path in RESOURCES.parent.rglob("*.js"):
        asked.update(re.findall(r"\bcode ?[!=]==? ?'([^']+)'", path.read_text(encoding="utf-8")))
    assert len(asked) > 8 and asked <= known, asked - known
