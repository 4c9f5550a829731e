"""Makes harmless what strangers chose, before it stands in a sentence: names of devices, applications, what a server said.

In: any text. Out: one short line without control characters, marks that turn the direction of text or cannot be seen, links and
mentions. A name that is more than a word stands between quotes, and has none itself: nobody can take it for what nfa says.
"""

MAX_NAME = 64
"""Characters of a name in a sentence; `MAX_WORDS`: of what a server or the kernel said."""
MAX_WORDS = 160
_LOOKED_AT = 1024
"""Characters of a text that are looked at."""
_PLAIN = ".-_"
_QUOTES = "\"'`´“”„‟‘’‚‛«»‹›「」『』＂"
_HIDDEN = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xD800, 0xF8FF), (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0xFFFE, 0xFFFF), (0xE0000, 0x10FFFF),
)  # fmt: skip
"""First and last of characters that are not seen, turn text, are halves of a pair, or mean nothing to others."""
_MARKS = ((0x0300, 0x036F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))
"""Marks over and under letters: one after a letter is of a language, many hide the line above."""


def _in(code: int, ranges: "tuple[tuple[int, int], ...]") -> bool:
    return any(first <= code <= last for first, last in ranges)


def clean(text: object, most: int = MAX_NAME) -> str:
    """Return a text as a part of one line, of at most so many characters."""
    found: list[str] = []
    marked = space = False
    for char in str(text)[:_LOOKED_AT]:
        code = ord(char)
        if code < 0x20 or 0x7F <= code < 0xA0 or char.isspace() or code in (0x2028, 0x2029):
            space = bool(found)
            continue
        if _in(code, _HIDDEN):
            continue
        mark = _in(code, _MARKS)
        if mark and (marked or not found):
            continue
        marked = mark
        if space:
            found.append(" ")
            space = False
        found.append("(at)" if char == "@" else char)
        if len(found) > most:
            break
    whole = "".join(found).replace("://", " ")
    return whole if len(whole) <= most else whole[: most - 1] + "…"


def name(text: object, quotes: "tuple[str, str]") -> str:
    """Return a name for a sentence: a plain word as it is, anything else between quotes."""
    plain = clean(text)
    if plain and all(char.isalpha() or char.isdigit() or char in _PLAIN for char in plain):
        return plain
    return quotes[0] + "".join([char for char in plain if char not in _QUOTES]) + quotes[1]
