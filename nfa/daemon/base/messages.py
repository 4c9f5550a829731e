"""The daemon's messages to the administrator: lines on standard output and error, which procd forwards to the log.

In: a level and a text. Out: what is wrong goes to standard error, which procd logs as an error, the rest to standard output,
which it logs as information.
"""

import select

from .portable import escaped, write

_LEVELS = {"error": 0, "warning": 1, "notice": 2, "match": 3}
"""What a message may be."""
LOG_LEVELS = {"error": 0, "warning": 1, "notice": 2, "debug": 3}
"""What may be configured, and up to which level messages are written then."""

MAX_LINE = 4000
"""Bytes of a line: with its end it fits into what a pipe that is ready takes without waiting."""
_OUT_OF_MEMORY = b"nfa: error: out of memory; a message was lost\n"


class Log:
    """Where messages go, and which of them: those at least as important as the level."""

    def __init__(self) -> None:
        self._level = LOG_LEVELS["notice"]
        self._outputs = {1: select.poll(), 2: select.poll()}
        for descriptor, output in self._outputs.items():
            output.register(descriptor, select.POLLOUT)

    def set_level(self, name: str) -> None:
        """Write from now on what is at least as important as this: error, warning, notice, debug."""
        self._level = LOG_LEVELS[name]

    def say(self, level: str, text: str) -> None:
        """Write one line. Names from the network are escaped, so a line stays a line. Raises nothing.

        A reader that does not read costs lines, not time: a pipe that is ready takes 4,096 bytes without waiting. Without
        memory for the message, a line that was made before says so.
        """
        if _LEVELS[level] > self._level:
            return
        try:
            descriptor = 2 if _LEVELS[level] < LOG_LEVELS["notice"] else 1
            if self._outputs[descriptor].poll(0):
                line = "nfa: " + level + ": " + escaped(text[:1000])
                write(descriptor, line.encode("utf-8", "backslashreplace")[:MAX_LINE] + b"\n")
        except OSError:
            pass
        except MemoryError:
            self._say_out_of_memory()

    def _say_out_of_memory(self) -> None:
        try:
            if self._outputs[2].poll(0):
                write(2, _OUT_OF_MEMORY)
        except (OSError, MemoryError):
            pass
