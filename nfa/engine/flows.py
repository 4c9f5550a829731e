"""A table of live flows in two ages: a flow that is heard of becomes young again, one that is not is forgotten with its age.

In: digest keys and what is remembered of each flow. Out: what was remembered, and what of it has to go. So the oldest are
found without a time or a list of their own for each flow, which would be most of the memory.
"""

MAX_DROPPED = 1024
"""Flows forgotten at once when there are too many: a millisecond or two."""


class Flows:
    """`young` and `older`: digest key to what is remembered. Those who look here for each record use the two directly."""

    def __init__(self) -> None:
        self.young: dict = {}
        self.older: dict = {}
        self.dropped = 0
        """How many were forgotten because there were too many."""

    def __len__(self) -> int:
        return len(self.young) + len(self.older)

    def pop(self, digest: int):
        """Forget a flow. Returns what was remembered, or None."""
        found = self.young.pop(digest, None)
        return self.older.pop(digest, None) if found is None else found

    def get(self, digest: int):
        """Return what is remembered of a flow, or None."""
        found = self.young.get(digest)
        return self.older.get(digest) if found is None else found

    def renew(self, digest: int):
        """A flow was heard of. Returns what is remembered of it, or None."""
        found = self.young.get(digest)
        if found is None and digest in self.older:
            found = self.young[digest] = self.older.pop(digest)
        return found

    def age(self) -> dict:
        """Begin a new age. Returns the flows that were not heard of for all of the last one."""
        forgotten, self.older, self.young = self.older, self.young, {}
        return forgotten

    def drop_oldest(self, most: int) -> list:
        """Make room in a table that may have `most`: a sixteenth goes, at most MAX_DROPPED. Returns what was remembered."""
        table = self.older or self.young
        count = max(1, min(MAX_DROPPED, most >> 4))
        digests = []
        for digest in table:
            digests.append(digest)
            if len(digests) >= count:
                break
        self.dropped += len(digests)
        return [table.pop(digest) for digest in digests]

    def clear(self) -> None:
        self.young, self.older = {}, {}
