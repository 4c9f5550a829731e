"""What a slot of any kind has in common, for mypy; nothing loads this while the daemon runs.

A *slot* is what one target fills: a kernel set of one IP version, the connections that carry a mark or label, a table of PF.
The engine and the registry know slots by this protocol only, and need not tell them apart.
"""

from collections.abc import Callable
from typing import Any, Protocol

from .counters import Counters
from .trouble import Trouble

Data = dict[str, Any]
"""A part of the policy image, or of a record."""
Record = dict[str, Any]
Key = Callable[[Record, Record], bytes]
"""Makes the packed element of a record and its flow."""
Held = bytes | tuple[bytes, ...] | None
"""What a flow holds: nothing, a packed element, or several."""
Say = Callable[[str, str], object]
"""`say(level, text)`: a line for the administrator's log."""
Tell = Callable[[str, str, str], object]
"""`tell(target, set, trouble)`: for those who listen for events; trouble "": it is over."""
Write = Callable[[str, str, str, bytes, float, int, int], str]
"""As `base.dated.write_dated`."""


class FilledSlot(Protocol):
    """A slot, as engine, registry and status use it. `now` is the loop's second; a key is a packed element of this slot."""

    number: int
    data: Data
    counters: Counters
    state: Trouble
    live: dict[bytes, int]
    """The elements that flows hold, or that last for a while yet."""

    @property
    def trouble(self) -> str:
        """Why it cannot be used now, in words; "" while it can."""

    @property
    def trouble_code(self) -> str:
        """The code of that."""

    @property
    def present(self) -> int:
        """How many elements are in effect, as far as is known."""

    def take(self, data: Data) -> None:
        """Use the data of a new policy image; the elements stay."""

    def hold(self, key: bytes, now: int) -> None:
        """A flow that did not hold this element wants it."""

    def want(self, key: bytes, now: int) -> None:
        """A flow that holds this element lives."""

    def release(self, key: bytes, now: int, withdraw: bool) -> None:
        """A flow no longer holds this element. `withdraw`: it goes with its last holder, else with its time."""

    def idle(self) -> list[bytes]:
        """Return the elements that no flow holds any longer."""

    def withdraw_idle(self, keys: list[bytes], now: int) -> None:
        """Withdraw those of these elements that are idle still."""

    def withdraw_all(self) -> int:
        """What the slot has in effect is to end. Returns how many elements that are."""

    def has(self, key: bytes) -> bool:
        """Return whether an element is in effect, as far as is known, or on its way."""

    def expires(self, key: bytes) -> int:
        """Return the second in which an element ends, 0: never."""

    def forget(self, keys: list[bytes]) -> None:
        """These are not, or no longer, remembered here."""

    def expire(self, now: int) -> None:
        """Forget what has ended by itself. To be called each second."""
