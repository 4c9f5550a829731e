"""The state of a kernel set, as one target sees it. Only this module knows what a state allows, and only this changes it.

In: events: what the kernel answered, what it notified, what the daemon did. Out: the state, and with it what becomes of
an add, a refresh or a withdrawal now, and what healing has to do. Times are whole seconds of the loop's clock.

              made                gone                  made (elements are owed)
    WANTED ----------> THERE -------------> MISSING -------------------------------> LOST
      |   \\            |  ^   (not managed: NOT_OURS)                                |
      |    \\ misfit    |  |                                                           |
      |     v          |  +-------------------------- restored -----------------------+
      |   MISFIT <-----+  |
      |                |  | room
      | refused        |  |
      v                v  |
    REFUSED <------- FULL

    state     it means                                              add     refresh  withdrawal  healing
    WANTED    the policy wants it; nothing was tried yet            owed    owed     kept        makes it
    MAKING    the message that makes it is on its way               owed    owed     kept        makes it
    MISSING   somebody deleted it; it is ours                       owed    owed     kept        makes it
    MISFIT    a set of another type has its name                    owed    owed     kept        replaces it
    NOT_OURS  it is not there, and not ours to make                 owed    owed     kept        looks for it
    REFUSED   the kernel refuses to make it, or its elements        owed    owed     kept        tries again
    THERE     it is there, with all of its elements                 sent    sent     sent        -
    LOST      it is there, and lacks elements that it had           sent    sent     sent        restores them
    FULL      it is there, and takes no element more                refused sent     sent        restores what it lacks

*Owed*: the element stays wanted, and is restored with the rest once the set is there. *Kept*: it is done once the set is
there. *Refused*: it is counted as an error, and wanted again with the next record of its flow. In NOT_OURS, REFUSED and FULL,
all are sent once `retry_at` has come: that is how the daemon notices that the set takes them again.
"""

from ..trouble import Trouble

WANTED, MAKING, MISSING, MISFIT, NOT_OURS, REFUSED, THERE, LOST, FULL = range(9)

SEND, OWE, REFUSE = 0, 1, 2
"""What becomes of an add; a refresh is sent or owed, a withdrawal sent or kept."""
NOTHING, MAKE, RESTORE_OWED = 0, 1, 2
"""What healing has to do."""

MADE, GONE, MISFITS, IS_REFUSED, EMPTIED, RESTORED, FILLED, ACCEPTED = range(8)
"""Events: it was made, or found; it is not there; another one has its name; the kernel refuses it; it lost elements; it has all
of them again; it is full; it took an element."""

_MISSES = MISSING  # NOT_OURS, where it is not managed
_NEXT = {
    # MADE, GONE, MISFITS, IS_REFUSED, EMPTIED, RESTORED, FILLED, ACCEPTED
    WANTED: (LOST, _MISSES, MISFIT, REFUSED, WANTED, WANTED, FULL, LOST),
    MAKING: (LOST, _MISSES, MISFIT, REFUSED, MAKING, MAKING, REFUSED, LOST),
    MISSING: (LOST, _MISSES, MISFIT, REFUSED, MISSING, MISSING, REFUSED, LOST),
    MISFIT: (LOST, _MISSES, MISFIT, REFUSED, MISFIT, MISFIT, REFUSED, LOST),
    NOT_OURS: (LOST, _MISSES, MISFIT, REFUSED, NOT_OURS, NOT_OURS, FULL, LOST),
    REFUSED: (LOST, _MISSES, MISFIT, REFUSED, REFUSED, REFUSED, FULL, LOST),
    THERE: (THERE, _MISSES, MISFIT, REFUSED, LOST, THERE, FULL, THERE),
    LOST: (LOST, _MISSES, MISFIT, REFUSED, LOST, THERE, FULL, LOST),
    FULL: (FULL, _MISSES, MISFIT, REFUSED, FULL, THERE, FULL, LOST),
}
"""State to the next one, by the number of the event. THERE and LOST differ in whether something is owed."""
_THERE = (THERE, LOST, FULL)


class SetState(Trouble):
    """The state of one set. `managed`: it is the daemon's to make."""

    __slots__ = ("_all_owed", "_restoring", "away", "made", "managed", "owed", "replaced", "value")

    def __init__(self, managed: bool) -> None:
        super().__init__()
        self.managed = managed
        self.value = WANTED
        self.made = False
        """The set itself is there, as far as is known; in REFUSED it may be its elements that the kernel does not take."""
        self._all_owed = False
        """All elements are to be restored."""
        self._restoring = False
        """All elements are on their way back."""
        self.owed: dict[bytes, None] = {}
        """Elements that are to be restored, where they are known one by one."""
        self.away = 0
        """How many of the wanted elements are not in the set, while it is there."""
        self.replaced = False
        """It was the daemon that deleted it, because it was of another type."""

    # -- what it allows -------------------------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether the set is there."""
        return self.value in _THERE

    @property
    def all_owed(self) -> bool:
        """Whether all elements are to be restored, not only those of `owed`."""
        return self._all_owed

    def treat(self, now: int) -> int:
        """Return what becomes of adds now: SEND, OWE or REFUSE."""
        if self.value == THERE or self.value == LOST:
            return SEND
        if self.value == FULL:
            return SEND if now >= self.retry_at else REFUSE
        return SEND if self._elements_tell and now >= self.retry_at else OWE

    @property
    def _elements_tell(self) -> bool:
        """Whether an element that is sent tells whether the set can be used again."""
        return self.value == NOT_OURS or (self.value == REFUSED and self.made)

    def due(self, now: int) -> int:
        """Return what healing has to do now: NOTHING, MAKE or RESTORE_OWED."""
        if now < self.retry_at:
            return NOTHING
        if not (self.usable or self._elements_tell):
            return MAKE
        return RESTORE_OWED if self._all_owed or self.owed else NOTHING

    @property
    def waits(self) -> bool:
        """Whether healing has something to do now, or from `retry_at` on."""
        return self.due(self.retry_at) != NOTHING

    # -- what happens to it ---------------------------------------------------------------------------------------------

    def happens(self, event: int, wanted: int) -> None:
        """Something has happened to the set. `wanted`: how many elements flows want in it."""
        before = self.usable
        kept = self.made and self.value == REFUSED
        value = _NEXT[self.value][event]
        self.value = NOT_OURS if value == MISSING and not self.managed else value
        if not self.usable:
            self.made = self.made and event == IS_REFUSED
            self._owe(True, self.away)
            if event == GONE and self.managed:
                self.retry_at = 0
            return
        self.made = True
        if not before:
            # What was wanted while it was away is owed now.
            self._owe(wanted > 0, self.away if kept else wanted)
        owes = self._all_owed or self._restoring or bool(self.owed)
        if self.value in (THERE, LOST):
            self.value = LOST if owes else THERE

    def _owe(self, all_owed: bool, away: int) -> None:
        self._all_owed = all_owed
        self._restoring = False
        self.owed = {}
        self.away = away

    def making(self) -> None:
        """The message that makes it is about to be sent. Whatever interrupts that, healing makes it again."""
        if not self.usable:
            self.value = MAKING

    def lost(self, count: int, wanted: int) -> None:
        """Another program removed elements, which ones is unknown. `count`: at least so many."""
        if self.usable:
            self._owe(True, min(wanted, self.away + count))
            self.happens(EMPTIED, wanted)

    def lost_some(self, keys: list[bytes]) -> None:
        """Another program removed these elements."""
        if self.usable:
            for key in keys:
                if key not in self.owed:
                    self.owed[key] = None
                    self.away += 1
            self.happens(EMPTIED, 0)

    def emptied(self) -> None:
        """The daemon itself has emptied the set: it lacks nothing."""
        if self.usable:
            self._owe(False, 0)
            self.happens(RESTORED, 0)

    # -- restoring ------------------------------------------------------------------------------------------------------

    def take_all(self) -> None:
        """All elements are on their way back."""
        self._all_owed = False
        self._restoring = True
        self.owed = {}

    def take_owed(self) -> list[bytes]:
        """Return the elements that are owed one by one: they are on their way back."""
        keys = list(self.owed)
        self.owed = {}
        return keys

    @property
    def holds(self) -> bool:
        """Whether elements are in the set, as far as is known, even if the kernel takes no others."""
        return self.usable or self.made

    def owe(self, keys: list[bytes]) -> None:
        """These were on their way, and could not be restored now."""
        if not self._all_owed:
            for key in keys:
                self.owed[key] = None

    def paid(self, count: int) -> None:
        """So many of those that were away are back, or no longer wanted."""
        self.away = max(0, self.away - count)

    def forget(self, key: bytes) -> None:
        """No flow wants this element any longer."""
        if key in self.owed:
            del self.owed[key]
            self.paid(1)

    def restored(self) -> None:
        """All elements that were on their way are back. Meanwhile others may have been lost, or all of the set."""
        self._restoring = False
        self._all_owed = self._all_owed or not self.usable
        if not (self._all_owed or self.owed):
            self.away = 0
            self.happens(RESTORED, 0)
