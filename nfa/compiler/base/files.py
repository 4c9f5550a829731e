"""Reading the files of a configuration without trusting them.

In: a path and a limit. Out: the file's bytes or text, or `FileError`, which says in plain words why not. Only
regular files are read: the daemon runs as root, and a fifo or device in a file's place must not hold it up.
"""

from __future__ import annotations

import os
import stat

from nfa.compiler.base.report import Place, excerpt, quote


class FileError(Exception):
    """A file cannot be used. The message is for the user; `place` is the file, or the broken byte in it."""

    def __init__(self, place: Place, message: str, shown: str = "", code: str = "file-unreadable") -> None:
        super().__init__(message)
        self.code = code
        self.place = place
        self.excerpt = shown


def read_bytes(path: str, limit: int) -> bytes:
    """The content of the regular file `path`, at most `limit` bytes. Raises FileError."""
    place = Place(path, 0, 0)
    try:
        # Non-blocking, or opening a fifo would wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise FileError(place, f"{quote(path)} is not a regular file")
            with open(handle, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        finally:
            os.close(handle)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FileError(place, f"cannot read {quote(path)}: {reason}") from None
    if len(content) > limit:
        raise FileError(place, f"{quote(path)} is larger than {limit} bytes", code="file-too-large")
    return content


def decode(content: bytes, file: str) -> str:
    """UTF-8 bytes as text, a byte order mark dropped. Raises FileError with the place of a broken byte."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        shown = content.decode(errors="replace").split("\n")[line - 1]
        message = f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise FileError(Place(file, line, column), message, excerpt(shown, column), "bad-encoding") from None


def read_text(path: str, limit: int) -> str:
    """The content of the regular file `path` as text. Raises FileError."""
    return decode(read_bytes(path, limit), path)
