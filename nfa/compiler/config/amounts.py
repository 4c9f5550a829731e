"""Converters of what a budget has: durations, bytes, when a period begins, and other amounts on days of the week.

In and out as in convert.py.
"""

from __future__ import annotations

import re
from functools import partial

from nfa.compiler.base.report import did_you_mean, nearest, quote
from nfa.compiler.config.convert import Context, Invalid, Of, elements, every, expected, scalar
from nfa.compiler.config.jsontext import Value
from nfa.compiler.config.model import DayAmount, Text
from nfa.compiler.config.timeofday import LONG_DAYS
from nfa.daemon.engine.hours import DAYS

UNLIMITED = "unlimited"
MAX_TIME = 7 * 86400
MAX_BYTES = 10**15

_UNITS = {"d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
_SIZES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZES |= {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_BY_LETTERS = {unit.lower(): size for unit, size in _SIZES.items()}
_PART = r"[0-9]{1,6}(?:min|[smhd])"
_DURATION = rf"(?:{_PART})+"
_SIZE = rf"[0-9]{{1,15}}(?:\.[0-9]{{1,3}})?(?:{'|'.join(_BY_LETTERS)})"
_UNIT = "|".join([*_UNITS, *_BY_LETTERS])
_CLOCK = r"([0-9]|[01][0-9]|2[0-3]):([0-5][0-9])"
_TIME_FORM = "a duration of whole minutes, at most 7 days, such as '30m', '1h' or '1h30m'"
_SIZE_FORM = "a number of bytes, at most 1000 TB, such as '500MB', '2GB' or '1GiB'"
_DAY_FORM = f"days and an amount, such as 'sat,sun 2h', 'fri 1h30m 4GB' or 'sun {UNLIMITED}'"


def seconds_of(text: str) -> int | None:
    """The seconds of a duration; None for what is none of whole minutes."""
    if not re.fullmatch(_DURATION, text):
        return None
    found = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([a-z]+)", text))
    return found if found % 60 == 0 and found <= MAX_TIME else None


def bytes_of(text: str) -> int | None:
    """The bytes of a size; None for what is none."""
    match = re.fullmatch(_SIZE, text)
    if not match:
        return None
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    whole, _, part = number.partition(".")
    unit = _BY_LETTERS[text[len(number) :]]
    found = int(whole) * unit + int(part or 0) * unit // 10 ** len(part)
    return found if found <= MAX_BYTES else None


def _word(value: Value) -> str:
    """A text without blanks and in small letters; "" for what is no text."""
    plain = scalar(value).plain()
    return re.sub(r"\s", "", plain).lower() if isinstance(plain, str) else ""


def _duration(value: Value, context: Context) -> int:
    """time: seconds, of whole minutes."""
    found = seconds_of(_word(value))
    if found is None:
        raise expected(_TIME_FORM, scalar(value))
    return found


def _size(value: Value, context: Context) -> int:
    """bytes: how many."""
    found = bytes_of(_word(value))
    if found is None:
        raise expected(_SIZE_FORM, scalar(value))
    return found


def _weekday(word: str) -> int | None:
    return DAYS.index(word[:3]) if word in DAYS or word in LONG_DAYS else None


def _start(value: Value, context: Context) -> tuple[int | None, int]:
    """start: weekday (None: none is given) and second of the day."""
    value = scalar(value)
    plain = value.plain()
    words = plain.lower().split() if isinstance(plain, str) else []
    clock = re.fullmatch(_CLOCK, words[-1]) if words else None
    day = words[:-1] if clock else words
    weekday = _weekday(day[0]) if day else None
    if len(day) > 1 or not words or (day and weekday is None):
        raise expected("a time hh:mm, for a week a weekday and perhaps a time, such as '4:00', 'sun' or 'sun 4:00'", value)
    return weekday, int(clock[1]) * 3600 + int(clock[2]) * 60 if clock else 0


def _days(value: Value, context: Context) -> tuple[DayAmount, ...]:
    """day: other amounts on days of the week."""
    found = tuple(every(partial(_day, element) for element in elements(value)))
    seen: set[int] = set()
    for element, amount in zip(elements(value), found, strict=True):
        twice = seen.intersection(amount.days)
        if twice:
            raise Invalid(element.place, f"{DAYS[min(twice)]} is given twice")
        seen.update(amount.days)
    return found


def _day(value: Value) -> DayAmount:
    """The amounts of one entry. Raises Invalid."""
    if not isinstance(value.value, Text):
        raise expected(_DAY_FORM, value)
    plain = re.sub(r"\s*,\s*", ",", value.value.value.strip().lower())
    words = re.sub(rf"(?<=[0-9])\s+(?=(?:{_UNIT})\b)", "", plain).split()  # 2 h, 4 GB: as in `time` and `bytes`
    if len(words) < 2:
        raise expected(_DAY_FORM, value)
    days = []
    for word in words[0].split(","):
        day = _weekday(word)
        if day is None:
            several = word.startswith("week") or "-" in word or not nearest(word, DAYS)
            hint = "" if several else did_you_mean(word, DAYS)
            raise Invalid(value.place, f"unknown day {quote(word)}", hint or f"expected {_DAY_FORM}")
        days.append(day)
    if words[1:] == [UNLIMITED]:
        return DayAmount(tuple(sorted(set(days))), None, None, True)
    times = [one for one in map(seconds_of, words[1:]) if one is not None]
    sizes = [one for one in map(bytes_of, words[1:]) if one is not None]
    if len(times) + len(sizes) != len(words) - 1 or len(times) > 1 or len(sizes) > 1:
        raise expected(_DAY_FORM, value)
    return DayAmount(tuple(sorted(set(days))), times[0] if times else None, sizes[0] if sizes else None, False)


def duration_text(seconds: int) -> str:
    """A duration as a person writes it: 1h30m."""
    hours, minutes = divmod(seconds // 60, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or not hours else "")


def size_text(number: int) -> str:
    """A number of bytes as a person writes it, exactly: 2GB."""
    for unit, size in sorted(_SIZES.items(), key=lambda item: -item[1]):
        if number >= size and number * 1000 % size == 0:
            whole, part = divmod(number * 1000 // size, 1000)
            return f"{whole}.{part:03}".rstrip("0").rstrip(".") + unit
    return "0B"


def start_text(start: tuple[int | None, int]) -> str:
    """When a period begins, as a person writes it."""
    weekday, second = start
    return (f"{DAYS[weekday]} " if weekday is not None else "") + f"{second // 3600}:{second // 60 % 60:02}"


def day_text(amount: DayAmount) -> str:
    """The amounts of some days, as a person writes them."""
    words = [UNLIMITED] if amount.unlimited else []
    words += [duration_text(amount.time)] if amount.time is not None else []
    words += [size_text(amount.size)] if amount.size is not None else []
    return ",".join(DAYS[day] for day in amount.days) + " " + " ".join(words)


def _text(examples: list[str]) -> dict[str, object]:
    return {"type": "string", "examples": examples}


duration = Of(_duration, lambda: _text(["30m", "1h", "1h30m"]))
size = Of(_size, lambda: _text(["500MB", "2GB", "1GiB"]))
start = Of(_start, lambda: _text(["4:00", "sun", "sun 4:00"]))
days = Of(
    _days,
    lambda: {"anyOf": [_text(["sat,sun 2h"]), {"type": "array", "items": _text(["sat,sun 2h", f"fri {UNLIMITED}"])}]},
)
