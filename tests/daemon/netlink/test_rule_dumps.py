"""Which sets rules use, as the kernel tells it: nothing is overlooked in a large table, nothing else is taken for a use."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.daemon.netlink.rule_dumps import Users, read_rule
from nfa.daemon.netlink.wire import NLA_F_NESTED, attribute, message, nfgen, string

SEQUENCE = 7
DONE = message(3, 2, SEQUENCE, b"\0\0\0\0")
NUMBER = attribute(2, struct.pack(">I", 1))


def expression(name: str, *data: bytes) -> bytes:
    return attribute(1 | NLA_F_NESTED, string(1, name) + attribute(2 | NLA_F_NESTED, b"".join(data)))


LOOKUP = {
    "lookup": lambda name: expression("lookup", string(1, name), NUMBER),
    "dynset": lambda name: expression("dynset", string(1, name), NUMBER),
    "objref": lambda name: expression("objref", attribute(3, b"\0\0\0\1"), string(4, name)),
}


def rule(*expressions: bytes, table: str = "t", chain: str = "c", comment: str = "", family: int = 1) -> bytes:
    """NEWRULE, as an answer to GETRULE. The comment is user data."""
    notes = attribute(7, bytes((0, len(comment) + 1)) + comment.encode() + b"\0") if comment else b""
    body = string(1, table) + string(2, chain) + attribute(3, struct.pack(">Q", 9))
    return nfgen(family) + body + attribute(4 | NLA_F_NESTED, b"".join(expressions)) + notes


def answer(*rules: bytes, flags: int = 2) -> bytes:
    return b"".join(message(0xA06, flags, SEQUENCE, one) for one in rules)


class Dump:
    """Gives these datagrams."""

    def __init__(self, *datagrams: bytes) -> None:
        self.left = list(datagrams)
        self.closed = False

    def ask(self, request: bytes) -> None:
        assert request[16] == 1 and string(1, "t") in request

    def next(self) -> bytes:
        return self.left.pop(0) if self.left else b""

    def close(self) -> None:
        self.closed = True


def users(dump: Dump, *names: str) -> Users:
    found = Users(dump, SEQUENCE, 1, "t", names)  # type: ignore[arg-type]  # not a socket
    while found.go_on():
        pass
    return found


@pytest.mark.parametrize("how", LOOKUP)
def test_each_expression_that_names_a_set_is_a_use(how: str) -> None:
    """A rule that counts, meters or matches by the set would be called none."""
    payload = rule(expression("meta", NUMBER), LOOKUP[how]("x.v4"), expression("counter", NUMBER))
    assert read_rule(payload, 1, "t") == ("c", 9, {"x.v4"})
    assert users(Dump(answer(rule()), answer(payload), DONE), "x.v4").used == {"x.v4"}


@pytest.mark.parametrize(
    "payload",
    [
        rule(chain="x.v4"),
        rule(comment="x.v4"),
        rule(LOOKUP["lookup"]("x.v4"), table="x"),
        rule(LOOKUP["lookup"]("x.v4"), family=2),
        rule(LOOKUP["lookup"]("not.x.v4")),
        rule(LOOKUP["lookup"]("x.v4.not")),
        rule(expression("x.v4", NUMBER)),
        rule(expression("immediate", attribute(2, attribute(2, string(2, "x.v4"))))),
    ],
    ids=["chain", "comment", "table", "family", "longer before", "longer behind", "expression", "jump"],
)
def test_what_only_has_the_name_is_no_use(payload: bytes) -> None:
    """The finding would never come."""
    assert not users(Dump(answer(payload), DONE), "x.v4").used


def test_a_dump_of_many_datagrams_is_read_to_its_end() -> None:
    """The rule in the last datagram would be overlooked: a false alarm."""
    datagrams = [answer(*[rule(LOOKUP["lookup"]("theirs"))] * 50)] * 20
    dump = Dump(*datagrams, answer(rule(LOOKUP["lookup"]("x.v4"), LOOKUP["lookup"]("y.v4"))), answer(rule()), DONE)
    assert users(dump, "x.v4", "y.v4").used >= {"x.v4", "y.v4"}
    assert dump.closed and len(dump.left) == 2, "no need for the rest"
    assert users(Dump(*datagrams, DONE), "x.v4").used == set()


def test_what_is_no_answer_to_this_question_is_ignored() -> None:
    """What is left of an earlier dump could end this one."""
    other = message(3, 2, SEQUENCE - 1, b"\0\0\0\0") + message(0xA06, 2, SEQUENCE - 1, rule(LOOKUP["lookup"]("x.v4")))
    assert users(Dump(other, answer(rule(LOOKUP["lookup"]("y.v4"))), DONE), "x.v4", "y.v4").used == {"y.v4"}


def test_a_dump_that_was_disturbed_says_so() -> None:
    """A rule may be missing in it."""
    assert not users(Dump(answer(rule()), answer(rule(), flags=0x12), DONE), "x.v4").whole
    assert not users(Dump(answer(rule()), message(3, 0x12, SEQUENCE, b"\0\0\0\0")), "x.v4").whole
    assert users(Dump(answer(rule()), DONE), "x.v4").whole


def test_an_error_is_raised() -> None:
    """Without the right to ask, nothing would seem to be used."""
    with pytest.raises(PermissionError):
        users(Dump(message(2, 0, SEQUENCE, struct.pack("=i", -1) + bytes(16))), "x.v4")
    with pytest.raises(OSError, match="no whole answer"):
        users(Dump(answer(rule())), "x.v4")


@given(st.binary(max_size=200), st.binary(max_size=30))
def test_garbage_is_no_crash(body: bytes, rest: bytes) -> None:
    """A newer kernel may answer in a form that this program does not know."""
    users(Dump(message(0xA06, 2, SEQUENCE, nfgen(1) + body + b"x.v4\0") + rest, DONE), "x.v4")
    read_rule(nfgen(1) + string(1, "t") + body, 1, "t")
