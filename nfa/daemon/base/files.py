"""Writes files atomically, where that is allowed: a reader sees the whole file or none, and no symbolic link is followed.

Logs go to /tmp by default, where strangers may have put links of the same name; and who may write the configuration must not
be able to write elsewhere (see `nfa.daemon.base.allowed`).
"""

import errno
import os

from .allowed import open_folder


def write_whole(folder: str, name: str, data: bytes, temporary: str, replace: bool = False) -> str:
    """Write a file under the name `temporary`, then give it its own. Returns "" or what went wrong.

    A file of that name is overwritten only with `replace`: `name-1.json`, `name-2.json`, ... is used instead.
    """
    try:
        place = open_folder(folder, make=True)
    except OSError as failure:
        return failure.strerror or str(failure)
    try:
        _write(place, name, data, temporary, replace)
    except OSError as failure:
        return failure.strerror or str(failure)
    finally:
        os.close(place)
    return ""


def _write(place: int, name: str, data: bytes, temporary: str, replace: bool) -> None:
    """The same, in a folder that is open. Raises OSError, and leaves nothing behind then."""
    if "/" in name or "/" in temporary:
        raise OSError(errno.EINVAL, "not the name of a file: " + name)
    try:
        os.unlink(temporary, dir_fd=place)  # what an earlier life left; if it is a link, the link goes, not what it names
    except FileNotFoundError:
        pass
    except (IsADirectoryError, PermissionError):
        temporary += os.urandom(6).hex()  # somebody has put a folder in the way
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640, dir_fd=place)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        if replace:
            os.rename(temporary, name, src_dir_fd=place, dst_dir_fd=place)
            return
        stem, dot, suffix = name.rpartition(".")
        for count in range(1000):
            final = name if not count else f"{stem}-{count}{dot}{suffix}" if stem else f"{name}-{count}"
            if _name(place, temporary, final):
                return
        raise FileExistsError(errno.EEXIST, "a thousand files of this name exist")
    except OSError:
        try:
            os.unlink(temporary, dir_fd=place)
        except OSError:
            pass
        raise


def _name(place: int, temporary: str, final: str) -> bool:
    """Give a file its name. Returns False when there is one of that name."""
    try:
        os.link(temporary, final, src_dir_fd=place, dst_dir_fd=place, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as failure:
        if failure.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # No hard links here (a USB stick with vfat).
        try:
            os.lstat(final, dir_fd=place)
            return False
        except FileNotFoundError:
            pass
        os.rename(temporary, final, src_dir_fd=place, dst_dir_fd=place)
        return True
    os.unlink(temporary, dir_fd=place)
    return True
