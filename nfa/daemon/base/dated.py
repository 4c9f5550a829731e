"""Files that are named by the time of their end, and bounded in number and in bytes: a folder in RAM never fills up.

In: folder, first and last part of the name, data, the time. Out: PREFIX, YYYYMMDD-HHMMSS (local time) and SUFFIX; with "-N"
after the time where there is a file of that name. Before it is written, the oldest files of the same target are deleted
that would be too many. A file is the target's own only if its name is exactly of that form, it is a regular file, and
the daemon's user owns it: nothing else in the folder is ever touched.
"""

import os
import stat
import time

from .allowed import open_folder
from .files import write_whole

SAME_SECOND = 1000
"""Files that may end in one second."""


def write_dated(
    folder: str, prefix: str, suffix: str, data: bytes, end: float | None, max_files: int = 0, max_bytes: int = 0
) -> str:
    """Write a file whole. Returns "" or what went wrong.

    `end`: the time that it is named by, epoch seconds; None: its name has no time, and it takes the place of the one before.
    `max_files`, `max_bytes`: how many files of this kind there may be, and how many bytes in all of them; 0: any number.
    """
    # One temporary name for each kind: what a killed daemon leaves is replaced by the next file.
    temporary = "." + prefix.rstrip("-") + suffix + ".tmp"
    if end is None:
        return write_whole(folder, prefix + suffix, data, temporary, True)
    stem = prefix + time.strftime("%Y%m%d-%H%M%S", time.localtime(int(end)))
    name = stem + suffix
    try:
        held = open_folder(folder)
    except FileNotFoundError:
        return write_whole(folder, name, data, temporary)
    except OSError as failure:
        return failure.strerror or str(failure)
    try:
        problem = _make_room(held, prefix, suffix, max_files, max_bytes, len(data))
        number = 0
        while not problem and _is_there(held, name) and number < SAME_SECOND:
            number += 1
            name = f"{stem}-{number}{suffix}"
    except OSError as failure:
        problem = failure.strerror or str(failure)
    finally:
        os.close(held)
    return problem or write_whole(folder, name, data, temporary)


def _is_there(held: int, name: str) -> bool:
    """Return whether an open folder has something of this name, be it a link."""
    try:
        os.lstat(name, dir_fd=held)
    except FileNotFoundError:
        return False
    return True


def _make_room(held: int, prefix: str, suffix: str, max_files: int, max_bytes: int, size: int) -> str:
    """Delete the oldest files, so that one more of `size` bytes is within the bounds. Returns "" or what went wrong; raises
    OSError where the folder cannot be read."""
    files = _own_files(held, prefix, suffix) if max_files or max_bytes else []
    total = sum([bytes_of for _, _, bytes_of in files]) + size
    count = len(files) + 1
    for _, name, bytes_of in files:
        if not (max_files and count > max_files) and not (max_bytes and total > max_bytes):
            break
        try:
            os.unlink(name, dir_fd=held)
        except FileNotFoundError:
            pass
        except OSError as failure:
            return "cannot delete the oldest file, " + name + ": " + (failure.strerror or str(failure))
        count -= 1
        total -= bytes_of
    return ""


def _is_dated(name: str, prefix: str, suffix: str) -> bool:
    """Return whether a name has the form that `write_dated` gives."""
    if not name.startswith(prefix) or not name.endswith(suffix) or not name.isascii():
        return False
    day, _, rest = name[len(prefix) : len(name) - len(suffix)].partition("-")
    clock, more, number = rest.partition("-")
    parts = (day, clock, number) if more else (day, clock)
    return len(day) == 8 and len(clock) == 6 and 0 < len(parts[-1]) <= 6 and "".join(parts).isdigit() and len(number) <= 4


def _own_files(held: int, prefix: str, suffix: str) -> list[tuple[int, str, int]]:
    """Return (time of the last change, name, bytes) of the files of this kind in an open folder, the oldest first."""
    own = os.geteuid()
    found = []
    place = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=held)  # `held` may be of no use but for this
    try:
        with os.scandir(place) as entries:
            names = [entry.name for entry in entries if _is_dated(entry.name, prefix, suffix)]
    finally:
        os.close(place)
    for name in names:
        try:
            state = os.lstat(name, dir_fd=held)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(state.st_mode) and state.st_uid == own:
            found.append((state.st_mtime_ns, name, state.st_size))
    return sorted(found)
