"""Files that are named by the time of their end, and bounded in number and in bytes: a folder in RAM never fills up.

In: folder, first and last part of the name, data, the time. Out: PREFIX, YYYYMMDD-HHMMSS (local time) and SUFFIX; with "-N"
after the time where there is a file of that name. Before it is written, the oldest files of the same target are deleted
that would be too many. A file is the target's own only if its name is exactly of that form, it is a regular file, and
the daemon's user owns it: nothing else in the folder is ever touched.
"""

import os
import re
import time

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
    problem = _make_room(folder, prefix, suffix, max_files, max_bytes, len(data))
    if problem:
        return problem
    stem = prefix + time.strftime("%Y%m%d-%H%M%S", time.localtime(int(end)))
    name = stem + suffix
    number = 0
    while os.path.lexists(os.path.join(folder, name)) and number < SAME_SECOND:
        number += 1
        name = f"{stem}-{number}{suffix}"
    return write_whole(folder, name, data, temporary)


def _make_room(folder: str, prefix: str, suffix: str, max_files: int, max_bytes: int, size: int) -> str:
    """Delete the oldest files, so that one more of `size` bytes is within the bounds. Returns "" or what went wrong."""
    if not (max_files or max_bytes):
        return ""
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ""  # it is not there yet; what else is wrong, the writing tells
    try:
        files = _own_files(place, prefix, suffix)
        total = sum([bytes_of for _, _, bytes_of in files]) + size
        count = len(files) + 1
        for _, name, bytes_of in files:
            if not (max_files and count > max_files) and not (max_bytes and total > max_bytes):
                break
            try:
                os.unlink(name, dir_fd=place)
            except FileNotFoundError:
                pass
            except OSError as failure:
                return "cannot delete the oldest file, " + name + ": " + (failure.strerror or str(failure))
            count -= 1
            total -= bytes_of
    except OSError as failure:
        return failure.strerror or str(failure)
    finally:
        os.close(place)
    return ""


def _own_files(place: int, prefix: str, suffix: str) -> list[tuple[int, str, int]]:
    """Return (time of the last change, name, bytes) of the files of this kind in an open folder, the oldest first."""
    pattern = re.compile(re.escape(prefix) + "[0-9]{8}-[0-9]{6}(-[0-9]{1,4})?" + re.escape(suffix), re.ASCII)
    own = os.geteuid()
    found = []
    with os.scandir(place) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                try:
                    state = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if state.st_uid == own:
                    found.append((state.st_mtime_ns, entry.name, state.st_size))
    return sorted(found)
