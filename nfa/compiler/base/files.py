"""Reading the files of a configuration without trusting them.

In: a path and a limit. Out: the file's bytes or text, or `FileError`, which says in plain words why not. Only
regular files are read: a fifo or device in a file's place must not hold the compiler up. A file that a configuration names must
be below an allowed folder (see `nfa.daemon.base.allowed`): who may write the configuration is not root.
"""

from __future__ import annotations

import errno
import os
import stat

from nfa.compiler.base.report import Place, excerpt, quote
from nfa.daemon.base import allowed


class FileError(Exception):
    """A file cannot be used. The message is for the user; `place` is the file, or the broken byte in it."""

    def __init__(self, place: Place, message: str, shown: str = "", code: str = "file-unreadable", hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code
        self.place = place
        self.excerpt = shown


Folders = tuple[str, ...] | None
"""Those that a file must be below; None: root chose it, or the program did."""


def read_bytes(path: str, limit: int, folders: Folders = None) -> bytes:
    """The content of the regular file `path`, at most `limit` bytes. Raises FileError."""
    place = Place(path, 0, 0)
    try:
        # Non-blocking, or opening a fifo would wait for its writer.
        if folders is None:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        else:
            handle = allowed.open_file(to_read(path, folders))
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise FileError(place, f"{quote(path)} is not a regular file")
            with open(handle, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        finally:
            os.close(handle)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FileError(place, f"cannot read {quote(path)}: {reason}", hint=_hint(error, path)) from None
    if len(content) > limit:
        raise FileError(place, f"{quote(path)} is larger than {limit} bytes", code="file-too-large")
    return content


def to_read(path: str, folders: Folders) -> str:
    """A path that a configuration names, with its links resolved. Raises FileError when it is not allowed."""
    if folders is None:
        return path
    try:
        return allowed.to_read(path, folders)
    except allowed.NotAllowed as failure:
        message = f"{quote(path)} may not be read: {failure.strerror}"
        raise FileError(Place(path, 0, 0), message, code="path-not-allowed", hint=failure.hint) from None


def _hint(error: Exception, path: str) -> str:
    """What to do where the rights of a file are in the way: the service has a user of its own."""
    if not isinstance(error, OSError) or error.errno != errno.EACCES or not os.geteuid():
        return ""
    import pwd  # only then

    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
    return f"give it to the group of the user {user}: chgrp {user} {path}; chmod g+r {path}"


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


def read_text(path: str, limit: int, folders: Folders = None) -> str:
    """The content of the regular file `path` as text. Raises FileError."""
    return decode(read_bytes(path, limit, folders), path)


def list_folder(path: str, folders: Folders = None) -> list[str]:
    """The names in a folder, sorted. Raises FileError, or OSError as os.listdir does."""
    return sorted(os.listdir(to_read(path, folders)))
