"""Criteria and exemptions that are kept in files of their own.

In: the entries of a `criteria` or `exemptions` property. Out: the same list with every entry that is a path
replaced by what the file holds, or, for a folder, by each of its files in the order of their names. A file
becomes one `Text`; an `Entry` remembers what was written.
"""

from __future__ import annotations

import os
import re

from nfa.compiler.base.files import FileError, list_folder, read_text
from nfa.compiler.base.paths import PathError, Paths
from nfa.compiler.base.report import Reports, quote
from nfa.compiler.config.model import Text
from nfa.compiler.config.origins import Entry

MAX_SIZE = 1 << 20  # bytes of a file of expressions
MAX_FILES = 1000  # of a folder

# Only whole lines are comments: a quoted string of an expression may hold a '#'.
_COMMENT = re.compile(r"^[ \t]*#.*$|\r$", re.MULTILINE)
_LEFT_OUT = "the entry is left out"


def expand_entries(
    texts: list[Text], paths: Paths, reports: Reports, consequence: str = _LEFT_OUT
) -> tuple[list[Text], list[Entry]]:
    """Replace the entries that are paths by the content of their files; also give for each entry what it is read from.

    An entry is a path when it starts with '/' or '${'. In a file, lines that start with '#' are comments;
    they are blanked, so every character keeps its place. What cannot be read is an error, of which `consequence` says what it
    leads to, and left out; a file without an expression is a warning. Files whose names start with '.' and folders inside a
    folder are skipped.
    """
    found: list[Text] = []
    entries: list[Entry] = []
    for text in texts:
        if text.value.lstrip().startswith(("/", "${")):
            read = _read(text, paths, reports, consequence)
            entries.append(Entry(text.value, text.place, tuple(part.place.file for part in read)))
            found += read
        else:
            entries.append(Entry(text.value, text.place))
            found.append(text)
    return found, entries


def _read(entry: Text, paths: Paths, reports: Reports, consequence: str) -> list[Text]:
    """The texts of the file or folder that `entry` names."""
    try:
        path = paths.expand(entry.value.strip())
    except PathError as error:
        lead = len(entry.value) - len(entry.value.lstrip())
        reports.error(error.code, entry.at(lead + error.offset), str(error), hint=error.hint, consequence=consequence)
        return []
    if not paths.readable:
        reports.info(
            "not-looked-at",
            entry.place,
            f"this check does not read {quote(path)}",
            consequence="its content is taken to be valid",
        )
        return [Text("*", entry.place)]
    texts: list[Text] = []
    for file in _files(paths.look(path), entry, paths, reports, consequence):
        try:
            content = read_text(paths.look(file), MAX_SIZE, paths.folders)
        except FileError as error:
            inside = error.place.line > 0
            named = f" (named at {entry.place})" if inside else ""
            reports.error(
                error.code,
                error.place if inside else entry.place,
                f"{error}{named}",
                hint=error.hint,
                consequence=consequence,
                excerpt=error.excerpt,
            )
            continue
        reports.add_source(file, content)
        value = _COMMENT.sub(lambda match: " " * len(match[0]), content)
        if value.strip():
            texts.append(Text.of_file(value, file))
        else:
            reports.warning("empty-file", entry.place, f"{quote(file)} contains no expression", consequence=_LEFT_OUT)
    return texts


def _files(path: str, entry: Text, paths: Paths, reports: Reports, consequence: str) -> list[str]:
    """The files to read for `path`: itself, or what is in it."""
    try:
        if not os.path.isdir(path):
            return [path]
        names = [name for name in list_folder(path, paths.folders) if not name.startswith(".")]
    except FileError as error:
        reports.error(error.code, entry.place, str(error), hint=error.hint, consequence=consequence)
        return []
    except OSError as error:
        reports.error(
            "file-unreadable", entry.place, f"cannot read the folder {quote(path)}: {error.strerror}", consequence=consequence
        )
        return []
    files = [file for name in names if not os.path.isdir(file := os.path.join(path, name))]
    if not files:
        reports.error("empty-folder", entry.place, f"the folder {quote(path)} contains no files", consequence=consequence)
    if len(files) > MAX_FILES:
        message = f"the folder {quote(path)} contains {len(files)} files; the limit is {MAX_FILES}"
        reports.error("too-many-files", entry.place, message, consequence=consequence)
        return []
    return files
