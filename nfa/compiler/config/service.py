"""Converters of the options of the service itself: where it reads, what it logs, where it answers.

In and out as in convert.py.
"""

from __future__ import annotations

import os

from nfa.compiler.config.convert import Context, Invalid, choice, elements, expected, path, scalar, writable
from nfa.compiler.config.jsontext import Value
from nfa.compiler.config.model import Text
from nfa.daemon.stream.source import parse_source

MAX_SOCKET_PATH = 107  # bytes; sun_path of Linux, less the final NUL

_log_level = choice("error", "warning", "notice", "info", "debug")


def source(value: Value, context: Context) -> str:
    """netifyd's socket, as `parse_source` takes it."""
    value = scalar(value)
    if not isinstance(value.value, Text):
        raise expected("unix://PATH or tcp://ADDRESS:PORT", value)
    uri = value.value.value.strip()
    try:
        parse_source(uri)
    except ValueError as error:
        raise Invalid(value.place, str(error)) from None
    return uri


def json_config(value: Value, context: Context) -> tuple[str, ...]:
    """The paths of JSON files and of folders of them; the word 'none' for none at all."""
    if scalar(value).plain() == "none":
        return ()
    return tuple(path(element, context) for element in elements(value))


def log_level(value: Value, context: Context) -> str:
    """error, warning, notice or debug; info is notice."""
    level = _log_level(value, context)
    return "notice" if level == "info" else str(level)


def control(value: Value, context: Context) -> str:
    """The path of a unix socket."""
    found = path(value, context)
    if len(found.encode()) > MAX_SOCKET_PATH:
        raise expected(f"an absolute path of at most {MAX_SOCKET_PATH} bytes", value)
    writable(os.path.dirname(found), value)
    return found


def usage_file(value: Value, context: Context) -> str:
    """The path of a file that nfa may write."""
    found = path(value, context)
    if found.endswith("/"):
        raise expected("the path of a file", value)
    writable(os.path.dirname(found), value)
    return found
