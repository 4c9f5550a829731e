"""The words of the documents: the glossary defines each of the project's, and no document uses those that they replace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
WORDS = (
    "flow", "record", "digest", "policy", "action", "criteria", "exemption", "target", "set", "element", "timeout", "expire",
    "refresh", "withdraw", "evict", "commit", "reconcile", "heal", "queue", "drop", "retry", "back-off", "reload", "match",
    "exempt", "halt", "live flow", "schedule", "window", "edge", "uptime", "conntrack entry", "tuple", "mark", "label",
    "verdict", "sink", "channel", "event", "compiler", "image", "daemon",
)  # fmt: skip
"""The vocabulary that code, messages, pages and documents share."""


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, headings left out."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)]
    rules = [index for index, row in enumerate(lines) if set("".join(row)) == {"-"}]
    return [row for index, row in enumerate(lines) if index not in rules and index + 1 not in rules]


def parts() -> tuple[str, str]:
    """The definitions, and the words that are not used."""
    definitions, _, replaced = GLOSSARY.read_text(encoding="utf-8").partition("## Words that are not used")
    return definitions, replaced


def prose(path: Path) -> str:
    """A document without what it quotes: code, messages of the program, and the glossary's own list."""
    text = parts()[0] if path == GLOSSARY else path.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return " ".join(re.sub(r"`[^`\n]*`", "", text).split()).lower()


def test_the_glossary_defines_every_word() -> None:
    """Who joins would meet words that mean something special here, and nothing says what."""
    found = {word.strip() for row in rows(parts()[0]) for word in row[0].split(",")}
    assert set(WORDS) <= found
    assert all(len(row) >= 2 and row[1] for row in rows(parts()[0]))


def test_a_word_is_defined_once() -> None:
    """Two definitions of a word would contradict each other sooner or later."""
    found = [word.strip() for row in rows(parts()[0]) for word in row[0].split(",")]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_uses_the_words_of_the_glossary(path: Path) -> None:
    """A reader would have to guess whether two words are two things."""
    text = prose(path)
    replaced = [row[0] for row in rows(parts()[1])]
    assert len(replaced) > 5
    assert [phrase for phrase in replaced if re.search(rf"\b{re.escape(phrase)}\b", text)] == []
