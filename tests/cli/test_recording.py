"""Recordings are read whatever their form, and what is damaged costs only itself."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import samples
from hypothesis import given, settings
from hypothesis import strategies as st

from nfa.cli.recording import MAX_GAP, framed, frames, greeting, line, records, schedule

SHARED = Path(os.environ.get("NFA_SHARED", Path(__file__).parents[3] / "shared"))
STREAMS = sorted((SHARED / "data" / "streams").glob("*.bin.gz"))
RECORDS = [samples.flow(local_port=40000 + number) for number in range(50)]
PAYLOADS = [samples.payload(record) for record in RECORDS]
FRAMED = b"".join(map(samples.frame, RECORDS))
LINES = b"".join(PAYLOADS)


def read(data: bytes) -> tuple[list[bytes], list[str]]:
    problems: list[str] = []
    return list(frames(io.BytesIO(data), problems.append)), problems


@pytest.mark.parametrize("data", [FRAMED, LINES, gzip.compress(FRAMED), gzip.compress(LINES)])
def test_every_form_gives_the_same_payloads(data: bytes, tmp_path: Path) -> None:
    """A user would have to convert a recording before using it; the file's name must not matter."""
    assert read(data) == (PAYLOADS, [])
    path = tmp_path / "recording.txt"
    path.write_bytes(data)
    assert list(frames(path)) == list(frames(str(path))) == PAYLOADS
    assert list(records(path)) == RECORDS


def test_standard_input_is_read_without_waiting_for_its_end() -> None:
    """`socat ... | nfa explain -` would show nothing until the stream ends."""
    code = "from nfa.cli.recording import frames\nfor f in frames('-'): print(len(f), flush=True)"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as child:
        assert child.stdin and child.stdout
        for record, payload in zip(RECORDS[:3], PAYLOADS, strict=False):
            child.stdin.write(samples.frame(record))
            child.stdin.flush()
            assert int(child.stdout.readline()) == len(payload)


def test_a_file_that_was_handed_in_stays_open() -> None:
    """A caller that reads twice would find its file closed."""
    file = io.BytesIO(FRAMED)
    list(frames(file))
    file.seek(0)
    assert len(list(frames(file))) == len(RECORDS)


@pytest.mark.skipif(not STREAMS, reason="no shared recordings")
@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.name)
def test_real_recordings_come_back_byte_for_byte(path: Path) -> None:
    """A replay would differ from what netifyd sent."""
    problems: list[str] = []
    assert b"".join(map(framed, frames(path, problems.append))) == gzip.decompress(path.read_bytes())
    assert not problems


def test_a_version_3_greeting_without_newline_is_whole() -> None:
    """The first record of a 3.x agent would swallow the second."""
    data = samples.frame(samples.hello(), newline=False) + FRAMED
    assert read(data) == ([samples.payload(samples.hello()), *PAYLOADS], [])


def test_a_recording_cut_at_both_ends_loses_two_records() -> None:
    """A capture of a running stream would be unreadable."""
    payloads, problems = read(FRAMED[500:-100])
    assert payloads == PAYLOADS[1:-1]
    assert problems[0].startswith("line 1: ")
    assert "ends inside a record" in problems[-1]


def test_a_record_without_its_last_newline_is_whole() -> None:
    """An editor that strips the end of a file would cost the last record."""
    assert read(FRAMED[:-1]) == (PAYLOADS, [])
    assert read(LINES[:-1]) == (PAYLOADS, [])


@pytest.mark.parametrize(
    "damage", [b"garbage", *(b'{"length": %b}\n' % size for size in (b"x", b"30", b"5000", b"9999999999"))]
)
def test_damage_costs_at_most_the_record_beside_it(damage: bytes) -> None:
    """One bad byte would end the reading of a whole recording."""
    data = b"".join(map(samples.frame, RECORDS[:20])) + damage + b"".join(map(samples.frame, RECORDS[20:]))
    payloads, problems = read(data)
    assert payloads in (PAYLOADS, PAYLOADS[:19] + PAYLOADS[20:], PAYLOADS[:20] + PAYLOADS[21:])
    assert problems


def test_a_bad_line_is_named_by_its_number() -> None:
    """A user would have to search a hand-written file for the mistake."""
    problems: list[str] = []
    text = b'{"type":"flow"}\n\n# a comment\n{"type":}\n[1]\n{"type":"flow_purge"}\n'
    assert [record["type"] for record in records(io.BytesIO(text), problems.append)] == ["flow", "flow_purge"]
    assert problems == [
        "line 3: not a JSON object",
        "line 4: not valid JSON: Expecting value at character 9 of the record",
        "line 5: not a JSON object",
    ]


@pytest.mark.parametrize(
    "payload", [b'{"a":' * 200_000 + b"}", b'{"a":' + b"1" * 5000 + b"}", b'{"a":"\xff\xfe"}', b'{"a":1}x}']
)
def test_hostile_json_is_left_out(payload: bytes) -> None:
    """A record made to break the decoder would end the command with a stack trace."""
    problems: list[str] = []
    data = samples.frame(RECORDS[0]) + framed(payload) + samples.frame(RECORDS[1])
    assert list(records(io.BytesIO(data), problems.append)) == RECORDS[:2]
    assert len(problems) == 1


def test_an_endless_record_is_not_kept_in_memory() -> None:
    """A file without a newline would fill the memory of the machine."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))"
    code += "\nfrom nfa.cli.recording import frames\nprint(len(list(frames('-'))))"
    endless = b"x" * (300 << 20)
    assert subprocess.run([sys.executable, "-c", code], input=endless, stdout=-1, check=True).stdout == b"0\n"


def test_damaged_gzip_gives_what_comes_before_the_damage() -> None:
    """A recording that a power cut ended would be lost as a whole."""
    packed = gzip.compress(b"".join(map(samples.frame, samples.stream(1, 300))), 1)
    whole, _problems = read(packed)
    payloads, problems = read(packed[: len(packed) // 2])
    assert 50 < len(payloads) < len(whole)
    assert payloads == whole[: len(payloads)]
    assert any("gzip" in problem for problem in problems)


def test_missing_files_raise() -> None:
    """A wrong name would look like an empty recording."""
    with pytest.raises(FileNotFoundError):
        next(frames("/nonexistent"))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=200) | st.sampled_from([*map(samples.frame, RECORDS[:5]), *PAYLOADS[:5]])))
def test_no_input_raises(pieces: list[bytes]) -> None:
    """Any file at all may be given to a command; nothing of it may end in a stack trace."""
    problems: list[str] = []
    for record in records(io.BytesIO(b"".join(pieces)), problems.append):
        assert isinstance(record, dict)
    assert all(problem.isprintable() for problem in problems)


def test_greeting_takes_the_leading_record_of_each_type() -> None:
    """A late client would be greeted with flows, or with the status of an hour later."""
    head = [samples.hello(), samples.status(), samples.definitions()]
    rest = [samples.status(uptime=15), RECORDS[0], samples.hello()]
    payloads = [samples.payload(record) for record in head + rest]
    greeted, everything = greeting(iter(payloads))
    assert greeted == payloads[:3]
    assert everything is not None and list(everything) == payloads
    greeted, everything = greeting(iter(PAYLOADS))
    assert greeted == []
    assert everything is not None and list(everything) == PAYLOADS
    assert greeting(iter([])) == ([], None)
    assert greeting(iter([b'{"type":["flow"]}', b"{"]))[0] == []


def test_schedule_follows_the_records_own_time() -> None:
    """A replay at original timing would rush, hang in a silence, or go back in time."""
    start = samples.START
    made = [
        samples.hello(),
        samples.status(start),
        samples.flow(when=start, seen=start + 500),
        samples.purge("00", start - 300_000),
        samples.flow(when=start + 1500, host_server_name='"last_seen_at":9999999999999'),
        samples.status(start + 2000, uptime=2),
        samples.flow(when=start + 3_602_000),
    ]
    payloads = [samples.payload(record) for record in made]
    due = [moment for moment, _payload in schedule(iter(payloads), 1.0)]
    assert due == pytest.approx([0, 0, 0.5, 0.5, 1.5, 2, 2 + MAX_GAP])
    faster = [moment for moment, _payload in schedule(iter(payloads), 10)]
    assert faster == pytest.approx([moment / 10 for moment in due])
    assert {moment for moment, _payload in schedule(iter(payloads), float("inf"))} == {0.0}


def test_a_line_never_holds_a_newline() -> None:
    """A pretty-printed record would arrive as several broken ones."""
    pretty = json.dumps(RECORDS[0], indent=2).encode()
    assert line(pretty).count(b"\n") == 1
    assert json.loads(line(pretty)) == RECORDS[0]
    assert line(PAYLOADS[0]) == PAYLOADS[0]
