"""Answers about usage: who used what, between two moments, for people; and forgets what somebody wants forgotten.

In: words for a span of time, a device, an application. Out: plain data, made in slices of the loop's turns: each step reads one
hour or day. For a day of which only a part is wanted its hours are taken, as long as they are kept; the answer says which span
it covers.
"""

import time

from ..engine.hours import DAY
from ..engine.view import MALFORMED, address
from .counting import ACTIONS
from .names import OTHER
from .periods import HOUR, HOURS, unpack
from .usage import ROUTER

MYPY = False
if MYPY:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Any

    from ..devices.configured import Devices
    from ..devices.known import Known
    from ..engine.hours import Zone
    from .periods import Periods, Rows
    from .usage import Usage

    Data = dict[str, Any]
    Work = Generator[None, None, Data]
    Span = tuple[int, int, bytes]

AT_ONCE = 32
"""Devices of one answer: their applications of a month fit into a megabyte."""
FIELDS = ("down", "up", "minutes", "connections", "blocked_packets")
OTHERS = "other"
"""What the rest is called, of applications, actions or devices."""
_UNITS = {"h": HOUR, "d": DAY, "m": 60}
FORMS = "today, yesterday, 12h, 7d, 2026-11-30, '2026-11-30 14:00' or epoch seconds"


def moment_of(text: str, zone: "Zone", now: int) -> int:
    """Return the moment (epoch seconds) that a text names. Raises ValueError."""
    text = text.strip().lower()
    day = zone.local(now)[0]
    if text == "now":
        return now
    if text in ("", "today", "yesterday"):
        return zone.begin(day - (text == "yesterday"))
    if text.isascii() and text.isdigit() and 9 <= len(text) <= 11:
        return int(text)  # shorter: a slip, 7 for 7d
    if text[-1] in _UNITS and text.isascii() and text[:-1].isdigit() and len(text) <= 6:
        if text[-1] == "d":
            return zone.begin(max(0, day + 1 - int(text[:-1])))  # today is one of them
        return max(0, now - int(text[:-1]) * _UNITS[text[-1]])
    date, _, clock = text.replace("t", " ").partition(" ")
    year, month, number = _numbers(date, "-", 3)
    hour, minute = _numbers(clock.strip(), ":", 2) if clock.strip() else (0, 0)
    if not (1970 <= year < 2100 and 1 <= month <= 12 and 1 <= number <= 31 and 0 <= hour < 24 and 0 <= minute < 60):
        raise ValueError(text)
    begin = zone.begin(_day_number(year, month, number))
    return begin + _seconds(zone, begin, hour * HOUR + minute * 60)


def _numbers(text: str, between: str, count: int) -> list[int]:
    parts = text.split(between)
    if len(parts) != count or [1 for part in parts if not (part.isascii() and part.isdigit() and len(part) <= 4)]:
        raise ValueError(text)
    return [int(part) for part in parts]


def _day_number(year: int, month: int, day: int) -> int:
    """Return a date of the Gregorian calendar as days since 1970-01-01. Raises ValueError."""
    lengths = (31, 28 + (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if day > lengths[month - 1]:
        raise ValueError("no such day")
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719162
    return days + sum(lengths[: month - 1]) + day - 1


def _seconds(zone: "Zone", begin: int, second: int) -> int:
    """Return how long after the beginning of its day the wall clock shows a second of the day."""
    off = second - zone.local(begin + second)[1]
    return second + ((off + DAY // 2) % DAY - DAY // 2)


def parts_of(periods: "Periods", since: int, until: int, now: int) -> "list[Span]":
    """Return the periods that cover a span: (begin, end, rows). Those that have nothing are among them."""
    zone = periods.zone
    found: list[Span] = []
    oldest = periods.begin_of(now) - HOURS * HOUR
    for day in range(zone.local(since)[0], zone.local(max(since, until - 1))[0] + 1):
        begin, end = zone.begin(day), min(zone.begin(day + 1), now)
        if begin >= now:
            break
        if (since > begin or until < end) and max(since, begin) >= oldest:
            start = periods.begin_of(max(since, begin))
            while start < min(until, end):
                following = periods.begin_of(start + HOUR)  # some zones put the clock on by half an hour
                found.append((max(begin, start), min(following, end), periods.hours.get(start, b"")))
                start = following
        else:
            found.append((begin, end, periods.days.get(day, b"")))
    return found


class Labels:
    """What devices, applications and categories are called now."""

    def __init__(self, usage: "Usage", devices: "Devices | None", known: "Known | None", categories: "dict[str, str]") -> None:
        """`categories`: application or protocol, in lower case, to its category."""
        self._usage = usage
        self._devices = devices
        self._known = known
        self._categories = categories

    def device(self, number: int) -> "tuple[str, str, list[str]]":
        """Return the name of a device, its MAC address ("": none is known), and all texts that it can be asked for by."""
        key = self._usage.devices.name(number)
        if number == OTHER or key == "":
            return OTHERS, "", [OTHERS]
        if key == ROUTER:
            return ROUTER, "", [ROUTER]
        mac = bytes.fromhex(key.replace(":", "")) if len(key) == 17 and key.count(":") == 5 else b""
        try:
            names = self._of_mac(mac) if mac else self._of_address(key)
        except MALFORMED:
            names = []
        return (names or [key])[0], key if mac else "", names + [key]

    def _of_mac(self, mac: bytes) -> list[str]:
        numbers = sorted(self._devices.of_mac(mac)) if self._devices is not None else []
        return self._of_configured(numbers) + (list(self._known.names_of(mac)) if self._known is not None else [])

    def _of_configured(self, numbers: "Iterable[int]") -> list[str]:
        """Return the names of devices of the configuration, then their titles."""
        devices = self._devices
        if devices is None:
            return []
        return [devices.names[n] for n in numbers] + [devices.titles[n] for n in numbers if devices.titles[n]]

    def _of_address(self, text: str) -> list[str]:
        packed = address(text)
        names = self._of_configured(self._devices.of(packed, b"")) if self._devices is not None else []
        host = self._known.name_at(packed) if self._known is not None else ""
        return names + ([host] if host else [])

    def app(self, number: int) -> tuple[str, str]:
        """Return an application and its category."""
        name = self._usage.apps.name(number) if number != OTHER else ""
        return name or OTHERS, self._categories.get(name.lower(), "")

    def devices(self, text: str) -> "set[int]":
        """Return the numbers of the devices that a text names: by name, title, host name, MAC address or address."""
        word = text.strip().lower()
        wanted = {word.replace("-", ":") if len(word) == 17 and word.count("-") == 5 else word}
        try:
            owner = self._known.owner(address(word)) if self._known is not None else b""
            wanted.update([owner.hex(":")] if owner else [])
        except MALFORMED:
            pass  # it is no address
        numbers = range(len(self._usage.devices.names))
        return {
            n
            for n in numbers
            if (n == OTHER or self._usage.devices.name(n)) and not wanted.isdisjoint(map(str.lower, self.device(n)[2]))
        }

    def apps(self, text: str) -> "set[int]":
        """Return the numbers of the applications that a text names: whole, or what follows the first dot."""
        wanted = text.strip().lower()
        found = {OTHER} if wanted == OTHERS else set()
        for number, name in enumerate(self._usage.apps.names):
            if name and wanted in (name.lower(), name.lower().partition(".")[2]):
                found.add(number)
        return found

    def known_devices(self) -> list[str]:
        """Return the names of all devices that were counted."""
        numbers = range(1, len(self._usage.devices.names))
        return sorted({self.device(number)[0] for number in numbers if self._usage.devices.name(number)})

    def known_apps(self) -> list[str]:
        """Return the names of all applications that were counted."""
        return sorted([name for name in self._usage.apps.names if name])


def answer(
    usage: "Usage", labels: Labels, span: "tuple[int, int]", now: int,
    devices: "set[int] | None", apps: "set[int] | None", by: str, offset: int, limit: int, budget: int,
) -> "Work":  # fmt: skip
    """Yield after each slice; return the answer. `devices`, `apps`: None for all; `by`: "", "hour", "day" or "action".

    `offset`, `limit`: of devices, actions or periods; `budget`: about how many bytes the answer may have.
    """
    periods = usage.snapshot()
    yield
    parts = parts_of(periods, span[0], span[1], now)
    if by == "hour":
        parts = [part for one in parts for part in _hours_of(periods, one, now)]
    since, until = (parts[0][0], parts[-1][1]) if parts else span
    made: Data = {"since": since, "until": until}

    def wanted(key: int) -> bool:
        return (
            key >> 16 != ACTIONS
            and (devices is None or key >> 16 in devices)
            and (apps is None or key & 0xFFFF in apps)
        )  # fmt: skip

    if by in ("hour", "day"):
        rows: list[Data] = []
        for begin, end, packed in parts[offset : offset + limit]:
            total = [0, 0, 0, 0, 0]
            for key, row in _rows(packed).items():
                if wanted(key):
                    total = [one + other for one, other in zip(total, row)]
            rows.append({"since": begin, "until": end, **_counts(total)})
            yield
        made.update({"periods": rows, "offset": offset, "total": len(parts), "more": offset + len(rows) < len(parts)})
        return made
    if by == "action":
        sums: Rows = {}
        for _, _, packed in parts:
            _add(sums, _rows(packed), lambda key: key >> 16 == ACTIONS)
            yield
        named = [{"action": usage.actions.name(key & 0xFFFF) or OTHERS, **_counts(row)} for key, row in sorted(sums.items())]
        made.update(_page("actions", named, offset, limit, budget))
        return made
    there: set[int] = set()
    for _, _, packed in parts:
        there.update([key >> 16 for key in _rows(packed) if wanted(key)])
        yield
    listed = sorted(there)
    chosen = set(listed[offset : offset + min(limit, AT_ONCE)])
    sums = {}
    for _, _, packed in parts:
        _add(sums, _rows(packed), lambda key: wanted(key) and key >> 16 in chosen)
        yield
    by_device: dict[int, list[Data]] = {}
    for key, row in sorted(sums.items(), key=lambda item: -item[1][0] - item[1][1]):
        name, category = labels.app(key & 0xFFFF)
        by_device.setdefault(key >> 16, []).append({"application": name, "category": category, **_counts(row)})
    found: list[Data] = []
    for number in sorted(chosen):
        name, mac, _ = labels.device(number)
        found.append({"device": name, "mac": mac, "applications": by_device.get(number, [])})
    taken = _page("devices", found, 0, len(found), budget)["devices"]
    made.update({"devices": taken, "offset": offset, "total": len(listed), "more": offset + len(taken) < len(listed)})
    return made


def _hours_of(periods: "Periods", part: "Span", now: int) -> "Iterator[Span]":
    """Yield the hours of a period, as far as they are kept; else the period itself."""
    begin, end, _ = part
    start = periods.begin_of(begin)
    if end - begin <= HOUR or begin < periods.begin_of(now) - HOURS * HOUR:
        yield part
        return
    while start < end:
        following = periods.begin_of(start + HOUR)
        yield start, min(following, end), periods.hours.get(start, b"")
        start = following


def _rows(packed: bytes) -> "Rows":
    try:
        return unpack(packed)
    except ValueError:
        return {}  # of a file whose checksum was right


def _add(sums: "Rows", rows: "Rows", wanted: "Callable[[int], bool]") -> None:
    for key, row in rows.items():
        if wanted(key):
            found = sums.get(key)
            sums[key] = [one + other for one, other in zip(found, row)] if found is not None else row


def _counts(row: list[int]) -> "Data":
    """Return a row for people. A flow may become another application's in the next hour: then one connection is missing."""
    return {name: max(0, value) for name, value in zip(FIELDS, row)}


def _page(key: str, items: "list[Data]", offset: int, limit: int, budget: int) -> "Data":
    taken: list[Data] = []
    for item in items[offset : offset + limit]:
        budget -= len(str(item)) * 2
        if budget < 0 and taken:
            break
        taken.append(item)
    return {key: taken, "offset": offset, "total": len(items), "more": offset + len(taken) < len(items)}


def forget(usage: "Usage", devices: "set[int] | None") -> "Work":
    """Forget what was counted of some devices, None: everything; also in the file, at once. Yields after each slice."""
    if devices is None:
        usage.periods.hours.clear()
        usage.periods.days.clear()
        usage.counting.clear()
        usage.since = int(time.time())
        for names in (usage.devices, usage.apps, usage.actions):
            for number in range(len(names.names)):
                names.disown(number)
    else:
        gone = devices
        for table, place in usage.periods.each():
            usage.periods.filter(table, place, lambda key: key >> 16 not in gone)
            yield
        usage.counting.forget(gone)
        for number in gone:
            usage.devices.disown(number)
    written = usage.store.write_now(usage.content())
    return {"forgotten": True, "file": usage.store.path, "written": written, "error": "" if written else usage.store.trouble}
