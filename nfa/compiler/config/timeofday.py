"""Converters of the `time_of_day` property and of `timezone`.

In and out as in convert.py: windows of hours and days, and the name of a time zone that can be used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from nfa.compiler.base.report import did_you_mean, nearest, quote
from nfa.compiler.config.convert import Context, Invalid, choice, elements, every, expected, mapping, scalar, words
from nfa.compiler.config.jsontext import Value
from nfa.compiler.config.model import Text, Window
from nfa.daemon.engine.hours import DAYS

LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PROPERTIES = ("day", "time_start", "time_end", "policy")
_ELSEWHERE = {"time_begin": "time_start", "begin": "time_start", "start": "time_start", "end": "time_end", "stop": "time_end"}
_DAY_SECONDS = 86400

_TIME = re.compile(r"([0-9]{1,2}):([0-5][0-9])(?::([0-5][0-9]))?")
_ABBREVIATION = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_OFFSET = r"[+-]?[0-9]{1,3}(?::[0-9]{2}){0,2}"
_RULE = rf",(?:M[0-9]{{1,2}}\.[1-5]\.[0-6]|J?[0-9]{{1,3}})(?:/{_OFFSET})?"
_POSIX_TZ = re.compile(rf"{_ABBREVIATION}{_OFFSET}(?:{_ABBREVIATION}(?:{_OFFSET})?(?:{_RULE}{_RULE})?)?")

_OFFSET_OF_UTC = re.compile(rf"(?:Etc/)?(?:UTC|GMT){_OFFSET}")


def windows(value: Value, context: Context) -> list[Window]:
    """time_of_day: one window or a list of them, as objects or by their names; null is none."""
    return every(partial(_named_or_written, element, context) for element in elements(value))


def named_window(name: Text, value: Value, context: Context) -> Window | None:
    """The window of a section 'time_of_day', whether an action names it or not; None, with errors, for a wrong one."""
    try:
        return _window(value, context)
    except Invalid as error:
        for fault in (error, *error.more):
            message = f"time_of_day {quote(name.value)}: {fault}"
            context.reports.error(fault.code, fault.place, message, hint=fault.hint, consequence="the time of day is left out")
    return None


def _named_or_written(value: Value, context: Context) -> Window:
    """The window that a name refers to, or that an object describes."""
    if not isinstance(value.value, Text):
        return _window(value, context)
    name = value.value.value.strip()
    if name not in context.times_of_day:
        hint = "expected the name of a UCI section 'time_of_day', or an object with day, time_start, time_end and policy"
        message = f"there is no time of day named {quote(name)}"
        raise Invalid(value.place, message, did_you_mean(name, context.times_of_day) or hint, code="unknown-time-of-day")
    found = context.times_of_day[name]
    if found is None:
        raise Invalid(value.place, f"the time of day {quote(name)} was left out", code="time-of-day-unusable")
    return found


def _window(value: Value, context: Context) -> Window:
    members = mapping(value)
    for name, _ in members.values():
        if name.value not in (*_PROPERTIES, "days"):
            context.reports.warning(
                "unknown-option",
                name.place,
                f"unknown property {quote(name.value)} of a time of day",
                hint=did_you_mean(_ELSEWHERE.get(name.value, name.value), _PROPERTIES),
                consequence=_without(name.value, members),
            )
    given = {name: member for name, (_, member) in members.items() if member.value is not None}
    found: dict[str, Any] = {"day": tuple(range(7)), "time_start": 0, "time_end": _DAY_SECONDS, "policy": "inclusive"}
    readers: dict[str, Callable[[Value], object]] = {
        "day": _days,
        "days": _days,
        "time_start": partial(_time, latest=_DAY_SECONDS - 1),
        "time_end": partial(_time, latest=_DAY_SECONDS),
        "policy": lambda written: choice("inclusive", "exclusive")(written, context),
    }
    written = [name for name in readers if name in given and not (name == "days" and "day" in given)]
    read = every(partial(readers[name], given[name]) for name in written)
    found.update(zip((name.replace("days", "day") for name in written), read, strict=True))
    if found["time_start"] == found["time_end"]:
        context.reports.warning(
            "window-of-a-day", value.place, "the window starts and ends at the same time", consequence="it lasts 24 hours"
        )
    return Window(found["day"], found["time_start"], found["time_end"], found["policy"])


def _without(name: str, members: Mapping[str, object]) -> str:
    """What the window is without a property that is misspelt."""
    meant = (nearest(_ELSEWHERE.get(name, name), _PROPERTIES) or [""])[0]
    if meant in members:
        return "the property is ignored"
    return {
        "time_start": "the window begins at 0:00",
        "time_end": "the window ends at 24:00",
        "day": "the window applies every day",
    }.get(meant, "the property is ignored")


def _days(value: Value) -> tuple[int, ...]:
    found = set(every(partial(_day, word) for word in words(value, ",")))
    if not found:
        raise expected(f"one or more of {', '.join(DAYS)} (leave 'day' out for every day)", value)
    return tuple(sorted(found))


def _day(word: Text) -> int:
    day = word.value.lower()
    if day not in DAYS and day not in LONG_DAYS:
        several = day.startswith("week") or "-" in day or not nearest(day, DAYS)
        hint = "" if several else did_you_mean(day, DAYS)
        raise Invalid(word.place, f"unknown day {quote(word.value)}", hint or f"one `list day` for each of {' '.join(DAYS)}")
    return DAYS.index(day[:3])


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
    refused = "" if not zone or _POSIX_TZ.fullmatch(zone) else _not_in_database(zone)
    if not refused:
        _warn_of_sign(zone, value, context)
        return zone
    import zoneinfo

    known = sorted(zoneinfo.available_timezones())
    if not known and re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}", zone):
        # OpenWrt installs the database a region at a time, or not at all; who has hours is warned (nfa.compiler.schedules).
        return zone
    if zone in known:
        hint = "install the time zone database again, or write a POSIX time zone, such as CET-1CEST,M3.5.0,M10.5.0/3"
        raise Invalid(value.place, f"the time zone {quote(zone)} cannot be read: {refused}", hint, code="unknown-timezone")
    hint = did_you_mean(zone, known) or "expected a name such as 'America/Toronto', or a POSIX time zone"
    raise Invalid(value.place, f"unknown time zone {quote(zone)}", hint, code="unknown-timezone")


def _warn_of_sign(zone: str, value: Value, context: Context) -> None:
    """POSIX counts hours to the west: nearly everybody who writes UTC+1 means the other side of Greenwich."""
    match = _OFFSET_OF_UTC.fullmatch(zone)
    if match is None:
        return
    from nfa.compiler.config.zone import find

    try:
        there = datetime.now(find(zone))
    except ValueError:
        return
    offset = there.utcoffset()
    if offset:
        side = "west" if offset < timedelta() else "east"
        context.reports.warning(
            "timezone-sign",
            value.place,
            f"in POSIX notation {zone} is {side} of Greenwich: it is now {there:%H:%M} there",
            hint="for Europe write CET-1CEST,M3.5.0,M10.5.0/3, for New York EST5EDT,M3.2.0,M11.1.0, or a name: 'Europe/Paris'",
        )


def _not_in_database(zone: str) -> str:
    """Why the database has no such zone; "" if it has."""
    from nfa.compiler.config.zone import named  # with zoneinfo, most of a megabyte: only who has hours needs it

    try:
        named(zone)
    except ValueError as failure:
        return str(failure) or "not a time zone"
    return ""
