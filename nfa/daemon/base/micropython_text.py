"""Text under MicroPython: UTF-8 that may be broken, and the letters beyond ASCII, of whose case MicroPython knows nothing.

In: str and bytes. Out: the same as CPython's own methods give. The tables of letters come with the image (`set_lower`). CPython
loads this only in tests.
"""

import struct

_LOWER_ROW, _SIGMA_ROW = ">IIBi", ">IIB"
_LOWER_SIZE, _SIGMA_SIZE = struct.calcsize(_LOWER_ROW), struct.calcsize(_SIGMA_ROW)
_lower_rows = [b"", b""]
"""Rows of letters that have a lower case, and rows of what a capital sigma stands beside."""


def characters(text: str):
    """Return what the characters of a text are told apart by: their numbers.

    MicroPython keeps a character that a loop over a str has come to, or that `chr` has made, for as long as the process
    lives: strangers could fill the memory with names of ever other ones.
    """
    raw = text.encode()
    if len(raw) == len(text):
        return raw
    codes = []
    for byte in raw:
        if byte < 0x80:
            codes.append(byte)
        elif byte < 0xC0:
            codes[-1] = codes[-1] << 6 | byte & 0x3F
        else:
            codes.append(byte & (0x1F if byte < 0xE0 else 0x0F if byte < 0xF0 else 0x07))
    return codes


def code_of(character: int) -> int:
    """Return the number of what `characters` gives."""
    return character


def utf8(code: int) -> bytes:
    """Return the bytes of a character."""
    if code < 0x80:
        return bytes((code,))
    if code < 0x800:
        return bytes((0xC0 | code >> 6, 0x80 | code & 0x3F))
    tail = (0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F)
    if code < 0x10000:
        return bytes((0xE0 | code >> 12,) + tail)
    return bytes((0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F) + tail)


def printable(text: str) -> bool:
    """Return whether a text can be shown as it is: here, whether it is plain ASCII without controls."""
    return all(32 <= byte < 127 for byte in text.encode())


def escaped(text: str) -> str:
    """Return a text in which all but plain ASCII is escaped, so that a line stays a line."""
    if printable(text):
        return text
    codes = characters(text)
    return b"".join([utf8(c) if 32 <= c < 127 else b"\\U%08x" % c for c in codes]).decode()


def decode(raw: bytes) -> str:
    """Return bytes of UTF-8 as text; those that are none are replaced, each piece by one U+FFFD."""
    try:
        text = str(raw, "utf-8")
        if len(text) == len(raw):
            return text
    except UnicodeError:
        pass
    # MicroPython looks at the first bits only: what has more bytes than it needs would be read as another character.
    parts = []
    start = position = 0
    size = len(raw)
    while position < size:
        first = raw[position]
        position += 1
        if first < 0x80:
            continue
        begin = position - 1
        follow = 1 if 0xC2 <= first < 0xE0 else 2 if 0xE0 <= first < 0xF0 else 3 if 0xF0 <= first < 0xF5 else 0
        low, high = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}.get(first, (0x80, 0xBF))
        left = follow
        while left and position < size and low <= raw[position] <= high:
            position += 1
            left -= 1
            low, high = 0x80, 0xBF
        if left or not follow:
            parts.append(str(raw[start:begin], "utf-8"))
            parts.append("\ufffd")
            start = position
    parts.append(str(raw[start:], "utf-8"))
    return "".join(parts)


def set_lower(rows: bytes, sigma: bytes) -> None:
    """Take the tables of letters that are not ASCII and have a lower case, and of what a capital sigma stands beside.

    They are those of `nfa.compiler.micropython`: `lower_rows`, and `sigma_rows` or b"" where nobody asks for a sigma.
    """
    _lower_rows[:] = [rows, sigma]


def ascii_only(text: str) -> bool:
    """Return whether all characters are ASCII."""
    return len(text.encode()) == len(text)


def lower(text: str) -> str:
    """Return a text in lower case. MicroPython's own knows ASCII only; the image brings the other letters."""
    text = text.lower()
    if len(text) == len(text.encode()):
        return text
    codes = characters(text)
    found = [utf8(_lower(code)) if code != 0x130 else b"i\xcc\x87" for code in codes]
    if 0x3A3 in codes:
        for place in range(len(codes)):
            if codes[place] == 0x3A3 and _ends_word(codes, place):
                found[place] = b"\xcf\x82"
    return str(b"".join(found), "utf-8")


def _ends_word(codes, place: int) -> bool:
    """Return whether a capital sigma is the last letter of a word (Final_Sigma of the Unicode standard)."""
    before, after = place - 1, place + 1
    while before >= 0 and _beside_sigma(codes[before]) == 2:
        before -= 1
    while after < len(codes) and _beside_sigma(codes[after]) == 2:
        after += 1
    cased = before >= 0 and _beside_sigma(codes[before]) == 1
    return cased and not (after < len(codes) and _beside_sigma(codes[after]) == 1)


def _beside_sigma(code: int) -> int:
    """Return 1 for a character that has case, 2 for one that does not matter, else 0."""
    rows = _lower_rows[1]
    low, high = 0, len(rows) // _SIGMA_SIZE
    while high > low:
        middle = (low + high) >> 1
        first, last, kind = struct.unpack_from(_SIGMA_ROW, rows, middle * _SIGMA_SIZE)
        if code < first:
            high = middle
        elif code > last:
            low = middle + 1
        else:
            found: int = kind
            return found
    return 0


def _lower(code: int) -> int:
    """Return the number of a letter's lower case, but of U+0130, which has two letters for it."""
    rows = _lower_rows[0]
    low, high = 0, len(rows) // _LOWER_SIZE
    while high > low and code > 127:
        middle = (low + high) >> 1
        first, last, step, distance = struct.unpack_from(_LOWER_ROW, rows, middle * _LOWER_SIZE)
        if code < first:
            high = middle
        elif code > last:
            low = middle + 1
        else:
            return code if (code - first) % step else code + distance
    return code
