"""How many flows hold each element of a slot, whether or not the kernel has it at this moment.

In: flows that begin to hold a packed key, return, and release it. Out: whether one was the last. A key is awake while its slot
has it (in a set, or on the way), and asleep while flows hold it and the kernel does not have it: it expired, was refused, or
the set was emptied. The next holder that comes wakes it, and all others still count.
"""


class Holders:
    """The flows of one slot. Nothing is kept for what one flow alone holds and is awake: that is nearly everything."""

    def __init__(self) -> None:
        self.more: dict[bytes, int] = {}
        """Awake: how many hold it besides one."""
        self.asleep: dict[bytes, int] = {}
        """Asleep: how many hold it."""

    def wake(self, key: bytes, joins: bool) -> None:
        """A flow wants a key that is not awake; `joins`: one that did not hold it."""
        others = self.asleep.pop(key, 0) - (not joins)
        if others > 0:
            self.more[key] = others

    def join(self, key: bytes) -> None:
        """Another flow holds a key that is awake."""
        self.more[key] = self.more.get(key, 0) + 1

    def release(self, key: bytes) -> bool:
        """A flow releases a key that is awake. Returns whether no other holds it."""
        others = self.more.pop(key, 0)
        if others > 1:
            self.more[key] = others - 1
        return not others

    def release_asleep(self, key: bytes) -> bool:
        """A flow releases a key that is not awake. Returns whether it was asleep, and no other holds it."""
        held = self.asleep.pop(key, 0)
        if held > 1:
            self.asleep[key] = held - 1
        return held == 1

    def sleep(self, key: bytes) -> None:
        """The kernel no longer has a key that flows hold."""
        self.asleep[key] = self.more.pop(key, 0) + 1
