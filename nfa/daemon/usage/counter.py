"""A counter of the running hour.

In: what `counting` decides. Out: numbers that add up.
"""


class Counter:
    """What flows of one code had in this hour. `local`, `other`: bytes that this end sent."""

    __slots__ = ("blocks", "code", "connections", "local", "other", "packets", "seen")

    def __init__(self, code: int, blocks: bool) -> None:
        self.code = code
        self.blocks = blocks
        """A firewall target of these actions blocks: packets are counted."""
        self.local = self.other = self.connections = self.packets = 0
        self.seen = 0
        """Bytes up to the end of the last minute."""


def add_to(row: list[int], code: int, counter: Counter) -> None:
    """Add a counter to down, up, connections and blocked packets of a row."""
    row[0] += counter.local if code & 1 else counter.other
    row[1] += counter.other if code & 1 else counter.local
    row[3] += counter.connections
    row[4] += counter.packets
