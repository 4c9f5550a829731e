"""Converted values as a person would write them in a configuration: the way back from convert.py.

In: an option with a converted value of it, or plain data as it was written. Out: plain data that the option's converter
reads to the same value, and texts on one line.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from nfa.compiler.config import amounts, kinds, servers
from nfa.compiler.config.convert import Converter, mark
from nfa.compiler.config.model import Window
from nfa.compiler.config.options import Option
from nfa.compiler.config.timeofday import windows
from nfa.compiler.expression.tree import Network
from nfa.daemon.engine.hours import DAYS

NOTHING = "-"
"""The text of a value that is not given and has no default."""


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}" + (f":{rest:02}" if rest else "")


def _window(window: Window) -> dict[str, object]:
    return {
        "day": [DAYS[day] for day in window.days],
        "time_start": _clock(window.start),
        "time_end": _clock(window.end),
        "policy": window.policy,
    }


def _network(network: Network) -> str:
    address = ipaddress.ip_address(network.packed)
    return str(address) if network.prefix == address.max_prefixlen else f"{address}/{network.prefix}"


_SPELLERS: dict[Converter, Callable[[Any], object]] = {
    mark: lambda bits: f"0x{bits:x}",
    kinds.families: {(4,): "ipv4", (6,): "ipv6", (4, 6): "*"}.__getitem__,
    kinds.tc_handle: lambda handle: f"{handle >> 16:x}:{handle & 0xFFFF:x}",
    kinds.macs: lambda macs: [mac.hex(":") for mac in macs],
    kinds.networks: lambda found: [_network(one) for one in found],
    amounts.duration: amounts.duration_text,
    amounts.size: amounts.size_text,
    amounts.start: amounts.start_text,
    amounts.days: lambda found: [amounts.day_text(one) for one in found],
    servers.url: str,
    servers.broker: str,
    servers.headers: dict,
    servers.mode: lambda bits: f"{bits:04o}",
    windows: lambda found: [_window(window) for window in found],
}


def plain(option: Option, value: object) -> object:
    """A converted value as plain data, as JSON would have it; None for a value that is not given."""
    if value is None:
        return None
    if option.convert in _SPELLERS:
        return _SPELLERS[option.convert](value)
    return list(value) if isinstance(value, tuple) else value


def built_in(option: Option) -> str:
    """The built-in default of an option as UCI would have it, NOTHING where there is none."""
    value = plain(option, option.default)
    return NOTHING if value == "" else text(int(value) if isinstance(value, bool) else value)


def as_written(option: Option, value: object, written: object) -> str:
    """A value as it was written; a time of day that is named by its section also with its hours."""
    parts = written if isinstance(written, list) else [written]
    named = option.convert is windows and all(isinstance(part, str) for part in parts)
    return f"{text(written)}: {text(plain(option, value))}" if named and value else text(written)


def text(written: object) -> str:
    """Plain data on one line: the elements of a list with commas between, an object as NAME=VALUE."""
    if written is None or written in ([], {}):
        return NOTHING
    if isinstance(written, dict):
        return " ".join(f"{name}={text(value)}" for name, value in written.items())
    if isinstance(written, list):
        return ", ".join(map(text, written))
    if isinstance(written, bool):
        return str(written).lower()
    return str(written) or "''"
