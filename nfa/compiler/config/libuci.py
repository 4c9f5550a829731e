"""What libuci makes of a configuration file, where python3-uci is installed.

In: the content of a file of /etc/config. Out: its sections as libuci has them. It reads a copy in a folder of its own:
what it answers then belongs to the very bytes whose places are known, and nothing is mixed in that is not in the file
(changes that wait for `uci commit` in /tmp/.uci, or what newer versions look for in /var/run/uci).
"""

from __future__ import annotations

import os

try:
    from uci import Uci, UciException
except ImportError:
    Uci = None

Sections = list[tuple[str, str, dict[str, str | tuple[str, ...]]]]
"""Type, name and options of each section; an option is a text, a list a tuple of texts."""

_COPY = "nfa_copy"  # no package of this name is anywhere else


class Refused(Exception):
    """libuci does not take the file. It does not say why."""


def sections(content: bytes) -> Sections | None:
    """The sections of a file with this content; None where libuci cannot be asked. Raises Refused."""
    if Uci is None:
        return None
    import tempfile  # half a megabyte that most routers do not need

    try:
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, _COPY), "wb") as file:
                file.write(content)
            # A new object for every load, because it caches; not as a context, which would commit at its end.
            uci = Uci(confdir=folder, savedir=os.path.join(folder, "none"))
            return [(uci.get(_COPY, name), name, options) for name, options in uci.get_all(_COPY).items()]
    except OSError:
        return None
    except (UciException, UnicodeError, SystemError):
        raise Refused from None
