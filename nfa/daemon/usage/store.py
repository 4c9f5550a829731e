"""The files that usage and budgets are kept in over restarts: private, written whole, some of it in each turn of the loop.

In: plain data. Out: a file, and what it holds at the next start. It is written under another name, and gets its own a minute
later, when the kernel has brought it to the disk: whenever the process, or the power, ends, the file is the old or the new one.
What cannot be read is set aside under the name with `.bad`.
"""

import binascii
import errno
import os
import stat
import time

from ...image import plain
from ..base.allowed import open_folder
from ..base.dispatcher import NEVER

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from ..base.dispatcher import Dispatcher

CHUNK = 64 << 10
"""Bytes that are written in one turn."""
SETTLE = 60.0
"""Seconds until what was written has its name: the kernel writes its buffers after 30."""
MAX_SIZE = 4 << 20
"""Bytes of a file that is read."""
BAD = ".bad"


class Form:
    """A kind of file. `name`: in its first line and in messages."""

    def __init__(self, name: str, codes: tuple[str, str, str, str], is_sound: "Callable[[dict[str, Any]], bool]") -> None:
        """`codes`: of what goes wrong (it cannot be read, cannot be written, is damaged, is of another version); `is_sound`:
        returns whether a content has its form."""
        self.name = name
        self.unreadable_code, self.unwritable_code, self.damaged_code, self.version_code = codes
        self.is_sound = is_sound
        self.family = b"nfa " + name.encode() + b" "
        self.head = self.family + b"1\n"


class Store:
    """One file at `path`."""

    def __init__(self, dispatcher: "Dispatcher", say: "Callable[[str, str], None]", form: "Form | None" = None) -> None:
        """`form`: USAGE, unless it is said."""
        self._dispatcher = dispatcher
        self._form = form or USAGE
        self._say = say
        self.path = ""
        self.saved = 0
        """When the file was last written, epoch seconds."""
        self.trouble = self.code = ""
        self._rest = memoryview(b"")
        self._descriptor = -1
        self._next = dispatcher.at(NEVER, self._go_on)

    # -- reading ----------------------------------------------------------------------------------------------------

    def read(self) -> "dict[str, Any] | None":
        """Return what the file holds; None when there is none, or none that can be used: that is reported."""
        try:
            place = open_folder(os.path.dirname(self.path))
        except FileNotFoundError:
            return None
        except OSError as failure:
            self._fail(self._form.unreadable_code, "cannot be read: " + _words(failure))
            return None
        try:
            raw = self._read(place)
            return None if raw is None else decode(raw, self._form)
        except OSError as failure:
            self._fail(self._form.unreadable_code, "cannot be read: " + _words(failure))
        except OtherVersion as version:
            self._set_aside(place, self._form.version_code, "is of another version, " + str(version))
        except ValueError as why:
            self._set_aside(place, self._form.damaged_code, "is damaged: " + str(why))
        finally:
            os.close(place)
        return None

    def _read(self, place: int) -> bytes | None:
        name = os.path.basename(self.path)
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()):
                raise OSError(errno.EPERM, "it is no file of this user")
            self.saved = int(found.st_mtime)
            parts: list[bytes] = []
            size = 0
            while size <= MAX_SIZE:
                part = file.read(CHUNK)
                if not part:
                    return b"".join(parts)
                parts.append(part)
                size += len(part)
        raise ValueError("it is too large")

    def _set_aside(self, place: int, code: str, why: str) -> None:
        """Keep a file that cannot be used under another name, and start over."""
        name = os.path.basename(self.path)
        try:
            os.rename(name, name + BAD, src_dir_fd=place, dst_dir_fd=place)
            done = "; it is kept as " + self.path + BAD + ", counting starts over"
        except OSError as failure:
            done = "; counting starts over, and it will be overwritten (" + _words(failure) + ")"
        self.saved = 0
        self._fail(code, why + done)

    def _fail(self, code: str, why: str) -> None:
        text = "the " + self._form.name + " file " + self.path + " " + why
        if text != self.trouble:
            self._say("warning", text)
        self.trouble, self.code = text, code

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(self, content: "dict[str, Any]") -> None:
        """Begin to write. What is being written is given up."""
        self.close()
        if self._open(content):
            self._next.move(self._dispatcher.moment)

    def write_now(self, content: "dict[str, Any]", wait: bool = True) -> bool:
        """Write the file at once, and wait until it is on the disk: at the end, and when somebody wants it forgotten.

        `wait`: not where the file is in memory.
        """
        self.close()
        if not self._open(content):
            return False
        try:
            while self._rest:
                self._write()
            if wait:
                os.fsync(self._descriptor)
        except OSError as failure:
            self._give_up(failure)
            return False
        self._rename()
        return self._descriptor < 0 and not self.code

    def close(self) -> None:
        """Give up what is being written: the file stays as it is."""
        self._next.move(NEVER)
        self._rest = memoryview(b"")
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._remove()

    def _temporary(self) -> str:
        return "." + os.path.basename(self.path) + ".tmp"

    def _open(self, content: "dict[str, Any]") -> bool:
        """Open the temporary file. Returns whether that went well."""
        try:
            place = open_folder(os.path.dirname(self.path), make=True)
            try:
                try:
                    os.unlink(self._temporary(), dir_fd=place)
                except FileNotFoundError:
                    pass
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(self._temporary(), flags, 0o600, dir_fd=place)
            finally:
                os.close(place)
        except OSError as failure:
            self._fail(self._form.unwritable_code, "cannot be written: " + _words(failure))
            return False
        self._rest = memoryview(encode(content, self._form))
        return True

    def _write(self) -> None:
        self._rest = self._rest[os.write(self._descriptor, self._rest[:CHUNK]) :]

    def _go_on(self) -> None:
        """Write some more; then wait, and give the file its name."""
        if self._descriptor < 0:
            return
        if not self._rest:
            self._rename()
            return
        try:
            self._write()
        except OSError as failure:
            self._give_up(failure)
            return
        self._next.move(self._dispatcher.moment + (0.0 if self._rest else SETTLE))

    def _rename(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        try:
            place = open_folder(os.path.dirname(self.path))
            try:
                os.rename(self._temporary(), os.path.basename(self.path), src_dir_fd=place, dst_dir_fd=place)
            finally:
                os.close(place)
        except OSError as failure:
            self._give_up(failure)
            return
        self.saved = int(time.time())
        self.trouble = self.code = ""

    def _give_up(self, failure: OSError) -> None:
        """It cannot be written; the file stays as it is."""
        self.close()
        self._remove()
        self._fail(self._form.unwritable_code, "cannot be written: " + _words(failure))

    def _remove(self) -> None:
        try:
            place = open_folder(os.path.dirname(self.path))
            try:
                os.unlink(self._temporary(), dir_fd=place)
            finally:
                os.close(place)
        except OSError:
            pass


class OtherVersion(Exception):
    """The file was written by another version of nfa."""


def encode(content: "dict[str, Any]", form: "Form | None" = None) -> bytes:
    """Return the bytes of a file. `form`: USAGE, unless it is said."""
    body = plain.dump(content)
    return (form or USAGE).head + binascii.crc32(body).to_bytes(4, "big") + body


def decode(raw: bytes, form: "Form | None" = None) -> "dict[str, Any]":
    """Return the content of a file. Raises OtherVersion, or ValueError when it is damaged."""
    form = form or USAGE
    if not raw.startswith(form.head):
        line, end, _ = raw[:64].partition(b"\n")
        if raw.startswith(form.family) and end:
            raise OtherVersion(repr(str(line[len(form.family) :], "ascii", "replace")))
        raise ValueError("it does not begin as such a file does")
    body = raw[len(form.head) + 4 :]
    if binascii.crc32(body).to_bytes(4, "big") != raw[len(form.head) : len(form.head) + 4]:
        raise ValueError("its checksum is wrong")
    content = plain.load(body)
    if not isinstance(content, dict) or not form.is_sound(content):
        raise ValueError("it lacks what such a file has")
    return content


def _is_sound(content: "dict[str, Any]") -> bool:
    """Return whether a file's content has its form."""
    names = [content.get(key) for key in ("devices", "apps", "actions")]
    tables = [content.get(key) for key in ("hours", "days")]
    return (
        not [1 for one in names if not isinstance(one, list) or [1 for name in one if not isinstance(name, str)]]
        and not [1 for one in tables if not isinstance(one, dict)]
        and not [1 for one in tables for key, row in one.items() if type(key) is not int or not isinstance(row, bytes)]  # type: ignore[union-attr]  # dicts
        and type(content.get("since")) is int
    )


def _words(failure: OSError) -> str:
    if failure.errno == errno.ELOOP:
        return "it is a symbolic link"
    return failure.strerror or str(failure)


USAGE_CODES = "usage-file-unreadable", "usage-file-unwritable", "usage-file-damaged", "usage-file-version"
USAGE = Form("usage", USAGE_CODES, _is_sound)
"""The file of what devices and applications used."""
