"""The elements of one kernel set, for one target: added once, refreshed while a flow holds them, forgotten when they expire.

In: packed elements that flows want in the set, the present time in whole seconds, and what the kernel said of earlier
ones. Out: lists of elements to add, to refresh and to withdraw. A packed element begins with the slot's number (2 bytes), so
that one table of flows can hold elements of all sets. Whether the set can take them, `states` says; `writer` sends them.
"""

from ...base.portable import ORDERED
from ..counters import Counters
from ..trouble import Troubled
from .holders import Holders
from .states import SetState

MYPY = False
if MYPY:
    from typing import Any

RETRY_FULL = 1
RETRY_OTHER = 5
MAX_LIVE = 1 << 18
"""Elements remembered for one set. Beyond that the older half is forgotten here (the kernel keeps it): it is added again
when seen again, which does no harm."""
CARRIED = 3600
LET_EXPIRE = 1
"""With this many seconds left or fewer, let the element expire: the kernel may already have dropped it."""
MAX_COMPLEMENTS = 4096
GRACE = 2
"""Seconds an element is remembered beyond its deadline. While it is, a new sighting refreshes it, which is right whether
or not the kernel still has it; a plain add would not lengthen the life of one that is about to end."""


def set_of(data: "dict[str, Any]") -> "tuple[Any, ...]":
    """Return what names the kernel set of a slot of the policy image."""
    return (data["kind"], data["table_family"], data["table"], data["set"])


class Slot(Troubled):
    """One kernel set of one target and family, made from a slot of the policy image (see `provision`)."""

    pace = 0.4
    """Seconds between two times that all of it is restored, when others empty it in a loop; ..."""
    share = 4
    """... and as many times as long as the last time took: a slow router has other things to do."""

    def __init__(self, number: int, data: "dict[str, Any]", counters: Counters) -> None:
        self.number = number
        self.counters = counters
        self.live: dict[bytes, int] = {}
        """Elements to the second they expire (0: never), oldest first; its complement (negative) when no flow holds it."""
        self.holders = Holders()
        self.adds: dict[bytes, None] = {}
        """What is to be brought to the kernel at the end of this turn; the same for `refreshes` and `dels`."""
        self.refreshes: dict[bytes, None] = {}
        self.dels: dict[bytes, None] = {}
        self.state: SetState = SetState(data["managed"])
        self.carried_over = True
        """The set may hold elements that are not in `live` (of an earlier life of the daemon, or of another program): adding
        one of those must refresh it."""
        self._carried_until = 0
        self._earliest = 0
        """No element expires before this second: where a dict has no order, all of it must be looked at then."""
        self.siblings: list[Slot] = []
        """Slots of other targets that fill the same set."""
        self.ttl: int = data["ttl"] if data["timeouts"] else 0
        self.take(data)

    def take(self, data: "dict[str, Any]") -> None:
        """Use (new) data of the policy image; the elements stay, if they live as long as before."""
        self.data = data
        self.state.managed = data["managed"]
        ttl: int = data["ttl"] if data["timeouts"] else 0
        if ttl != self.ttl:
            # What is in the set has the timeout of before: each element is renewed when it is seen again.
            self.forget(list(self.live))
            self.carried_over = True
        self.ttl = ttl
        self._second = self._end = 0
        self._complements: dict[int, int] = {}
        self.encoder: Any = None
        self.expand: Any = None
        self.pack: Any = None
        """All made by `encoders` when first needed; `expand` turns a packed element into the key of an nftables set, `pack` a
        key into a packed element."""

    def renew_form(self) -> None:
        """A set of somebody else may be another one now: whether its elements are ranges is to be asked for again."""
        if not self.data["managed"]:
            self.encoder = None

    def hold(self, key: bytes, now: int) -> None:
        """A flow that did not hold this element wants it in the set."""
        live = self.live
        deadline = live.get(key)
        if deadline is None:
            if self.holders.asleep:
                self.holders.wake(key, True)
            if now == self._second and not self.dels and len(live) < MAX_LIVE:
                live[key] = self._end  # as `_add` does, without a call for each element of a burst
                self.adds[key] = None
            else:
                self._add(key, now)
        else:
            if deadline >= 0:
                self.holders.join(key)
            self.want(key, now)

    def want(self, key: bytes, now: int) -> None:
        """A flow that holds this element lives."""
        deadline = self.live.get(key)
        if deadline is None:
            # It expired, the kernel refused it, or it was forgotten here.
            self.holders.wake(key, False)
            self._add(key, now)
            return
        if deadline < 0:
            deadline = self.live[key] = ~deadline
        if self.ttl and deadline - now <= (self.ttl >> 1 or 1):
            # Out and in again: the table stays in the order in which elements expire.
            del self.live[key]
            self.live[key] = self._deadline(now)
            if key not in self.adds:
                self.refreshes[key] = None

    def _add(self, key: bytes, now: int) -> None:
        """Bring an element into the set."""
        if len(self.live) >= MAX_LIVE:
            self.evict(list(self.live)[: MAX_LIVE // 2])
        self.live[key] = self._deadline(now)
        if self.dels and key in self.dels:
            # It is in the kernel still, and was to be withdrawn at the end of this turn.
            del self.dels[key]
            self.refreshes[key] = None
        else:
            self.adds[key] = None

    def release(self, key: bytes, now: int, withdraw: bool) -> None:
        """A flow no longer holds this element. `withdraw`: it is to go with its last holder, not with its time."""
        deadline = self.live.get(key)
        if deadline is None:
            if self.holders.release_asleep(key) and withdraw and self.carried_over:
                self.dels[key] = None  # the kernel may have it from before
        elif deadline >= 0 and self.holders.release(key):
            if not withdraw:
                self.live[key] = self._complement(deadline)
                return
            del self.live[key]
            if self.state.owed:
                self.state.forget(key)
            self.withdraw(key, not self.ttl or deadline - now > LET_EXPIRE)

    def withdraw(self, key: bytes, staying: bool) -> None:
        """An element is to leave the set. `staying`: the kernel does not drop it by itself right now."""
        self.refreshes.pop(key, None)
        if key in self.adds:
            del self.adds[key]
        elif staying:
            self.dels[key] = None

    def idle(self) -> list[bytes]:
        """Return the elements that no flow holds any longer: they are left to expire."""
        return [key for key, deadline in self.live.items() if deadline < 0]

    def withdraw_idle(self, keys: list[bytes], now: int) -> None:
        """Withdraw those of these that are idle still."""
        for key in keys:
            deadline = self.live.get(key, 0)
            if deadline < 0:
                del self.live[key]
                if self.state.owed:
                    self.state.forget(key)
                self.withdraw(key, not self.ttl or ~deadline - now > LET_EXPIRE)

    def withdraw_all(self) -> int:
        """The slot goes out of use: what it has brought into the set is to leave it. Returns how many elements that are."""
        # What is asleep the kernel may have still, with another timeout.
        kept = [key for key in list(self.live) + list(self.holders.asleep) if key not in self.adds]
        self.adds, self.refreshes = {}, {}
        self.live = {}
        self.holders = Holders()
        for key in kept:
            self.dels[key] = None
        if not self.state.holds:
            self.dels = {}
        return len(self.dels)

    def take_dels(self, most: int) -> list[bytes]:
        """Return up to `most` elements to withdraw; they are no longer pending."""
        keys = list(self.dels)[:most]
        for key in keys:
            del self.dels[key]
        return keys

    def evict(self, keys: list[bytes]) -> None:
        """Too many elements: forget these. The kernel keeps them until they expire."""
        self.forget(keys)

    def _complement(self, deadline: int) -> int:
        """Return ~deadline; one object for all of a second."""
        found = self._complements.get(deadline)
        if found is None:
            if len(self._complements) >= MAX_COMPLEMENTS:
                self._complements = {}
            found = self._complements[deadline] = ~deadline
        return found

    def _deadline(self, now: int) -> int:
        """Return when an element that is added now expires; one object for all of a second, which saves 32 bytes each."""
        if now != self._second:
            self._second = now
            self._end = now + self.ttl if self.ttl else 0
        return self._end

    @property
    def present(self) -> int:
        """How many elements are in the set, as far as is known."""
        return max(0, len(self.live) - self.state.away) if self.state.holds else 0

    def has(self, key: bytes) -> bool:
        """Return whether an element is in the set, as far as is known, or on its way."""
        return key in self.live and self.state.usable and not self.state.all_owed and key not in self.state.owed

    def expires(self, key: bytes) -> int:
        """Return the second in which an element ends; 0: never, or it is not in the set."""
        deadline = self.live.get(key, 0)
        return deadline if deadline >= 0 else ~deadline

    def left(self, keys: list[bytes], now: int) -> list[int]:
        """Return how many seconds each element has left, at least 1; 0: it does not end."""
        ends = [self.expires(key) for key in keys]
        return [max(1, end - now) if end else 0 for end in ends]

    def forget(self, keys: list[bytes]) -> None:
        """The kernel did not take these, or no longer has them."""
        for key in keys:
            if self.live.pop(key, -1) >= 0:
                self.holders.sleep(key)
        if self.state.owed:
            for key in keys:
                self.state.forget(key)

    def postpone(self, keys: list[bytes]) -> None:
        """These could not be withdrawn now. Beyond MAX_LIVE they are left to expire, and counted as errors."""
        for key in keys:
            if len(self.dels) >= MAX_LIVE:
                self.counters.errors += 1
            elif key not in self.live:
                self.dels[key] = None

    def clear(self) -> None:
        """The daemon has emptied the set: nothing is in it, and nothing is on its way."""
        self.forget(list(self.live))
        self.adds, self.refreshes, self.dels = {}, {}, {}
        self.state.emptied()

    def evict_idle(self) -> None:
        """Forget what no flow holds. The kernel keeps it until its time is over."""
        self.forget([key for key, deadline in self.live.items() if deadline < 0])
        self.carried_over = True

    def begin(self, empty: bool) -> None:
        """The slot is new. `empty`: so is its set; else it may hold elements of an earlier life."""
        self.carried_over = not empty

    def keep_carried(self, now: int) -> None:
        """The set is there: what an earlier life left in it can be there for a while. Others may fill sets of their own."""
        self._carried_until = now + max(self.ttl, CARRIED) if self.data["managed"] else 0

    def expire(self, now: int) -> None:
        """Forget what the kernel has dropped by itself. To be called each second."""
        if self.carried_over and self._carried_until and now >= self._carried_until:
            self.carried_over = False
        if self.ttl:
            self.forget(self._ended(now - GRACE))

    def _ended(self, limit: int) -> list[bytes]:
        """Return the elements whose deadline is not after this second."""
        gone: list[bytes] = []
        if limit < self._earliest:
            return gone
        earliest = limit + self.ttl
        for key, deadline in self.live.items():
            if deadline < 0:
                deadline = ~deadline
            if deadline <= limit:
                gone.append(key)
            elif ORDERED:
                break
            elif deadline < earliest:
                earliest = deadline
        if not ORDERED:
            self._earliest = earliest
        return gone

    def of_no_sibling(self, keys: list[bytes]) -> list[bytes]:
        """Return those of some elements that no flow holds through another target that fills the same set."""
        for other in self.siblings:
            if other.data["fields"] == self.data["fields"]:
                prefix = other.number.to_bytes(2, "big")
                keys = [key for key in keys if other.live.get(prefix + key[2:], -1) < 0]
        return keys

    def keep_of_siblings(self) -> None:
        """Leave in the set what flows hold through another target that fills the same set."""
        self.dels = dict.fromkeys(self.of_no_sibling(list(self.dels)))

    def number_of(self, key: bytes) -> int:
        """Return the number of what an element is of: see `Registry.number_of`."""
        return self.number

    def in_effect(self, keys: list[bytes]) -> list[bytes]:
        """Return how the kernel has elements that flows want, each once."""
        return keys

    def wanted(self, element: bytes) -> bytes:
        """Return the packed element that flows want, for one that the kernel has."""
        return element

    def owe_pending(self) -> None:
        """The set cannot take elements now: what is wanted waits in `live`, and what is to be withdrawn in `dels`."""
        self.state.away += len(self.adds) if self.state.holds else 0
        self.adds, self.refreshes = {}, {}

    def take_adds(self) -> list[bytes]:
        """Return the elements to add; they are no longer pending."""
        adds, self.adds = list(self.adds), {}
        return adds

    def take_pending(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Return the elements to add, to refresh and to withdraw; they are no longer pending."""
        pending = list(self.adds), list(self.refreshes), list(self.dels)
        self.adds, self.refreshes, self.dels = {}, {}, {}
        return pending
