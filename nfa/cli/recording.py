"""Recorded flow streams, read back record by record for the commands replay, explain and eval.

In: a path, '-' for standard input, or an open binary file. It holds the bytes as a client of netifyd's socket
received them (length headers), or one JSON object a line; either may be gzipped. All of that is recognised by
content, never by name. Out: the payload of each record (`frames`) or the decoded object (`records`); for a
replay also the `greeting` of a client, the `schedule`, and the bytes of the wire (`framed`, `line`).

A recording is often cut short, or begins in the middle of a record. What makes no sense is skipped and reported
to a callback; it never ends the reading. The cutting is the daemon's own (nfa.daemon.stream.framing), so both agree
on what a record is, and memory is bounded by one record and one chunk.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from os import PathLike
from typing import Any, BinaryIO, cast

from nfa.daemon.base.portable import MAX_RECORD
from nfa.daemon.stream.framing import Framer

Source = str | PathLike[str] | BinaryIO
Skipped = Callable[[str], None]
_Reader = io.BufferedReader | gzip.GzipFile

GREETING = ("agent_hello", "agent_status", "definitions", "protocols")  # the last one: 3.x for definitions
MAX_GAP = 60.0  # seconds; longer silences of a recording are shortened to this

_CHUNK = 1 << 16  # bytes read at a time; also how exactly the place of damage is known in a framed recording
_LAST_SEEN = re.compile(rb'"last_seen_at"\s*:\s*(\d{1,15})')
_TIMESTAMP = re.compile(rb'"timestamp"\s*:\s*(\d{1,12})')
_DAMAGE = {"length": "a wrong length header", "oversize": f"a record of more than {MAX_RECORD} bytes"}


def frames(source: Source, skipped: Skipped | None = None) -> Iterator[bytes]:
    """Payloads of a recording in order, without length headers.

    A framed payload is exactly the bytes that were recorded; a line is given with one newline at its end, as
    netifyd 4.4 writes it. A payload looks like an object ('{' to '}') but need not be valid JSON. For each
    place left out `skipped(message)` is called; it says where and why. Raises OSError if reading fails.
    """
    for _place, payload in _located(source, skipped or _ignore):
        yield payload


def records(source: Source, skipped: Skipped | None = None) -> Iterator[dict[str, object]]:
    """Decoded records of a recording in order; what is not valid JSON goes to `skipped`, else as `frames`."""
    skipped = skipped or _ignore
    for place, payload in _located(source, skipped):
        try:
            yield json.loads(payload)
        except json.JSONDecodeError as error:
            skipped(f"{place}: not valid JSON: {error.msg} at character {error.pos + 1} of the record")
        except (ValueError, RecursionError) as error:  # not UTF-8, a number too long, nested too deep
            skipped(f"{place}: not valid JSON: {type(error).__name__}")


def greeting(payloads: Iterator[bytes]) -> tuple[list[bytes], Iterator[bytes] | None]:
    """What netifyd greets a client with, the leading record of each GREETING type, and all payloads again.

    The second is None when there are no payloads.
    """
    head: dict[object, bytes] = {}
    for payload in payloads:
        kind = _type(payload)
        if kind not in GREETING or kind in head:
            return list(head.values()), chain(head.values(), [payload], payloads)
        head[kind] = payload
    return list(head.values()), iter(head.values()) if head else None


def schedule(payloads: Iterator[bytes], speed: float) -> Iterator[tuple[float, bytes]]:
    """Each record and when it is due, in seconds: what its own time says, never going back.

    Flow records carry last_seen_at (epoch milliseconds), agent_status a timestamp (epoch seconds). Statistics
    and purges of idle flows carry a time long past: they are due together with the record before them.
    """
    latest, due = 0, 0.0
    for payload in payloads:
        if not math.isinf(speed):
            if found := _LAST_SEEN.search(payload):
                moment = int(found[1])
            else:
                found = _TIMESTAMP.search(payload)
                moment = int(found[1]) * 1000 if found else 0
            if moment > latest:
                due += min((moment - latest) / 1000, MAX_GAP) / speed if latest else 0.0
                latest = moment
        yield due, payload


def framed(payload: bytes) -> bytes:
    """As netifyd 4.x writes it: the length header, then the payload as it was recorded."""
    return b'{"length": %d}\n%b' % (len(payload), payload)


def line(payload: bytes) -> bytes:
    """As a sink of netifyd 5 without header. A newline inside a record can only be JSON white space."""
    return payload.strip().replace(b"\n", b" ") + b"\n"


def _ignore(message: str) -> None:
    """The callback of a caller that does not ask what was left out."""


def _type(payload: bytes) -> object:
    """The type of a record, None when it has none."""
    try:
        return json.loads(payload).get("type")
    except (ValueError, RecursionError):
        return None


def _located(source: Source, skipped: Skipped) -> Iterator[tuple[str, bytes]]:
    """Place and payload of each record: a line number, or an offset in the uncompressed bytes."""
    framer, read, number, ended = Framer(), 0, 1, False
    bad = dict(framer.bad)
    with _opened(source) as file:
        while not ended:
            # Line by line until length headers are seen: so the number of a bad line is known.
            piece, problem = _piece(file, framed=framer.lines is False)
            place = f"after byte {read - framer.waiting}" if framer.lines is False else f"line {number}"
            ended = not piece
            read += len(piece)
            number += piece.endswith(b"\n")
            payloads = framer.feed(piece or b"\n")  # the newline ends a last line that has none
            for kind, reason in _DAMAGE.items():
                if framer.bad[kind] > bad[kind]:
                    skipped(f"{place}: {reason}")
            bad = dict(framer.bad)
            for payload in payloads:
                if payload.startswith(b"{") and payload.endswith(b"}"):
                    yield place, payload + b"\n"
                else:
                    skipped(f"{place}: not a JSON object")
            if problem:
                skipped(problem)
    if framer.waiting:
        skipped(f"after byte {read - framer.waiting}: the recording ends inside a record")


def _piece(file: _Reader, framed: bool) -> tuple[bytes, str]:
    """The next bytes, none at the end, and what is wrong with the gzip data if that is why it ends."""
    try:
        return (file.read1(_CHUNK) if framed else file.readline(_CHUNK)), ""
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return b"", f"the gzip data is damaged or cut short: {error}"


@contextmanager
def _opened(source: Source) -> Iterator[_Reader]:
    """The uncompressed bytes. What was opened here is closed; a file that was given stays open."""
    if isinstance(source, str | PathLike) and source != "-":
        with open(source, "rb") as file:
            yield _unzipped(file)
        return
    given = sys.stdin.buffer if isinstance(source, str | PathLike) else source
    if isinstance(given, io.BufferedReader):
        yield _unzipped(given)
        return
    reader: io.BufferedReader[Any] = io.BufferedReader(cast(io.RawIOBase, given))
    try:
        yield _unzipped(reader)
    finally:
        reader.detach()  # or the end of the reader would close the caller's file


def _unzipped(file: io.BufferedReader[Any]) -> _Reader:
    return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == b"\x1f\x8b" else file
