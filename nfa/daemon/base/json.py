"""`json` as the daemon uses it: the C module of CPython, without the Python around it. `base.socket` says why.

`loads` and `dumps` are the standard library's without options; `compact` writes UTF-8 text without blanks, and no number that
JSON does not have; `scan` reads one value at a place of a text, and returns it with the place where it ends.
"""

import sys

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

if MYPY or sys.implementation.name != "micropython":
    NO_JSON = (StopIteration, SystemError)
    """What `scan` raises besides ValueError. SystemError: up to 3.12 it asks for an exception of `json`, which nobody loads."""
    _BLANKS = " \t\n\r"
    """What may stand around a JSON value."""

    def _with_json() -> "tuple[Callable[[str, int], Any], Callable[[object], str], Callable[[object], str]]":
        """Return what reads and writes JSON, from the standard library."""
        from json import JSONDecoder, JSONEncoder

        compact = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
        return JSONDecoder().scan_once, JSONEncoder().encode, compact  # type: ignore[attr-defined]  # absent from typeshed

    def _with_c() -> "tuple[Callable[[str, int], Any], Callable[[object], str], Callable[[object], str]]":
        """Return the same from its C module. Raises ImportError."""
        from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

        class Strict:
            """How `json.JSONDecoder` reads by default."""

            strict = True
            object_hook = object_pairs_hook = None
            parse_float = float
            parse_int = int
            parse_constant = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__

        def refuse(value: object) -> None:
            raise TypeError("no JSON: " + type(value).__name__)

        # In: circles that were seen (None: not looked for), what to do with others, texts, indent, the two separators, whether
        # keys are sorted, or left out when they are none, whether there may be NaN.
        plain = make_encoder(None, refuse, encode_basestring_ascii, None, ": ", ", ", False, False, True)
        close = make_encoder(None, refuse, encode_basestring, None, ":", ",", False, False, False)
        return (
            make_scanner(Strict),  # type: ignore[arg-type]  # typeshed has its own class for what it asks for
            lambda value: "".join(plain(value, 0)),
            lambda value: "".join(close(value, 0)),
        )

    try:
        scan, dumps, compact = _with_c()
    except ImportError:
        scan, dumps, compact = _with_json()

    def loads(text: str | bytes) -> "Any":
        """Return the value of a JSON text. Raises ValueError when it is none."""
        if not isinstance(text, str):
            text = str(text, "utf-8")
        try:
            value, end = scan(text, len(text) - len(text.lstrip(_BLANKS)))
        except NO_JSON:
            raise ValueError("not JSON") from None
        if text[end:].strip(_BLANKS):
            raise ValueError("more than one value")
        return value

else:
    from json import dumps as dumps  # for those who import this module
    from json import loads as loads
