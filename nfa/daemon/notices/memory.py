"""What was seen and told before: devices, applications of devices, and what is told again only a day later.

In: devices and applications by their names, and the time. Out: whether they are new. What is remembered is in a file over
restarts, which is kept as that of usage is; all is bounded, because strangers choose MAC addresses.

When nothing is remembered, everything would be new: so for LEARN seconds all is remembered without a word.
"""

from ..usage.store import Form

MYPY = False
if MYPY:
    from typing import Any

    Row = list[Any]

MAX_DEVICES = 512
MAX_APPS = 1024
MAX_TOLD = 1024
LEARN = 3600
"""Seconds in which everything is learnt, when nothing is remembered; and the applications of a device that is new."""
AGAIN = 86_400
"""Seconds after which the same may be told again of the same."""
KNOWN, NEW, LEARNT, NO_ROOM = 0, 1, 2, 3


class Memory:
    """All that is remembered. `changed`: since it was last written."""

    def __init__(self) -> None:
        self.devices: dict[str, Row] = {}
        """Key of a device to when it was first seen (epoch seconds), its last day, and its applications: bits, by number."""
        self.apps: dict[str, int] = {}
        self.told: dict[str, int] = {}
        """What is told again only AGAIN seconds later, to when it was told (epoch seconds)."""
        self.learnt = False
        """The first LEARN seconds are over."""
        self.changed = False

    def device(self, key: str, now: int) -> int:
        """A device was seen. Returns KNOWN, NEW, LEARNT (new, while all is learnt) or NO_ROOM."""
        row = self.devices.get(key)
        day = now // AGAIN
        if row is not None:
            if row[1] != day:
                row[1] = day
                self.changed = True
            return KNOWN
        if len(self.devices) >= MAX_DEVICES and not self._make_room(day):
            return NO_ROOM
        # What was there while all was learnt is no new device, so its applications need not be learnt later.
        self.devices[key] = [now if self.learnt else 0, day, bytearray()]
        self.changed = True
        return NEW if self.learnt else LEARNT

    def _make_room(self, day: int) -> bool:
        """Forget the device that was not seen for longest, if that is before today."""
        oldest, before = "", day
        for key, row in self.devices.items():
            if row[1] < before:
                oldest, before = key, row[1]
        if oldest:
            del self.devices[oldest]
        return bool(oldest)

    def app(self, key: str, app: str, now: int) -> int:
        """A device that was seen has an application. Returns as `device`."""
        row = self.devices.get(key)
        number = self.apps.get(app)
        if number is None:
            if len(self.apps) >= MAX_APPS or row is None:
                return NO_ROOM
            number = self.apps[app] = len(self.apps)
        if row is None:
            return NO_ROOM
        seen = row[2]
        place, bit = number >> 3, 1 << (number & 7)
        if len(seen) > place:
            if seen[place] & bit:
                return KNOWN
        else:
            seen.extend(bytes(place + 1 - len(seen)))
        seen[place] |= bit
        self.changed = True
        return LEARNT if not self.learnt or 0 <= now - row[0] < LEARN else NEW

    def first(self, what: str, now: int) -> bool:
        """Return whether this was not told in the last AGAIN seconds; from now on it was."""
        then = self.told.pop(what, None)
        if then is not None and 0 <= now - then < AGAIN:
            self.told[what] = then
            return False
        while len(self.told) >= MAX_TOLD:
            del self.told[next(iter(self.told))]
        self.told[what] = now
        self.changed = True
        return True

    # -- the file ---------------------------------------------------------------------------------------------------

    def content(self) -> "dict[str, Any]":
        """Return what the file has."""
        return {
            "learnt": self.learnt,
            "devices": {key: [row[0], row[1], bytes(row[2])] for key, row in self.devices.items()},
            "apps": list(self.apps),
            "told": dict(self.told),
        }

    def restore(self, content: "dict[str, Any]") -> None:
        """Go on with what the file has."""
        self.learnt = content["learnt"]
        self.apps = {name: number for number, name in enumerate(content["apps"][:MAX_APPS])}
        for key, row in list(content["devices"].items())[:MAX_DEVICES]:
            self.devices[key] = [row[0], row[1], bytearray(row[2][: MAX_APPS >> 3])]
        self.told = dict(list(content["told"].items())[-MAX_TOLD:])


def is_sound(content: "dict[str, Any]") -> bool:
    """Return whether a file's content has its form."""
    devices, apps, told = content.get("devices"), content.get("apps"), content.get("told")
    return (
        isinstance(content.get("learnt"), bool)
        and isinstance(apps, list)
        and not [1 for name in apps if not isinstance(name, str)]
        and isinstance(told, dict)
        and not [1 for key, then in told.items() if not isinstance(key, str) or type(then) is not int]
        and isinstance(devices, dict)
        and not [1 for key, row in devices.items() if not isinstance(key, str) or not _is_row(row)]
    )


def _is_row(row: object) -> bool:
    return isinstance(row, list) and len(row) == 3 and type(row[0]) is int and type(row[1]) is int and isinstance(row[2], bytes)


CODES = "notices-file-unreadable", "notices-file-unwritable", "notices-file-damaged", "notices-file-version"
NOTICES = Form("notices", CODES, is_sound)
"""The file of a memory."""
