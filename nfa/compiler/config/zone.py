"""Time zones: from a name, a POSIX string or the system's own settings to a table of offsets.

In: what the configuration says. Out: (epoch second, offset) for each change from 2020 on, which is all that the daemon needs:
it has neither a zoneinfo database nor the means to read one.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from nfa.compiler.base.files import FileError, decode, read_bytes

FIRST_YEAR, LAST_YEAR = 2020, 2045
SYSTEM_FILES = ("/etc/localtime", "/tmp/localtime")
POSIX_FILES = ("/etc/TZ", "/tmp/TZ")
MAX_FILE = 1 << 16
"""Bytes of a file with a time zone: those of the database have up to 4 KiB."""

_NAME = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")
_UTC = ("UTC", "GMT")
"""What OpenWrt's `timezone` may be without the offset that a POSIX string has."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""What a second is counted from: datetime.fromtimestamp takes none beyond 2038 where the C library's time_t has 32 bits."""

Changes = list[tuple[int, int]]
Look = Callable[[str], str]


def posix(text: str) -> zoneinfo.ZoneInfo:
    """Return the zone of a POSIX string such as 'CET-1CEST,M3.5.0,M10.5.0/3'. Raises ValueError.

    It is read by zoneinfo as the footer of a file without transitions (RFC 8536), in which no footer would mean UTC.
    """
    if not text:
        raise ValueError("a time zone without a name")
    if text in _UTC:
        text += "0"
    header = b"TZif2" + b"\0" * 15
    empty = header + struct.pack(">6I", 0, 0, 0, 0, 1, 1) + struct.pack(">iBB", 0, 0, 0) + b"\0"
    return _of_file(empty + empty + b"\n" + text.encode("ascii") + b"\n", text)


def named(name: str, look: Look = str) -> zoneinfo.ZoneInfo:
    """Return the zone of a name of the database. Raises ValueError when it is none, or its file is broken.

    `look` is told of each file before it is read, also of one that is not there.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("not the name of a time zone")
    for folder in zoneinfo.TZPATH:
        path = look(os.path.join(folder, name))
        if os.path.isfile(path):
            try:
                return _of_file(read_bytes(path, MAX_FILE), name)
            except FileError as failure:
                raise ValueError(str(failure)) from None
    try:
        return zoneinfo.ZoneInfo(name)  # it may be in the package tzdata
    except (zoneinfo.ZoneInfoNotFoundError, OSError) as failure:
        raise ValueError(str(failure)) from None


def find(name: str, look: Look = str) -> zoneinfo.ZoneInfo:
    """Return the zone of a name of the database, or of a POSIX string. Raises ValueError when it is neither."""
    try:
        return named(name, look)
    except ValueError:
        return posix(name)


class _Content(io.BytesIO):
    """A file that ends with an error: zoneinfo would look for the end of the last line for ever."""

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if size is not None and len(found) < size:
            raise EOFError
        return found


@lru_cache(8)
def _of_file(content: bytes, name: str) -> zoneinfo.ZoneInfo:
    """Return the zone of what is in a file of the database's form; its `key` is the name. Raises ValueError."""
    try:
        found = zoneinfo.ZoneInfo.from_file(_Content(content), name)
        changes(found)  # a file may hold any number for an offset
    except Exception as failure:  # zoneinfo raises whatever its parser meets: struct.error, AssertionError, IndexError ...
        raise ValueError(f"not a time zone: {type(failure).__name__}") from None
    return found


def _content(path: str) -> bytes:
    """Return what is in a system's file. Raises FileError or OSError: also when a stranger may have put it there."""
    if os.stat(os.path.dirname(path)).st_mode & 0o002 and os.lstat(path).st_uid not in (0, os.geteuid()):
        raise PermissionError("another user's file in a folder that everybody may write to")
    return read_bytes(path, MAX_FILE)


def system(settings: dict[str, str], look: Look = str) -> zoneinfo.ZoneInfo | None:
    """Return the zone of this machine; `settings`: zonename and timezone of OpenWrt's `system`. None: not known, so UTC."""
    for name in (settings.get("zonename", "").replace(" ", "_"), settings.get("timezone", "")):
        if name:
            try:
                return find(name, look)
            except ValueError:
                continue
    for path in SYSTEM_FILES:
        try:
            return _of_file(_content(look(path)), os.path.realpath(path).partition("/zoneinfo/")[2] or path)
        except (FileError, OSError, ValueError):
            continue
    for path in POSIX_FILES:
        try:
            return find(decode(_content(look(path)), path).strip().lstrip(":"), look)
        except (FileError, OSError, ValueError):
            continue
    try:
        return find(os.environ.get("TZ", "").lstrip(":"), look)
    except ValueError:
        return None


@lru_cache(8)
def changes(zone: zoneinfo.ZoneInfo | None) -> Changes:
    """Return every change of a zone's offset, to the second; the first entry is the offset at the beginning."""
    if zone is None:
        return [(0, 0)]

    def offset(moment: int) -> int:
        found = (_EPOCH + timedelta(seconds=moment)).astimezone(zone).utcoffset() or timedelta()
        return int(found.total_seconds())

    begin, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (FIRST_YEAR, LAST_YEAR))
    table = [(begin, offset(begin))]
    for day in range(begin, end, 86400):
        if offset(day + 86400) != table[-1][1]:
            low, high = day, day + 86400
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == table[-1][1] else (low, middle)
            table.append((high, offset(high)))
    return table
