"""Marks and labels: found in the table whatever the record shows, renewed, counted, and told of when they fail."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

import pytest
from fake_conntrack import Conntrack, Entry, slot_data

from nfa.daemon.netlink import conntrack
from nfa.daemon.targets.connections import cuts
from nfa.daemon.targets.connections import slot as connection
from nfa.daemon.targets.connections.cuts import OFFLOADED
from nfa.daemon.targets.connections.errors import advice
from nfa.daemon.targets.connections.slot import AFTER_CUT, PATIENCE, RENEW, ConnectionSlot, label_form
from nfa.daemon.targets.connections.writer import MANY, MAX_TURN, QUIET, Connections
from nfa.daemon.targets.registry import Registry
from nfa.daemon.targets.sets.slot import RETRY_OTHER, Counters
from nfa.daemon.targets.sets.writer import Sets
from nfa.daemon.targets.texts import reader


def packed(number: int, protocol: int = 17, source: str = "192.168.1.20", destination: str = "203.0.113.80") -> bytes:
    """A connection to port `number`."""
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    return bytes((4, protocol)) + ends + struct.pack(">HH", 40000 if protocol != 1 else 0, number)


def entry(number: int, **fields: Any) -> Entry:
    return Entry(packed(number), conntrack.reverse(packed(number)), **fields)


class Bench:
    """Slots, the table that they write to, and what the administrator was told."""

    def __init__(self, *entries: Entry, **data: Any) -> None:
        self.table = Conntrack(*entries)
        self.said: list[tuple[str, str]] = []
        self.told: list[tuple[str, ...]] = []
        self.connections = Connections(lambda *words: self.said.append(words), lambda *news: self.told.append(news))
        self.connections.netlink = self.connections.search._dump = self.table  # type: ignore[assignment]
        self.slots: list[ConnectionSlot] = []
        self.slot = self.add(**data)

    def add(self, **data: Any) -> ConnectionSlot:
        number = len(self.slots)
        made = ConnectionSlot(number, slot_data(**data) | {"rank": number}, Counters(f"t{number}", data.get("kind", "ctmark")))
        self.slots.append(made)
        for slot in self.slots:
            slot.siblings = [s for s in self.slots if s is not slot and s.data["kind"] == slot.data["kind"]]
        return made

    def key(self, number: int, slot: int = 0, **fields: Any) -> bytes:
        return slot.to_bytes(2, "big") + packed(number, **fields)

    def turn(self, now: int) -> None:
        """The end of a turn of the loop, and of those that follow at once."""
        self.flush(now)
        while self.connections.busy:
            self.flush(now)

    def cut(self, number: int, reply: bytes = b"") -> None:
        """A flow's connection is to be cut while the slot has its key."""
        self.connections.cut(packed(number), reply, self.slot, self.key(number))

    def tick(self, now: int) -> None:
        """A second is over."""
        self.connections.tick(self.slots, {slot.number: slot for slot in self.slots}, now)

    def flush(self, now: int) -> None:
        self.connections.commit([slot for slot in self.slots if slot.adds or slot.refreshes or slot.dels], self.slots, now)

    def hold(self, now: int, *numbers: int) -> None:
        for number in numbers:
            self.slot.hold(self.key(number), now)
        self.turn(now)

    @property
    def marks(self) -> list[int]:
        return [entry.mark for entry in self.table.entries]

    def counts(self) -> tuple[int, ...]:
        found = self.slot.counters
        return found.added, found.refreshed, found.withdrawn, found.errors, found.skipped


def test_only_the_masked_bits_change_and_only_they_are_taken_back() -> None:
    """Another program's mark would be destroyed."""
    bench = Bench(entry(1, mark=0xABCD), entry(2, mark=0xABCD))
    bench.hold(1, 1)
    assert bench.marks == [0xAB2D, 0xABCD]
    bench.slot.release(bench.key(1), 2, True)
    bench.turn(2)
    assert bench.marks == [0xAB0D, 0xABCD]
    assert bench.counts() == (1, 0, 1, 0, 0)
    assert not bench.slot.live and not bench.slot.waiting


def test_the_reverse_and_the_reply_tuple_are_tried_in_the_same_turn() -> None:
    """A flow seen behind NAT would be marked a record later, or never."""
    other = packed(9, source="10.0.0.1")
    bench = Bench(Entry(other, conntrack.reverse(packed(1))), Entry(other, packed(77)))
    bench.slot.replies[bench.key(2)] = packed(77)
    bench.hold(1, 1, 2)
    assert bench.marks == [0x20, 0x20]
    assert bench.table.sends == [2, 2, 1], "many in a send, each with what the one before did not find"
    sends = len(bench.table.log)
    bench.slot.want(bench.key(1), 1 + RENEW)
    bench.slot.want(bench.key(2), 1 + RENEW)
    bench.turn(1 + RENEW)
    assert len(bench.table.log) == sends + 2, "what found it is remembered"
    bench.slot.release(bench.key(2), 20, True)
    bench.turn(20)
    assert bench.marks == [0x20, 0]


def test_a_batch_is_never_so_large_that_refusals_overrun_the_receive_buffer() -> None:
    bench = Bench(*[entry(number) for number in range(1000)])
    bench.hold(1, *range(1000))
    assert max(bench.table.sends) == conntrack.MAX_BATCH
    assert set(bench.marks) == {0x20} and bench.counts()[0] == 1000


def test_what_is_there_is_renewed_every_few_seconds_and_not_with_each_record() -> None:
    """An entry that was made anew would stay without its mark; three records in a second need one message."""
    bench = Bench(entry(1))
    bench.hold(1, 1)
    for now in range(2, 1 + RENEW):
        bench.slot.want(bench.key(1), now)
    bench.turn(RENEW)
    assert len(bench.table.log) == 1
    bench.table.entries = [entry(1)]
    bench.slot.want(bench.key(1), 1 + RENEW)
    bench.turn(1 + RENEW)
    assert bench.marks == [0x20]
    assert bench.counts() == (1, 1, 0, 0, 0)


def test_a_connection_that_is_not_there_is_looked_for_for_a_while_and_then_counted_once() -> None:
    """A flow on a bridge has no entry: it would cost three messages with each of its records, for ever."""
    bench = Bench()
    bench.hold(1, 1)
    for now in range(2, 2 * PATIENCE, 10):
        bench.slot.want(bench.key(1), now)
        bench.turn(now)
    assert bench.counts() == (0, 0, 0, 0, 1)
    sent = len(bench.table.log)
    assert sent == 2 * (1 + PATIENCE // 10)
    bench.slot.want(bench.key(1), 500)
    bench.slot.release(bench.key(1), 501, True)
    bench.turn(501)
    assert (len(bench.table.log), bench.counts()[-1]) == (sent, 1)
    bench.tick(501)
    assert bench.slot.counters.last_error == "not in the conntrack table: udp 192.168.1.20:40000 > 203.0.113.80:1"
    assert not bench.said


def test_a_connection_that_has_ended_is_not_counted_as_missing() -> None:
    """Each UDP flow outlives its entry: the count would say that nothing works."""
    bench = Bench(entry(1))
    bench.hold(1, 1)
    bench.table.entries = []
    bench.slot.want(bench.key(1), 20)
    bench.turn(20)
    assert len(bench.slot.live) == 0
    bench.slot.release(bench.key(1), 50, False)
    assert bench.counts() == (1, 0, 0, 0, 0)
    assert not bench.slot.waiting and not bench.slot.again


def test_two_flows_of_one_connection_hold_it_together() -> None:
    """netifyd 5 gives a flow another digest: the end of the old one must not take what the new one has."""
    bench = Bench(entry(1))
    bench.hold(1, 1, 1)
    bench.slot.release(bench.key(1), 2, True)
    bench.turn(2)
    assert bench.marks == [0x20]
    bench.slot.release(bench.key(1), 3, True)
    bench.turn(3)
    assert bench.marks == [0]


def test_released_and_held_again_in_one_turn_needs_no_flicker() -> None:
    bench = Bench(entry(1))
    bench.hold(1, 1)
    bench.slot.release(bench.key(1), 2, True)
    bench.hold(2, 1)
    assert bench.marks == [0x20]
    assert bench.slot.counters.withdrawn == 0
    bench.slot.hold(bench.key(2), 2)
    bench.slot.release(bench.key(2), 2, True)
    before = len(bench.table.log)
    bench.turn(2)
    assert len(bench.table.log) == before


def test_a_later_target_wins_the_bits_that_two_share() -> None:
    bench = Bench(entry(1), mark=0x120, mask=0xFF0)
    narrow = bench.add(mark=0x30, mask=0x0F0)
    bench.hold(1, 1)
    narrow.hold(bench.key(1, 1), 1)
    bench.turn(1)
    assert bench.marks == [0x130]
    bench.slot.want(bench.key(1), 20)
    bench.turn(20)
    assert bench.marks == [0x130], "a renewal does not take them either"
    narrow.release(bench.key(1, 1), 21, True)
    bench.turn(21)
    assert bench.marks == [0x120]


# -- labels --------------------------------------------------------------------------------------------------------------

AUTO = {"kind": "ctlabel", "auto": True, "applications": {"netify-youtube": 10, "netflix": 11}, "protocols": {"http-s": 12},
        "names": ((3, "streaming"), (10, "a-netify-youtube"), (11, "a-netflix"), (12, "p-http-s"))}  # fmt: skip


def record(application: str, protocol: str = "QUIC") -> dict[str, Any]:
    return {"detected_application_name": application, "detected_protocol_name": protocol}


def make(bench: Bench, flow: dict[str, Any]) -> bytes:
    key: bytes = bench.slot.key_function(lambda record, flow: bench.key(1))({}, flow)
    return key


def test_automatic_labels_follow_the_flow() -> None:
    bench = Bench(entry(1, labels=1 << 99), **AUTO)
    one, two = make(bench, record("netify.youtube", "HTTP/S")), make(bench, record("netify.netflix"))
    bench.slot.hold(one, 1)
    bench.turn(1)
    assert bench.table.entries[0].labels == 1 << 99 | 1 << 3 | 1 << 10 | 1 << 12
    assert reader(bench.slot.data)(one).endswith(" label streaming, a-netify-youtube, p-http-s")
    bench.slot.hold(two, 2)
    bench.slot.release(one, 2, True)
    bench.turn(2)
    assert bench.table.entries[0].labels == 1 << 99 | 1 << 3 | 1 << 11, "what both have stays all the time"


def test_a_name_without_a_label_is_skipped_and_told_once_where_that_is_wanted() -> None:
    bench = Bench(**AUTO | {"labels": 0, "log_errors": True})
    for _ in range(3):
        with pytest.raises(ValueError, match=r"no label for netify\.x"):
            make(bench, record("netify.x"))
    bench.tick(1)
    bench.tick(2)
    assert bench.said == [("warning", "target 't0': no label for 'netify.x'")]
    for number in range(1000):
        with pytest.raises(ValueError, match="no label"):
            make(bench, record(f"netify.{number}"))
    assert len(bench.slot.missing) == connection.MAX_MISSING, "strangers may choose names"


@pytest.mark.parametrize(
    ("name", "form"),
    [("Google/Meet/Duo", "google-meet-duo"), ("netify.youtube", "netify-youtube"), ("HTTP/S", "http-s"), ("", "")],
)
def test_names_in_labels(name: str, form: str) -> None:
    assert label_form(name) == form


def test_no_room_for_labels_is_told_once_with_the_rule_and_tried_again_each_minute() -> None:
    bench = Bench(*[entry(number, labels=None) for number in range(3)], kind="ctlabel")
    bench.hold(1, 0, 1, 2)
    assert bench.counts() == (0, 0, 0, 3, 0)
    assert len(bench.said) == 1 and "ct label set" in bench.said[0][1]
    for now in range(2, PATIENCE):
        bench.slot.want(bench.key(0), now)
    bench.turn(PATIENCE)
    assert len(bench.table.log) == 3
    bench.table.entries[0].labels = 0
    bench.slot.want(bench.key(0), 1 + PATIENCE)
    bench.slot.want(bench.key(1), 1 + PATIENCE)
    bench.turn(1 + PATIENCE)
    assert bench.table.entries[0].labels == 1 << 3
    assert len(bench.said) == 2 and bench.said[1][0] == "notice", "old connections have no room: that is no news"
    assert bench.told[0][2] and not bench.told[1][2]
    # The rule is gone again: the connections that have room keep it, and are renewed; those that begin have none.
    now = 2 + PATIENCE + QUIET
    bench.slot.want(bench.key(0), now)
    for one in range(MANY):
        assert len(bench.said) == 2 or one > MANY // 2
        later = now + one * PATIENCE
        bench.slot.want(bench.key(2), later)
        bench.turn(later)
    assert len(bench.said) == 3 and "ct label set" in bench.said[2][1]


@pytest.mark.parametrize("as_send", [False, True])
def test_a_kernel_that_refuses_everything_is_asked_every_few_seconds_and_told_of_once(as_send: bool) -> None:
    """Without the rights, each record would cost a message and a line of the log."""
    bench = Bench(entry(1))
    bench.table.broken, bench.table.refuse = (errno.EPERM, 0) if as_send else (0, errno.EPERM)
    bench.hold(1, 1)
    assert bench.slot.trouble and len(bench.said) == 1 and "CAP_NET_ADMIN" in bench.said[0][1]
    bench.table.broken = bench.table.refuse = 0
    bench.slot.want(bench.key(1), RETRY_OTHER)
    bench.turn(RETRY_OTHER)
    assert bench.marks == [0]
    bench.slot.want(bench.key(1), 1 + RETRY_OTHER)
    bench.turn(1 + RETRY_OTHER)
    assert bench.marks == [0x20] and bench.slot.trouble == ""
    assert [level for level, _ in bench.said] == ["error", "notice"]


# -- cut -----------------------------------------------------------------------------------------------------------------


def test_a_cut_comes_after_the_mark_and_the_mark_comes_back_with_the_new_entry() -> None:
    bench = Bench(entry(1))
    bench.slot.hold(bench.key(1), 1)
    bench.cut(1, b"")
    bench.turn(1)
    assert [kind for kind, _ in bench.table.log] == [conntrack.UPDATE, conntrack.DELETE]
    assert bench.connections.cut_count == 1 and not bench.slot.live
    bench.table.entries = [entry(1)]
    bench.slot.expire(2)
    bench.turn(2)
    assert bench.marks == [0x20] and not bench.slot.again
    bench.cut(1, b"")
    bench.turn(3)
    for now in range(4, 100):
        bench.slot.expire(now)
        bench.turn(now)
    assert len([1 for kind, _ in bench.table.log if kind == conntrack.UPDATE]) == 2 + 2 * AFTER_CUT


def test_what_is_not_there_needs_no_cut_and_what_cannot_be_cut_is_told_once() -> None:
    """An administrator needs one message, and the target's count says how many connections go on."""
    bench = Bench()
    bench.cut(1, packed(2))
    bench.turn(1)
    assert len(bench.table.log) == 3 and not bench.said and not bench.counts()[3]
    bench.table.refuse = errno.EPERM
    for now in (2, 3):
        bench.cut(1)
        bench.turn(now)
    assert len(bench.said) == 1 and "target 't0': connections cannot be cut: " in bench.said[0][1]
    assert "CAP_NET_ADMIN" in bench.said[0][1] and bench.counts()[3] == 2
    assert not bench.connections.cuts.later, "that is not over soon"


def test_an_offloaded_connection_that_the_kernel_keeps_is_cut_as_soon_as_it_lets_go() -> None:
    """With 5.10 the connection went on for ever, `cut 0`, and the message asked for a kernel module."""
    bench = Bench(entry(1), kind="cut")
    bench.hold(1, 1)
    bench.table.refuse = errno.EBUSY
    bench.cut(1)
    bench.turn(1)
    [(level, text)] = bench.said
    assert level == "error" and text.startswith("target 't0': connections cannot be cut: the kernel does not let go of")
    assert "offload" in text and "kernel module" not in text and "switch flow offloading off" in text
    assert bench.told == [("t0", "conntrack", OFFLOADED)]
    assert bench.connections.cuts.trouble("t0") == "connections cannot be cut: " + OFFLOADED
    assert not bench.connections.cuts.trouble("another")
    assert bench.slot.counters.last_error.startswith("cannot cut udp 192.168.1.20:40000 > 203.0.113.80:1: ")
    tried = []
    for now in range(2, 300):
        bench.tick(now)
        before = len(bench.table.log)
        bench.turn(now)
        if len(bench.table.log) > before:
            tried.append(now)
    assert tried == [2, 4, 8, 16, 32, 64, 124, 184, 244], "less and less often, and each minute in the end"
    assert bench.counts()[3] == 1 and len(bench.said) == 1, "one error for each connection"
    bench.table.refuse = 0
    for now in range(300, 310):
        bench.tick(now)
        bench.turn(now)
    assert bench.connections.cut_count == 1 and not bench.table.entries
    assert not bench.connections.cuts.later and not bench.connections.cuts.trouble("t0")


@pytest.mark.parametrize("end", ["released", "reloaded", "gone"])
def test_a_cut_is_no_longer_tried_once_its_flow_or_its_target_is_gone(end: str) -> None:
    """A connection would be cut hours after the rule was switched off."""
    bench = Bench(entry(1), kind="cut")
    bench.hold(1, 1)
    bench.table.refuse = errno.EBUSY
    bench.cut(1)
    bench.turn(1)
    assert len(bench.connections.cuts.later) == 1
    bench.table.refuse = 0
    if end == "released":
        bench.slot.release(bench.key(1), 2, True)
    elif end == "reloaded":
        bench.slots.remove(bench.slot)
    else:
        bench.table.entries.clear()
    bench.tick(5)
    bench.turn(5)
    assert not bench.connections.cuts.later and bench.connections.cut_count == 0
    assert bool(bench.table.entries) == (end != "gone")


def test_cuts_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of offloaded connections would take the memory, or a whole second of the loop."""
    monkeypatch.setattr(cuts, "MAX_LATER", 20)
    monkeypatch.setattr(cuts, "MAX_AGAIN", 7)
    bench = Bench(kind="cut")
    bench.table.refuse = errno.EBUSY
    for number in range(1, 31):
        bench.slot.hold(bench.key(number), 1)
        bench.cut(number)
    bench.turn(1)
    assert len(bench.connections.cuts.later) == 20 and bench.counts()[3] == 30
    bench.tick(5)
    assert (len(bench.connections.cuts.now), len(bench.connections.cuts.later)) == (7, 13)


@pytest.mark.parametrize(
    ("error", "kind", "said", "not_said"),
    [
        (errno.EINVAL, "ctmark", "kmod-nf-conntrack-netlink", "offload"),
        (errno.EOPNOTSUPP, "ctlabel", "built without labels", "installed?"),
        (errno.EPERM, "ctmark", "CAP_NET_ADMIN", "module"),
        (errno.EBUSY, "cut", "flow offloading off", "module"),
        (errno.ENOMEM, "cut", "", "module"),
        (errno.EIO, "ctmark", "", "module"),
    ],
)
def test_what_conntrack_refuses_is_told_as_what_it_is(error: int, kind: str, said: str, not_said: str) -> None:
    """Who is sent to install a module that is there looks no further."""
    assert said in advice(error, kind) and not_said not in advice(error, kind)


def test_a_slot_that_only_remembers_cuts_sends_nothing() -> None:
    bench = Bench(entry(1), kind="cut")
    bench.hold(1, 1)
    bench.slot.want(bench.key(1), 100)
    bench.slot.release(bench.key(1), 101, True)
    bench.turn(101)
    assert not bench.table.log and not bench.slot.live


# -- ICMP ----------------------------------------------------------------------------------------------------------------


def ping(number: int, source: str = "192.168.1.20") -> Entry:
    one = packed(number, 1, source)
    return Entry(one, conntrack.reverse(one))


def test_pings_are_searched_for_at_most_once_a_second_and_only_when_some_are_wanted() -> None:
    """Reading a large table with each record would leave no time for anything else."""
    bench = Bench(entry(1), ping(7), ping(8), ping(7, "192.168.1.21"))
    bench.hold(1, 1)
    assert not bench.table.dumps
    key = bench.key(0, protocol=1)
    bench.slot.hold(key, 1)
    bench.turn(1)
    assert bench.marks == [0x20, 0x20, 0x20, 0]
    assert bench.counts()[0] == 2 and len(bench.table.dumps) == 1
    bench.slot.release(key, 1, True)
    for _ in range(5):
        bench.turn(1)
    assert len(bench.table.dumps) == 1 and bench.connections.pending
    bench.turn(2)
    assert bench.marks == [0x20, 0, 0, 0] and bench.slot.counters.withdrawn == 1
    assert not bench.connections.pending


def test_a_ping_is_found_on_either_side_of_nat() -> None:
    seen = Entry(packed(7, 1), conntrack.reverse(packed(7, 1, source="203.0.113.1")))
    bench = Bench(seen)
    bench.slot.hold(bench.key(0, protocol=1, source="203.0.113.1"), 1)
    bench.turn(1)
    assert bench.marks == [0x20]


def test_a_search_that_fails_is_counted_and_tried_again() -> None:
    bench = Bench(ping(7))
    key = bench.key(0, protocol=1)
    bench.table.next = lambda: b""  # type: ignore[method-assign]
    bench.slot.hold(key, 1)
    bench.turn(1)
    assert bench.counts()[3] == 1 and not bench.connections.busy
    del bench.table.next  # type: ignore[attr-defined]
    bench.table.pages = []
    bench.slot.want(key, 2)
    bench.turn(2)
    assert bench.marks == [0x20]


def test_a_ping_that_is_let_go_of_during_the_search_gives_the_mark_back() -> None:
    bench = Bench(ping(7))
    key = bench.key(0, protocol=1)
    bench.slot.hold(key, 1)
    bench.slot.adds.clear()
    bench.connections._want([], _change(bench, key))
    bench.slot.release(key, 1, True)
    bench.turn(1)
    assert bench.marks == [0x20]
    bench.turn(2)
    bench.turn(3)
    assert bench.marks == [0]


def _change(bench: Bench, key: bytes) -> Any:
    from nfa.daemon.targets.connections.writer import ADD, Change

    return Change(bench.slot, key, ADD, 0, b"")


def test_many_changes_at_once_are_spread_over_turns_of_the_loop() -> None:
    """`nfa flush` of a target with 50,000 connections must not hold up the stream; all the same, every bit is taken back."""
    ports = range(1, 5001)
    bench = Bench(*(entry(port) for port in ports))
    bench.hold(1, *ports)
    assert bench.slot.counters.added == 5000
    assert bench.slot.withdraw_all() == 5000
    sent = sum(bench.table.sends)
    turns = 1
    bench.flush(2)
    assert sum(bench.table.sends) - sent == MAX_TURN
    bench.slot.hold(bench.key(4999), 2)
    while bench.connections.busy:
        bench.flush(2)
        turns += 1
    assert turns == 3
    assert {found.mark for found in bench.table.entries if found.original != packed(4999)} == {0}
    marked = next(found for found in bench.table.entries if found.original == packed(4999))
    assert marked.mark, "a flow wanted it again before its turn came"


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOBUFS])
def test_what_could_not_be_taken_back_is_taken_back_later(error: int) -> None:
    """A connection that is no call after all would keep its priority as long as it lasts."""
    bench = Bench(entry(1), entry(2))
    bench.hold(1, 1, 2)
    bench.table.refuse = error
    bench.slot.release(bench.key(1), 2, True)
    bench.turn(2)
    bench.turn(3)
    bench.table.refuse = 0
    bench.turn(2 + RETRY_OTHER)
    assert bench.marks[0] == 0 and bench.marks[1] != 0
    assert bench.slot.counters.withdrawn == 1


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOBUFS])
def test_a_kernel_that_takes_no_mark_back_holds_nobody_up(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload, or the end of the daemon, would wait for ever for a kernel that refuses: procd kills it after ten seconds."""
    bench = Bench(entry(1), entry(2))
    bench.hold(1, 1, 2)
    registry = Registry(Sets(print, print), None, print, print)
    registry.connections, registry.by_number = bench.connections, {0: bench.slot}
    commits = iter(range(20))
    monkeypatch.setattr(registry, "commit", lambda now: (next(commits), Registry.commit(registry, now)))
    bench.table.refuse = error
    registry.by_number = {}
    registry.retire([bench.slot])
    registry.finish(2)
    assert 0 not in bench.marks
    bench.table.refuse = 0
    registry.finish(2 + RETRY_OTHER)
    assert bench.marks == [0, 0], "it is tried again as long as the daemon lives"
