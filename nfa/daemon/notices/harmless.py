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
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF),
)  # fmt: skip
"""First and last of characters that are not seen, although Python calls them printable."""
MAX_MARKS = 3
"""Characters in a row that are neither ASCII nor letters nor digits: marks on letters, which in heaps hide the lines around."""


def _in(code: int, ranges: "tuple[tuple[int, int], ...]") -> bool:
    return any(first <= code <= last for first, last in ranges)


def clean(text: object, most: int = MAX_NAME) -> str:
    """Return a text as a part of one line, of at most so many characters."""
    found: list[str] = []
    marks = 0
    space = False
    for char in str(text)[:_LOOKED_AT]:
        code = ord(char)
        if code < 0x20 or 0x7F <= code < 0xA0 or char.isspace():
            space = bool(found)
            continue
        if not char.isprintable() or _in(code, _HIDDEN):
            continue
        marks = marks + 1 if code > 0x7F and not char.isalnum() else 0
        if marks > MAX_MARKS:
            continue
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
