"""Notifications of nftables are read as the kernel of today and that of tomorrow write them; nothing makes that crash."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfa.daemon.netlink import monitor, nftables
from nfa.daemon.netlink.monitor import ELEMENTS_GONE, RULE_GONE, RULE_MADE, SET_MADE, TABLE_GONE, Monitor, events
from nfa.daemon.netlink.wire import HEADER, NLA_F_NESTED, attribute, nfgen

HEAD = nfgen(1) + attribute(1, b"nfa\0") + attribute(2, b"a\0")


def element(key: bytes, *more: bytes) -> bytes:
    return attribute(1 | NLA_F_NESTED, attribute(1 | NLA_F_NESTED, attribute(1, key)) + b"".join(more))


def told(kind: int, body: bytes, sender: int = 7) -> bytes:
    return HEADER.pack(16 + len(body), kind, 0, 0, sender) + body


def gone(*elements: bytes, sender: int = 7) -> bytes:
    return told(ELEMENTS_GONE, HEAD + attribute(3 | NLA_F_NESTED, b"".join(elements)), sender)


WHAT = ELEMENTS_GONE, 1, "nfa", "a"
TIMEOUT = attribute(4, b"\0" * 8)


@pytest.mark.parametrize(
    "data",
    [
        gone(element(b"1234")) + gone(element(b"5678")),
        gone(element(b"1234"), element(b"5678")),
        gone(element(b"1234", TIMEOUT)) + gone(attribute(1 | NLA_F_NESTED, TIMEOUT + element(b"5678")[4:])),
        gone(element(b"1234")) + gone(element(b"9999"), sender=1) + gone(element(b"5678")),
    ],
)
def test_the_keys_of_deleted_elements(data: bytes) -> None:
    """One element in a message or several, its key first or later: what is not read is not put back."""
    assert events(data, 1) == {WHAT: [b"1234", b"5678"]}


@pytest.mark.parametrize(
    "body", [b"", attribute(3 | NLA_F_NESTED, b""), attribute(3 | NLA_F_NESTED, attribute(1 | NLA_F_NESTED, TIMEOUT))]
)
def test_an_element_that_cannot_be_read_is_told_as_such(body: bytes) -> None:
    """The set would be taken to be whole."""
    assert events(told(ELEMENTS_GONE, HEAD + body), 1) == {WHAT: [b""]}


def test_other_events_have_no_keys() -> None:
    """A table that goes takes its sets with it."""
    data = told(TABLE_GONE, HEAD) + told(SET_MADE, HEAD) + told(TABLE_GONE, nfgen(2))
    assert events(data, 1) == {(TABLE_GONE, 1, "nfa", ""): [], (SET_MADE, 1, "nfa", "a"): []}


def test_rules_that_come_and_go_are_told_once_for_a_table() -> None:
    """The daemon would not look again whether a rule uses its sets; or look at each rule of a firewall that is reloaded."""
    data = told(RULE_MADE, HEAD) + told(RULE_MADE, HEAD + attribute(3, b"\0" * 8)) + told(RULE_GONE, HEAD)
    assert events(data, 1) == {(RULE_MADE, 1, "nfa", ""): [], (RULE_GONE, 1, "nfa", ""): []}
    assert events(told(RULE_MADE, HEAD, sender=1), 1) == {}


@given(st.binary(max_size=120), st.sampled_from([TABLE_GONE, SET_MADE, RULE_MADE, ELEMENTS_GONE]), st.binary(max_size=40))
def test_garbage_is_no_crash(body: bytes, kind: int, rest: bytes) -> None:
    """The daemon would heal nothing any more."""
    events(told(kind, body) + rest, 1)
    events(told(kind, HEAD + body) + rest, 1)
    events(body, 1)


FIELDS = st.lists(st.sampled_from([*nftables.WIDTHS, "local_addr", "other_addr"]), min_size=1, max_size=4)


@given(FIELDS, st.sampled_from([4, 6]), st.integers(0, 65535), st.data())
def test_a_key_gives_its_element_back(fields: list[str], family: int, number: int, data: Any) -> None:
    """Another element would be put back than the one that was deleted."""
    size = sum(nftables.width(field, family) for field in fields)
    packed = number.to_bytes(2, "big") + data.draw(st.binary(min_size=size, max_size=size))
    key = nftables.expander(tuple(fields), family)(packed)
    assert nftables.packer(tuple(fields), family, number)(key) == packed
    assert nftables.packer(tuple(fields), family, number)(key + b"x") == b""


def test_a_monitor_that_cannot_listen_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would take a descriptor until the daemon ends."""
    closed = []

    class Refusing(socket.socket):
        def __init__(self, *_: object) -> None:
            super().__init__()

        def close(self) -> None:
            closed.append(self)
            super().close()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOMEM, "no room for a filter")

    monkeypatch.setattr(monitor.socket, "socket", Refusing)
    with pytest.raises(OSError, match="no room"):
        Monitor(1, refuse)
    assert len(closed) == 1
