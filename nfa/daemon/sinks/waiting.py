"""Events that wait for a server: bounded in bytes, the oldest go first, and each is counted with its target."""

from ..base.portable import deque
from .channel import OVERHEAD

MYPY = False
if MYPY:
    from .channel import Counters


class Waiting:
    """A queue of events. `most`: bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[tuple[bytes, Counters]] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._items)

    def held(self) -> int:
        """Return the bytes of memory that all take."""
        return self.size + OVERHEAD * len(self._items)

    def add(self, event: bytes, counters: "Counters") -> None:
        """Take an event, and drop older ones if there is no room."""
        self._items.append((event, counters))
        self.size += len(event)
        while self.size > self._most and self._items:
            self.take()[1].skipped += 1

    def drop(self, size: int) -> int:
        """Drop the oldest events: so many bytes, or a little more. Returns how many bytes of memory they took."""
        before = self.held()
        while before - self.held() < size and self._items:
            self.take()[1].skipped += 1
        return before - self.held()

    def take(self) -> "tuple[bytes, Counters]":
        """Return the oldest event and its target's counters, and forget it."""
        item = self._items.popleft()
        self.size -= len(item[0])
        return item

    def next_size(self) -> int:
        """Return the bytes of the oldest event."""
        return len(self._items[0][0])
