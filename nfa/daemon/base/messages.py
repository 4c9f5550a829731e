"""The daemon's messages to the administrator: lines on standard output and error, which procd brings to the system log.

What is wrong goes to standard error, which procd logs as an error, the rest to standard output, which it logs as information.
"""

import select

from .portable import escaped, write

_LEVELS = {"error": 0, "warning": 1, "notice": 2, "match": 3}
"""What a message may be."""
LOG_LEVELS = {"error": 0, "warning": 1, "notice": 2, "debug": 3}
"""What may be configured, and up to which level messages are written then."""

MAX_LINE = 4000
"""Bytes of a line: with its end it fits into what a pipe that is ready takes without waiting."""

_outputs = {1: select.poll(), 2: select.poll()}
for _descriptor, _output in _outputs.items():
    _output.register(_descriptor, select.POLLOUT)


class _Log:
    level = LOG_LEVELS["notice"]


def say(level: str, text: str) -> None:
    """Write one line to the log. Names from the network are escaped, so a line stays a line.

    A reader that does not read costs lines, not time: a pipe that is ready takes 4,096 bytes without waiting.
    """
    if _LEVELS[level] > _Log.level:
        return
    line = escaped(text[:1000])
    try:
        descriptor = 2 if _LEVELS[level] < LOG_LEVELS["notice"] else 1
        if _outputs[descriptor].poll(0):
            encoded = ("nfa: " + level + ": " + line).encode("utf-8", "backslashreplace")[:MAX_LINE]
            write(descriptor, encoded + b"\n")
    except OSError:
        pass


def set_level(name: str) -> None:
    """Write from now on what is as important as this: error, warning, notice, debug."""
    _Log.level = LOG_LEVELS[name]
