"""Where files may be that a configuration names. Who may write the configuration is not root, so this must not give him root:
no file of others is read, and nothing is written where something executes it.

In: a path of the configuration. Out: a descriptor that was reached through no symbolic link, or `NotAllowed` with words.
Root allows more folders in a file that no page can write, `FILE`: a line is `read FOLDER` or `write FOLDER`.

A path is resolved first, compared with the folders (resolved too), and then opened part by part without following links, so
a link that somebody puts in place meanwhile is an error and not a way out.
"""

import errno
import os

from .listening import listen_at

MYPY = False
if MYPY:
    from . import socket

FILE = "/etc/nfa/allowed_folders"
WRITE = ("/tmp", "/var/log", "/var/run", "/run", "/mnt", "/srv")
"""Logs, files and sockets of sinks, and the control socket are below one of these."""
_MAX_SIZE = 1 << 16
_STEP = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_EXECUTED = ("bin", "sbin", "lib", "libexec", "cron", "crontabs", "uci-defaults", "www", "htdocs", "html", "cgi-bin")
"""Folders whose files are programs, scripts or settings of others; so are those whose names end in `.d`, and hidden ones."""


class NotAllowed(OSError):
    """The path is not below an allowed folder. `strerror` says what is wrong, `hint` how root allows it."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(errno.EACCES, text)
        self.hint = hint


def rules() -> "tuple[list[str], list[str], list[str]]":
    """Return the folders that root's file allows to read and to write, and what is wrong with the file."""
    found: dict[str, list[str]] = {"read": [], "write": []}
    problems = []
    try:
        handle = os.open(FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return [], [], []
    except OSError as failure:
        return [], [], ["it cannot be read: " + os.strerror(failure.errno or errno.EIO)]
    try:
        for state in (os.fstat(handle), os.stat(os.path.dirname(FILE))):
            if state.st_uid != 0 or state.st_mode & 0o022:
                return [], [], ["somebody else than root may write it, or its folder"]
        lines = os.read(handle, _MAX_SIZE).decode(errors="replace").split("\n")
    finally:
        os.close(handle)
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split(None, 1)
        if not words:
            continue
        folder = words[1].strip() if len(words) == 2 else ""
        if words[0] in found and folder.startswith("/"):
            found[words[0]].append(folder)
        else:
            problems.append("line " + str(number) + ": expected 'read /FOLDER' or 'write /FOLDER'")
    return found["read"], found["write"], problems


def is_below(path: str, folders: "list[str] | tuple[str, ...]") -> bool:
    """Return whether a resolved path is one of these folders, or below one."""
    return any((path + "/").startswith(os.path.realpath(folder).rstrip("/") + "/") for folder in folders)


def to_read(path: str, folders: "list[str] | tuple[str, ...]") -> str:
    """Return a path with its links resolved. Raises NotAllowed when it is not below one of `folders` or of root's."""
    real = os.path.realpath(path)
    if is_below(real, folders) or is_below(real, rules()[0]):
        return real
    raise NotAllowed(_outside(path, real, folders), _how("read", os.path.dirname(real)))


def to_write(folder: str) -> str:
    """Return a folder for files or sockets with its links resolved. Raises NotAllowed."""
    try:
        real = os.path.realpath(folder)
    except ValueError:
        raise NotAllowed("it contains a NUL character", "") from None
    if not is_below(real, WRITE) and not is_below(real, rules()[1]):
        raise NotAllowed(_outside(folder, real, WRITE), _how("write", real))
    for part in real.split("/"):
        if part.startswith(".") or part.endswith(".d") or part in _EXECUTED:
            raise NotAllowed(
                _it(folder, real) + " is in '" + part + "', whose files other programs run or read", "name another folder"
            )
    return real


def _it(path: str, real: str) -> str:
    return "it" if os.path.normpath(path) == real else "it leads to " + real + ", which"


def _outside(path: str, real: str, folders: "list[str] | tuple[str, ...]") -> str:
    named = list(dict.fromkeys(folders))
    listed = ", ".join(named[:-1]) + " or " + named[-1] if len(named) > 1 else "".join(named)
    return _it(path, real) + " is not below " + listed


def _how(right: str, folder: str) -> str:
    return "to allow it, root adds the line '" + right + " " + folder + "' to " + FILE


def open_folder(folder: str, make: bool = False) -> int:
    """Open a folder to write files or sockets into; `make`: create what is missing. Raises NotAllowed, or another OSError."""
    return _walk(to_write(folder), make)


def open_file(real: str) -> int:
    """Open a file to read, whose path `to_read` gave. Raises OSError."""
    parent = _walk(os.path.dirname(real), False)
    try:
        # Non-blocking, or opening a fifo would wait for its writer.
        return os.open(os.path.basename(real), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    finally:
        os.close(parent)


def listen(path: str, mode: int, backlog: int) -> "tuple[socket.socket, int]":
    """Listen on a unix socket that the configuration names, as `listening.listen_unix`. Raises also NotAllowed."""
    folder = open_folder(os.path.dirname(path), make=True)
    try:
        # Nothing binds relative to a descriptor, but a path may begin with one: what that names cannot be exchanged meanwhile.
        held = "/proc/self/fd/" + str(folder)
        there = held if os.path.isdir(held) else os.path.realpath(os.path.dirname(path))
        return listen_at(there + "/" + os.path.basename(path), path, mode, backlog)
    finally:
        os.close(folder)


def _walk(real: str, make: bool) -> int:
    handle = os.open("/", _STEP)
    for part in real.split("/"):
        if not part:
            continue
        try:
            deeper = _step(part, handle, make)
        finally:
            os.close(handle)
        handle = deeper
    return handle


def _step(part: str, handle: int, make: bool) -> int:
    try:
        return os.open(part, _STEP, dir_fd=handle)
    except FileNotFoundError:
        if not make:
            raise
    try:
        os.mkdir(part, 0o755, dir_fd=handle)
    except FileExistsError:
        pass  # somebody else was quicker
    return os.open(part, _STEP, dir_fd=handle)
