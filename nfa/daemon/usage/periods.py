"""The hours and days that were counted: each a string of bytes, and each only as many rows as it has room for.

In: rows of an hour that has ended. Out: rows of any hour of the last 48 and any day of the last 31. A row is of a device and an
application, or of an action: down, up (bytes), active minutes, connections, blocked packets. Of more rows than there is room
for, those with the most bytes stay; the others are summed up, device by device, so that the sums of a device remain exact.
"""

import struct

from .counting import ACTIONS

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterator

    from ..engine.hours import Zone

    Rows = dict[int, list[int]]

HOUR = 3600
HOURS = 48
"""Hours that are kept besides the one that runs."""
DAYS = 31
"""Days that are kept, today among them."""
HOUR_ROWS = 400
DAY_ROWS = 800
ACTION_ROWS = 100
"""Rows of actions in each period."""
EARLIEST = 1_767_225_600
"""2026-01-01: a clock that shows less is not set. What is counted then belongs to the hour in which it is."""
_ROW = "<IQQIiI"
"""Device (the higher half) and application, down, up, minutes, connections, blocked packets."""
_LIMITS = (1 << 64) - 1, (1 << 64) - 1, (1 << 32) - 1, (1 << 31) - 1, (1 << 32) - 1


def pack(rows: "Rows") -> bytes:
    """Return rows as bytes; b"" for none."""
    from zlib import compress  # nothing is packed in the first hour

    if not rows:
        return b""
    made = struct.Struct(_ROW).pack
    plain = [made(key, *[min(one, limit) for one, limit in zip(rows[key], _LIMITS)]) for key in sorted(rows)]
    return compress(b"".join(plain), 3)


def unpack(packed: bytes) -> "Rows":
    """Return the rows of `pack`. Raises ValueError when they are damaged."""
    from zlib import decompressobj, error

    if not packed:
        return {}
    try:
        plain = decompressobj().decompress(packed, MAX_PLAIN + 1)
        if len(plain) > MAX_PLAIN:
            raise ValueError("too many rows")
        return {key: list(row) for key, *row in struct.iter_unpack(_ROW, plain)}
    except (error, struct.error):
        raise ValueError("no rows") from None


MAX_PLAIN = 3 * (DAY_ROWS + ACTION_ROWS) * 32
"""Bytes of a period's rows."""


def add(rows: "Rows", more: "Rows") -> None:
    """Add rows to others."""
    for key, row in more.items():
        found = rows.get(key)
        if found is None:
            rows[key] = list(row)
        else:
            for column, value in enumerate(row):
                found[column] += value


def trim(rows: "Rows", most: int) -> "Rows":
    """Return as many rows as there is room for; the others are summed up as application 0 of their device, or as action 0."""
    actions = {key: row for key, row in rows.items() if key >> 16 == ACTIONS}
    others = {key: row for key, row in rows.items() if key >> 16 != ACTIONS}
    made = _trim(others, most)
    made.update(_trim(actions, ACTION_ROWS))
    return made


def _trim(rows: "Rows", most: int) -> "Rows":
    if len(rows) <= most:
        return rows
    # Half of the room at least is for applications: with more devices than that, the rest of some is of all devices.
    ranked = sorted(rows, key=lambda key: -rows[key][0] - rows[key][1])
    devices = {key >> 16 for key in rows}
    kept = {key: rows[key] for key in ranked[: max(most // 2, most - len(devices))] if key & 0xFFFF}
    rest: Rows = {}
    for key, row in rows.items():
        if key not in kept:
            add(rest, {key >> 16 << 16: row})
    room = most - len(kept)
    if len(rest) > room:
        least = sorted(rest, key=lambda key: -rest[key][0] - rest[key][1])[room - 1 :]
        for key in least:
            if key:
                add(rest, {0: rest.pop(key)})
    kept.update(rest)
    return kept


class Periods:
    """`hours`: when an hour begins (epoch seconds) to its rows, packed; `days`: the same by day, counted from 1970-01-01."""

    def __init__(self, zone: "Zone") -> None:
        self.zone = zone
        self.hours: dict[int, bytes] = {}
        self.days: dict[int, bytes] = {}

    def begin_of(self, moment: int) -> int:
        """Return the beginning of the hour that a moment is in, by the wall clock: some zones are half an hour off."""
        return moment - self.zone.local(moment)[1] % HOUR

    def add(self, start: int, rows: "Rows") -> None:
        """Add rows to the hour that begins at `start`, and to its day."""
        if not rows:
            return
        day = self.zone.local(start)[0]
        self.hours[start] = _more(self.hours.get(start, b""), rows, HOUR_ROWS)
        self.days[day] = _more(self.days.get(day, b""), rows, DAY_ROWS)

    def prune(self, now: int) -> None:
        """Forget what is too old."""
        start, day = self.begin_of(now), self.zone.local(now)[0]
        for one in [one for one in self.hours if one < start - HOURS * HOUR]:
            del self.hours[one]
        for one in [one for one in self.days if one <= day - DAYS]:
            del self.days[one]

    def oldest(self, now: int) -> int:
        """Return the beginning of the oldest day that is kept, epoch seconds."""
        return self.zone.begin(self.zone.local(now)[0] - DAYS + 1)

    def absorb(self, now: int) -> None:
        """What is dated later than now, because the clock was ahead, belongs to this hour and this day."""
        start, day = self.begin_of(now), self.zone.local(now)[0]
        for table, present, most in ((self.hours, start, HOUR_ROWS), (self.days, day, DAY_ROWS)):
            for one in [one for one in table if one > present]:
                table[present] = _more(table.get(present, b""), unpack(table.pop(one)), most)

    def copy(self) -> "Periods":
        """Return a copy, which others may add to."""
        made = Periods(self.zone)
        made.hours.update(self.hours)
        made.days.update(self.days)
        return made

    def each(self) -> "Iterator[tuple[dict[int, bytes], int]]":
        """Yield each period as its table and its place there. Periods may be changed meanwhile."""
        for table in (self.hours, self.days):
            for place in list(table):
                if place in table:
                    yield table, place

    def filter(self, table: "dict[int, bytes]", place: int, keep: "Callable[[int], bool]") -> None:
        """Keep only the rows of a period whose key is wanted."""
        rows = unpack(table[place])
        wanted = {key: row for key, row in rows.items() if keep(key)}
        if len(wanted) != len(rows):
            table[place] = pack(wanted)


def _more(packed: bytes, rows: "Rows", most: int) -> bytes:
    whole = unpack(packed)
    add(whole, rows)
    return pack(trim(whole, most))
