"""Files written whole: a reader sees all of it or nothing, and nobody's link is followed.

The daemon runs as root and its logs go to /tmp by default, where strangers may have put links of the same name.
"""

import errno
import os


def write_whole(folder: str, name: str, data: bytes, temporary: str) -> str:
    """Write a file under the name `temporary`, then give it its own. Returns "" or what went wrong.

    A file of that name is never overwritten: `name-1.json`, `name-2.json`, ... is used instead.
    """
    temporary = os.path.join(folder, temporary)
    try:
        os.makedirs(folder, exist_ok=True)
        try:
            os.unlink(temporary)  # what an earlier life left; if it is a link, the link goes, not what it names
        except FileNotFoundError:
            pass
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        stem, dot, suffix = name.rpartition(".")
        for count in range(1000):
            final = name if not count else f"{stem}-{count}{dot}{suffix}" if stem else f"{name}-{count}"
            try:
                os.link(temporary, os.path.join(folder, final), follow_symlinks=False)
                break
            except FileExistsError:
                continue
        else:
            raise FileExistsError(errno.EEXIST, "a thousand files of this name exist")
        os.unlink(temporary)
    except OSError as failure:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        return failure.strerror or str(failure)
    return ""
