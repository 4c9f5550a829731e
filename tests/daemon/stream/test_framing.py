"""Cutting the stream: the same records however they arrive, and a damaged one takes no other with it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from nfa.daemon.base.portable import CHUNK, MAX_RECORD
from nfa.daemon.stream import framing
from nfa.daemon.stream.framing import _HEADER_ROOM, _MARK, MAX_HEADERS, Framer, _header

HOSTILE = '\\"{"length": 5}\n}{"length": 3}'  # what a stranger may choose as a name; JSON escapes it
RECORDS = [
    samples.hello(),
    samples.definitions(),
    samples.flow("QUIC", "netify.youtube"),
    samples.flow(host_server_name=HOSTILE, dns_host_name="käse.example"),
    samples.stats("ab" * 20),
    samples.purge("ab" * 20),
    samples.flow(ssl={"client_sni": " { } "}),
]
PAYLOADS = [samples.payload(record) for record in RECORDS]
WHOLE = [payload.strip() for payload in PAYLOADS]
"""What comes out: the newline at the end is no part of a record."""
chosen = st.lists(st.sampled_from(PAYLOADS), min_size=1, max_size=8)


def header(size: int) -> bytes:
    return b'{"length": %d}\n' % size


def framed(payloads: list[bytes]) -> bytes:
    return b"".join(header(len(payload)) + payload for payload in payloads)


def feed(data: bytes, cuts: list[int], framer: Framer | None = None) -> list[bytes]:
    """Give the data in chunks that end at `cuts`, then the rest."""
    framer = framer or Framer()
    found: list[bytes] = []
    before = 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        if cut > before:
            found += framer.feed(data[before:cut])
            before = cut
    return found


cuts = st.lists(st.integers(0, 1 << 16), max_size=12)


@given(chosen, cuts)
def test_any_chunking_gives_the_same_records(payloads: list[bytes], where: list[int]) -> None:
    """Records would be lost when a burst does not arrive in whole ones."""
    framer = Framer()
    assert feed(framed(payloads), where, framer) == [payload.strip() for payload in payloads]
    assert not any(framer.bad.values())
    assert framer.waiting == 0


@pytest.mark.parametrize("size", [1, 2, 7])
def test_single_bytes_give_the_same_records(size: int) -> None:
    """The same, with every cut there is."""
    data = framed(PAYLOADS)
    assert feed(data, list(range(0, len(data), size))) == WHOLE


def test_records_of_all_lengths_come_and_few_headers_are_remembered() -> None:
    """Strangers choose how long a record is: the daemon would remember a header for each length, or take a wrong one."""
    framer = Framer()
    payloads = [b'{"a":"' + b"x" * size + b'"}\n' for size in [*range(0, MAX_HEADERS + 200, 5), *range(MAX_HEADERS + 200)]]
    assert feed(framed(payloads), list(range(0, 1 << 20, CHUNK)), framer) == [payload.strip() for payload in payloads]
    assert len(framer._headers) == MAX_HEADERS and not any(framer.bad.values())


@given(chosen, cuts)
def test_lines_are_recognised(payloads: list[bytes], where: list[int]) -> None:
    """A 5.x sink without headers would give nothing."""
    lines = [payload.strip() for payload in payloads]
    assert feed(b"\n".join(lines) + b"\n\n", where) == lines
    assert feed(b"\r\n".join(lines) + b"\n", where) == lines


def test_a_greeting_of_3x_has_no_newline_at_its_end() -> None:
    """Every record of an old agent would be cut one byte late."""
    greeting, flow = samples.frame(samples.hello(), newline=False), samples.frame(samples.flow())
    found = feed(greeting + flow + samples.frame(samples.flow(), newline=False), [])
    assert [json.loads(payload)["type"] for payload in found] == ["agent_hello", "flow", "flow"]
    assert feed(b'{"length":4}\r\n{}\r\n', []) == [b"{}"]


def test_headers_may_begin_after_lines() -> None:
    """A client that meets the end of a line first would read headers as records for ever."""
    framer = Framer()
    assert feed(b'"rest":1}\n' + framed(PAYLOADS[:3]), [20], framer)[1:] == WHOLE[:3]
    assert framer.lines is False


def corrupted(kind: str, payload: bytes, number: int, noise: bytes) -> bytes:
    """One record with its header, damaged."""
    place = number % len(payload)
    if kind == "wrong length":
        return header(number) + payload
    if kind == "cut short":
        return header(len(payload)) + payload[:place]
    if kind == "too long":
        return header(len(payload)) + payload[:place] + noise + payload[place:]
    if kind == "other bytes":
        return header(len(payload)) + (payload[:place] + noise + payload[place:])[: len(payload)]
    damaged = bytearray(header(len(payload)))
    if kind == "no header":
        return payload
    damaged[number % len(damaged)] = noise[0] if noise else 0
    return bytes(damaged) + payload


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.sampled_from(PAYLOADS), min_size=2, max_size=6),
    st.integers(0, 5),
    st.sampled_from(["wrong length", "cut short", "too long", "other bytes", "no header", "a byte of the header"]),
    st.integers(0, 3000) | st.integers(0, 1 << 40),
    st.binary(max_size=40),
    cuts,
)
def test_one_damaged_record_costs_no_other(
    payloads: list[bytes], which: int, kind: str, number: int, noise: bytes, where: list[int]
) -> None:
    """A bug of the agent in one record would lose the flows after it."""
    which %= len(payloads)
    before, after = payloads[:which], payloads[which + 1 :]
    data = framed(before) + corrupted(kind, payloads[which], number, noise) + framed(after)
    found = feed(data, where)
    assert found[: len(before)] == [payload.strip() for payload in before]
    assert found[len(found) - len(after) :] == [payload.strip() for payload in after]
    assert len(found) <= len(payloads) + 3


def test_what_is_skipped_is_counted() -> None:
    """A damaged stream would look healthy in `nfa status`."""
    framer = Framer()
    framer.feed(framed(PAYLOADS[:1]) + b"garbage garbage\n" + framed(PAYLOADS[:1]))
    assert framer.bad["length"] == 1
    assert framer.bad["resync_bytes"] == len(b"garbage garbage\n")
    framer.feed(header(MAX_RECORD + 1) + b"x" * 100 + framed(PAYLOADS[:1]))
    assert framer.bad["oversize"] == 1


@pytest.mark.parametrize(
    "endless",
    [b"a", b"\0", b"\n", b" ", b'{"length"', b'{"length": 9', b"{", b'"', b'{"length": 1048576}', b"a b\n{",
     b'{"length": 7}\n'],
)  # fmt: skip
@pytest.mark.parametrize("start", [b"", header(10), header(MAX_RECORD), header(MAX_RECORD + 1), header(0), b"{}\n"])
def test_memory_is_bounded_whatever_comes(start: bytes, endless: bytes) -> None:
    """An agent gone mad would take the router's memory."""
    framer = Framer()
    framer.feed(start)
    chunk = endless * ((1 << 17) // len(endless))
    for _ in range(20):
        framer.feed(chunk)
        assert framer.waiting <= MAX_RECORD + len(chunk) + 64
    found = framer.feed(b"\n" + framed(PAYLOADS) * 9)
    assert found[-len(WHOLE) :] == WHOLE, "it finds its way back"


def test_a_last_line_without_its_newline_is_a_record() -> None:
    """A sink that closes right after its last record would lose it."""
    framer = Framer()
    assert framer.feed(b'{"a":1}\n{"b":2}') == [b'{"a":1}']
    assert framer.end() == [b'{"b":2}']
    assert framer.end() == []


def test_a_record_that_is_cut_off_is_counted() -> None:
    """What is lost with a connection has to be seen in the status."""
    framer = Framer()
    framer.feed(b'{"length": 100}\n{"type":')
    assert framer.end() == []
    assert framer.bad["length"] == 1


HEADER = re.compile(rb'\{"length": ?([0-9]+)\}\r?\n')
"""A header, as it is written down elsewhere."""
header_pieces = st.sampled_from(
    [b'{"length"', b'{"length"', b'{"Length"', b":", b": ", b":  ", b";", b"0", b"9", b"1" * 14, b"x", b"-", b"}", b"}", b"]",
     b"\r", b"\n", b"\n", b" ", b""]
)  # fmt: skip


def as_expression(data: bytes, position: int) -> tuple[int, int] | None:
    """What a regular expression finds in the place of `_header`."""
    match = HEADER.match(data, position, position + _HEADER_ROOM)
    return None if match is None else (int(match[1][:12]), match.end())


@pytest.mark.parametrize(
    "text",
    [b'{"length": 5}\n', b'{"length":5}\n', b'{"length":  5}\n', b'{"length": 5}\r\n', b'{"length": 5}\r\r\n', b'{"length": 5}',
     b'{"length": 5}x', b'{"length": 5} \n', b'{"length"; 5}\n', b'{"length": 5]\n', b'{"length"; 5]\n', b'{"Length": 5}\n',
     b'{"length": }\n', b'{"length":}\n', b'{"length"}\n', b'{"length"\n', b'{"length":\n', b'{"length": -5}\n',
     b'{"length": 5 }\n', b'{"length": 5x}\n', b'{"length": \xb2}\n', b'{"length": 007}\n', b'{"length": 5\n}\n', b"\n", b"",
     b'{"length": ' + b"1" * 12 + b"}\n", b'{"length": ' + b"1" * 13 + b"}\n", b'{"length": ' + b"0" * 51 + b"}\n",
     b'{"length": ' + b"0" * 52 + b"}\n", b'{"length":1}\n'],
)  # fmt: skip
def test_a_header_is_what_netifyd_writes(text: bytes) -> None:
    """A record would be taken for a header, or a header of some agent for a record: all that follows would be cut wrongly."""
    for before in (b"", b"}", b"\n", b"x" * 70):
        for after in (b"", b"{}\n", b"\n", b'{"length": 3}\n'):
            data = before + text + after
            assert _header(data, len(before)) == as_expression(data, len(before))


@given(st.lists(header_pieces, max_size=8).map(b"".join), st.integers(0, 20))
def test_a_header_is_found_where_the_expression_finds_it(data: bytes, position: int) -> None:
    """The same, with whatever else may stand there."""
    assert _header(data, position) == as_expression(data, position)


def test_each_record_with_a_wrong_length_is_counted() -> None:
    """`nfa status` would show one fault where the agent has it in each record."""
    framer = Framer()
    wrong = header(4) + b'{"a":""}\n'
    framer.feed(header(3) + b"{}\n")
    assert framer.feed(wrong * 3 + header(3) + b"{}\n") == [b'{"a":""}'] * 3 + [b"{}"]
    assert framer.bad == {"length": 3, "oversize": 0, "resync_bytes": 0}


# -- where the stream is cut decides nothing ---------------------------------------------------------------------------

PIECES = [
    header(15), header(5), header(2), header(1), header(0), header(40), header(300), header(10**12), b'{"length":4}\r\n',
    b'{"length": 9', b'{"length"', b'{"leng', b"{", b"}", b"\n", b"\r\n", b" ", b'"', b"a", b"}\n", b'"}\n', b"0" * 50,
    b'{"a":"","type":"x"}\n', b'{"a":"","type":', b'"x"}', b"{}", b"{}\n", b'{"a":{}}\n', b"x" * 30, header(3) + b"{}\n",
    header(8) + b'{"a":""}', header(20) + b'{"a":"{","type":""}\n', header(15) + b'{"a":"","type":"x"}\n' + header(20),
]  # fmt: skip
broken = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=14).map(b"".join)


@contextmanager
def bounded_by(most: int) -> Iterator[None]:
    """Let a record have so many bytes only, so that examples reach the bound."""
    before, framing.MAX_RECORD = framing.MAX_RECORD, most
    try:
        yield
    finally:
        framing.MAX_RECORD = before


def outcome(data: bytes, where: list[int]) -> tuple[object, ...]:
    """What comes of a stream: its records and counts, and how it ends."""
    framer = Framer()
    found = feed(data, where, framer)
    before, waiting = dict(framer.bad), framer.waiting
    return found, before, waiting, framer.end(), framer.bad, framer.waiting


@settings(max_examples=1500, deadline=None)
@given(
    broken, st.lists(st.integers(0, 400), max_size=12) | st.just(list(range(1, 1200))), st.sampled_from([64, 100, MAX_RECORD])
)
def test_where_a_broken_stream_is_cut_decides_nothing(data: bytes, where: list[int], most: int) -> None:
    """The same fault of the agent would lose a record on one router, and none on another."""
    with bounded_by(most):
        assert outcome(data, where) == outcome(data, [])


def test_a_length_that_is_too_short_costs_no_record_where_a_read_ends_with_it() -> None:
    """The record would be cut in two by a read that ends exactly where the wrong length says."""
    wrong, right = b'{"a":"","type":"x"}\n', b'{"a":"b","type":""}\n'
    data = header(15) + wrong + header(len(right)) + right
    for cut in (0, len(header(15)) + 15, len(header(15)) + 19):
        for before in (b"", header(3) + b"{}\n"):
            framer = Framer()
            assert feed(before + data, [len(before) + cut], framer)[-2:] == [wrong.strip(), right.strip()]
            assert framer.bad == {"length": 1, "oversize": 0, "resync_bytes": 0}


@pytest.mark.parametrize(
    ("data", "record", "bad"),
    [
        (header(15) + b'{"a":"","type":"x"}\n', b'{"a":"","type":"x"}', 1),  # too short
        (header(8) + b'{"a":""}', b'{"a":""}', 0),
        (header(9) + b'{"a":"{"}', b'{"a":"{"}', 0),  # its braces do not tell that it is whole
        (header(9) + b'{"a":"{"}{"leng', b'{"a":"{"}', 1),  # and a header that was cut off
        (header(10) + b'{"a":"{"}', b"", 1),
        (b'{"length": 1', b"", 1),
        (b"{", b"", 1),
        (header(3) + b"{}\n\n", b"{}", 0),
        (b"{}\n \n", b"{}", 0),
        (header(3) + b"{}\nx" + b"y" * 100, b"{}", 1),
    ],
)
def test_the_last_record_of_a_stream(data: bytes, record: bytes, bad: int) -> None:
    """What an agent wrote before it was stopped would be lost, or half a record be taken for one."""
    framer = Framer()
    assert framer.feed(data) + framer.end() == ([record] if record else [])
    assert framer.bad["length"] == bad
    assert framer.end() == []


def test_a_record_may_have_as_many_bytes_as_the_bound_says() -> None:
    """The longest record that is allowed would be counted as oversize, or one byte more be kept."""
    framer = Framer()
    longest = b'{"a":"' + b"x" * (MAX_RECORD - 9) + b'"}\n'
    assert framer.feed(header(MAX_RECORD) + longest) == [longest.strip()]
    assert framer.feed(header(MAX_RECORD + 1) + longest + header(3) + b"{}\n") == [b"{}"]
    assert framer.bad == {"length": 0, "oversize": 1, "resync_bytes": len(longest)}
    framer = Framer()
    line = b"x" * MAX_RECORD
    assert framer.feed(b"{}\n" + line + b"\n" + line + b"x\n{}\n") == [b"{}", line, b"{}"]
    assert framer.bad == {"length": 0, "oversize": 1, "resync_bytes": MAX_RECORD + 2}


@pytest.mark.parametrize(
    ("data", "records", "bad"),
    [
        (header(8) + b'{"a":"}"}\n' + header(3) + b"{}\n", [b'{"a":"}"}', b"{}"], (1, 0, 0)),  # its braces are even too early
        (header(8) + b'{"a":""}' + b"xx{\n" + header(3) + b"{}\n", [b'{"a":""}', b"{}"], (1, 0, 4)),  # and then noise
        (header(8) + b'{"a":""}' + b"xx}\n" + header(3) + b"{}\n", [b'{"a":""}', b"{}"], (1, 0, 4)),
        (header(5) + b"{}\n\n\n" + b"}\n" + header(3) + b"{}\n", [b"{}\n\n\n}", b"{}"], (1, 0, 0)),  # it does not end so
        (header(3) + b"{}\n" + b"noise\n" + header(3) + b"{}\n" + b"more\n" + header(3) + b"{}\n", [b"{}"] * 3, (2, 0, 11)),
        (b'{"a":1}\n{"length": "x"}\n{"b":2}\n', [b'{"a":1}', b'{"length": "x"}', b'{"b":2}'], (0, 0, 0)),
        (b"{}\n" + b"x" * 100 + b"\n" + header(3) + b"{}\n", [b"{}", b"{}"], (0, 1, 101)),  # a line that is too long
        (b"{}\n" + b"x" * 100 + b"{}\n{}\n" + b"x" * 65 + b"\n{}\n", [b"{}"] * 3, (0, 2, 169)),
        (b'{}\r\n{"length": 1}\r \n{}\r\n', [b"{}", b'{"length": 1}', b"{}"], (0, 0, 0)),  # a header has no blank there
        (b"{}\n" + b"x" * 65, [b"{}"], (0, 1, 65)),
        (header(3) + b"{}" + header(3) + b"{}\n", [b"{}", b"{}"], (1, 0, 0)),  # too long by one byte
        (header(3) + b"{}\n\n" + header(3) + b"{}\n", [b"{}", b"{}"], (0, 0, 0)),
        (header(14) + header(3) + b"{}\n", [b"", b"{}"], (1, 0, 0)),  # nothing before the next header
        (header(3) + b'{}\nno {"length": x}\n' + header(3) + b"{}\n", [b"{}", b"{}"], (1, 0, 17)),
        (header(9) + b'{"a":"{"}' + header(3) + b"{}\n", [b'{"a":"{"}', b"{}"], (0, 0, 0)),  # the next header tells
        (header(9) + b'{"a":"{"}\n' + header(3) + b"{}\n", [b'{"a":"{"}', b"{}"], (0, 0, 0)),
        ((header(5) + b"{}abc" + b"x" * 100) * 2 + header(3) + b"{}\n", [b"{}"], (2, 0, 200)),  # no end of it in sight
        (b'{"length": ' + b"9" * 60 + b"}\n" + header(3) + b"{}\n", [b"{}"], (1, 0, 73)),  # no header is so long
        (header(65) * 2 + header(0) * 2 + header(3) + b"{}\n", [b"{}"], (2, 2, 0)),
    ],
)
def test_what_comes_of_a_stream_with_faults(data: bytes, records: list[bytes], bad: tuple[int, int, int]) -> None:
    """A fault of the agent would cost more than the record that it is in, or not be counted."""
    with bounded_by(64):
        for cuts in ([], list(range(len(data)))):
            framer = Framer()
            if data.startswith(_MARK):
                assert framer.feed(header(3) + b"{}\n") == [b"{}"], "the stream is known to have headers"
            assert feed(data, cuts, framer) + framer.end() == records
            assert tuple(framer.bad.values()) == bad


WORDS = b'{"a":"b"}\n'


@pytest.mark.parametrize("wrong", [-2, -1, 1, 2])
def test_a_length_that_is_a_little_wrong_costs_no_record_and_is_counted(wrong: int) -> None:
    """A fault of every record would stay unseen, or each of them take a part of the next one."""
    right, fault = header(len(WORDS)) + WORDS, header(len(WORDS) + wrong) + WORDS
    counted = wrong != -1  # a greeting of 3.x is counted without its newline
    for data in (right * 2 + fault + right * 2, fault + right * 4):
        framer = Framer()
        framer.feed(right)
        assert framer.feed(data) == [WORDS.strip()] * 5
        assert framer.bad == {"length": counted, "oversize": 0, "resync_bytes": 0}


def test_a_record_comes_out_with_its_last_byte() -> None:
    """A flow would be acted on only when netifyd has more to tell, a minute later."""
    framer = Framer()
    for payload in (WORDS, b"{}\n", b'{"a":{}}\n', b"{}", WORDS):
        data = header(len(payload)) + payload
        for place in range(len(data)):
            assert len(framer.feed(data[place : place + 1])) == (place == len(data) - 1)
            assert framer.waiting == (0 if place == len(data) - 1 else place + 1)
    lines = Framer()
    for place in range(len(WORDS) * 3):
        assert lines.feed(WORDS[place % len(WORDS)].to_bytes(1, "big")) == [WORDS.strip()] * (
            place % len(WORDS) == len(WORDS) - 1
        )


def test_what_can_be_no_header_is_not_waited_for() -> None:
    """`nfa status` would not tell of a damaged stream, and bytes that are worth nothing stay in memory."""
    framer = Framer()
    framer.feed(header(3) + b"{}\n" + b"x" * 63)
    assert (framer.bad["length"], framer.waiting) == (0, 63)
    framer.feed(b"x")
    assert (framer.bad, framer.waiting) == ({"length": 1, "oversize": 0, "resync_bytes": 64}, 0)
    framer.feed(b'{"length": ' + b"9" * 52)
    assert framer.waiting == 63
    framer.feed(b"9")
    assert (framer.bad["resync_bytes"], framer.waiting) == (128, 0)
    assert framer.feed(b"x" * 100 + b'{"length": ') == [] and framer.feed(b"3}\n{}\n") == [b"{}"], "but what may be one is"
    framer.feed(b"x" * 64)
    assert framer.feed(header(3) + b"{}\n") == [b"{}"]


def test_a_record_that_stops_is_given_up_at_the_next_header() -> None:
    """All that comes after it would wait for as many bytes as its length says, an hour on a quiet line."""
    framer = Framer()
    assert framer.feed(header(300) + b'{"a":"') == framer.feed(b"x" * 30) == framer.feed(b"y" * 30) == []
    assert framer.feed(header(3) + b"{}\n") == [b'{"a":"' + b"x" * 30 + b"y" * 30, b"{}"]
    assert framer.bad == {"length": 1, "oversize": 0, "resync_bytes": 0}


def test_the_end_of_a_record_is_searched_for_within_the_bound() -> None:
    """An agent that tells a wrong length and nothing more that is right would take more memory than a record may."""
    with bounded_by(64):
        framer = Framer()
        framer.feed(header(3) + b"{}\n" + header(5) + b"{}abc" + b"x" * 9)
        framer.feed(b"x" * 49)
        assert (framer.bad["length"], framer.waiting) == (0, len(header(5)) + 63)
        framer.feed(b"x")
        assert (framer.bad, framer.waiting) == ({"length": 1, "oversize": 0, "resync_bytes": 59}, 0)


def test_faults_of_all_connections_are_counted() -> None:
    """`nfa status` would show one fault where there were a hundred."""
    framer = Framer()
    for count in (1, 2, 3):
        assert framer.feed(header(100) + b"{") + framer.end() == []
        assert framer.bad["length"] == count
    assert framer.feed(header(3) + b"{}\n") == [b"{}"]


# -- what it costs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "piece",
    [b"a\n", b"\n", b"a \n", b'{"length"', b'{"length"\n', header(1), header(1) + b"\n", header(1) + b"a", header(3) + b"{} ",
     header(99), b'{"length": 9', header(2) + b"}\n", b"{", b"}\n", b"{}\n"],
)  # fmt: skip
@pytest.mark.parametrize("start", [b"", header(0), header(99999), b"{}\n"])
def test_one_read_costs_less_than_a_turn_of_the_loop(start: bytes, piece: bytes) -> None:
    """An agent gone mad would keep the loop from everything else: a turn may last 15 ms."""
    costs = []
    chunk = (piece * CHUNK)[:CHUNK]
    for _ in range(4):
        framer = Framer()
        framer.feed(start)
        before = time.process_time()
        framer.feed(chunk)
        costs.append(time.process_time() - before)
    assert min(costs) < 0.02


@pytest.mark.parametrize("start", [header(MAX_RECORD), header(15) + b'{"a":"","type":"x"', b"{}\n"])
def test_a_record_that_drips_in_is_not_copied_at_each_read(start: bytes) -> None:
    """A slow agent with a long record would cost all of the CPU: 16 bytes a read, and half a megabyte copied for them."""
    framer = Framer()
    framer.feed(start)
    before = time.process_time()
    for _ in range(MAX_RECORD // 20):
        framer.feed(b'{"length"xxxxxxx')
    assert time.process_time() - before < 2, "all of it copied at each read takes a minute"
    assert framer.waiting > MAX_RECORD // 2
