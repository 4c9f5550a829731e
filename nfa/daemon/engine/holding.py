"""Which live flows hold which elements, marks and labels: from the record that matched until they end or match no more.

In: for each flow the targets that it reaches, from time to time that it lives, and at last that it ended. Out: calls of the
targets' effects, and `release` for what a flow no longer holds.
"""

from ..stream.records import earlier_keys
from .flows import MAX_FLOWS, Flows, slot_of, within
from .view import MALFORMED

MYPY = False
if MYPY:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from typing import Any

    from .flows import Held

    Record = dict[str, Any]
    Release = Callable[[Held, int, bool], None]

RELEASED = 64
"""Flows that end between two looks at the clock."""


class Holding(Flows):
    """The live flows that hold something: to one packed element, or to a tuple of several."""

    def __init__(self, release: "Release", most: int = MAX_FLOWS) -> None:
        """`release(held, now, withdraw)` ends a flow's hold on elements, and withdraws what no other flow holds, if that is
        wanted. `most`: flows that are remembered."""
        super().__init__()
        self.most = most
        self.number_of: Callable[[bytes], int] = slot_of
        """Returns which of the numbers of `leave` a packed element has."""
        self._release = release
        self._ending: dict[int, Held] = {}
        """Flows that were not heard from for long, and what they have yet to let go of."""

    def knows(self, digest: int) -> bool:
        """Return whether a flow holds anything."""
        return digest in self.young or digest in self.older or digest in self._ending

    def hold(self, digest: int, record: "Record", targets: "list[Any]", now: int) -> bool:
        """Let a flow hold what the targets of its plan say, and nothing else. Returns whether that is something new."""
        flow = record["flow"]
        before = self.young.get(digest)
        if before is None and (self.older or self._ending):
            before = self._pop_former(digest)
        if before is None and "digest_prev" in flow:
            before = self.pop_first(earlier_keys(flow))  # it goes on under another digest
        held: Held | None = None
        for target in targets:
            try:
                key = target.apply(record, flow, now, before)
            except MALFORMED:
                target.counters.skipped += 1  # it lacks what this target needs; the others get theirs
                continue
            if key is not None:
                held = key if held is None else (held + (key,) if isinstance(held, tuple) else (held, key))
        if before is not None and before != held:
            self._release_rest(before, held, now)
        if held is not None:
            if before is None and len(self) >= self.most:
                self.make_room(now)
            self.young.pop(digest, None)  # others are forgotten before it
            self.young[digest] = held
        elif before is not None:
            self.young.pop(digest, None)
        return held is not None and held != before and not within(held, before)

    def hold_less(self, digest: int, record: "Record", targets: "list[Any]", now: int) -> None:
        """Let a flow hold nothing that the targets of its plan do not say, and nothing new."""
        flow = record["flow"]
        wanted = []
        for target in targets:
            try:
                wanted.append(target.key_of(record, flow))
            except MALFORMED:
                continue
        self._keep_only(digest, wanted, now)

    def leave(self, digest: int, ended: "AbstractSet[int]", now: int) -> None:
        """Let a flow hold nothing of these."""
        held = self.get(digest)
        keys = held if isinstance(held, tuple) else () if held is None else (held,)
        self._keep_only(digest, [key for key in keys if self.number_of(key) not in ended], now)

    def _keep_only(self, digest: int, wanted: "list[Any]", now: int) -> None:
        """Release what a flow holds besides these keys."""
        before = self.get(digest)
        if before is None:
            return
        keys = before if isinstance(before, tuple) else (before,)
        left = tuple([key for key in keys if key in wanted])
        if len(left) == len(keys):
            return
        if left:
            table = self.young if digest in self.young else self.older
            table[digest] = left if len(left) > 1 else left[0]
        else:
            self.pop(digest)
        self._release_rest(before, left, now)

    def _release_rest(self, before: "Held", held: "Held | None", now: int) -> None:
        """A flow holds less than before: release the rest, which is withdrawn unless another flow holds it."""
        kept = held if isinstance(held, tuple) else (held,)
        for key in before if isinstance(before, tuple) else (before,):
            if key not in kept:
                self._release(key, now, True)

    def end(self, digest: int, now: int, withdraw: bool) -> None:
        """This flow holds nothing (any longer): what it held is withdrawn, or ends with its time."""
        held = self._pop_held(digest)
        if held is not None:
            self._release(held, now, withdraw)

    def rename(self, before: int, present: int, now: int) -> None:
        """A flow goes on under another digest: it holds what it held, unless it has got something since."""
        held = self._pop_held(before)
        if held is not None and self.get(present) is not None:
            self._release(held, now, True)
        elif held is not None:
            self.young[present] = held

    def make_room(self, now: int) -> None:
        """Forget the flows that were heard from the longest ago; their elements stay until they expire."""
        for dropped in self.evict(self.most):
            self._release(dropped, now, False)

    def begin_age(self) -> None:
        """Begin a new age: flows that were not heard from for all of the last one end, by `go_on`."""
        self._ending.update(self.age())

    def _pop_held(self, digest: int) -> "Held | None":
        """Return what a flow holds, and forget it."""
        held: Held | None = self.young.pop(digest, None)
        return self._pop_former(digest) if held is None and (self.older or self._ending) else held

    def _pop_former(self, digest: int) -> "Held | None":
        """Return what a flow holds that was not heard from for a while, and forget it."""
        held = self.older.pop(digest, None)
        return self._ending.pop(digest, None) if held is None else held

    @property
    def busy(self) -> bool:
        """Whether flows have ended that have yet to let go of what they hold."""
        return bool(self._ending)

    def go_on(self, now: int, soon: "Callable[[], bool]") -> None:
        """Release what ended flows hold, until `soon()` says that the turn of the loop has been long enough."""
        while self._ending and not soon():
            for _ in range(min(len(self._ending), RELEASED)):
                self._release(self._ending.popitem()[1], now, False)

    def live(self) -> int:
        """Return the number of live flows that hold elements."""
        return len(self) + len(self._ending)
