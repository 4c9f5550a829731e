"""Writes files atomically: a reader sees the whole file or none, and no symbolic link is followed.

The daemon runs as root and its logs go to /tmp by default, where strangers may have put links of the same name.
"""

import errno
import os


def write_whole(folder: str, name: str, data: bytes, temporary: str, replace: bool = False) -> str:
    """Write a file under the name `temporary`, then give it its own. Returns "" or what went wrong.

    A file of that name is overwritten only with `replace`: `name-1.json`, `name-2.json`, ... is used instead.
    """
    temporary = os.path.join(folder, temporary)
    try:
        os.makedirs(folder, exist_ok=True)
        try:
            os.unlink(temporary)  # what an earlier life left; if it is a link, the link goes, not what it names
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):
            temporary += os.urandom(6).hex()  # somebody has put a folder in the way
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        if replace:
            os.rename(temporary, os.path.join(folder, name))
            return ""
        stem, dot, suffix = name.rpartition(".")
        for count in range(1000):
            final = name if not count else f"{stem}-{count}{dot}{suffix}" if stem else f"{name}-{count}"
            if _name(temporary, os.path.join(folder, final)):
                break
        else:
            raise FileExistsError(errno.EEXIST, "a thousand files of this name exist")
    except OSError as failure:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        return failure.strerror or str(failure)
    return ""


def _name(temporary: str, final: str) -> bool:
    """Give a file its name. Returns False when there is one of that name."""
    try:
        os.link(temporary, final, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as failure:
        if failure.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # No hard links here (a USB stick with vfat).
        if os.path.lexists(final):
            return False
        os.rename(temporary, final)
        return True
    os.unlink(temporary)
    return True
