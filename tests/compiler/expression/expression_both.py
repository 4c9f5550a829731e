"""One expression, evaluated both ways: as the code that the daemon runs, and by the walk that `nfa explain` shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nfa.compiler import catalogue
from nfa.compiler.expression.generate import Generator
from nfa.compiler.expression.tree import Devices, Members, Network, any_of
from nfa.compiler.expression.understand import Context, understand
from nfa.compiler.expression.walk import Walker
from nfa.daemon.devices import configured
from nfa.daemon.engine.policy import namespace
from nfa.daemon.engine.rx import finder
from nfa.daemon.engine.view import View

Record = dict[str, Any]
CATALOGUE = catalogue.builtin()
GROUPS = {
    "guests": Members(
        "guests",
        (Network(bytes((192, 168, 4, 0)), 24), Network(bytes.fromhex("20010db8000400000000000000000000"), 46)),
        frozenset({bytes.fromhex("02005e100014")}),
    ),
    "nobody": Members("nobody", (), frozenset()),
}
ROWS: list[Any] = [
    ("tablet", "Tom's", (bytes.fromhex("02005e100014"),), (), ()),
    ("printer", "", (), ((bytes((192, 168, 4, 20)), 32), (bytes.fromhex("20010db8000400000000000000000000"), 46)), ()),
    ("phone", "", (), (), ("anns-phone",)),
]
"""The devices that the names below are of, as an image has them."""
NUMBERS = {"tablet": (0,), "printer": (1,), "phone": (2,), "rooms": (0, 1), "away": ()}
DEVICES: dict[str, Devices | None] = {name: Devices(name, frozenset(numbers)) for name, numbers in NUMBERS.items()}
DEVICES["broken"] = None
EVERY = Devices("*", frozenset(range(len(ROWS))))


class Disagreement(AssertionError):
    """The generated code and the walk give different answers: `nfa explain` would lie about the daemon."""


def understood(text: str) -> tuple[list[Any], list[Any], list[tuple[str, str, int, str]]]:
    """The trees, the errors and the warnings (code, message, offset, hint) of a text."""
    warnings: list[tuple[str, str, int, str]] = []
    nodes, errors = understand(text, Context(CATALOGUE, GROUPS, DEVICES, EVERY, warn=lambda *warning: warnings.append(warning)))
    return nodes, errors, warnings


def evaluator(text: str) -> Callable[[Record], bool]:
    """A function that evaluates a valid text both ways and gives the answer both have."""
    nodes, errors, _ = understood(text)
    assert not errors, f"{text}: {errors[0].message}"
    node = any_of(nodes)
    if node is None:
        return lambda record: False
    generator = Generator()
    result = generator.expression(node)
    lines = ["def match(r, f):", *(f"    {line}" for line in generator.lines), f"    return {result}"]
    view = View(devices=configured.Devices(ROWS))
    names = namespace(view, generator.constants, [finder(data) for data in generator.patterns])
    walker = Walker(view)
    exec("\n".join(lines), names)

    def evaluate(record: Record) -> bool:
        made, walked = bool(names["match"](record, record["flow"])), walker.truth(node, record)
        if made != walked or walker.reasons(node, record)[0] != walked:
            raise Disagreement(f"{text}: generated {made}, walked {walked}\n{result}\n{record}")
        return made

    return evaluate
