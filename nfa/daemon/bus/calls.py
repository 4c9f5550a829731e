"""What calls of the bus have in common: who answers them, how they are refused, and how large an answer may be."""

from . import status
from .ubus import NOT_FOUND

MYPY = False
if MYPY:
    from collections.abc import Callable, Generator
    from typing import Any, Protocol

    from ..devices.learning import Learner

    Data = dict[str, Any]
    Reply = Callable[[int, Data | None], object]
    Work = Generator[None, None, Data]
    Method = Callable[["Answering", Data, Reply], Data | None]

    class Loading(status.Loaded, Protocol):
        """Who loads policies, and has the compiler at hand."""

        def reload(self, reply: Reply) -> None: ...
        def ask(self, question: str, given: Data, reply: Reply) -> None: ...
        def names(self, kind: str) -> list[Data]: ...

    class Pausing(status.Paused, Protocol):
        """Who pauses actions and targets."""

        def names(self) -> set[str]: ...
        def pause(self, name: str, seconds: int) -> int: ...
        def resume(self, name: str) -> list[str]: ...

    class Answering(status.Reporting, Protocol):
        """The daemon, as far as calls need it."""

        @property
        def loader(self) -> Loading: ...
        @property
        def pauses(self) -> Pausing: ...
        def work(self, generator: Work, reply: Reply) -> None: ...
        def learner_now(self) -> Learner: ...
        def adopt(self, dry: bool, reply: Reply) -> None: ...


PAGE_BYTES = 400 << 10
"""JSON bytes of the items of one answer: with what stands around them, well below ubus's limit."""


class Refused(Exception):
    """A call that cannot be answered: a status of ubus, and words for a person."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


def slots_of(daemon: "Answering", name: str) -> "list[Any]":
    """Return the slots of a target, or of all for "". Raises Refused when there is no such target."""
    described = [target for target in daemon.registry.described if name in ("", target["name"])]
    if name and not described:
        known = ", ".join([target["name"] for target in daemon.registry.described][:20]) or "none"
        raise Refused(NOT_FOUND, "no such target: " + repr(name[:128]) + "; known: " + known)
    bound = [daemon.registry.targets.get(target["name"]) for target in described]
    return [slot for target in bound if target is not None for slot in _slots_of(target)]


def _slots_of(target: "Any") -> "list[Any]":
    """Return what a target fills. Firewall targets share maps: of these it is each one's part."""
    found: list[Any] = target.held() if hasattr(target, "held") else target.slots
    return found
