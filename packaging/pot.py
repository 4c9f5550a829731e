"""Collects the texts of a LuCI application for translators: po/templates/NAME.pot, in the form that LuCI keeps.

    pot.py FOLDER [--check]

In: the JavaScript below FOLDER/htdocs, where texts stand in `_('...')` and `N_(count, '...', '...')`, and titles and
descriptions of menu.d and acl.d. Out: each text once, sorted, with the places where it stands. What LuCI does with xgettext
is done here without it: a text is what stands as literals (also several with `+` between them), white space in it counts once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

WIDTH = 80
HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8"\n'

_TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<string>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
  | (?P<name>[A-Za-z_$][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<space>\s+)
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]*")
_TEMPLATE = re.compile(r"(?:\\.|(?!\$\{)[^`\\])*(?:`|\$\{)", re.DOTALL)
"""From behind a "`", or the end of an expression, to the next of the two."""
_BEFORE_VALUE = ("", "return", "typeof", "case", "in", "of", *"(,=:[!&|?{};+-*%<>~^")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}

Token = tuple[str, str, int]
"""Kind, text, line."""


def tokens(source: str) -> Iterator[Token]:
    """Yield what a script consists of, without comments and space.

    A template comes in parts; the expressions within it are read as any others, between a "{" and a "}".
    """
    place, line, before = 0, 1, ""
    open_braces: list[int] = []  # how many of them are open in each template's expression that is being read
    while place < len(source):
        if source[place] == "}" and open_braces and not open_braces[-1]:
            open_braces.pop()
            yield "sign", "}", line
            found, kind = _TEMPLATE.match(source, place + 1), "template"
        elif source[place] == "`":
            found, kind = _TEMPLATE.match(source, place + 1), "template"
        elif source[place] == "/" and before in _BEFORE_VALUE and (found := _REGEX.match(source, place)):
            kind = "regex"
        else:
            found = _TOKEN.match(source, place)
            assert found is not None  # the last alternative takes any character
            kind = str(found.lastgroup)
        assert found is not None, f"line {line}: a template does not end"
        text = found[0]
        if kind not in ("comment", "space"):
            yield kind, text, line
            before = text
        line += text.count("\n")
        place = found.end()
        if kind == "template" and text.endswith("${"):
            open_braces.append(0)
            yield "sign", "{", line
            before = "{"
        elif kind == "sign" and open_braces:
            open_braces[-1] += (text == "{") - (text == "}")


def _value(literal: str) -> str:
    """Return what a string literal stands for, its white space counted once."""
    plain = re.sub(r"\\(\n|.)", lambda found: "" if found[1] == "\n" else _ESCAPES.get(found[1], found[1]), literal[1:-1])
    return re.sub(r"\s+", " ", plain).strip()


def _arguments(found: list[Token], start: int) -> list[str | None]:
    """Return the arguments of a call whose "(" is token `start`: texts, None for one that is no literal."""
    depth = 0
    arguments: list[list[Token]] = [[]]
    for token in found[start:]:
        depth += (token[1] in ("(", "[", "{") and token[0] == "sign") - (token[1] in (")", "]", "}") and token[0] == "sign")
        if depth == 0:
            break
        if depth == 1 and token[1] == "," and token[0] == "sign":
            arguments.append([])
        elif token is not found[start]:
            arguments[-1].append(token)
    texts: list[str | None] = []
    for argument in arguments:
        literal = argument and all(kind == "string" or text == "+" for kind, text, _ in argument)
        texts.append("".join(text[1:-1] for kind, text, _ in argument if kind == "string") if literal else None)
    return [None if text is None else _value(f"'{text}'") for text in texts]


Key = tuple[str, str, str]
"""Context, text, plural; "" for none."""


def texts_of(source: str) -> Iterator[tuple[Key, int]]:
    """Yield the texts of a script, each with its line."""
    found = list(tokens(source))
    for place, (kind, name, line) in enumerate(found[:-1]):
        if kind != "name" or name not in ("_", "N_") or found[place + 1][1] != "(" or (place and found[place - 1][1] == "."):
            continue
        arguments = [*_arguments(found, place + 1), None, None]
        one, many, context = (arguments[0], "", arguments[1]) if name == "_" else (arguments[1], arguments[2], arguments[3])
        if one and many is not None:
            yield (context or "", one, many), line


def _json_texts(source: str) -> Iterator[tuple[Key, int]]:
    for found in re.finditer(r'"(?:title|description)"\s*:\s*("(?:[^"\\]|\\.)*")', source):
        yield ("", _value(found[1]), ""), source.count("\n", 0, found.start(1)) + 1


def _line(keyword: str, text: str) -> str:
    """Return a line of a template, or several, where it is longer than gettext makes them."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    if len(keyword) + len(quoted) + 3 < WIDTH:
        return f'{keyword} "{quoted}"'
    lines = [""]
    for word in re.findall(r"\S+ ?", quoted):
        if len(lines[-1]) + len(word) + 2 >= WIDTH:
            lines.append("")
        lines[-1] += word
    return "\n".join([f'{keyword} ""', *(f'"{line}"' for line in lines)])


def template(folder: Path) -> str:
    """Return the template of an application."""
    places: dict[Key, list[tuple[str, int]]] = {}
    scripts = [*folder.glob("htdocs/**/*.js")]
    tables = [*folder.glob("root/usr/share/luci/menu.d/*.json"), *folder.glob("root/usr/share/rpcd/acl.d/*.json")]
    for path in (*scripts, *tables):
        source = path.read_text(encoding="utf-8")
        for key, line in texts_of(source) if path.suffix == ".js" else _json_texts(source):
            where = (f"applications/{folder.name}/{path.relative_to(folder).as_posix()}", line)
            if where not in places.setdefault(key, []):
                places[key].append(where)
    entries = [HEADER]
    for key in sorted(places, key=lambda key: (key[1], key[0])):
        context, one, many = key
        lines = [f"#: {file}:{line}" for file, line in sorted(places[key])]
        lines += [_line("msgctxt", context)] if context else []
        lines += [_line("msgid", one)]
        lines += [_line("msgid_plural", many), 'msgstr[0] ""', 'msgstr[1] ""'] if many else ['msgstr ""']
        entries.append("\n".join(lines) + "\n")
    return "\n".join(entries)


def target_of(folder: Path) -> Path:
    """Return where the template of an application belongs."""
    return folder / "po/templates" / (folder.name.removeprefix("luci-app-") + ".pot")


def main(arguments: list[str]) -> int:
    """Write the template, or with --check say whether it is up to date."""
    folder = Path(arguments[0])
    made, target = template(folder), target_of(folder)
    if "--check" in arguments:
        return 0 if target.exists() and target.read_text(encoding="utf-8") == made else 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
