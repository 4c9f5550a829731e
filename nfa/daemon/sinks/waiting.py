"""Events that wait for a server: bounded in bytes, the oldest go first, and each is counted with its target."""

from collections import deque


class Waiting:
    """A queue of events. `most`: bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, event: bytes, counters) -> None:
        """Take an event, and drop older ones if there is no room."""
        self._items.append((event, counters))
        self.size += len(event)
        while self.size > self._most and self._items:
            self.take()[1].skipped += 1

    def take(self) -> tuple:
        """Return the oldest event and its target's counters, and forget it."""
        item: tuple = self._items.popleft()
        self.size -= len(item[0])
        return item

    def next_size(self) -> int:
        """Return the bytes of the oldest event."""
        return len(self._items[0][0])
