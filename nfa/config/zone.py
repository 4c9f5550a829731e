"""Time zones: from a name, a POSIX string or the system's own settings to a table of offsets.

In: what the configuration says. Out: (epoch second, offset) for each change from 2020 on, which is all that the daemon needs:
it has neither a zoneinfo database nor the means to read one.
"""

from __future__ import annotations

import io
import os
import struct
import zoneinfo
from datetime import UTC, datetime, timedelta

FIRST_YEAR, LAST_YEAR = 2020, 2045
SYSTEM_FILES = ("/etc/localtime", "/tmp/localtime")
POSIX_FILES = ("/etc/TZ", "/tmp/TZ")

_UTC = ("UTC", "GMT")
"""What OpenWrt's `timezone` may be without the offset that a POSIX string has."""

Changes = list[tuple[int, int]]


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
    return zoneinfo.ZoneInfo.from_file(io.BytesIO(empty + empty + b"\n" + text.encode("ascii") + b"\n"))


def find(name: str) -> zoneinfo.ZoneInfo:
    """Return the zone of a name of the database, or of a POSIX string. Raises ValueError when it is neither."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        return posix(name)


def system(settings: dict[str, str]) -> zoneinfo.ZoneInfo | None:
    """Return the zone of this machine; `settings`: zonename and timezone of OpenWrt's `system`. None: not known, so UTC."""
    for name in (settings.get("zonename", "").replace(" ", "_"), settings.get("timezone", "")):
        if name:
            try:
                return find(name)
            except ValueError:
                continue
    for path in SYSTEM_FILES:
        try:
            with open(path, "rb") as file:
                return zoneinfo.ZoneInfo.from_file(file)
        except (OSError, ValueError):
            continue
    for path in POSIX_FILES:
        try:
            with open(path, encoding="ascii") as file:
                return find(file.read(256).strip().lstrip(":"))
        except (OSError, ValueError):
            continue
    try:
        return find(os.environ.get("TZ", "").lstrip(":"))
    except ValueError:
        return None


def changes(zone: zoneinfo.ZoneInfo | None) -> Changes:
    """Return every change of a zone's offset, to the second; the first entry is the offset at the beginning."""
    if zone is None:
        return [(0, 0)]

    def offset(moment: int) -> int:
        found = datetime.fromtimestamp(moment, UTC).astimezone(zone).utcoffset() or timedelta()
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
