"""Under the real MicroPython: JSON is read as CPython reads it, however names and numbers are written."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from micropython_lab import MicroPython

from nfa.daemon.base.portable import parse_json

PIECES = [
    "a", "Z", r"\\", r"\"", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\u0000", r"\u0041", r"\u00e9", r"\u20AC", r"\ud83d",
    r"\ude00", r"\uD83D\uDE00", r"\uffff", r"\udfff", r"\\u", r"\\ud83d\\ude00", "é", "€", "😀", "{", "}", "[", "]", ",", ":",
    "\x7f", "\u2028",
]  # fmt: skip
RAW = [
    b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f", b"\xe2\x28\xa1", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"\xc2",
    b"\xf1\x80\xe1\x80b",
]  # fmt: skip
NUMBERS = [
    "0", "-0", "1", "-1", "1.0", "-1.5e3", "1E+3", "1e-3", "1e308", "1e400", "-1e400", "0.1", "0e0", "1073741824", "2147483648",
    "4294967296", "4611686018427387904", "-4611686018427387905", "9223372036854775807", "9223372036854775808",
    "-9223372036854775809", "123456789012345678901234567890",
]  # fmt: skip
READ = """
import sys
from nfa.daemon.base.micropython_text import characters
from nfa.daemon.base.portable_micropython import parse_json
def shown(value):
    if isinstance(value, str):
        return str([c for c in characters(value)])
    if isinstance(value, dict):
        return "{" + ";".join(sorted([shown(key) + shown(value[key]) for key in value])) + "}"
    if isinstance(value, list):
        return "[" + ";".join([shown(one) for one in value]) + "]"
    return "%.9g" % value if isinstance(value, float) else str(value)
for document in open(sys.argv[1], "rb").read().split(b"\\xff\\n"):
    print(shown(parse_json(document)))
"""


def _shown(value: Any) -> str:
    """What READ prints."""
    if isinstance(value, str):
        return str([ord(character) for character in value])
    if isinstance(value, dict):
        return "{" + ";".join(sorted(_shown(key) + _shown(one) for key, one in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ";".join(map(_shown, value)) + "]"
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def _document(rng: random.Random) -> bytes:
    """A JSON object with all that JSON may have in it."""

    def blank() -> bytes:
        return rng.choice([b""] * 6 + [b" ", b"\t", b"\r\n"])

    def text() -> bytes:
        parts = [rng.choice(PIECES).encode() if rng.random() < 0.85 else rng.choice(RAW) for _ in range(rng.randrange(6))]
        return b'"' + b"".join(parts) + b'"'

    def value(depth: int) -> bytes:
        kind = rng.random() if depth else 1
        if kind < 0.25:
            return b"[" + b",".join(blank() + value(depth - 1) + blank() for _ in range(rng.randrange(4))) + b"]"
        if kind < 0.5:
            return b"{" + b",".join(pair(depth - 1) for _ in range(rng.randrange(4))) + b"}"
        return rng.choice([text(), rng.choice(NUMBERS).encode(), rng.choice([b"true", b"false", b"null"])])

    def pair(depth: int) -> bytes:
        return blank() + text() + blank() + b":" + blank() + value(depth) + blank()

    return b"{" + pair(4) + b"}"


def test_json_is_read_as_by_cpython(micropython: MicroPython, tmp_path: Path) -> None:
    """A name that is written in another way, a number, or bytes that are no UTF-8 would be something else on the router."""
    rng = random.Random(1)
    documents = [_document(rng) for _ in range(400)]
    file = tmp_path / "documents"
    file.write_bytes(b"\xff\n".join(documents))
    assert micropython.run(READ, str(file), heap="16M").splitlines() == [_shown(parse_json(one)) for one in documents]
