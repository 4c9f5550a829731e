"""Converters of the `time_of_day` property and of `timezone`.

In and out as in convert.py: windows of hours and days, and the name of a time zone that can be used.
"""

from __future__ import annotations

import re
import zoneinfo

from nfa.config.convert import Context, Invalid, choice, elements, expected, mapping, scalar, words
from nfa.config.jsontext import Value
from nfa.config.model import Text, Window
from nfa.config.report import did_you_mean, quote

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PROPERTIES = ("day", "time_start", "time_end", "policy")
_DAY_SECONDS = 86400

_TIME = re.compile(r"([0-9]{1,2}):([0-5][0-9])(?::([0-5][0-9]))?")
_ABBREVIATION = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_OFFSET = r"[+-]?[0-9]{1,3}(?::[0-9]{2}){0,2}"
_RULE = rf",(?:M[0-9]{{1,2}}\.[1-5]\.[0-6]|J?[0-9]{{1,3}})(?:/{_OFFSET})?"
_POSIX_TZ = re.compile(rf"{_ABBREVIATION}{_OFFSET}(?:{_ABBREVIATION}(?:{_OFFSET})?(?:{_RULE}{_RULE})?)?")


def windows(value: Value, context: Context) -> list[Window]:
    """time_of_day: one window or a list of them, as objects or by their names; null is none."""
    return [_window(_named(element, context), context) for element in elements(value)]


def _named(value: Value, context: Context) -> Value:
    """The object that a name stands for; an object is itself."""
    if not isinstance(value.value, Text):
        return value
    name = value.value.value.strip()
    if name not in context.times_of_day:
        hint = "expected a section 'time_of_day' of UCI, or an object with day, time_start, time_end and policy"
        message = f"no time of day is named {quote(name)}"
        raise Invalid(value.place, message, did_you_mean(name, context.times_of_day) or hint)
    return context.times_of_day[name]


def _window(value: Value, context: Context) -> Window:
    members = mapping(value)
    for name, _ in members.values():
        if name.value not in (*_PROPERTIES, "days"):
            context.reports.warning(
                name.place,
                f"unknown property {quote(name.value)} of a time of day",
                hint=did_you_mean(name.value, _PROPERTIES),
                consequence="the property is ignored",
            )
    given = {name: member for name, (_, member) in members.items() if member.value is not None}
    days = given.get("day", given.get("days"))
    start = _time(given["time_start"], _DAY_SECONDS - 1) if "time_start" in given else 0
    end = _time(given["time_end"], _DAY_SECONDS) if "time_end" in given else _DAY_SECONDS
    if start == end:
        context.reports.warning(
            value.place, "the time of day starts when it ends", consequence="it lasts for 24 hours"
        )
    exclusive = (
        "policy" in given and choice("inclusive", "exclusive")(given["policy"], context) == "exclusive"
    )
    return Window(
        _days(days) if days else tuple(range(7)), start, end, "exclusive" if exclusive else "inclusive"
    )


def _days(value: Value) -> tuple[int, ...]:
    found = set()
    for word in words(value, ","):
        day = word.value.lower()
        if day not in DAYS and day not in _LONG_DAYS:
            raise Invalid(word.place, f"unknown day {quote(word.value)}", did_you_mean(word.value, DAYS))
        found.add(DAYS.index(day[:3]))
    if not found:
        raise expected(f"some of {', '.join(DAYS)} (or no 'day' at all for every day)", value)
    return tuple(sorted(found))


def _time(value: Value, latest: int) -> int:
    """hh:mm or hh:mm:ss in seconds of the day."""
    value = scalar(value)
    plain = value.plain()
    match = _TIME.fullmatch(plain.strip()) if isinstance(plain, str) else None
    seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0) if match else _DAY_SECONDS + 1
    if seconds > latest:
        last = "24:00" if latest == _DAY_SECONDS else "23:59:59"
        raise expected(f"a time hh:mm or hh:mm:ss from '0:00' to '{last}'", value)
    return seconds


def timezone(value: Value, context: Context) -> str:
    """A name of the zoneinfo database or a POSIX TZ string; '' is the system's own."""
    value = scalar(value)
    if not isinstance(value.value, Text):
        raise expected("a time zone such as 'America/Toronto'", value)
    zone = value.value.value.strip().removeprefix(":")
    if not zone or _POSIX_TZ.fullmatch(zone) or _in_database(zone):
        return zone
    known = zoneinfo.available_timezones()
    if not known and re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}", zone):
        # OpenWrt installs the database a region at a time, or not at all.
        context.reports.warning(
            value.place,
            f"cannot check the time zone {quote(zone)}: this system has no zoneinfo database",
            hint="install zoneinfo packages, or write a POSIX time zone such as 'EST5EDT,M3.2.0,M11.1.0'",
        )
        return zone
    hint = did_you_mean(zone, known) or "expected a name such as 'America/Toronto', or a POSIX time zone"
    raise Invalid(value.place, f"unknown time zone {quote(zone)}", hint)


def _in_database(zone: str) -> bool:
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        return False
    return True
